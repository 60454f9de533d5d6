"""Plausible sizes for dimensions that nobody gave one: by weights, by name, by rank; then a short ladder.

Pure: this module runs no model. `execution.session.assumed_shapes` tries what it proposes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnx

from pytest_ortperf.execution.model.model_dimensions import FreeInput, dimension_key

SizeKind = Literal["batch", "channels", "pixels", "sequence", "past", "total", "weights", "other"]

PIXELS = 224
CHANNELS = 3
TOKENS = 128
SOUND = 16_000
"""Samples: a second of speech."""

FRAMES = 16
LADDER = (32, 64, 320, 640, 16, 8)
"""Sizes that are tried in turn where a model refuses the plausible ones with a shape error."""

_IMAGE_CHANNELS = frozenset({1, 3, 4})
_RANK_OF_STATES = 3
_RANK_OF_IMAGES = 4
_RANK_OF_VOLUMES = 5
_SMALLEST_SIDE = 16
"""A static side of an image is at least this; a smaller number on a spatial axis is something else."""

_BATCH = re.compile(r"batch|^(?:n|b|bs|bsz|num_?samples)$")
_PAST = re.compile(r"past|(?:^|_)(?:kv_?)?cache_?len")
_TOTAL = re.compile(r"total|full_?seq|past.*\+|\+.*past")
_PIXELS = re.compile(r"(?:^|_|\b)(?:height|width|h|w|img_?size|image_?size|side)(?:$|_|\b|\d)|pixel")
_CHANNELS = re.compile(r"channel")
_LAST_CHANNELS = re.compile(r"channel|^c$")
_FRAMES = re.compile(r"(?:^|_)(?:num_)?frames?$|^depth$")
_SEQUENCE = re.compile(
    r"seq|len|token|time|frame|text|word|char|sample|step|audio|context|prompt|sentence|src|tgt|target|source|query|"
    r"^(?:t|l|s)$"
)
_SOUND = re.compile(r"audio|wave|speech|pcm|signal|sound")
_OF_STATE = re.compile(r"state|hidden|(?:^|_)[hc]_?(?:0|n|in|prev)?$")
_OF_TEXT = re.compile(r"input_ids|token|text|word|char|sentence|query|context")
_OF_A_CACHE = re.compile(r"past|cache")
_SUM = re.compile(r"^\s*(?P<left>[\w.]+)\s*\+\s*(?P<right>[\w.]+)\s*$")

_SAME_AXES = frozenset(
    {"Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Dropout", "Neg", "Abs", "Clip", "QuantizeLinear", "Sqrt", "Exp"}
)
"""Operators after which an axis is still the same axis."""


@dataclass(frozen=True, slots=True)
class FreeSize:
    """One dimension without a value."""

    key: str
    """As in `--ortperf-dim`: its name, or `INPUT.AXIS` where it has none."""

    kind: SizeKind
    size: int
    """What it is taken to be at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """All dimensions of a model without a value, and what they are taken to be."""

    sizes: tuple[FreeSize, ...] = ()
    sums: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Key -> the two keys whose sum it is, such as `past_sequence_length + sequence_length`."""

    given: Mapping[str, int] = field(default_factory=dict)

    def attempts(self) -> Iterator[dict[str, int]]:
        """Yield the sizes to try: the plausible ones first, then those of the ladder.

        The ladder first replaces sizes nothing speaks for, then those of images and texts, then both together.
        Batches, and sizes that follow from weights, stay; an empty cache is tried with one element too.
        """
        yield self._with({})
        guessed = self._keys("other")
        spread = self._keys("pixels", "sequence")
        for keys in filter(None, (guessed, spread, [*guessed, *spread] if guessed and spread else [])):
            for size in LADDER:
                yield self._with(dict.fromkeys(keys, size))
        for kind in ("past", "channels"):
            if self._keys(kind):
                yield self._with(dict.fromkeys(self._keys(kind), 1))

    def _keys(self, *kinds: str) -> list[str]:
        return [one.key for one in self.sizes if one.kind in kinds]

    def _with(self, changed: Mapping[str, int]) -> dict[str, int]:
        found = {one.key: changed.get(one.key, one.size) for one in self.sizes}
        known = {**found, **self.given}
        for key, (left, right) in self.sums.items():
            if key in found and left in known and right in known:
                found[key] = max(1, known[left] + known[right])
        return found


def propose_sizes(model: onnx.ModelProto, inputs: Sequence[FreeInput], given: Mapping[str, int]) -> Proposal:
    """Return a size for each dimension of a model that has no value.

    Args:
        model: Its weights may fix a size; external data is not needed.
        inputs: Those that are fed and whose whole shape is not given.
        given: Sizes that have a value, by key.
    """
    fixed = sizes_of_weights(model.graph)
    found: dict[str, FreeSize] = {}
    for item in inputs:
        for axis, dim in enumerate(item.shape):
            key = dimension_key(item.name, axis, dim)
            if key is None or key in given:
                continue
            size = fixed.get((item.name, axis))
            one = FreeSize(key, "weights", size) if size else _guess(item, axis, key)
            known = found.get(key)
            if known is None or _RANKS[one.kind] < _RANKS[known.kind]:
                found[key] = one
    sizes = tuple(found.values())
    return Proposal(sizes=sizes, sums=_sums(sizes, given), given=dict(given))


_RANKS: Mapping[str, int] = {
    kind: rank
    for rank, kind in enumerate(("weights", "past", "total", "pixels", "channels", "sequence", "batch", "other"))
}
"""Of a dimension that several inputs have, the kind that says most."""


def _guess(item: FreeInput, axis: int, key: str) -> FreeSize:
    name = item.shape[axis]
    by_name = _by_name(name.lower()) if isinstance(name, str) else None
    kind, size = by_name or _by_place(item, axis)
    return FreeSize(key, kind, size)


def _by_name(name: str) -> tuple[SizeKind, int] | None:
    kinds: tuple[tuple[re.Pattern[str], SizeKind, int], ...] = (
        (_TOTAL, "total", TOKENS),
        (_PAST, "past", 0),
        (_BATCH, "batch", 1),
        (_PIXELS, "pixels", PIXELS),
        (_CHANNELS, "channels", CHANNELS),
        (_FRAMES, "sequence", FRAMES),
        (_SEQUENCE, "sequence", TOKENS),
    )
    return next(((kind, size) for pattern, kind, size in kinds if pattern.search(name)), None)


def _by_place(item: FreeInput, axis: int) -> tuple[SizeKind, int]:
    """Return what an axis without a telling name is, by the rank of its input and its neighbours."""
    rank = len(item.shape)
    if axis == 0 and rank > 1:
        return _first_axis(item)
    if _OF_A_CACHE.search(item.name.lower()) and rank >= _RANK_OF_IMAGES:
        return "past", 0
    return _in_image(item, axis) or _along_time(item, axis) or ("other", 1)


def _first_axis(item: FreeInput) -> tuple[SizeKind, int]:
    # words of one text, where a batch would have no name
    is_words = item.is_string and isinstance(item.shape[0], str) and _OF_TEXT.search(item.name.lower())
    return ("sequence", TOKENS) if is_words else ("batch", 1)


def _in_image(item: FreeInput, axis: int) -> tuple[SizeKind, int] | None:
    """Return what an axis of an image or a video is."""
    rank, spatial = len(item.shape), _spatial_axes(item)
    if not spatial:
        return None
    if axis in spatial:
        return "pixels", PIXELS if rank <= _RANK_OF_IMAGES else PIXELS // 2
    if axis == (1 if rank - 1 in spatial else rank - 1):
        return "channels", CHANNELS
    return "sequence", FRAMES


def _along_time(item: FreeInput, axis: int) -> tuple[SizeKind, int] | None:
    """Return what an axis of ids, masks, sound or features over time is."""
    rank, is_last, name = len(item.shape), axis == len(item.shape) - 1, item.name.lower()
    is_float = not item.is_integer and not item.is_string
    if rank == _RANK_OF_STATES and axis == 1 and _is_state(item):
        return "batch", 1
    if is_float and is_last and rank < _RANK_OF_STATES and _SOUND.search(name):
        return "sequence", SOUND
    if rank == 1:
        return ("sequence", TOKENS) if item.is_integer and _OF_TEXT.search(name) else None
    # an axis with a name that says nothing may be anything
    is_time = is_float and axis == 1 and rank <= _RANK_OF_STATES and not isinstance(item.shape[axis], str)
    return ("sequence", TOKENS) if is_time or (item.is_integer and is_last) else None


def _is_state(item: FreeInput) -> bool:
    """Whether an input is the state of a recurrent network: (layers, batch, hidden)."""
    layers, _, hidden = item.shape
    has_layers = isinstance(layers, int) and layers > 1
    return isinstance(hidden, int) and (has_layers or bool(_OF_STATE.search(item.name.lower())))


def _spatial_axes(item: FreeInput) -> tuple[int, ...]:
    """Return the axes of height and width of an image or a video; none if the input is no such thing."""
    rank = len(item.shape)
    if rank not in (_RANK_OF_IMAGES, _RANK_OF_VOLUMES):
        return ()
    last = item.shape[-1]
    is_channels = (
        last in _IMAGE_CHANNELS if isinstance(last, int) else bool(_LAST_CHANNELS.search((last or "").lower()))
    )
    axes = (rank - 3, rank - 2) if is_channels else (rank - 2, rank - 1)
    sides = [item.shape[axis] for axis in axes]
    fits = all(not isinstance(side, int) or side >= _SMALLEST_SIDE for side in sides)
    return axes if fits and any(not isinstance(side, int) for side in sides) else ()


def _sums(sizes: Sequence[FreeSize], given: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    """Return the dimensions whose name says that they are a sum, and the total of a cache and what is new."""
    keys = {*given, *(one.key for one in sizes)}
    found = {}
    for one in sizes:
        match = _SUM.match(one.key)
        if match and {match["left"], match["right"]} <= keys:
            found[one.key] = (match["left"], match["right"])
        elif one.kind == "total":
            past = next((key for key in sorted(keys) if _PAST.search(key.lower()) and key != one.key), None)
            new = next((o.key for o in sizes if o.kind == "sequence"), None) or next(
                (key for key in sorted(given) if _SEQUENCE.search(key.lower()) and key not in (past, one.key)), None
            )
            if past and new:
                found[one.key] = (past, new)
    return found


def sizes_of_weights(graph: onnx.GraphProto) -> dict[tuple[str, int], int]:
    """Return the sizes that weights fix, by input and axis: a matrix of 512 rows takes rows of 512 elements."""
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.input}
    weights: dict[str, tuple[int, ...]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    origin = {name: name for name in ranks if name not in weights}
    found: dict[tuple[str, int], int] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            weights[node.output[0]] = next((tuple(a.t.dims) for a in node.attribute if a.name == "value"), ())
        for axis, size in _fixed_by(node, weights, origin):
            name = origin[node.input[axis[0]]]
            place = axis[1] if axis[1] >= 0 else ranks[name] + axis[1]
            if size > 0 and 0 <= place < ranks[name]:
                found.setdefault((name, place), size)
        if node.op_type in _SAME_AXES and node.input and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
    return found


def _fixed_by(
    node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]], origin: Mapping[str, str]
) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield (input number, axis) of a node and the size that its weights fix there."""
    for number, name in enumerate(node.input):
        if name not in origin:
            continue
        for axis, size in _axes_of(node, number, [weights.get(other) for other in node.input]):
            yield (number, axis), size


