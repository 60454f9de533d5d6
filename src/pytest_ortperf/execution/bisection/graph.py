"""A model's graph as a line of nodes: where it can be cut, and models made of some of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_tensor

from pytest_ortperf.execution.inputs.tensor_types import (
    DTYPES,
    FLOATS,
    Value,
    element_name,
    element_of_number,
    onnx_element_type,
)
from pytest_ortperf.execution.model.external_data import graphs, load_tensor, tensors
from pytest_ortperf.execution.model.model_file import unreadable_model
from pytest_ortperf.records.bisection import NodeFact

LARGEST_BYTE = 1_800_000_000
"""Of a model in one file: protobuf ends at 2 GiB."""


class Graph:
    """The nodes of a model in their order; a node with subgraphs is one, and reads what these read from outside.

    Attributes:
        reads: Per node: the values it reads, each once.
        writes: Per node: the values it makes.
        made_by: Value -> position of its node.
        outputs: Of the model.
    """

    def __init__(self, path: Path) -> None:
        """Read a model; external data stays where it is until a part needs it.

        Raises:
            CaseError: Stage `model`, if the file is no ONNX model.
        """
        try:
            self._model = onnx.load_model(path, load_external_data=False)
        except DecodeError as error:
            raise unreadable_model(path, path.stat().st_size) from error
        self._folder = path.parent
        graph = self._model.graph
        self._nodes: list[onnx.NodeProto] = list(graph.node)
        self.reads = [tuple(dict.fromkeys(_names_read(node))) for node in self._nodes]
        self.writes = [tuple(name for name in node.output if name) for node in self._nodes]
        self.made_by = {name: position for position, names in enumerate(self.writes) for name in names}
        self.outputs = tuple(value.name for value in graph.output)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        self._inputs = {value.name: value for value in graph.input}
        self._types = {value.name: value for value in (*graph.value_info, *graph.output)}

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, position: int) -> onnx.NodeProto:
        """Return a node."""
        return self._nodes[position]

    @property
    def all_nodes(self) -> int:
        """How many nodes there are, those of subgraphs included."""
        return sum(len(graph.node) for graph in graphs(self._model.graph))

    def opset(self, domain: str) -> int:
        """Return which version of an operator set the model uses; 0 is none."""
        return next((it.version for it in self._model.opset_import if it.domain == domain), 0)

    def fact(self, position: int) -> NodeFact:
        """Return what names a node."""
        node = self._nodes[position]
        return NodeFact(
            position=position,
            name=node.name or f"{node.op_type}_{position}",
            op_type=node.op_type,
            domain=node.domain,
            outputs=self.writes[position],
        )

    def is_constant(self, name: str) -> bool:
        """Whether a value stands in the model."""
        if name in self._initializers or name in self._sparse:
            return True
        return name in self.made_by and self._nodes[self.made_by[name]].op_type == "Constant"

    def is_input(self, name: str) -> bool:
        """Whether a value is fed, and not an initialiser that may be."""
        return name in self._inputs and name not in self._initializers

    def constant(self, name: str) -> Value:
        """Return the numbers of an initialiser or a `Constant`; `None` for any other value."""
        tensor = self._tensor(name)
        if tensor is None:
            return None
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        load_tensor(copy, self._folder)
        return onnx.numpy_helper.to_array(copy)

    def in_type(self, name: str, value: Value) -> Value:
        """Return a value of the reference in the float type that this graph has it in."""
        dtype = self.dtype(name)
        if dtype is None or not isinstance(value, np.ndarray) or value.dtype == dtype:
            return value
        if {element_name(dtype), element_name(value.dtype)} <= set(FLOATS):
            with np.errstate(over="ignore"):
                return value.astype(dtype)
        return value

    def cut(self, position: int) -> tuple[str, ...]:
        """Return the values that are made up to a node, itself included, and read after it or by the caller.

        Nothing else of these nodes reaches the rest of the graph.
        """
        made = (name for names in self.writes[: position + 1] for name in names)
        return tuple(name for name in made if self.is_read_after(name, position))

    def is_read_after(self, name: str, position: int) -> bool:
        """Whether a later node or the caller reads a value."""
        return self._last_reads.get(name, -1) > position

    def ancestors(self, names: Iterable[str], stop: frozenset[str] = frozenset()) -> list[int]:
        """Return the positions of all nodes that some values depend on, in order.

        Args:
            names: The values.
            stop: Values whose own nodes do not count.
        """
        found: set[int] = set()
        waiting = [name for name in names if name not in stop]
        while waiting:
            position = self.made_by.get(waiting.pop())
            if position is not None and position not in found:
                found.add(position)
                waiting += [name for name in self.reads[position] if name not in stop]
        return sorted(found)

    def fed_names(self, positions: Iterable[int]) -> tuple[str, ...]:
        """Return what a model of these nodes alone has to be fed: no constants, nothing that they make themselves."""
        chosen = list(positions)
        made = {name for position in chosen for name in self.writes[position]}
        read = dict.fromkeys(name for position in chosen for name in self.reads[position])
        return tuple(name for name in read if name not in made and not self._has_value(name))

    def part(
        self,
        positions: Sequence[int],
        outputs: Sequence[str],
        fed: Mapping[str, Value],
        shown: Mapping[str, Value] | None = None,
    ) -> onnx.ModelProto:
        """Return a model of some of the nodes, with the initialisers that they read.

        Args:
            positions: Of the nodes, in order.
            outputs: Values that the model gives.
            fed: Values it is fed. Inputs of the model keep their declared types, others get those of the values.
            shown: Values of outputs, where their types shall be declared; ONNX Runtime infers them otherwise.
        """
        made = onnx.ModelProto()
        made.CopyFrom(self._frame)
        graph = made.graph
        graph.node.extend(self._nodes[position] for position in positions)
        read = {name for position in positions for name in self.reads[position]}
        graph.input.extend(self._input(name, fed[name]) for name in fed if name in read)
        graph.initializer.extend(tensor for name, tensor in self._initializers.items() if name in read)
        graph.sparse_initializer.extend(tensor for name, tensor in self._sparse.items() if name in read)
        graph.output.extend(self._output(name, (shown or {}).get(name)) for name in outputs)
        inner = {name for position in positions for name in self.writes[position]} - set(outputs)
        graph.value_info.extend(self._types[name] for name in self._types if name in inner)
        self._load_external(made)
        return made

    def subgraph(self, position: int, attribute: str, fed: Mapping[str, Value]) -> onnx.ModelProto:
        """Return a model of a subgraph alone; what it reads from outside is an input, or an initialiser if constant.

        Args:
            position: Of the node that holds it.
            attribute: Of that node.
            fed: Values of its own inputs, and of those from outside.
        """
        held = next(it.g for it in self._nodes[position].attribute if it.name == attribute)
        made = onnx.ModelProto()
        made.CopyFrom(self._frame)
        made.graph.CopyFrom(held)
        made.graph.name = held.name or attribute
        del made.graph.input[:]
        made.graph.input.extend(_loosely_typed(it, fed[it.name]) for it in held.input)
        for name in dict.fromkeys(_outer_names(held)):
            tensor = None if name in fed else self._tensor(name)
            if tensor is not None:
                made.graph.initializer.append(tensor)
            elif name in self._sparse:
                made.graph.sparse_initializer.append(self._sparse[name])
            else:
                made.graph.input.append(value_info(name, fed[name]))
        self._load_external(made)
        return made

    def optional_inputs(self, positions: Iterable[int]) -> tuple[str, ...]:
        """Return the initialisers that these nodes read and that a user may feed instead."""
        read = {name for position in positions for name in self.reads[position]}
        return tuple(name for name in self._initializers if name in read and name in self._inputs)

    def dtype(self, name: str) -> np.dtype[Any] | None:
        """Return what elements a tensor has, by the model's types and onnx's inference; `None` if that is not known."""
        number = self._element_types.get(name)
        return DTYPES.get(element_of_number(number)) if number else None

    @cached_property
    def _element_types(self) -> dict[str, int]:
        inferred = onnx.shape_inference.infer_shapes(self._model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        return {value.name: value.type.tensor_type.elem_type for value in values}

    @cached_property
    def _frame(self) -> onnx.ModelProto:
        frame = onnx.ModelProto(ir_version=self._model.ir_version, producer_name="pytest-ortperf")
        frame.opset_import.extend(self._model.opset_import)
        frame.functions.extend(self._model.functions)
        frame.metadata_props.extend(self._model.metadata_props)
        frame.graph.name = self._model.graph.name or "part"
        return frame

    @cached_property
    def _last_reads(self) -> dict[str, int]:
        last = {name: position for position, names in enumerate(self.reads) for name in names}
        return {**last, **dict.fromkeys(self.outputs, len(self._nodes))}

    def _tensor(self, name: str) -> onnx.TensorProto | None:
        tensor = self._initializers.get(name)
        if tensor is None and self.is_constant(name) and name in self.made_by:
            tensor = _constant_tensor(self._nodes[self.made_by[name]].attribute[0])
        if tensor is None:
            return None
        named = onnx.TensorProto()
        named.CopyFrom(tensor)
        named.name = name
        return named

    def _has_value(self, name: str) -> bool:
        return name in self._initializers or name in self._sparse

    def _input(self, name: str, value: Value) -> onnx.ValueInfoProto:
        return self._inputs[name] if name in self._inputs else value_info(name, value)

    def _output(self, name: str, value: Value) -> onnx.ValueInfoProto:
        if value is not None:
            return value_info(name, value)
        return self._types.get(name) or onnx.ValueInfoProto(name=name)

    def _load_external(self, model: onnx.ModelProto) -> None:
        for tensor in tensors(model.graph):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                load_external_data_for_tensor(tensor, str(self._folder))
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model to a file, and beside it its data where one file cannot hold them; what was there goes."""
    remove(path)
    large = sum(tensor.ByteSize() for tensor in model.graph.initializer) > LARGEST_BYTE
    onnx.save_model(model, path, save_as_external_data=large, location=_data_path(path).name if large else None)


