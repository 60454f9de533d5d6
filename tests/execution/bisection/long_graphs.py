"""A graph of 300 nodes with skip connections and subgraphs, and faults planted into one node each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 24
BLOCKS = 30
NODES = 300


def long_model(seed: int = 0) -> onnx.ModelProto:
    """Return 30 blocks of ten nodes on (batch, 24) floats; every tenth block has an `If` that reads outer values."""
    random = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, np.ndarray] = {"always": np.array(True)}  # noqa: FBT003 - a tensor
    before = "x"
    for block in range(BLOCKS):
        weights |= _weights(random, block)
        nodes += _block(block, before)
        before = f"b{block}_out"
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "long",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _weights(random: np.random.Generator, block: int) -> dict[str, np.ndarray]:
    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, WIDTH**-0.5, shape).astype(np.float32)

    return {
        f"b{block}_gain": np.ones(WIDTH, np.float32),
        f"b{block}_up": normal(WIDTH, WIDTH),
        f"b{block}_up_bias": normal(WIDTH),
        f"b{block}_down": normal(WIDTH, WIDTH),
        f"b{block}_down_bias": normal(WIDTH),
        f"b{block}_scale": np.array(0.98, np.float32),
    }


def _block(block: int, before: str) -> list[onnx.NodeProto]:
    def name(part: str) -> str:
        return f"b{block}_{part}"

    def node(op_type: str, inputs: list[str], part: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(op_type, inputs, [name(part)], name=name(part), **attributes)

    return [
        node("LayerNormalization", [before, name("gain")], "norm"),
        node("MatMul", [name("norm"), name("up")], "product"),
        node("Add", [name("product"), name("up_bias")], "sum"),
        _choice(name, "product", "sum") if block % 10 == 4 else node("Relu", [name("sum")], "active"),
        node("MatMul", [name("active"), name("down")], "product2"),
        node("Add", [name("product2"), name("down_bias")], "sum2"),
        node("Sigmoid", [name("sum2")], "gate"),
        node("Mul", [name("gate"), name("norm")], "gated"),
        node("Add", [name("gated"), before], "residual"),
        node("Mul", [name("residual"), name("scale")], "out"),
    ]


def _choice(name: Callable[[str], str], first: str, second: str) -> onnx.NodeProto:
    branches = {
        branch: helper.make_graph(
            [helper.make_node(op_type, [name(first), name(second)], [name(branch)])],
            branch,
            [],
            [helper.make_tensor_value_info(name(branch), TensorProto.FLOAT, None)],
        )
        for branch, op_type in (("then_branch", "Max"), ("else_branch", "Min"))
    }
    return helper.make_node("If", ["always"], [name("active")], name=name("active"), **branches)


Fault = Callable[[onnx.ModelProto], None]


def change_weight(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """Return a fault that changes an initialiser."""

    def plant(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        changed = change(numpy_helper.to_array(tensor).copy())
        tensor.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), name))

    return plant


def change_node(name: str, change: Callable[[onnx.NodeProto], None]) -> Fault:
    """Return a fault that changes a node."""

    def plant(model: onnx.ModelProto) -> None:
        change(next(node for node in model.graph.node if node.name == name))

    return plant


def replace_operator(op_type: str, **attributes: object) -> Callable[[onnx.NodeProto], None]:
    """Return a change of a node's operator."""

    def change(node: onnx.NodeProto) -> None:
        node.op_type = op_type
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())

    return change


def _one_weight(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[int(np.abs(values).argmax())] *= factor
        return values

    return change


def _swap_channels(values: np.ndarray) -> np.ndarray:
    return values[:, [1, 0, *range(2, values.shape[1])]]


def _other_branch(node: onnx.NodeProto) -> None:
    then = next(attribute for attribute in node.attribute if attribute.name == "then_branch")
    then.g.node[0].op_type = "Min"


FAULTS: dict[str, tuple[str, Fault]] = {
    "a weight 10 % larger": ("b0_product2", change_weight("b0_down", _one_weight(1.1))),
    "the sign of one weight": ("b3_product2", change_weight("b3_down", _one_weight(-1))),
    "a matrix transposed": ("b7_product", change_weight("b7_up", np.transpose)),
    "two channels swapped": ("b11_product2", change_weight("b11_down", _swap_channels)),
    "a bias dropped": ("b13_sum", change_weight("b13_up_bias", np.zeros_like)),
    "another branch of an If": ("b14_active", change_node("b14_active", _other_branch)),
    "an operator that leaks": ("b18_active", change_node("b18_active", replace_operator("LeakyRelu", alpha=0.2))),
    "another gate": ("b22_gate", change_node("b22_gate", replace_operator("HardSigmoid"))),
    "a scale off by 2": ("b26_out", change_weight("b26_scale", lambda values: values * 2)),
    "a sum that is a difference": ("b29_residual", change_node("b29_residual", replace_operator("Sub"))),
}
"""What is wrong -> the node, and how to plant it."""


def write_pair(folder: Path, fault: Fault) -> tuple[Path, Path]:
    """Write the sound model and one with a fault; return both paths."""
    sound, faulty = folder / "sound.onnx", folder / "model.onnx"
    model = long_model()
    onnx.save_model(model, sound)
    fault(model)
    onnx.save_model(model, faulty)
    return sound, faulty
