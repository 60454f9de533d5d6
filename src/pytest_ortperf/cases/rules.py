"""Rules in an entry of a model list: tolerances, input rules, conditions, ranges of dimensions, session settings.

Keys are declared by the annotations alone: reading, messages, JSON Schema and the documentation's tables follow.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pytest_ortperf.cases.case_id import ItemMode
from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import (
    COUNT,
    FLAG,
    NUMBER,
    SIZE,
    TEXT,
    TEXTS,
    THREADS,
    Kind,
    as_number,
    by_name,
    choice,
    converted,
    is_integer,
    list_of,
    matching,
    number,
    one_or_more,
)
from pytest_ortperf.cases.keys import EMPTY, Key, keys_of, object_kind
from pytest_ortperf.cases.names import PRECISION
from pytest_ortperf.cases.provider_option_rules import FOR_PROVIDER, OPTIONS, PROVIDER

Fill = Literal["uniform", "ramp", "zeros", "ones"]
Fp16Io = Literal["keep", "cast"]
NanPattern = Literal["exact", "counted"]
Repeat = Literal["exact", "within", "report"]
"""The same bits; the same within the tolerance; anything."""

_ZERO_OR_MORE = number(low=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an output may differ by; `None` is *not given here*."""

    rtol: Annotated[float | None, _ZERO_OR_MORE, "Times the absolute reference value."] = None
    atol: Annotated[
        float | None, _ZERO_OR_MORE, "Added to that: an element may differ by `atol + rtol * abs(reference)`."
    ] = None
    scales: Literal["both", "down"] | None = None
    """Whether `atol` counts in units of the output's root mean square: always, or only where that is below 1.

    Defaults do; a number that somebody gives counts as it is.
    """

    steps: int | None = None
    """Steps that integers of 8 bits may differ by; a default alone."""

    percent_mismatch: Annotated[
        float | None, number(low=0, high=100), "Share of elements that may lie outside, in percent."
    ] = None
    cosine: Annotated[
        float | None,
        number(low=-1, high=1),
        "Least cosine of the angle between output and reference, taken as vectors.",
    ] = None
    snr_db: Annotated[float | None, NUMBER, "Least ratio of the reference's power to the error's, in decibels."] = None
    peak_percent: Annotated[
        float | None,
        _ZERO_OR_MORE,
        "Largest error in percent of the largest absolute reference value; one up to a thousandth of `atol` is none.",
    ] = None
    top_k: Annotated[
        int | None,
        COUNT,
        "Compare rows along the last axis instead of elements: of numbers the k largest have to stand in the same "
        "places, of integers the first k have to be the same in any order. Default bounds on cosine, SNR and largest "
        "error do not count then.",
    ] = None
    nan_pattern: Annotated[
        NanPattern | None,
        choice("nan_pattern", get_args(NanPattern)),
        "`exact`: NaN and infinities must stand where the reference has them; `counted`: such elements are outside "
        "like others, where `percent_mismatch` bounds those.",
        {"default": "exact"},
    ] = None
    repeat: Annotated[
        Repeat | None,
        choice("repeat", get_args(Repeat)),
        "What a second run with the same inputs has to give: `exact`ly the same bits, the same `within` the "
        "tolerance, or anything, which is then only `report`ed.",
        {"default": "within"},
    ] = None
    second_chance: Annotated[
        bool | None,
        FLAG,
        "Whether an output in half precision may pass for an error no larger than its precision's own.",
        {"default": True},
    ] = None
    own_error: Annotated[
        float | None,
        _ZERO_OR_MORE,
        "Root-mean-square error at most this many times what the precision itself makes on the CPU; the largest "
        "error at most 10/3 as many.",
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToleranceRule:
    """A tolerance and where it applies; `None` applies everywhere."""

    tolerance: Tolerance
    precision: Annotated[str | None, PRECISION, "Only for this precision, of the case or of the model."] = None
    provider: Annotated[str | None, PROVIDER, FOR_PROVIDER] = None
    output: Annotated[
        str | None, TEXT, "Only for outputs of this name, or whose name matches this glob, such as `logits*`."
    ] = None


def _tolerance_rule(**found: Any) -> ToleranceRule:
    own = {name: found.pop(name) for name in keys_of(Tolerance) if name in found}
    return ToleranceRule(tolerance=Tolerance(**own), **found)


TOLERANCE_KEYS = {**keys_of(Tolerance), **keys_of(ToleranceRule)}
TOLERANCES = one_or_more(
    object_kind(
        "tolerance",
        TOLERANCE_KEYS,
        _tolerance_rule,
        meaning="A tolerance, and where it applies.",
        allowed='an object such as {"rtol": 0.001}, or a list of them',
        needs=("sets nothing", keys_of(Tolerance)),
    )
)

_SHAPE = converted(
    "a list of integers, 0 or more",
    {"type": "array", "items": {"type": "integer", "minimum": 0}},
    lambda value: (
        tuple(value) if isinstance(value, list) and all(is_integer(size, at_least=0) for size in value) else None
    ),
)
_SLICE = r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?0*[1-9]\d*)?\s*)?"
_SLICES = matching(
    'Python slices with commas between, such as "0:1, :, 2:"', f"{_SLICE}(,{_SLICE})*", examples=["0:1", "0:1, :, 2:"]
)


