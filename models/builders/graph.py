"""The graph under construction: nodes and initialisers by name, then one ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Array = npt.NDArray[Any]
Dims = Sequence[int | str]

IR_VERSIONS = {17: 8, 19: 9}
"""By opset, the IR version that came with it."""

GRID = 4096
"""Drawn values are multiples of 1 / GRID, so that the last bit of a platform's `log` cannot change a file."""

SMALLEST_STD = 1 / 4
"""Drawn weights are at least so many standard deviations from their mean: an error in any of them shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledModel:
    """One model folder to be: everything but the reference outputs.

    Attributes:
        name: Folder and graph name.
        model: The finished model.
        data_sets: Inputs by name, a mapping a data set; its order is the order of the stored files.
        side_files: Contents of the files beside `model.onnx`, by file name.
    """

    name: str
    model: ModelProto
    data_sets: tuple[Mapping[str, Array], ...]
    side_files: Mapping[str, bytes] = field(default_factory=dict)


class Graph:
    """Collects the nodes and initialisers of one model.

    Args:
        name: Graph name.
        seed: Seed of everything drawn, weights and inputs.
        opset: One of `IR_VERSIONS`.
    """

    def __init__(self, name: str, seed: int, *, opset: int = 17) -> None:
        self.name = name
        self._opset = opset
        self._random = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: npt.DTypeLike, dims: Dims) -> str:
        """Declare a graph input; a string in `dims` is a symbolic dimension."""
        self._inputs.append(_value_info(name, dtype, dims))
        return name

    def output(self, name: str, dtype: npt.DTypeLike, dims: Dims) -> None:
        """Declare a graph output; a node gives it by naming `name` in its `outputs`."""
        self._outputs.append(_value_info(name, dtype, dims))

    def node(self, op_type: str, name: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node and return the name of its first output, by default `<name>_output`."""
        names = list(outputs) or [f"{name}_output"]
        self._nodes.append(helper.make_node(op_type, list(inputs), names, name=name, **attributes))
        return names[0]

    def constant(self, name: str, values: Any, dtype: npt.DTypeLike = np.float32) -> str:
        """Add an initialiser with the given values."""
        self._initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(self, name: str, shape: Sequence[int], *, std: float, mean: float = 0.0) -> str:
        """Add a float32 initialiser drawn from a normal distribution."""
        return self.constant(name, self.normal(shape, std=std, mean=mean))

    def normal(self, shape: Sequence[int], *, std: float = 1.0, mean: float = 0.0) -> Array:
        """Return normal float32 values on the grid, none of them too close to `mean` to matter."""
        return _on_grid(_outside_gap(self._random.standard_normal(shape)) * std + mean)

    def filters(self, shape: Sequence[int], *, std: float) -> Array:
        """Return normal values (outputs, ...) of which each output's sum is close to 0.

        Inputs that passed a ReLU have a mean; filters with a sum would turn it into outputs always off.
        """
        values = self._random.standard_normal(shape)
        values -= values.mean(axis=tuple(range(1, len(shape))), keepdims=True)
        return _on_grid(_outside_gap(values) * std)

    def uniform(self, shape: Sequence[int], low: float, high: float) -> Array:
        """Return uniform float32 values on the grid, in [low, high]."""
        return (np.rint(self._random.uniform(low, high, shape) * GRID) / GRID).astype(np.float32)

    def integers(self, shape: Sequence[int], low: int, high: int, dtype: npt.DTypeLike = np.int64) -> Array:
        """Return uniform integers in [low, high)."""
        return self._random.integers(low, high, shape).astype(dtype)

    def build(self) -> ModelProto:
        """Return the model, with the versions set here and not those of the installed onnx."""
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._initializers)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self._opset)],
            ir_version=IR_VERSIONS[self._opset],
            producer_name="pytest-ortperf",
        )


def linear(graph: Graph, name: str, value: str, size: tuple[int, int], *, bias: bool = True) -> str:
    """Add `value @ weight + bias` with weights that keep the variance; `size` is (inputs, outputs)."""
    weight = graph.weight(f"{name}/weight", size, std=size[0] ** -0.5)
    product = graph.node("MatMul", f"{name}/matmul", value, weight)
    if not bias:
        return product
    return graph.node("Add", f"{name}/add", product, graph.weight(f"{name}/bias", size[1:], std=0.1))


def _outside_gap(values: Array) -> Array:
    return np.copysign(np.maximum(np.abs(values), SMALLEST_STD), values)


def _on_grid(values: Array) -> Array:
    on_grid: Array = (np.rint(values * GRID) / GRID).astype(np.float32)
    return on_grid


def _value_info(name: str, dtype: npt.DTypeLike, dims: Dims) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(dims))