def remove(path: Path) -> None:
    """Remove what `save` has written, if it has."""
    path.unlink(missing_ok=True)
    _data_path(path).unlink(missing_ok=True)


def _data_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def value_info(name: str, value: Value) -> onnx.ValueInfoProto:
    """Return the declaration of a value, with its whole shape; without a type for maps and empty optionals."""
    type_proto = _type_of(value)
    return onnx.ValueInfoProto(name=name) if type_proto is None else onnx.helper.make_value_info(name, type_proto)


def _type_of(value: Value) -> onnx.TypeProto | None:
    if isinstance(value, np.ndarray):
        element = onnx_element_type(element_name(value.dtype))
        return onnx.helper.make_tensor_type_proto(element, [int(size) for size in value.shape])
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        # elements may have other shapes than the first
        element = onnx_element_type(element_name(value[0].dtype))
        return onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(element, None))
    return None


def _loosely_typed(declared: onnx.ValueInfoProto, value: Value) -> onnx.ValueInfoProto:
    """Return a declaration of a subgraph's input that holds for each iteration, whose sizes may differ."""
    if declared.type.HasField("tensor_type") and declared.type.tensor_type.HasField("shape"):
        return declared
    if not isinstance(value, np.ndarray):
        return declared if declared.type.WhichOneof("value") else value_info(declared.name, value)
    element = declared.type.tensor_type.elem_type or onnx_element_type(element_name(value.dtype))
    return onnx.helper.make_tensor_value_info(declared.name, element, [None] * value.ndim)


def _constant_tensor(attribute: onnx.AttributeProto) -> onnx.TensorProto | None:
    """Return what a `Constant` holds; `None` for a sparse tensor."""
    if attribute.type == onnx.AttributeProto.TENSOR:
        return attribute.t
    if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
        return None
    values = np.asarray(onnx.helper.get_attribute_value(attribute))
    kind = {"f": np.float32, "i": np.int64}.get(values.dtype.kind, object)
    return onnx.numpy_helper.from_array(values.astype(kind))


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads, and what its subgraphs read from outside of themselves."""
    yield from (name for name in node.input if name)
    for graph in _subgraphs(node):
        yield from _outer_names(graph)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _outer_names(graph: onnx.GraphProto) -> Iterator[str]:
    inside = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    inside |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        yield from (name for name in _names_read(node) if name not in inside)
        inside |= set(node.output)
    yield from (value.name for value in graph.output if value.name not in inside)
