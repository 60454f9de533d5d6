"""A model whose floats are all float64: what shows the error that float32 and less make by themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from pytest_ortperf.execution.model.external_data import graphs, load_external_data, tensors

LARGEST_BYTE = (1 << 31) - (1 << 20)
"""Of a model in float64: one protobuf message holds less than 2 GiB, and casts are added to it."""

_DOUBLE = TensorProto.DOUBLE
_NARROW: dict[int, int] = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2}
"""Types -> bytes of an element."""

_FLOAT_INPUTS = {"Resize": (2,), "Upsample": (1,), "NonMaxSuppression": (0, 1, 3, 4)}
"""Inputs that are float32 whatever the rest is."""


def fp64_model(path: Path) -> ModelProto | None:
    """Return a model with float64 in place of every narrower float; `None` if it is too large.

    Whether anything can run it is another question: many operators have no such kernel.

    Raises:
        OSError: If a file cannot be read.
        google.protobuf.message.DecodeError: If it is no model.
    """
    model = onnx.load_model(path, load_external_data=False)
    if _byte(model, path) + _growth(model) > LARGEST_BYTE:
        return None
    load_external_data(model, path.parent)
    for graph in graphs(model.graph):
        _widen(graph)
    for function in model.functions:
        for node in function.node:
            _widen_node(node)
    return model


def _byte(model: ModelProto, path: Path) -> int:
    names = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    return sum(file.stat().st_size for file in (path, *(path.parent / name for name in names)))


def _growth(model: ModelProto) -> int:
    sizes = {number: 8 - size for number, size in _NARROW.items()}
    return sum(sizes.get(tensor.data_type, 0) * math.prod(tensor.dims) for tensor in tensors(model.graph))


def _widen(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output):
        _widen_type(value.type)
    # what was inferred in float32 would contradict
    del graph.value_info[:]
    nodes: list[NodeProto] = []
    for node in graph.node:
        _widen_node(node)
        nodes += [*_casts(node), node]
    del graph.node[:]
    graph.node.extend(nodes)


def _widen_type(type_: Any) -> None:
    if type_.HasField("sequence_type"):
        _widen_type(type_.sequence_type.elem_type)
    elif type_.HasField("optional_type"):
        _widen_type(type_.optional_type.elem_type)
    elif type_.tensor_type.elem_type in _NARROW:
        type_.tensor_type.elem_type = _DOUBLE


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def _widen_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            _widen_tensor(attribute.t)
        elif attribute.name in {"to", "dtype"} and attribute.type == AttributeProto.INT and attribute.i in _NARROW:
            attribute.i = _DOUBLE
        elif node.op_type == "Constant" and attribute.name in {"value_float", "value_floats"}:
            numbers = list(attribute.floats) if attribute.name == "value_floats" else attribute.f
            value = numpy_helper.from_array(np.asarray(numbers, np.float64))
            attribute.CopyFrom(helper.make_attribute("value", value))
    if node.op_type == "ConstantOfShape" and not node.attribute:
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, np.float64))))


def _casts(node: NodeProto) -> list[NodeProto]:
    """Return casts back to float32 for inputs that must be; the node reads these instead."""
    found = []
    for index in _FLOAT_INPUTS.get(node.op_type, ()):
        if index < len(node.input) and node.input[index]:
            name = f"{node.input[index]}_float_of_{node.output[0]}_{index}"
            found.append(helper.make_node("Cast", [node.input[index]], [name], to=TensorProto.FLOAT))
            node.input[index] = name
    return found
