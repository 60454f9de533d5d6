from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.matrix import MODES, Axes, Case, model_cases, sweep
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider

CPU, CUDA = find_provider("cpu"), find_provider("cuda")


def model(**keys: Any) -> Model:
    return Model(name="bert", path=Path("/bert.onnx"), origin="models.json: models[0] 'bert'", **keys)


def axes(**keys: Any) -> Axes:
    return Axes(**{"modes": MODES["both"], "providers": [CPU], "precisions": [None], "dims": {}, **keys})


def test_case_id_names_all_that_sets_it_apart() -> None:
    case = Case(model=model(), mode="benchmark", provider=CUDA, precision="fp16", dims=(("b", 8), ("s", 128)))

    assert case.variant == "cuda-fp16-b=8-s=128"
    assert case.label == "benchmark[cuda-fp16-b=8-s=128]"
    assert case.case_id == "bert::benchmark[cuda-fp16-b=8-s=128]"


def test_case_id_leaves_out_what_is_not_asked_for() -> None:
    case = Case(model=model(), mode="validate", provider=CPU, precision=None)

    assert case.case_id == "bert::validate[cpu]"


def test_validation_stands_before_the_benchmark_of_the_same_variant() -> None:
    cases = model_cases(model(dims={"b": (1, 8)}), axes(providers=[CPU, CUDA], precisions=[None, "fp16"]))

    assert [case.label for case in cases] == [
        f"{mode}[{provider}{precision}-b={size}]"
        for provider in ("cpu", "cuda")
        for precision in ("", "-fp16")
        for size in (1, 8)
        for mode in ("validate", "benchmark")
    ]


@pytest.mark.parametrize("mode", ["validate", "benchmark"])
def test_single_mode_gives_one_case_per_variant(mode: str) -> None:
    assert [case.label for case in model_cases(model(), axes(modes=MODES[mode]))] == [f"{mode}[cpu]"]


def test_dims_of_the_command_line_go_over_those_of_the_model() -> None:
    cases = model_cases(
        model(dims={"b": (1, 8), "s": (128,)}), axes(modes=MODES["validate"], dims={"b": (2,), "t": (3, 4)})
    )

    assert [case.dims for case in cases] == [
        (("b", 2), ("s", 128), ("t", 3)),
        (("b", 2), ("s", 128), ("t", 4)),
    ]


def test_no_dims_sweep_to_one_empty_combination() -> None:
    assert list(sweep({})) == [()]


def test_sweep_multiplies_in_the_order_given() -> None:
    assert list(sweep({"y": (2, 1), "x": (3, 4)})) == [
        (("y", 2), ("x", 3)),
        (("y", 2), ("x", 4)),
        (("y", 1), ("x", 3)),
        (("y", 1), ("x", 4)),
    ]


def test_no_provider_gives_no_case() -> None:
    assert list(model_cases(model(), axes(providers=[]))) == []


def test_ids_of_a_model_are_unique() -> None:
    cases = model_cases(model(dims={"b": (1, 8), "s": (1, 8)}), axes(providers=[CPU, CUDA], precisions=[None, "fp16"]))
    ids = [case.case_id for case in cases]

    assert (len(ids), len(set(ids))) == (32, 32)