Scalar = bool | int | float | str


def _as_scalar(value: Any) -> Scalar | None:
    if isinstance(value, bool | str):
        return value
    return None if as_number(value) is None else value


def _as_tensor(value: Any) -> Any:
    """Return a scalar, or a list as nested tuples; `None` for rows of unlike lengths and for other values."""
    if not isinstance(value, list):
        return _as_scalar(value)
    items = tuple(_as_tensor(item) for item in value)
    return None if None in items or len({shape_of_value(item) for item in items}) > 1 else items


def shape_of_value(value: Any) -> tuple[int, ...]:
    """Return the shape of a `value` of an input rule: () for a scalar."""
    if not isinstance(value, tuple):
        return ()
    return (len(value), *(shape_of_value(value[0]) if value else ()))


_SCALAR_TYPES = {"type": ["number", "string", "boolean"]}
_VALUE = converted(
    "a number, a text, true or false, or a (nested) list of them whose rows are of one length",
    {"anyOf": [_SCALAR_TYPES, {"type": "array", "items": {"$ref": "#/$defs/tensor"}}]},
    _as_tensor,
    name="tensor",
)
_SCALAR = converted("a number, a text, true or false", _SCALAR_TYPES, _as_scalar)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """How to generate or cut one input."""

    low: Annotated[float | None, NUMBER, "Smallest generated value, included."] = None
    high: Annotated[float | None, NUMBER, "Largest generated value; excluded for floats, included for integers."] = None
    fill: Annotated[
        Fill,
        choice("fill", get_args(Fill)),
        "What to generate: random values between `low` and `high`, arange(n) / n in the input's shape, zeros or ones.",
    ] = "uniform"
    value: Annotated[
        Any,
        _VALUE,
        "The value itself: a number, text or flag for a scalar or for every element, or a (nested) list that is the "
        "whole tensor.",
    ] = None
    choices: Annotated[
        tuple[Scalar, ...] | None,
        list_of(_SCALAR, "numbers, texts or flags"),
        "Values that each element is drawn from, at random by the seed.",
    ] = None
    shape: Annotated[tuple[int, ...] | None, _SHAPE, "Instead of the shape that the model declares."] = None
    slices: Annotated[str | None, _SLICES, "Python slices applied to a stored input."] = None


def _input_rule(**found: Any) -> InputRule:
    """Return the rule; a list that is the whole tensor gives the shape too."""
    if isinstance(found.get("value"), tuple):
        found.setdefault("shape", shape_of_value(found["value"]))
    return InputRule(**found)


_EXCLUSIVE = ("value", "choices", "low", "high")


def _check_input(rule: InputRule, place: Place) -> None:
    first = "value" if rule.value is not None else "choices"
    others = [name for name in _EXCLUSIVE if name != first and getattr(rule, name) is not None]
    others += ["fill"] if rule.fill != "uniform" else []
    if getattr(rule, first) is not None and others:
        verb, them = ("have", "them") if len(others) > 1 else ("has", "it")
        place.report(f"{' and '.join(others)} {verb} no effect beside {first}; remove {them}, or {first}")
        return
    if isinstance(rule.value, tuple) and rule.shape != shape_of_value(rule.value):
        place.report(f"shape {list(rule.shape or ())} is not that of the value; remove it: the list has a shape")
    if rule.low is not None and rule.high is not None and rule.low > rule.high:
        place.report(f"low {rule.low:g} is above high {rule.high:g}; swap them")
    if rule.fill != "uniform" and (rule.low is not None or rule.high is not None):
        place.report(f"low and high have no effect with fill {rule.fill!r}; remove them, or the fill")


