from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from ort_models import NoHooks, case

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.model.precision import prepare_model
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session import assumed_shapes
from pytest_ortperf.execution.session.assumed_shapes import assume_shapes, is_shape_error


def saved(folder: Path, node: onnx.NodeProto, shape: list[Any], *weights: onnx.TensorProto) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], list(weights))
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def heads(folder: Path) -> Path:
    shape = numpy_helper.from_array(np.array([0, 4, -1]), "shape")
    return saved(folder, helper.make_node("Reshape", ["x", "shape"], ["y"]), ["batch", "hidden"], shape)


def assumed_of(one: Case, settings: ExecutionSettings) -> dict[str, int]:
    return dict(assume_shapes(one, prepare_model(one, settings), settings, NoHooks()).assumed)


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal(captures=False)
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def settings(tmp_path: Path) -> ExecutionSettings:
    return ExecutionSettings(cache=tmp_path / "cache")


def test_a_refused_size_climbs_the_ladder(tmp_path: Path, settings: ExecutionSettings) -> None:
    assert assumed_of(case(heads(tmp_path)), settings) == {"batch": 1, "hidden": 32}


def test_what_was_found_holds_for_every_precision_and_provider_and_is_tried_once(
    tmp_path: Path, settings: ExecutionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = heads(tmp_path)
    first = assumed_of(case(path), settings)
    monkeypatch.setattr(assumed_shapes, "_first_taken", lambda *_: os._exit(1))

    assert assumed_of(dataclasses.replace(case(path, provider="cuda"), precision="fp16"), settings) == first
    # nothing is known of other dimensions, and the child of the trial dies
    assert assumed_of(dataclasses.replace(case(path), dims=(("batch", 2),)), settings) == {"hidden": 1}


def test_sizes_and_shapes_that_are_given_stay(tmp_path: Path, settings: ExecutionSettings) -> None:
    path = heads(tmp_path)
    assert assumed_of(dataclasses.replace(case(path), dims=(("hidden", 8),)), settings) == {"batch": 1}
    assert assumed_of(case(path, inputs={"x": InputRule(shape=(2, 8))}), settings) == {}
    zoo = dataclasses.replace(settings, input_source="zoo")
    assert assumed_of(case(path), zoo) == {}


def test_a_static_model_has_nothing_to_assume(tmp_path: Path, settings: ExecutionSettings) -> None:
    path = saved(tmp_path, helper.make_node("Relu", ["x"], ["y"]), [1, 4])
    assert prepare_model(case(path), settings).free_dims == ()
    assert assumed_of(case(path), settings) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Non-zero status code returned while running Concat node: Non concat axis dimensions must match", True),
        (
            "The input tensor cannot be reshaped to the requested shape. Input shape:{1,1}, requested shape:{0,4,-1}",
            True,
        ),
        ("left operand cannot broadcast on dim 1 LeftShape: {1,3}, RightShape: {5}", True),
        ("matmul dimension mismatch", True),
        ("Failed to allocate memory for requested buffer of shape {1,3}", False),
        ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Resize, shape {1}", False),
        ("CUDA failure 700: an illegal memory access was encountered", False),
        ("the model said no", False),
    ],
)
def test_only_errors_of_shapes_are_tried_again(text: str, *, expected: bool) -> None:
    assert is_shape_error(text) is expected


def test_sizes_that_do_not_fit_are_named_with_the_way_out(
    tmp_path: Path, settings: ExecutionSettings, facts: RecordBuilder
) -> None:
    shape = numpy_helper.from_array(np.array([0, 7, 11, 13]), "shape")
    path = saved(tmp_path, helper.make_node("Reshape", ["x", "shape"], ["y"]), ["batch", "hidden"], shape)
    with pytest.raises(CaseError) as caught:
        execute(case(path), settings, facts, NoHooks())
    assert str(caught.value).endswith(
        "\nThese sizes were assumed, because nothing gives them: batch=1, hidden=1. If the model needs others, give "
        'them: --ortperf-dim=batch=N, or in the model list "dims": {"batch": N} or the "shape" of an input in "inputs"'
        "\nThe input 'x' was generated. If the model needs other values, give them in the model list: \"inputs\": "
        '{"x": {"value": ...}}, or "choices", "low" and "high" or "shape" there; or stored ones with "test_data"'
    )
    assert facts.assumed_dims == {"batch": 1, "hidden": 1}


def test_unnamed_dimensions_are_given_by_input_and_axis(
    tmp_path: Path, settings: ExecutionSettings, facts: RecordBuilder
) -> None:
    path = saved(tmp_path, helper.make_node("Relu", ["x"], ["y"]), [None, 3, None, "?"])
    one = dataclasses.replace(case(path), dims=(("x.2", 5), ("x.3", 2)))
    execute(one, settings, facts, NoHooks())
    [fact] = facts.inputs
    assert (fact.shape, fact.assumed_axes) == ((1, 3, 5, 2), (0,))
