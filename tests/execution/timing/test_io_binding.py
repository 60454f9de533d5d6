from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.execution.timing.io_binding import HOST, Bound, CannotBind, Memory

FLOAT, INT64, STRING, BFLOAT16 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BFLOAT16
Values = Mapping[str, tuple[int, Any]]


def session_of(nodes: list[Any], inputs: Values, outputs: Values) -> onnxruntime.InferenceSession:
    values = [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()]
    results = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    graph = helper.make_graph(nodes, "g", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def doubling() -> onnxruntime.InferenceSession:
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return session_of(nodes, {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, ["n", 3])})


ONES = {"x": np.ones((2, 3), np.float32)}


def test_a_bound_run_computes_what_run_does_and_writes_to_memory_bound_before() -> None:
    session = doubling()
    bound = Bound(session, {"y": (2, 3)}, [ONES], Memory(HOST))
    call = bound.run_call()
    assert call() is None
    outputs = bound.outputs()
    np.testing.assert_array_equal(outputs["y"], session.run(None, ONES)[0])
    bound.update({"x": np.full((2, 3), 5, np.float32)})
    call()
    np.testing.assert_array_equal(bound.outputs()["y"], np.full((2, 3), 10))
    np.testing.assert_array_equal(outputs["y"], np.full((2, 3), 2))
    np.testing.assert_array_equal(ONES["x"], np.ones((2, 3)))
    assert (bound.unshaped, bound.on_host, bound.input_byte, bound.output_byte) == ((), (), 24, 24)


def test_with_copies_each_call_reads_the_array_and_returns_a_new_one() -> None:
    array = np.ones((2, 3), np.float32)
    bound = Bound(doubling(), {"y": (2, 3)}, [{"x": array}], Memory(HOST))
    call = bound.run_call_with_copies()
    (first,) = call()
    array[:] = 4
    (second,) = call()
    np.testing.assert_array_equal(first, np.full((2, 3), 2))
    np.testing.assert_array_equal(second, np.full((2, 3), 8))


def test_the_copies_alone_do_not_run_the_model() -> None:
    array = np.ones((2, 3), np.float32)
    bound = Bound(doubling(), {"y": (2, 3)}, [{"x": array}], Memory(HOST))
    bound.run_call()()
    to_device, to_host = bound.copy_calls()
    array[:] = 4
    to_device()
    (read,) = to_host()
    np.testing.assert_array_equal(read, np.full((2, 3), 2))
    bound.run_call()()
    np.testing.assert_array_equal(bound.outputs()["y"], np.full((2, 3), 8))


def test_iterations_take_the_buffers_in_turn() -> None:
    feeds = [{"x": np.full((1, 3), value, np.float32)} for value in (1, 2, 3)]
    bound = Bound(doubling(), {"y": (1, 3)}, feeds, Memory(HOST))
    assert bound.buffers == 3
    call = bound.run_call_with_copies()
    assert [call()[0][0, 0] for _ in range(4)] == [2, 4, 6, 2]
    plain = bound.run_call()
    seen = []
    for _ in range(4):
        plain()
        seen.append(bound.outputs()["y"][0, 0])
    assert seen == [2, 4, 6, 2]


def test_an_output_whose_shape_depends_on_data_is_bound_without_shape() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Relu", ["x"], ["y"])]
    session = session_of(nodes, {"x": (FLOAT, ["n", 3])}, {"i": (INT64, None), "y": (FLOAT, ["n", 3])})
    bound = Bound(session, {"i": (2, 6), "y": (2, 3)}, [ONES], Memory(HOST))
    call = bound.run_call()
    for _ in range(2):
        call()
    assert bound.unshaped == ("i",)
    np.testing.assert_array_equal(bound.outputs()["i"], np.stack(np.nonzero(ONES["x"])))
    assert bound.output_byte == 2 * 6 * 8 + 24


def test_an_output_of_unknown_rank_is_not_taken_for_a_scalar() -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    session = session_of(nodes, {"x": (FLOAT, ["n", 3]), "s": (INT64, ["k"])}, {"y": (FLOAT, None)})
    feeds = {**ONES, "s": np.array([6], np.int64)}
    bound = Bound(session, {"y": (6,)}, [feeds], Memory(HOST))
    bound.run_call()()
    assert bound.unshaped == ("y",)
    assert bound.outputs()["y"].shape == (6,)


def test_only_the_outputs_asked_for_are_bound() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    session = session_of(nodes, {"x": (FLOAT, [2, 3])}, {"y": (FLOAT, [2, 3]), "z": (FLOAT, [2, 3])})
    bound = Bound(session, {"z": (2, 3)}, [ONES], Memory(HOST))
    bound.run_call()()
    assert list(bound.outputs()) == ["z"]
    assert bound.outputs()["z"][0, 0] == -1


def test_types_that_numpy_lacks_are_bound_but_not_copied() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
    session = session_of(nodes, {"x": (BFLOAT16, [2])}, {"y": (FLOAT, [2])})
    bound = Bound(session, {"y": (2,)}, [{"x": np.array([1.5, 2.5], ml_dtypes.bfloat16)}], Memory(HOST))
    bound.run_call()()
    np.testing.assert_array_equal(bound.outputs()["y"], [1.5, 2.5])
    with pytest.raises(CannotBind) as caught:
        bound.run_call_with_copies()
    assert str(caught.value) == "input 'x' has an element type that numpy does not have; ONNX Runtime does not copy it"


def test_strings_are_refused() -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=STRING)
    session = session_of([node], {"x": (FLOAT, ["n", 3])}, {"y": (STRING, ["n", 3])})
    with pytest.raises(CannotBind) as caught:
        Bound(session, {"y": (2, 3)}, [ONES], Memory(HOST))
    assert str(caught.value) == "output 'y' is a tensor(string), which IO binding does not take"


@pytest.mark.parametrize(
    ("value", "what"),
    [(np.array(["a"]), "holds strings"), (None, "has no value"), ([np.ones(1)], "is no tensor")],
)
def test_inputs_that_are_no_tensors_of_numbers_are_refused(value: Any, what: str) -> None:
    with pytest.raises(CannotBind) as caught:
        Bound(doubling(), {"y": (2, 3)}, [{"x": value}], Memory(HOST))
    assert str(caught.value) == f"input 'x' {what}, which IO binding does not take"
