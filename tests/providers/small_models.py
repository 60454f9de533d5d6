"""Models of a few nodes, by what a provider for networks takes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from plugin.project import Project

_SHAPE = [1, 4, 8, 8]


def give_model(project: Project, model: bytes, *names: str) -> None:
    """Make a model the only one of a project, listed under names; `m` unless given."""
    project.write("m.onnx", model)
    project.models(*(names or ("m",)))


def network() -> bytes:
    """Return a convolution and a Relu, static, which every provider for networks takes."""
    return _serialised([*_network_nodes("y")], inputs=["x"], weights=_weights())


def half_taken() -> bytes:
    """Return a convolution and a Relu, and after them a Hardmax, which OpenVINO does not take."""
    nodes = [*_network_nodes("r"), helper.make_node("Hardmax", ["r"], ["y"], axis=1)]
    return _serialised(nodes, inputs=["x"], weights=_weights())


def determinant(kind: type[np.floating[Any]] = np.float32) -> bytes:
    """Return four nodes, of which OpenVINO takes an Add; in float16, the CPU provider has kernels for none of them."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Det", ["a"], ["b"]),
        helper.make_node("Add", ["b", "b"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    weight = numpy_helper.from_array(np.random.default_rng(1).random((8, 8)).astype(kind), "w")
    x, y = (helper.make_tensor_value_info(name, weight.data_type, shape) for name, shape in (("x", [8, 8]), ("y", [])))
    return _model(helper.make_graph(nodes, "determinant", [x], [y], [weight]))


def strings() -> bytes:
    """Return two operators on strings: no provider but the CPU's takes any."""
    nodes = [
        helper.make_node("StringConcat", ["x", "x"], ["s"]),
        helper.make_node("StringConcat", ["s", "x"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.STRING, [3]) for name in "xy")
    return _model(helper.make_graph(nodes, "strings", [x], [y]), opset=20)


def constants() -> bytes:
    """Return a sum of two constants: nothing is left to run once it is folded."""
    weights = {"a": np.ones(_SHAPE, np.float32), "b": np.ones(_SHAPE, np.float32)}
    return _serialised([helper.make_node("Add", ["a", "b"], ["y"])], inputs=[], weights=weights)


def wrong_constants() -> bytes:
    """Return an output of `constants` that is not its."""
    return bytes(numpy_helper.from_array(np.zeros(_SHAPE, np.float32), "y").SerializeToString())


def _network_nodes(output: str) -> list[Any]:
    return [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], [output]),
    ]


def _weights() -> dict[str, np.ndarray[Any, Any]]:
    return {"w": (np.arange(144, dtype=np.float32) / 144 - 0.5).reshape(4, 4, 3, 3)}


def _serialised(nodes: list[Any], *, inputs: list[str], weights: dict[str, np.ndarray[Any, Any]]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, _SHAPE) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, _SHAPE)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return _model(graph)


def _model(graph: Any, opset: int = 17) -> bytes:
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(model.SerializeToString())
