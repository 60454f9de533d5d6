"""The conversion of one graph to fp16, and what the converter needs done before and after it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from pytest_ortperf.cases.model import Fp16Rule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.model_hash import graphs, tensors

LARGEST = float(np.finfo(np.float16).max)
"""What float16 can hold."""


def convert(model: onnx.ModelProto, rule: Fp16Rule) -> tuple[onnx.ModelProto, int]:
    """Return the model with float16 tensors, and how many of its values were clipped.

    Args:
        model: With inferred shapes and all data loaded; it is used up.
        rule: What stays float32.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    _name_nodes(model)
    _require_nodes(model, rule.node_block_list)
    _use_raw_tensors(model)
    optional = _take_optional_inputs(model)
    beyond = [_count_beyond(tensor) for tensor in tensors(model.graph)]
    converted = convert_float_to_float16(
        model,
        keep_io_types=rule.io != "cast",
        disable_shape_infer=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *rule.op_block_list],
        node_block_list=list(rule.node_block_list),
    )
    _give_optional_inputs_back(converted, optional)
    # the converter only appends nodes, and these hold no tensors
    _clear_empty_tensors(converted.graph)
    pairs = zip(beyond, tensors(converted.graph), strict=True)
    clipped = sum(count for count, tensor in pairs if tensor.data_type == onnx.TensorProto.FLOAT16)
    _sort_nodes(converted.graph)
    return converted, clipped


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give nodes without a name one, so that errors and block lists can name them: `Conv_12`, by position."""
    taken = {node.name for graph in graphs(model.graph) for node in graph.node}
    for graph in graphs(model.graph):
        for index, node in enumerate(graph.node):
            if not node.name:
                node.name = next(name for name in _names(node.op_type, index) if name not in taken)
                taken.add(node.name)


def _names(op_type: str, index: int) -> Iterator[str]:
    yield f"{op_type}_{index}"
    number = 0
    while True:
        number += 1
        yield f"{op_type}_{index}_{number}"


def _require_nodes(model: onnx.ModelProto, names: tuple[str, ...]) -> None:
    known = {node.name for graph in graphs(model.graph) for node in graph.node}
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(f"'{name}'" for name in unknown)
        raise CaseError(
            f"fp16.node_block_list names {listed}, and the model has no such node; correct the model list. "
            f"A node without a name is called by operator type and position, such as Conv_12",
            stage="precision",
            kind="precision error",
        )


def _use_raw_tensors(model: onnx.ModelProto) -> None:
    """Store numbers as bytes, which convert fast and can be external, and constants as tensors, which convert."""
    for graph in graphs(model.graph):
        for node in graph.node:
            for attribute in node.attribute if node.op_type == "Constant" else ():
                if attribute.name in {"value_float", "value_floats"}:
                    numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
                    tensor = onnx.numpy_helper.from_array(np.array(numbers, np.float32))
                    attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))
            if node.op_type == "ConstantOfShape" and not node.attribute:
                zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
                node.attribute.append(onnx.helper.make_attribute("value", zero))
    for tensor in tensors(model.graph):
        if tensor.float_data:
            tensor.raw_data = np.array(tensor.float_data, np.dtype("<f4")).tobytes()
            tensor.ClearField("float_data")


def _take_optional_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Remove the inputs that are initialisers, as all of them are up to IR version 3.

    The converter would take each for a float32 input to keep, and leave it float32 with a cast behind it.
    """
    names = {tensor.name for tensor in model.graph.initializer}
    optional = [value for value in model.graph.input if value.name in names]
    for value in optional:
        model.graph.input.remove(value)
    return optional


def _give_optional_inputs_back(model: onnx.ModelProto, optional: list[onnx.ValueInfoProto]) -> None:
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for value in optional:
        value.type.tensor_type.elem_type = types[value.name]
        model.graph.input.append(value)


def _clear_empty_tensors(graph: onnx.GraphProto) -> None:
    """Undo that the converter gives each attribute it passes an empty tensor."""
    for inner in graphs(graph):
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.type != onnx.AttributeProto.TENSOR:
                    attribute.ClearField("t")


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the converter's casts before the nodes that use them, as the format asks for."""
    nodes = list(graph.node)
    made_by = {output: index for index, node in enumerate(nodes) for output in node.output if output}
    ordered: dict[int, None] = {}
    for last in range(len(nodes)):
        waiting = [last]
        while waiting:
            earlier = (made_by[name] for name in _names_read(nodes[waiting[-1]]) if name in made_by)
            missing = [index for index in earlier if index not in ordered and index != waiting[-1]]
            waiting += missing
            if not missing:
                ordered[waiting.pop()] = None
    del graph.node[:]
    graph.node.extend(nodes[index] for index in ordered)


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for graph in graphs(inner):
                for inner_node in graph.node:
                    yield from inner_node.input


def _count_beyond(tensor: onnx.TensorProto) -> int:
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return 0
    values = np.abs(onnx.numpy_helper.to_array(tensor))
    return int(np.count_nonzero((values > LARGEST) & np.isfinite(values)))
