from __future__ import annotations

import os
from pathlib import Path

import pytest
from onnx import helper
from ort_models import NoHooks, case

import model_examples as examples
from pytest_ortperf.cases.model import Model
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model_trial import assumed_keys, describe, try_case, try_on_cpu
from pytest_ortperf.records.inspections import DeclaredValue


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty (0 bytes); write or download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "{path} is a Git-LFS pointer, not the model; fetch it with: git lfs pull",
        ),
        # parses as a model, of nothing but a version
        (
            b"\x08\x08",
            "{path} is no ONNX model, or is cut short (2 bytes): it does not parse; write or download it again",
        ),
        (None, "{path} cannot be read: it is a pipe, not a file (named by models.json)"),
    ],
    ids=["empty", "pointer", "no graph", "pipe"],
)
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "m.onnx"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(CaseError) as caught:
        describe(Model(name="m", path=path, origin="models.json"), 60)
    assert str(caught.value) == message.format(path=path)


def test_a_model_is_described_with_plausible_sizes(tmp_path: Path) -> None:
    path = examples.with_cache(tmp_path / "m.onnx")
    found = describe(Model(name="m", path=path, origin="models.json"), 60)
    assert found.free_dims == {"batch": 1, "past_length": 0, "sequence": 128}


def test_a_case_that_runs_tells_of_its_session_and_data(tmp_path: Path) -> None:
    path = examples.relu(tmp_path / "m.onnx")
    for number in range(2):
        examples.store(tmp_path / f"test_data_set_{number}", x=[[1, 2]], y=[[1, 2]])
    settings = ExecutionSettings(cache=tmp_path / "cache")
    opened = try_case(case(path), settings, NoHooks(), 60)
    assert (opened.problem, opened.nodes_there, opened.nodes, opened.data_sets) == (None, 1, 1, ())
    assert (opened.assumed, opened.creation_ns is not None) == ({"batch": 1}, True)
    ran = try_case(case(path, test_data=tmp_path), settings, NoHooks(), 60, runs=True)
    assert (ran.data_sets, ran.assumed) == (("test_data_set_0", "test_data_set_1"), {})


def test_a_case_that_does_not_run_tells_where_it_ended(tmp_path: Path) -> None:
    path = examples.refusing(tmp_path / "m.onnx")
    ran = try_case(case(path), ExecutionSettings(cache=tmp_path / "cache"), NoHooks(), 60, runs=True)
    assert ran.stage == "first_run"
    assert str(ran.problem).startswith("the run failed: ")


def test_test_data_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    path = examples.relu(tmp_path / "m.onnx", [2])
    examples.store(tmp_path / "test_data_set_0", x=[[1, 2]], y=[[1, 2]])
    trial, problem = try_on_cpu(Model(name="m", path=path, origin="models.json", test_data=tmp_path), 60)
    assert trial.problem is None
    assert problem == (
        f"{tmp_path}/test_data_set_0/input_0.pb: shape (1, 2) for input 'x', which the model declares as (2); store "
        f'that shape, or cut it with "slices" in the model list'
    )


def test_a_session_that_crashes_is_told_with_its_stage(tmp_path: Path) -> None:
    class Crashing(NoHooks):
        def configure_session(self, _: object) -> None:
            os._exit(3)

    path = examples.relu(tmp_path / "m.onnx", [2])
    crashed = try_case(case(path), ExecutionSettings(cache=tmp_path / "cache"), Crashing(), 60)
    assert (crashed.problem, crashed.stage) == (
        "the process that tried it crashed (exit status 3), in the stage session",
        "session",
    )


def test_sizes_are_dims_where_all_dimensions_of_an_input_have_names() -> None:
    def value(name: str, *shape: int | str | None) -> DeclaredValue:
        return DeclaredValue(name=name, type="float32", shape=shape)

    inputs = [
        value("ids", "batch", "length"),
        value("image", "batch", 3, None, "?"),
        value("past", "batch", "past", 4),
        value("odd", "batch", "a::b[0]"),
        value("static", 2, 2),
        DeclaredValue(name="any", type="float32", shape=None),
    ]
    assumed = {"batch": 1, "length": 128, "image.2": 224, "image.3": 224, "past": 0, "a::b[0]": 7}
    assert assumed_keys(inputs, assumed) == {
        "dims": {"batch": 1, "length": 128, "past": 0},
        "inputs": {"image": {"shape": [1, 3, 224, 224]}, "odd": {"shape": [1, 7]}},
    }
    assert assumed_keys(inputs, {}) == {}


def test_a_function_of_the_model_is_no_custom_operator(tmp_path: Path) -> None:
    model = examples.model_of([helper.make_node("Twice", ["x"], ["y"], domain="mine")], {"x": [1]}, domains=["mine"])
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(twice)
    path = examples.save(model, tmp_path / "m.onnx")
    assert describe(Model(name="m", path=path, origin="models.json"), 60).warnings == ()
