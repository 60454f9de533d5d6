"""A float32 model in float16: casts are put where a node that stays float32 meets one that does not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.execution.model.external_data import graphs
from pytest_ortperf.execution.model.float32_nodes import LARGEST, all_nodes, choose, is_bound, is_cast, is_half
from pytest_ortperf.execution.model.typed_graph import FLOAT, HALF, Node, Scope, typed

_SUFFIX = {FLOAT: "_fp32", HALF: "_fp16"}
_LEAST_IR = 4
"""The first version in which an initialiser need not be an input."""


@dataclass(slots=True)
class Outcome:
    """What became of a model."""

    nodes: int = 0
    """Those that compute in float16."""

    clipped: int = 0
    """Values beyond float16 that became the largest it has."""

    flushed: int = 0
    """Values too small for float16 that became 0."""

    weights: tuple[str, ...] = ()
    """Names of the constants that nodes stay float32 for."""

    operators: tuple[str, ...] = ()
    """Those of the nodes with float32 that stay."""


def to_half(model: ModelProto, rule: Fp16Rule) -> Outcome:
    """Make a model float16, in place.

    Args:
        model: With all data loaded, and a name for each node.
        rule: What stays float32.
    """
    _lift_constants(model)
    main = typed(model)
    weights = choose(main, rule)
    nodes = list(all_nodes(main))
    outcome = Outcome(
        nodes=sum(not it.stays and bool(it.takes_half or it.makes_half) and not it.inner for it in nodes),
        weights=weights,
        operators=tuple(
            sorted({it.op for it in nodes if it.stays and (it.floats([*it.proto.input, *it.proto.output]))})
        ),
    )
    if outcome.nodes:
        _Writer(outcome, main, casts_ends=rule.io == "cast").write_model()
        model.ir_version = max(model.ir_version, _LEAST_IR)
    return outcome


def _lift_constants(model: ModelProto) -> None:
    """Turn numeric constants into initialisers, of which one reader can have another type than the next."""
    for graph in graphs(model.graph):
        ends = {it.name for it in graph.output}
        nodes = []
        for node in graph.node:
            value = _number(node) if node.op_type == "Constant" else None
            if value is not None and node.output[0] not in ends:
                value.name = node.output[0]
                graph.initializer.append(value)
            else:
                nodes.append(node)
            if value is not None and node.output[0] in ends:
                del node.attribute[:]
                node.attribute.append(helper.make_attribute("value", value))
        if len(nodes) < len(graph.node):
            del graph.node[:]
            graph.node.extend(nodes)


def _number(node: NodeProto) -> TensorProto | None:
    attribute = node.attribute[0] if node.attribute else None
    if attribute is None:
        return None
    if attribute.name == "value" and attribute.t.data_type != TensorProto.STRING:
        value = TensorProto()
        value.CopyFrom(attribute.t)
        return value
    if attribute.name in {"value_float", "value_floats"}:
        return numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), np.float32))
    if attribute.name in {"value_int", "value_ints"}:
        return numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), np.int64))
    return None


@dataclass(slots=True)
class _Writer:
    """Gives each value the names that it has as float32 and as float16."""

    outcome: Outcome
    main: Scope
    casts_ends: bool
    names: dict[tuple[Scope, str, int], str] = field(default_factory=dict)
    readers: dict[tuple[Scope, str], set[int]] = field(default_factory=dict)
    """A constant -> the types that it is read in."""

    counted: set[tuple[Scope, str]] = field(default_factory=set)
    """Constants whose numbers are more than a bound."""

    made: dict[Scope, list[NodeProto]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def write_model(self) -> None:
        """Rewrite the graph and those inside it."""
        for scope in self.main.scopes():
            self.taken.update(scope.defined)
            self._note_readers(scope)
        for value in self.main.graph.output:
            self._name_output(value.name)
        self._write(self.main)

    def _note_readers(self, scope: Scope) -> None:
        for node in scope.nodes:
            for index, name in node.floats(node.proto.input):
                self._note_reader(scope, name, self._wanted(node, index), counts=not is_bound(node, index))
        for value in scope.graph.output:
            if scope.type_of(value.name) == FLOAT:
                self._note_reader(scope, value.name, self._border(scope), counts=True)

    def _note_reader(self, scope: Scope, name: str, wanted: int, *, counts: bool) -> None:
        owner = scope.owner(name)
        if owner is not None and name in owner.constants:
            self.readers.setdefault((owner, name), set()).add(wanted)
            if wanted == HALF and counts:
                self.counted.add((owner, name))

    def _wanted(self, node: Node, index: int) -> int:
        return HALF if index in node.takes_half and not node.stays else FLOAT

    def _border(self, scope: Scope) -> int:
        """Return the type of the floats that leave a graph."""
        holder = scope.holder
        half = self.casts_ends if holder is None else holder.is_control_flow and not holder.stays
        return HALF if half else FLOAT

    def _native(self, owner: Scope, name: str) -> int:
        """Return the type that a float value begins in."""
        if name in owner.constants:
            if owner.holder is None and any(it.name == name for it in owner.graph.output):
                return self._border(owner)
            return HALF if self.readers.get((owner, name)) == {HALF} else FLOAT
        return HALF if is_half(owner, name, casts_ends=self.casts_ends) else FLOAT

    def _name_output(self, name: str) -> None:
        """Leave its name to an output of the model, and find another for what it is cast from."""
        border, native = self._border(self.main), self._native(self.main, name)
        if self.main.type_of(name) == FLOAT and native != border and (self.main, name, border) not in self.names:
            self.names[self.main, name, border] = name
            self.names[self.main, name, native] = self._unused(f"{name}{_SUFFIX[native]}")

    def _write(self, scope: Scope) -> None:
        made = self.made[scope] = []
        for node in scope.nodes:
            for inner in node.inner:
                self._write(inner)
            for index, name in node.floats(node.proto.input):
                node.proto.input[index] = self._name(scope, name, self._wanted(node, index))
            made.append(node.proto)
            outputs = node.floats(node.proto.output)
            to = node.attribute("to")
            if outputs and is_cast(node) and to is not None and not node.stays:
                to.i = HALF
            for index, name in outputs:
                native = self._native(scope, name)
                called = self.names.get((scope, name, native), name)
                if called != name:
                    node.proto.output[index] = called
                    made.append(_cast(called, name, FLOAT if native == HALF else HALF))
        self._write_border(scope)
        for name, tensor in scope.constants.items():
            if tensor.data_type == FLOAT and self._native(scope, name) == HALF:
                self._store_half(tensor, counts=(scope, name) in self.counted)
        # last: this copies the nodes, and with them the graphs inside
        del scope.graph.node[:]
        scope.graph.node.extend(made)

    def _write_border(self, scope: Scope) -> None:
        """Set the types of what a graph declares."""
        for value in (*scope.graph.input, *scope.graph.value_info):
            if scope.defined.get(value.name) == FLOAT:
                native = self._native(scope, value.name)
                is_cast_from = self.names.get((scope, value.name, native), value.name) != value.name
                value.type.tensor_type.elem_type = self._border(scope) if is_cast_from else native
        for value in scope.graph.output:
            if scope.type_of(value.name) == FLOAT:
                value.type.tensor_type.elem_type = self._border(scope)
                if scope.holder is not None:
                    value.name = self._name(scope, value.name, self._border(scope))

    def _name(self, scope: Scope, name: str, wanted: int) -> str:
        """Return what a float value is called in a type; it is made if nobody has asked for it yet."""
        owner = scope.owner(name) or scope
        native = self._native(owner, name)
        if wanted == native:
            return self.names.get((owner, name, wanted), name)
        maker = owner.makers.get(name)
        if maker is not None and wanted == HALF and is_cast(maker) and owner.type_of(maker.proto.input[0]) == HALF:
            # given as float16, and cast for others
            return str(maker.proto.input[0])
        if (owner, name, wanted) not in self.names:
            called = self.names[owner, name, wanted] = self._unused(f"{name}{_SUFFIX[wanted]}")
            tensor = owner.constants.get(name)
            if tensor is None or name in owner.inputs:
                self.made[owner].append(_cast(self.names.get((owner, name, native), name), called, wanted))
            else:
                copied = owner.graph.initializer.add()
                copied.CopyFrom(tensor)
                copied.name = called
                if wanted == HALF:
                    self._store_half(copied, counts=(owner, name) in self.counted)
        return self.names[owner, name, wanted]

    def _store_half(self, tensor: TensorProto, *, counts: bool) -> None:
        values = numpy_helper.to_array(tensor)
        finite = np.clip(values, -LARGEST, LARGEST)
        with np.errstate(over="ignore"):
            half = np.where(np.isinf(values), values, finite).astype(np.float16)
        if counts:
            self.outcome.clipped += int(np.count_nonzero((finite != values) & np.isfinite(values)))
            self.outcome.flushed += int(np.count_nonzero((half == 0) & (values != 0)))
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))

    def _unused(self, name: str) -> str:
        tries = (f"{name}_{number}" if number else name for number in itertools.count())
        found = next(it for it in tries if it not in self.taken)
        self.taken.add(found)
        return found


def _cast(name: str, called: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [name], [called], name=f"{called}_cast", to=to)
