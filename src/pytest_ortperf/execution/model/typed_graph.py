"""The graphs of a model with the type of every value, as far as the schemas of ONNX Runtime's operators tell it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

FLOAT, HALF = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)

UNKNOWN = int(TensorProto.UNDEFINED)
"""Type of a value that is no tensor, or of which nothing tells the type."""

ONNX = ("", "ai.onnx")
"""The domain of the onnx project's operators."""

_TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype", "output_dtype")
_FLOAT_BY_DEFAULT = {
    *("BlackmanWindow", "ConstantOfShape", "HammingWindow", "HannWindow", "MelWeightMatrix"),
    *("RandomNormal", "RandomUniform"),
}
_LIKE_INPUT = {"Bernoulli", "EyeLike", "RandomNormalLike", "RandomUniformLike"}
"""Without such an attribute these make the type of their input, and those above float32."""


@dataclass(slots=True, eq=False)
class Node:
    """A node and the graphs inside it."""

    proto: NodeProto
    scope: Scope
    schema: Any
    """`None` for an operator that ONNX Runtime does not know, such as a custom one."""

    inner: list[Scope] = field(default_factory=list)
    stays: bool = False
    """Whether it goes on reading and making float32."""

    takes_half: frozenset[int] = frozenset()
    """Inputs that are float16 unless it stays."""

    makes_half: frozenset[str] = frozenset()
    """Names of the outputs that are."""

    @property
    def op(self) -> str:
        """The operator."""
        return str(self.proto.op_type)

    @property
    def is_control_flow(self) -> bool:
        """Whether the graphs inside it make its outputs."""
        return bool(self.inner) and self.op in {"If", "Loop", "Scan"} and self.proto.domain in ONNX

    def floats(self, names: Sequence[str]) -> list[tuple[int, str]]:
        """Return index and name of those among its inputs or outputs that are float32."""
        return [(index, name) for index, name in enumerate(names) if self.scope.type_of(name) == FLOAT]

    def formal_input(self, index: int) -> Any:
        """Return what the schema says of an input; `None` if nothing."""
        return _formal(self.schema.inputs, index) if self.schema else None

    def formal_output(self, index: int) -> Any:
        """Return what the schema says of an output; `None` if nothing."""
        return _formal(self.schema.outputs, index) if self.schema else None

    def attribute(self, name: str) -> AttributeProto | None:
        """Return an attribute, if it is given."""
        return next((it for it in self.proto.attribute if it.name == name), None)

    def ties(self) -> Iterator[list[tuple[Scope, str]]]:
        """Yield, for control flow, the values inside and outside that have to be of one type."""
        inputs, outputs = list(self.proto.input), list(self.proto.output)
        body_in, body_out = (
            [it.name for it in ends] for ends in (self.inner[0].graph.input, self.inner[0].graph.output)
        )
        states = 0
        if self.op == "Loop":
            inputs, body_in, body_out = inputs[2:], body_in[2:], body_out[1:]
            states = len(inputs)
        if self.op == "Scan":
            scanned = self.attribute("num_scan_inputs")
            states = len(inputs) - (scanned.i if scanned else 0)
        for index in range(len(body_out)):
            tied = [(self.scope, name) for name in outputs[index : index + 1]]
            tied += [(inner, [it.name for it in inner.graph.output][-len(body_out) :][index]) for inner in self.inner]
            if index < states:
                tied += [(self.scope, name) for name in inputs[index : index + 1]]
                tied += [(self.inner[0], name) for name in body_in[index : index + 1]]
            yield tied
        for index in range(states, len(body_in)):
            yield [(self.scope, inputs[index]), (self.inner[0], body_in[index])]


@dataclass(slots=True, eq=False)
class Scope:
    """A graph, and what the names in it stand for."""

    graph: GraphProto
    holder: Node | None = None
    """The node that it is inside of."""

    defined: dict[str, int] = field(default_factory=dict)
    """Types of the values that begin here."""

    inputs: set[str] = field(default_factory=set)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    makers: dict[str, Node] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def owner(self, name: str) -> Scope | None:
        """Return the graph where a value begins: this one or one around it."""
        scope: Scope | None = self if name else None
        while scope is not None and name not in scope.defined:
            scope = scope.holder.scope if scope.holder else None
        return scope

    def type_of(self, name: str) -> int:
        """Return the type of a value's elements."""
        owner = self.owner(name)
        return owner.defined[name] if owner else UNKNOWN

    def constant(self, name: str) -> TensorProto | None:
        """Return the initialiser of that name."""
        owner = self.owner(name)
        return owner.constants.get(name) if owner else None

    def maker(self, name: str) -> Node | None:
        """Return the node that makes a value."""
        owner = self.owner(name)
        return owner.makers.get(name) if owner else None

    def scopes(self) -> Iterator[Scope]:
        """Yield this graph and those inside its nodes."""
        yield self
        for node in self.nodes:
            for inner in node.inner:
                yield from inner.scopes()


