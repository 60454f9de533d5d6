"""Which nodes of a model stay float32 when the rest becomes float16.

Besides those that somebody names: nodes whose operator takes no float16, nodes that meet numbers that float16 cannot
hold, and nodes that compute sizes, positions and other whole numbers in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.execution.model.typed_graph import FLOAT, HALF, ONNX, UNKNOWN, Node, Scope, bound_types

LARGEST = float(np.finfo(np.float16).max)
"""What float16 can hold."""

SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
"""Above 0."""

BLOCKED = {
    *("BitCast", "CumSum", "DequantizeLinear", "Max", "MeanVarianceNormalization", "Min", "NonMaxSuppression"),
    *("QuantizeLinear", "Range", "RoiAlign", "TopK", "TreeEnsemble", "Upsample"),
}
"""Operators that take float16 by the format, but lack kernels or read bits or scales that must not be rounded."""

_FLOAT_INPUTS = {"Resize": (1, 2), "GroupNorm": (1, 2), "SkipGroupNorm": (1, 2)}
"""Inputs that stay float32 although the format allows others: sizes, and what kernels read as float32 alone."""

_FITS = 2.0**-13
"""Rounding a number so large to float16 is an error of `SMALLEST`: a sum with it does not miss smaller ones."""

_MOVES = {
    *("Cast", "CastLike", "Compress", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements"),
    *("GatherND", "Identity", "OneHot", "Pad", "Reshape", "ReverseSequence", "Scatter", "ScatterElements"),
    *("ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
}
"""Operators that change no number."""

_COMPUTES = {
    *("Abs", "Add", "Ceil", "Clip", "CumSum", "Div", "Floor", "LeakyRelu", "Max", "Mean", "Min", "Mod", "Mul", "Neg"),
    *("PRelu", "Pow", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Round", "Sign", "Sqrt", "Sub", "Sum"),
}
"""Operators that compute sizes, and whose result may be as large or small as what they read."""

_SUMS = {
    *("AveragePool", "Celu", "Conv", "ConvTranspose", "Dropout", "Einsum", "Elu", "Gelu", "Gemm", "GlobalAveragePool"),
    *("HardSwish", "LogSoftmax", "MatMul", "Mish", "ReduceLogSumExp", "Resize", "Selu", "Softplus", "TopK"),
}
"""Operators whose result may be as large as what they read, and that do not miss what is small."""

_COMPARES = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_PERIODIC = {"Cos", "Sin"}
_BOUNDS = {"Clip", "Max", "Min"}

_Marks: TypeAlias = frozenset[str]
_LARGE, _TINY, _INVERSE = "large", "tiny", "inverse"
"""What numbers of a value may be: beyond float16, below it, or one over such a number."""

_NOTHING: _Marks = frozenset()
_Value: TypeAlias = tuple[Scope, str]


def choose(main: Scope, rule: Fp16Rule) -> tuple[str, ...]:
    """Decide for each node whether it stays float32.

    Args:
        main: The graph; what its nodes take, make and whether they stay is set.
        rule: What somebody wants to stay float32.

    Returns:
        Names of the constants that float16 cannot hold and that nodes stay float32 for.
    """
    nodes = list(all_nodes(main))
    operators, names = BLOCKED | {*rule.op_block_list}, set(rule.node_block_list)
    for node in nodes:
        node.takes_half = _half_inputs(node)
        node.makes_half = _half_outputs(node)
        node.stays = node.op in operators or node.proto.name in names or not _may_convert(node)
    ranges = _Ranges()
    ranges.walk(main)
    _keep_whole_numbers(nodes)
    for node in nodes:
        # what crosses the border of control flow has one type inside and outside
        for inner in all_nodes_inside(node) if node.stays else ():
            inner.stays = True
    _follow(nodes, casts_ends=rule.io == "cast")
    return tuple(ranges.weights)


def all_nodes(scope: Scope) -> Iterator[Node]:
    """Yield the nodes of a graph, each followed by those inside it."""
    for node in scope.nodes:
        yield node
        yield from all_nodes_inside(node)


def all_nodes_inside(node: Node) -> Iterator[Node]:
    """Yield the nodes of the graphs inside a node."""
    for inner in node.inner:
        yield from all_nodes(inner)


def is_half(scope: Scope, name: str, *, casts_ends: bool) -> bool:
    """Whether a float value that a node makes, or that a graph is given, becomes float16.

    Args:
        scope: Where it is read.
        name: Of the value.
        casts_ends: Whether the inputs and outputs of the model do.
    """
    owner, maker = scope.owner(name), scope.maker(name)
    if maker is not None:
        return not maker.stays and name in maker.makes_half
    if owner is None or name not in owner.inputs:
        return False
    holder = owner.holder
    return casts_ends if holder is None else holder.is_control_flow and not holder.stays


def _half_inputs(node: Node) -> frozenset[int]:
    floats = node.floats(node.proto.input)
    if node.is_control_flow or is_cast(node):
        return frozenset(index for index, _ in floats)
    exempt = _FLOAT_INPUTS.get(node.op, ())
    return frozenset(index for index, _ in floats if index not in exempt and _takes_half(node.formal_input(index)))


def _half_outputs(node: Node) -> frozenset[str]:
    floats = node.floats(node.proto.output)
    if node.is_control_flow or is_cast(node):
        return frozenset(name for _, name in floats)
    bound = {node.formal_input(index).typeStr for index in node.takes_half}
    return frozenset(name for index, name in floats if getattr(node.formal_output(index), "typeStr", None) in bound)


def _takes_half(formal: Any) -> bool:
    return formal is not None and formal.isHomogeneous and {"tensor(float)", "tensor(float16)"} <= set(formal.types)


def is_cast(node: Node) -> bool:
    """Whether a node's only work is to change a type."""
    return node.op == "Cast" and node.proto.domain in ONNX


