"""The rule itself on numbers, then whole cases: an fp16 model off by what fp16 is off by, and one that is not."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy import precision_floor
from pytest_ortperf.execution.accuracy.array_difference import array_difference
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.accuracy.precision_floor import (
    Compared,
    ErrorPair,
    judged,
    same_precision,
    with_second_chance,
)
from pytest_ortperf.execution.accuracy.references import NotAvailable, Reference
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.model.model_file import inspect_precision, load_graph
from pytest_ortperf.execution.model.precision import prepare_model
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder


class Hooks:
    """Does nothing."""

    def configure_session(self, session_options: Any) -> None:
        del session_options

    def before_first_run(self, session: Any) -> None:
        del session


def pair_of(own: float, theirs: float, *, largest: float = 0.0) -> ErrorPair:
    """Return errors of that size in each of 10,000 elements, and of `largest` in one."""
    golden = np.linspace(1, 2, 10_000)
    candidate = golden + own
    candidate[7] += largest
    differences = [array_difference(it, golden, 0.0, 0.0) for it in (candidate, golden + theirs)]
    return ErrorPair(*differences, "CPU fp64", "fp16 on the CPU")


def test_three_times_the_error_of_the_baseline_is_explained() -> None:
    found = judged(pair_of(2.9e-2, 1e-2), 0.0, 0.0)

    assert (found.is_explained, found.limit) == (True, pytest.approx(0.03))
    assert found.note == (
        "pass-relative: root-mean-square error 0.029 against CPU fp64, of fp16 on the CPU 0.01, "
        "so up to 0.03 is its precision's own"
    )


def test_more_is_not() -> None:
    found = judged(pair_of(3.1e-2, 1e-2), 0.0, 0.0)

    assert found.note == (
        "no second chance: root-mean-square error 0.031 against CPU fp64, of fp16 on the CPU 0.01: over 0.03"
    )


def test_a_tenth_of_the_tolerance_is_left_beside_it() -> None:
    assert judged(pair_of(3.05e-2, 1e-2), 1.0, 0.01).is_explained
    # of small outputs it is the tolerance by their size
    assert not judged(pair_of(3.05e-2, 1e-2), 1e-3, 0.01).is_explained


def test_one_wrong_element_among_many_is_not_explained() -> None:
    found = judged(pair_of(1e-2, 1e-2, largest=1.0), 0.0, 0.0)

    assert found.note.endswith("of fp16 on the CPU 0.01: largest error 1.01 over 0.1")


def test_a_baseline_that_is_far_off_explains_nothing() -> None:
    golden = np.linspace(-1, 1, 1000)
    difference = array_difference(-golden, golden, 0.0, 0.0)

    found = judged(ErrorPair(difference, difference, "CPU fp64", "fp16 on the CPU"), 0.0, 0.0)

    assert found.note.endswith(": its own cosine -1.0000 is below 0.99, the baseline's cosine -1.0000 is below 0.99")


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (0.33, "relative root-mean-square error 0.67 is over 0.1"),
        (0.89, "relative root-mean-square error 0.11 is over 0.1"),
        (1.2, "relative root-mean-square error 0.2 is over 0.1"),
        (2.0, "relative root-mean-square error 1 is over 0.1"),
    ],
)
def test_a_wrong_scale_explains_nothing_although_its_direction_is_right(factor: float, reason: str) -> None:
    golden = np.random.default_rng(0).uniform(-1, 1, 1000)
    difference = array_difference(golden * factor, golden, 0.0, 0.0)

    found = judged(ErrorPair(difference, difference, "CPU fp64", "fp16 on the CPU"), 0.0, 0.0)

    assert difference.moments.cosine == pytest.approx(1)
    assert not found.is_explained
    assert found.note.endswith(f": its own {reason}, the baseline's {reason}")


def test_an_error_of_less_than_a_tenth_may_be_one_of_rounding() -> None:
    golden = np.random.default_rng(0).uniform(-1, 1, 1000)
    difference = array_difference(golden * 0.91, golden, 0.0, 0.0)

    assert judged(ErrorPair(difference, difference, "CPU fp64", "fp16 on the CPU"), 0.0, 0.0).is_explained


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


def cancelling_model(folder: Path) -> Path:
    """Write a product whose small elements are sums of many large terms: fp16 weights move them beyond atol."""
    weight = np.random.default_rng(5).uniform(-1, 1, (4096, 256)).astype(np.float32)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [4, 4096]), ("y", [4, 256]))
    )
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    path = folder / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path


def half_case(folder: Path, **entry: Any) -> Case:
    model = Model(name="m", path=cancelling_model(folder), origin="models.json: models[0] 'm'", **entry)
    return Case(model=model, mode="validate", provider=find_provider("cpu"), precision="fp16")


def test_an_fp16_case_passes_relative_with_both_errors_told(facts: RecordBuilder, tmp_path: Path) -> None:
    execute(half_case(tmp_path), ExecutionSettings(cache=tmp_path / "cache"), facts, Hooks())

    (output,) = facts.accuracy[0].outputs
    assert (output.verdict, output.within_tolerance, facts.accuracy[0].passes) == ("pass-relative", False, True)
    assert output.relative is not None
    assert (output.relative.golden, output.relative.baseline) == ("CPU fp64", "fp16 on the CPU, graph optimisation off")
    assert facts.reason == f"output 'y': {output.relative.note}"
    assert facts.reason.startswith("output 'y': pass-relative: root-mean-square error 0.0")


def test_without_a_second_chance_it_fails(facts: RecordBuilder, tmp_path: Path) -> None:
    strict = ExecutionSettings(cache=tmp_path / "cache", tolerance=Tolerance(second_chance=False))
    with pytest.raises(CaseError, match=r"output 'y': percent mismatch") as caught:
        execute(half_case(tmp_path), strict, facts, Hooks())

    assert "second chance" not in str(caught.value)


def test_stored_outputs_that_the_model_does_not_give_in_fp32_are_no_matter_of_precision(
    facts: RecordBuilder, tmp_path: Path
) -> None:
    data = tmp_path / "data" / "test_data_set_0"
    data.mkdir(parents=True)
    x = np.random.default_rng(1).uniform(-1, 1, (4, 4096)).astype(np.float32)
    for kind, name, value in (("input", "x", x), ("output", "y", np.ones((4, 256), np.float32))):
        (data / f"{kind}_0.pb").write_bytes(numpy_helper.from_array(value, name).SerializeToString())

    with pytest.raises(CaseError, match=r"no second chance: CPU fp64 does not give the stored outputs: at \("):
        execute(half_case(tmp_path, test_data=data.parent), ExecutionSettings(cache=tmp_path / "c"), facts, Hooks())


def compared_of(folder: Path, precision: str, golden: Any, monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Return an output of three ones beside references of twos; the CPU gives other arrays: golden, then a baseline."""
    case = dataclasses.replace(half_case(folder), precision=None)
    settings = ExecutionSettings(cache=folder / "cache")
    answers = iter([golden, golden])
    monkeypatch.setattr(
        precision_floor,
        "cpu_outputs",
        lambda *_: Reference(outputs={"y": np.asarray(next(answers), np.float64)}, name="CPU"),
    )
    return Compared(
        case=case,
        settings=settings,
        hooks=Hooks(),
        prepared=prepare_model(case, settings),
        precision=precision,
        data=CaseData(name="generated (seed 0)", origin="generated", inputs={}, references=None),
        outputs={"y": np.ones(3, np.float32)},
        references={"y": np.full(3, 2, np.float32)},
        tolerances=lambda _: Tolerance(rtol=1e-2, atol=1e-3, percent_mismatch=0.0, second_chance=True),
    )


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        ([1.0, 1.0], "no second chance: beside CPU fp64 it is float (3,) instead of double (2,)"),
        (
            [1.0, 1.0, np.nan],
            "no second chance: beside CPU fp64 it has NaN or infinity elsewhere, at (2,): 1 instead of nan",
        ),
    ],
)
def test_a_golden_output_of_another_shape_or_pattern_excuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: list[float], message: str
) -> None:
    compared = compared_of(tmp_path, "fp16", golden, monkeypatch)
    found = compare(compared.outputs, compared.references, compared.tolerances)

    (output,) = with_second_chance(found, compared)

    assert (output.verdict, output.relative and output.relative.note) == ("fail", message)


def test_an_fp32_model_that_the_provider_lowers_is_held_to_its_fp16_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = compared_of(tmp_path, "fp16", [1.0], monkeypatch)

    twin = same_precision(compared)

    assert inspect_precision(load_graph(twin, twin.stat().st_size)) == "fp16"
    assert same_precision(dataclasses.replace(compared, precision="fp32")) == compared.case.model.path
    with pytest.raises(NotAvailable, match="there is no bf16 variant of the model for the CPU"):
        same_precision(dataclasses.replace(compared, precision="bf16"))


def test_clipped_weights_excuse_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = compared_of(tmp_path, "fp16", [1.0, 1.0, 1.0], monkeypatch)
    fact = dataclasses.replace(compared.prepared.fact, fp16_from="converted", fp16_clipped=3)
    clipped = dataclasses.replace(compared, prepared=dataclasses.replace(compared.prepared, fact=fact))
    found = compare(clipped.outputs, clipped.references, clipped.tolerances)

    (output,) = with_second_chance(found, clipped)

    assert (output.verdict, output.relative and output.relative.note) == (
        "fail",
        "no second chance: converted to fp16 with 3 values clipped to ±65504",
    )