def typed(model: ModelProto) -> Scope:
    """Return the main graph of a model; a local function is an operator without a schema."""
    local = {(it.domain, it.name) for it in model.functions}
    return _Reader({it.domain: it.version for it in model.opset_import}, local).scope(model.graph)


def bound_types(node: Node) -> dict[str, int]:
    """Return what an operator's type parameters, such as `T`, stand for at a node."""
    found: dict[str, int] = {}
    for index, name in enumerate(node.proto.input):
        formal = node.formal_input(index)
        if formal is not None and formal.isHomogeneous and (known := node.scope.type_of(name)):
            found.setdefault(formal.typeStr, known)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    opsets: Mapping[str, int]
    local: set[tuple[str, str]]

    def scope(self, graph: GraphProto, holder: Node | None = None, given: Sequence[int] = ()) -> Scope:
        """Return a graph.

        Args:
            graph: With its nodes in order.
            holder: The node that it is inside of.
            given: Types of its inputs, where it does not declare them.
        """
        scope = Scope(graph, holder, inputs={it.name for it in graph.input})
        for index, value in enumerate(graph.input):
            known = given[index] if index < len(given) else UNKNOWN
            scope.defined[value.name] = value.type.tensor_type.elem_type or known
        scope.defined |= {it.values.name: it.values.data_type for it in graph.sparse_initializer}
        scope.defined |= {it.name: it.data_type for it in graph.initializer}
        scope.constants |= {it.name: it for it in graph.initializer}
        declared = {it.name: it.type.tensor_type.elem_type for it in (*graph.value_info, *graph.output)}
        for proto in graph.node:
            node = Node(proto, scope, self._schema(proto))
            fed = [scope.type_of(name) for name in proto.input] if proto.op_type in {"Loop", "Scan"} else ()
            node.inner = [self.scope(body, node, fed) for body in inner_graphs(proto)]
            scope.nodes.append(node)
            for index, name in enumerate(proto.output):
                scope.defined[name] = _made(node, index) or declared.get(name, UNKNOWN)
                scope.makers[name] = node
        return scope

    def _schema(self, proto: NodeProto) -> Any:
        if (proto.domain, proto.op_type) in self.local:
            return None
        domain = "" if proto.domain in ONNX else proto.domain
        opset = max(
            (self.opsets[name] for name in (ONNX if not domain else (domain,)) if name in self.opsets), default=1
        )
        return next((it for it in _schemas().get((domain, proto.op_type), ()) if it.since_version <= opset), None)


def inner_graphs(proto: NodeProto) -> list[GraphProto]:
    """Return the graphs inside a node."""
    return [
        graph for it in proto.attribute for graph in (*([it.g] if it.type == AttributeProto.GRAPH else []), *it.graphs)
    ]


@functools.cache
def _schemas() -> Mapping[tuple[str, str], list[Any]]:
    """Return the schemas of each operator, newest first; ONNX Runtime's, for it has operators of its own."""
    from onnxruntime.capi import _pybind_state

    found: dict[tuple[str, str], list[Any]] = {}
    for schema in sorted(_pybind_state.get_all_operator_schema(), key=lambda it: -int(it.since_version)):
        found.setdefault((schema.domain, schema.name), []).append(schema)
    return found


def _formal(listed: Sequence[Any], index: int) -> Any:
    if index < len(listed):
        return listed[index]
    return listed[-1] if listed and listed[-1].option.name == "Variadic" else None


def _made(node: Node, index: int) -> int:
    """Return the type of what a node makes."""
    if node.is_control_flow:
        made = [it.name for it in node.inner[0].graph.output][1 if node.op == "Loop" else 0 :]
        return node.inner[0].type_of(made[index]) if index < len(made) else UNKNOWN
    formal = node.formal_output(index)
    if formal is None:
        return UNKNOWN
    only = _elements(next(iter(formal.types))) if len(formal.types) == 1 else UNKNOWN
    bound = bound_types(node).get(formal.typeStr, UNKNOWN) if formal.isHomogeneous else UNKNOWN
    return only or bound or (_by_attribute(node) if index == 0 else UNKNOWN)


def _by_attribute(node: Node) -> int:
    for attribute in node.proto.attribute:
        if attribute.name == "value":
            return int(attribute.t.data_type)
        if attribute.name in _TYPE_ATTRIBUTES and attribute.i and "tensor(float)" in node.formal_output(0).types:
            return int(attribute.i)
    if node.op in _LIKE_INPUT:
        return node.scope.type_of(node.proto.input[0])
    return FLOAT if node.op in _FLOAT_BY_DEFAULT else UNKNOWN


def _elements(text: str) -> int:
    """Return the type that a schema calls `tensor(int64)`."""
    found = TensorProto.DataType.DESCRIPTOR.values_by_name.get(text.removeprefix("tensor(").removesuffix(")").upper())
    return int(found.number) if found else UNKNOWN