def _may_convert(node: Node) -> bool:
    """Whether an operator takes float16, and all types that depend on it are known."""
    if node.is_control_flow:
        return all(len({scope.type_of(name) for scope, name in tied if name}) <= 1 for tied in node.ties())
    if node.inner or node.schema is None:
        return False
    if is_cast(node):
        # of what is float16 already both types are there
        given, made = (node.scope.type_of(name) for name in (node.proto.input[0], node.proto.output[0]))
        return given not in (HALF, UNKNOWN) and made != UNKNOWN
    reduces = node.op.startswith("Scatter") and node.attribute("reduction") is not None
    return bool(node.takes_half) and not reduces and not any(_unknown_inputs(node)) and not any(_untold_outputs(node))


def _unknown_inputs(node: Node) -> Iterator[bool]:
    for index, name in enumerate(node.proto.input):
        formal = node.formal_input(index)
        yield bool(name) and node.scope.type_of(name) == UNKNOWN and (formal is None or "tensor(float)" in formal.types)


def _untold_outputs(node: Node) -> Iterator[bool]:
    """Yield for each output whether it could become something else that the schema does not tell of."""
    bound = bound_types(node)
    for index, name in enumerate(node.proto.output):
        formal = node.formal_output(index)
        told = formal is not None and (formal.typeStr in bound or _cannot_change(formal))
        yield bool(name) and not told


