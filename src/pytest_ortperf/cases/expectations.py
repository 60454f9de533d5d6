"""Limits that a model list sets with `expect`: which there are, how they are read, which hold for a case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import FLAG, SIZE, by_name, choice, number, one_or_more
from pytest_ortperf.cases.keys import EMPTY, Key, keys_of, object_kind
from pytest_ortperf.cases.names import PRECISION
from pytest_ortperf.cases.provider_option_rules import FOR_PROVIDER, PROVIDER
from pytest_ortperf.quantities import QUANTITIES, Quantity

TIMINGS = ("host", "bound", "bound+copies", "graph")
"""What a limit on latency can be about; without it, it is about the headline."""

_FIRST = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms", "throughput", "gpu_memory_mib")
"""What messages name first; the rest follows in the order of the quantities."""

BOUNDS: Mapping[str, Quantity] = {key: each for key in _FIRST for each in QUANTITIES if each.expect == key} | {
    each.expect: each for each in QUANTITIES if each.expect
}
"""Every limit by its key in `expect`: what it is a limit of."""

WITH_INTERVAL = tuple(name for name, bound in BOUNDS.items() if bound.interval)
"""Limits that are decided on the interval of what was measured."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that holds for a case."""

    value: float
    strict: bool = False
    """Whether it fails where the measurement cannot tell."""


SLOWDOWN = "slowdown_percent"
"""The limit that is held against an earlier run, where there is one to compare with."""

LIMITS = (*BOUNDS, SLOWDOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """Limits and where they apply; `None` applies everywhere."""

    limits: Mapping[str, float]
    """By key of `LIMITS`."""

    provider: Annotated[str | None, PROVIDER, FOR_PROVIDER] = None
    precision: Annotated[str | None, PRECISION, "Only for this precision."] = None
    timing: Annotated[
        str | None,
        choice("timing", TIMINGS),
        "The timing mode that limits on latency and throughput are about; left out, the first that is measured.",
    ] = None
    dims: Annotated[
        Mapping[str, int],
        by_name(SIZE, 'an object of values by dimension name, such as {"batch": 8}'),
        "Only for cases with these values of symbolic dimensions.",
    ] = field(default_factory=lambda: EMPTY)
    strict: Annotated[
        bool,
        FLAG,
        f"Whether a limit on {' or '.join(WITH_INTERVAL)} fails too where it lies inside the interval of what was "
        "measured, so that it may or may not be kept.",
    ] = False


def _limit_key(name: str, bound: Quantity) -> Key:
    kind = number(low=0, high=100) if name.endswith("percent") else number(above=0)
    unit = f", in {bound.unit}" if bound.unit and not bound.unit.startswith("per") else ""
    decided = "; decided on its 95 % interval, where there is one" if bound.interval else ""
    return Key(kind, f"At {'least' if bound.is_least else 'most'} this: {bound.meaning}{unit}{decided}.")


def _limit_rule(**found: Any) -> LimitRule:
    limits = {name: found.pop(name) for name in LIMITS if name in found}
    return LimitRule(limits=limits, **found)


def _check_rule(rule: LimitRule, place: Place) -> None:
    others = [name for name in rule.limits if name in BOUNDS and not BOUNDS[name].of_latency]
    if rule.timing and others:
        place.report(f"timing {rule.timing!r} means nothing for {', '.join(others)}; put it in an object of its own")
    if rule.strict and rule.limits and not rule.limits.keys() & set(WITH_INTERVAL):
        place.report(f"strict means nothing for {', '.join(rule.limits)}; it is about {', '.join(WITH_INTERVAL)} alone")


EXPECT_KEYS: Mapping[str, Key] = {
    **{name: _limit_key(name, bound) for name, bound in BOUNDS.items()},
    SLOWDOWN: Key(
        number(above=0),
        "At most this: how much slower than the baseline it may become, in %; `--ortperf-baseline` and "
        "`ortperf compare` check it.",
    ),
    **keys_of(LimitRule),
}
EXPECT = one_or_more(
    object_kind(
        "expect",
        EXPECT_KEYS,
        _limit_rule,
        meaning="Limits, and where they apply.",
        allowed='an object such as {"p50_ms": 5}, or a list of them',
        needs=("limits nothing", LIMITS),
        check=_check_rule,
    )
)
"""One rule per object, in their order."""


def limits_of(
    rules: Iterable[LimitRule], *, provider: str, precisions: Iterable[str | None], dims: Mapping[str, int]
) -> dict[tuple[str, str | None], Limit]:
    """Return the limits that hold for a case, each from the first rule that applies and gives it.

    Args:
        rules: Of the case's model.
        provider: Short name, such as `cuda`.
        precisions: What the case's precision may be called: as asked for, or what its weights are.
        dims: Of the case.

    Returns:
        By key of `LIMITS` and timing mode; `None` is the headline.
    """
    called = {None, *precisions}
    found: dict[tuple[str, str | None], Limit] = {}
    for rule in rules:
        applies = rule.provider in (None, provider) and rule.precision in called
        if applies and all(dims.get(name) == size for name, size in rule.dims.items()):
            for name, value in rule.limits.items():
                found.setdefault((name, rule.timing), Limit(value, rule.strict))
    return found