def _axes_of(node: onnx.NodeProto, number: int, shapes: Sequence[tuple[int, ...] | None]) -> Iterator[tuple[int, int]]:
    attributes = {a.name: a for a in node.attribute}
    other = shapes[1 - number] if len(shapes) > 1 and number in (0, 1) else None
    kind = node.op_type
    if kind in ("MatMul", "MatMulInteger") and other and len(other) > 1:
        yield (-1, other[-2]) if number == 0 else (-2, other[-1])
    elif kind == "Gemm" and number == 0 and other and len(other) > 1:
        transposed = "transB" in attributes and attributes["transB"].i
        own = 0 if "transA" in attributes and attributes["transA"].i else 1
        yield own, other[1 if transposed else 0]
    elif kind in ("Conv", "ConvInteger") and number == 0 and other and len(other) > 1:
        yield 1, other[1] * (attributes["group"].i if "group" in attributes else 1)
    elif kind == "ConvTranspose" and number == 0 and other:
        yield 1, other[0]
    elif kind in ("LSTM", "GRU", "RNN"):
        yield from _recurrent(number, shapes)
    elif kind in ("BatchNormalization", "InstanceNormalization") and number == 0 and other:
        yield 1, other[0]
    elif kind in ("LayerNormalization", "Add", "Sub", "Mul", "Div") and other and other[-1:] > (1,):
        yield -1, other[-1]
    elif node.domain == "ai.onnx.ml":
        yield from _features(node, attributes)


def _recurrent(number: int, shapes: Sequence[tuple[int, ...] | None]) -> Iterator[tuple[int, int]]:
    weight, recurrence = shapes[1], shapes[2]
    if number == 0 and weight:
        yield 2, weight[2]
    if number in (5, 6) and weight and recurrence:  # initial states
        yield 0, weight[0]
        yield 2, recurrence[2]


def _features(node: onnx.NodeProto, attributes: Mapping[str, onnx.AttributeProto]) -> Iterator[tuple[int, int]]:
    """Yield the number of features that an operator for tables of numbers takes."""
    if "nodes_featureids" in attributes:
        yield 1, max(attributes["nodes_featureids"].ints, default=0) + 1
    elif node.op_type == "Scaler":
        yield 1, max(len(attributes[name].floats) for name in ("offset", "scale") if name in attributes)
    elif node.op_type in ("LinearClassifier", "LinearRegressor") and "coefficients" in attributes:
        rows = len(attributes["intercepts"].floats) if "intercepts" in attributes else 1
        yield 1, len(attributes["coefficients"].floats) // max(1, rows)


__all__ = ["LADDER", "FreeInput", "Proposal", "propose_sizes", "sizes_of_weights"]
