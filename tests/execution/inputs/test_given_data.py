"""Arrays given by a user's own test."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.case_data import given_inputs, given_references


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    """Return a session of `y = x + w` and `n = ids`, x of shape (batch, 3), ids int64."""
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xwy")
    ids, n = (helper.make_tensor_value_info(name, TensorProto.INT64, [2]) for name in ("ids", "n"))
    nodes = [helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("Identity", ["ids"], ["n"])]
    graph = helper.make_graph(nodes, "two", [x, w, ids], [y, n])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Framework:
    """A tensor of another framework."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return np.ones((1, 3), np.float32)


def inputs(**changes: Any) -> dict[str, Any]:
    return {"x": np.zeros((2, 3), np.float32), "w": [[1, 2, 3]], "ids": (4, 5)} | changes


def test_lists_and_tensors_become_arrays_of_the_declared_type(session: onnxruntime.InferenceSession) -> None:
    found = given_inputs(inputs(x=Framework()), session, cast_floats=False)
    assert {name: (value.dtype, value.tolist()) for name, value in found.items()} == {  # type: ignore[union-attr]
        "x": (np.float32, [[1, 1, 1]]),
        "w": (np.float32, [[1, 2, 3]]),
        "ids": (np.int64, [4, 5]),
    }


def test_lists_in_a_sequence_become_arrays_of_its_element() -> None:
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, ["n"])
    node = helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)
    graph = helper.make_graph(
        [node], "joined", [sequence], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = given_inputs({"s": [[1, 2], (3,)]}, session, cast_floats=False)
    assert session.run(None, found)[0].tolist() == [1, 2, 3]
    half = given_inputs({"s": [np.ones(2, np.float16)]}, session, cast_floats=True)
    assert session.run(None, half)[0].tolist() == [1, 1]


def test_an_array_is_handed_on_as_it_is(session: onnxruntime.InferenceSession) -> None:
    given = inputs()
    assert given_inputs(given, session, cast_floats=False)["x"] is given["x"]


def test_floats_are_cast_where_the_precision_was_changed(session: onnxruntime.InferenceSession) -> None:
    found = given_inputs(inputs(x=np.zeros((2, 3), np.float16)), session, cast_floats=True)
    assert found["x"].dtype == np.float32  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": 1}, "inputs= has 'z'; the model's inputs are 'x', 'w', 'ids'"),
        ({"x": np.zeros((2, 3))}, "input 'x' is tensor(double); the model declares tensor(float), give float32"),
        ({"ids": np.zeros(2, np.int32)}, "input 'ids' is tensor(int32); the model declares tensor(int64), give int64"),
        ({"x": np.zeros((2, 4), np.float32)}, "input 'x' has shape (2, 4); the model declares (batch, 3)"),
        ({"ids": 3}, "input 'ids' has shape (); the model declares (2)"),
    ],
)
def test_what_does_not_fit_the_model_is_an_input_error(
    session: onnxruntime.InferenceSession, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CaseError) as caught:
        given_inputs(inputs(**change), session, cast_floats=False)
    assert (str(caught.value), caught.value.stage, caught.value.kind) == (message, "inputs", "input error")


def test_an_input_that_lacks_is_named(session: onnxruntime.InferenceSession) -> None:
    with pytest.raises(CaseError, match=r"^inputs= lacks 'w', 'ids'; give one array for each input of the model$"):
        given_inputs({"x": np.zeros((2, 3), np.float32)}, session, cast_floats=False)


def test_references_are_for_outputs_of_the_model(session: onnxruntime.InferenceSession) -> None:
    assert given_references({"n": [1, 2]}, session)["n"].dtype == np.int64  # type: ignore[union-attr]
    with pytest.raises(CaseError) as caught:
        given_references({"z": [1]}, session)
    assert str(caught.value) == "the reference has 'z'; the model's outputs are 'y', 'n'"
    assert caught.value.stage == "reference"