INPUTS = by_name(
    object_kind(
        "input",
        keys_of(InputRule),
        _input_rule,
        meaning="How to generate or cut one input.",
        allowed='an object such as {"low": 0, "high": 100}',
        check=_check_input,
        schema={
            "dependentSchemas": {
                **{key: {"properties": {"fill": {"const": "uniform"}}} for key in ("low", "high")},
                "choices": {"properties": {"fill": {"const": "uniform"}, "low": False, "high": False}},
                "value": {"properties": {"fill": {"const": "uniform"}, "low": False, "high": False, "choices": False}},
            }
        },
    ),
    'an object of rules by input name, such as {"ids": {"high": 100}}',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp16Rule:
    """How to convert a model to fp16."""

    io: Annotated[
        Fp16Io | None,
        choice("io", get_args(Fp16Io)),
        "Whether float32 inputs and outputs stay as they are (`keep`) or become float16 (`cast`); left out, as "
        "`--ortperf-fp16-io` says.",
        {"default": "keep"},
    ] = None
    """`None` is *not given here*."""

    op_block_list: Annotated[
        tuple[str, ...], TEXTS, "Operator types that stay float32, besides those that the converter knows."
    ] = ()
    node_block_list: Annotated[tuple[str, ...], TEXTS, "Names of nodes that stay float32."] = ()


FP16 = object_kind(
    "fp16",
    keys_of(Fp16Rule),
    Fp16Rule,
    meaning="How to convert a model to fp16.",
    allowed='an object such as {"io": "cast"}',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DimRange:
    """Sizes that a symbolic dimension may have, for providers that build for a range; cases run with `opt`."""

    min: Annotated[int, SIZE, "Smallest size."]
    opt: Annotated[int, SIZE, "Size that cases run with, and that is built for best."]
    max: Annotated[int, SIZE, "Largest size."]


def _check_range(sizes: DimRange, place: Place) -> None:
    if sizes.min and sizes.opt and sizes.max and not sizes.min <= sizes.opt <= sizes.max:
        place.wrong(dataclasses.asdict(sizes), "in the order min, opt, max")


RANGE = object_kind(
    "dim_range",
    keys_of(DimRange),
    DimRange,
    meaning="Sizes that a dimension may have, for providers that build for a range; cases run with opt.",
    check=_check_range,
)


def _as_sizes(value: Any) -> tuple[int, ...] | None:
    sizes = value if isinstance(value, list) else [value]
    fit = all(is_integer(size, at_least=0) for size in sizes)
    return tuple(sizes) if fit and sizes and len(set(sizes)) == len(sizes) else None


_SIZES = converted(
    "an integer of 0 or more, a list of different ones, or a range with min, opt and max",
    {"anyOf": [SIZE, {"type": "array", "items": SIZE, "minItems": 1, "uniqueItems": True}, RANGE]},
    _as_sizes,
    wrong=(),
)


def _read_sizes(value: Any, place: Place) -> tuple[int, ...] | DimRange:
    sizes: tuple[int, ...] | DimRange = (RANGE if isinstance(value, dict) else _SIZES).read(value, place)
    return sizes


DIMS = by_name(
    dataclasses.replace(_SIZES, read=_read_sizes),
    'an object of values by dimension name, such as {"batch": [1, 8]}',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A `skip` or `xfail` of a model list entry."""

    reason: Annotated[str, TEXT, "Shown in reports."]
    providers: Annotated[
        tuple[str, ...], list_of(PROVIDER, "provider names"), "Execution providers it applies to; left out, all."
    ] = ()
    """Short names; none means all, also of the two below."""

    precisions: Annotated[
        tuple[str, ...], list_of(PRECISION, "precisions"), "Precisions it applies to; left out, all."
    ] = ()
    modes: Annotated[
        tuple[str, ...], list_of(choice("mode", get_args(ItemMode)), "modes"), "Modes it applies to; left out, both."
    ] = ()
    raises_crash: bool = False
    """Only of `xfail`: a crash or time-out is expected too."""


def _condition(*, raises: str = "", **found: Any) -> Condition:
    return Condition(**found, raises_crash=raises == "crash")


def _conditions(name: str, keys: Mapping[str, Key]) -> Kind:
    allowed = "a reason, an object with a reason, or a list of these"
    rule = object_kind(name, keys, _condition, meaning="A reason, and where it applies.", allowed=allowed)

    def read(value: Any, place: Place) -> Any:
        return Condition(reason=TEXT.read(value, place)) if isinstance(value, str) else rule.read(value, place)

    return one_or_more(Kind(allowed, read, {"anyOf": [TEXT, rule]}))


SKIP_KEYS = keys_of(Condition)
XFAIL_KEYS = {**SKIP_KEYS, "raises": Key(choice("value", ["crash"]), "A crash or a missed deadline is expected too.")}
SKIPS = _conditions("skip", SKIP_KEYS)
XFAILS = _conditions("xfail", XFAIL_KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRule:
    """Session settings and the provider they are for; `None` is *not given here*."""

    provider: Annotated[str | None, PROVIDER, FOR_PROVIDER] = None
    graph_optimization: Annotated[
        str | None, choice("level", ["disable", "basic", "extended", "all"]), "ONNX Runtime's graph optimisation level."
    ] = None
    intra_op_threads: Annotated[int | None, THREADS, "Threads inside an operator."] = None
    inter_op_threads: Annotated[int | None, THREADS, "Operators at once, with `execution_mode` `parallel`."] = None
    execution_mode: Annotated[
        str | None, choice("mode", ["sequential", "parallel"]), "One operator after another, or several at once."
    ] = None
    config: Annotated[
        Mapping[str, str],
        OPTIONS,
        "Session config entries, such as `session.intra_op.allow_spinning`. true and false become 1 and 0.",
    ] = field(default_factory=lambda: EMPTY)
    custom_op_libraries: Annotated[
        tuple[str, ...], TEXTS, "Shared libraries of custom operators. Relative paths start where those of models do."
    ] = ()
    """Absolute once the list is read."""


SESSIONS = one_or_more(
    object_kind(
        "session",
        keys_of(SessionRule),
        SessionRule,
        meaning="Session settings, and the provider they are for.",
        allowed='an object such as {"intra_op_threads": 1}, or a list of them',
    )
)