def _cannot_change(formal: Any) -> bool:
    return "tensor(float16)" not in formal.types and all(it.startswith("tensor(") for it in formal.types)


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Follows numbers that float16 cannot hold, from weights to where they are of ordinary size again."""

    weights: dict[str, None] = field(default_factory=dict)
    """Names of those that nodes stay float32 for."""

    marks: dict[_Value, _Marks] = field(default_factory=dict)

    def walk(self, scope: Scope) -> None:
        """Keep nodes float32 that read such a number."""
        for node in scope.nodes:
            for inner in node.inner:
                self.walk(inner)
            made = self._made(node)
            for _, name in node.floats(node.proto.output):
                self.marks[scope, name] = made

    def _made(self, node: Node) -> _Marks:
        """Return the marks of what a node makes; it stays float32 if there are any, or it reads any."""
        weights, values = {}, {}
        for index, name in enumerate(node.proto.input):
            if found := _weight(node, index, name):
                weights[index] = found
            if found := self._of(node.scope, name):
                values[index] = found
        made = _own(node) or _carried(node, weights, values)
        if node.is_control_flow:
            tied = (self._of(*place) for places in node.ties() for place in places)
            made = _NOTHING.union(*weights.values(), *tied)
        if made or ((weights or values) and not node.stays):
            named = [node.proto.input[index] for index in weights] or (list(node.proto.output) if _own(node) else [])
            self.weights.update(dict.fromkeys(named))
        node.stays = node.stays or bool(weights or values or made)
        return made

    def _of(self, scope: Scope, name: str) -> _Marks:
        owner = scope.owner(name)
        return self.marks.get((owner, name), _NOTHING) if owner else _NOTHING


def is_bound(node: Node, index: int) -> bool:
    """Whether an input bounds what a `Clip` passes: one beyond float16 bounds nothing there."""
    return node.op == "Clip" and index > 0


def _weight(node: Node, index: int, name: str) -> _Marks:
    """Return what a weight that a node reads is marked with."""
    tensor = node.scope.constant(name)
    if tensor is None or not (tensor.data_type == FLOAT or (is_cast(node) and node.makes_half)):
        return _NOTHING
    found = _marks(numpy_helper.to_array(tensor), each=node.op in _COMPUTES)
    return found - {_LARGE} if is_bound(node, index) else found


def _own(node: Node) -> _Marks:
    value = node.attribute("value") if node.op in {"Constant", "ConstantOfShape"} else None
    if value is None or value.t.data_type != FLOAT:
        return _NOTHING
    return _marks(numpy_helper.to_array(value.t), each=True)


def _carried(node: Node, weights: Mapping[int, _Marks], values: Mapping[int, _Marks]) -> _Marks:
    """Return what the result of a node is marked with, for what it reads."""
    read = _NOTHING.union(*weights.values(), *values.values())
    if node.proto.domain not in ONNX or not read:
        return _NOTHING
    if node.op == "Div":
        # by a value of that kind, such as a standard deviation and its epsilon, gives ordinary numbers
        inverse = {_LARGE: _TINY, _TINY: _LARGE}
        divided = weights.get(0, _NOTHING) | values.get(0, _NOTHING)
        return divided - {_INVERSE} | {inverse[mark] for mark in weights.get(1, _NOTHING)}
    if node.op in {"Pow", "Reciprocal"}:
        return read & {_LARGE} | {_INVERSE} if node.op == "Pow" else frozenset({_INVERSE})
    if node.op in _BOUNDS:
        # a large bound bounds nothing, and a tiny one is what is left
        return _NOTHING.union(*values.values()) - {_INVERSE} | _NOTHING.union(*weights.values()) & {_TINY}
    passes = {_LARGE, _TINY, _INVERSE} if node.op in _MOVES else {_LARGE, _TINY} if node.op in _COMPUTES else {_LARGE}
    return read & passes if node.op in _MOVES | _COMPUTES | _SUMS else _NOTHING


def _marks(values: npt.NDArray[Any], *, each: bool) -> _Marks:
    """Return whether finite numbers are beyond float16, or below it.

    Args:
        values: Of any numeric type.
        each: Whether large numbers beside them make up only for few small ones; a sum misses none then.
    """
    if values.dtype.kind not in "fiu" or not values.size:
        return _NOTHING
    sizes = np.abs(values if values.dtype.kind == "f" else values.astype(np.float64))
    largest = float(np.max(sizes))
    if not np.isfinite(largest):
        sizes = sizes[np.isfinite(sizes)]
        largest = float(np.max(sizes, initial=0))
    tiny = int(np.count_nonzero((sizes > 0) & (sizes < SMALLEST)))
    is_tiny = bool(tiny) and (largest < _FITS or (each and 2 * tiny >= np.count_nonzero(sizes)))
    return frozenset([*([_LARGE] if largest > LARGEST else []), *([_TINY] if is_tiny else [])])


def _keep_whole_numbers(nodes: Sequence[Node]) -> None:
    """Keep nodes float32 that compute sizes, indices, and what is made from integers for sines or comparisons."""
    whole: dict[_Value, bool] = {}
    """Values made from integers and constants alone -> whether there are integers among them."""

    def kind(scope: Scope, name: str) -> bool | None:
        owner = scope.owner(name)
        if owner is None:
            return None
        return False if name in owner.constants else whole.get((owner, name))

    for node in nodes:
        found = _whole(node, kind)
        if found is not None:
            whole.update({(node.scope, name): found for name in node.proto.output})
    sizes: set[_Value] = set()
    numbers: set[_Value] = set()
    for node in nodes:
        for index, name in enumerate(node.proto.input):
            if _is_size(node, index):
                _keep_makers(node.scope, name, sizes, lambda it: it.op in _MOVES | _COMPUTES | _COMPARES)
            elif _tells_whole(node) and kind(node.scope, name):
                node.stays = True
                _keep_makers(
                    node.scope, name, numbers, lambda it: any(kind(it.scope, made) for made in it.proto.output)
                )


def _whole(node: Node, kind: Callable[[Scope, str], bool | None]) -> bool | None:
    floats = [name for _, name in node.floats(node.proto.input)]
    if is_cast(node) and not floats:
        return kind(node.scope, node.proto.input[0]) is not False
    if node.op == "ConstantOfShape":
        return False
    if node.op not in _MOVES | _COMPUTES | {"Einsum", "MatMul", "Range"} or not floats:
        return None
    kinds = [kind(node.scope, name) for name in floats]
    return None if None in kinds else any(kinds)


def _tells_whole(node: Node) -> bool:
    to_integer = is_cast(node) and not node.makes_half
    return to_integer or node.op in _COMPARES or node.op in _PERIODIC


def _is_size(node: Node, index: int) -> bool:
    formal = node.formal_input(index)
    is_index = formal is not None and set(formal.types) <= {"tensor(int32)", "tensor(int64)"}
    return is_index or node.op == "Range" or (node.op in {"Resize", "Upsample"} and index > 0)


def _keep_makers(scope: Scope, name: str, seen: set[_Value], follows: Callable[[Node], bool]) -> None:
    """Keep what a value is computed with float32, as far back as `follows` says."""
    waiting = [(scope, name)]
    while waiting:
        scope, name = waiting.pop()
        maker = scope.maker(name)
        if maker is None or (maker.scope, name) in seen:
            continue
        seen.add((maker.scope, name))
        if maker.is_control_flow and scope.type_of(name) == FLOAT:
            maker.stays = True
        if not maker.inner and follows(maker):
            maker.stays = True
            waiting += [(maker.scope, it) for it in maker.proto.input]


def _follow(nodes: Sequence[Node], *, casts_ends: bool) -> None:
    """Keep nodes float32 where that spares a cast and a rounding."""
    readers: dict[_Value, list[Node]] = {}
    for node in nodes:
        for name in node.proto.input:
            if owner := node.scope.owner(name):
                readers.setdefault((owner, name), []).append(node)
    for node in reversed(nodes):
        if node.op in _MOVES and node.makes_half and not node.stays:
            reading = [it for name in node.makes_half for it in readers.get((node.scope, name), ())]
            is_end = any(it.name in node.makes_half for it in node.scope.graph.output)
            # integers that become floats are not rounded on their way out either
            leaves = not is_end or not (node.takes_half or casts_ends or node.scope.holder)
            node.stays = leaves and all(it.stays for it in reading) and (is_end or bool(reading))
    for node in nodes:
        values = [name for _, name in node.floats(node.proto.input) if node.scope.constant(name) is None]
        if node.stays or node.is_control_flow or not node.takes_half:
            continue
        if not values:
            # computed from constants alone, once
            node.stays = node.op not in _MOVES
            continue
        spared = not any(is_half(node.scope, name, casts_ends=casts_ends) for name in values)
        made = all(node.scope.maker(name) for name in values)
        node.stays = spared and (not node.makes_half or (made and node.op in _MOVES))
