"""Limits that a model list sets with `expect`: which there are, how they are read, which hold for a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.cases.issues import Place
from pytest_ortperf.cases.json_values import (
    Reader,
    choice_reader,
    one_or_more,
    read_above_zero,
    read_count,
    read_object,
    read_percent,
)
from pytest_ortperf.cases.model import LimitRule
from pytest_ortperf.cases.provider_option_rules import read_provider
from pytest_ortperf.cases.rules import read_precision

TIMINGS = ("host", "bound", "bound+copies", "graph")
"""What a limit on latency can be about; without it, it is about the headline."""


@dataclass(frozen=True, slots=True)
class LimitBound:
    """What one limit is about."""

    meaning: str
    is_least: bool = False
    """Whether the measured value has to be at least, not at most, the limit."""

    of_latency: bool = False
    """Whether there is one for each timing mode."""

    unit: str = ""


BOUNDS: Mapping[str, LimitBound] = {
    "p50_ms": LimitBound("median latency", of_latency=True, unit="ms"),
    "p90_ms": LimitBound("90th percentile of latency", of_latency=True, unit="ms"),
    "p95_ms": LimitBound("95th percentile of latency", of_latency=True, unit="ms"),
    "p99_ms": LimitBound("99th percentile of latency", of_latency=True, unit="ms"),
    "mean_ms": LimitBound("mean latency", of_latency=True, unit="ms"),
    "max_ms": LimitBound("longest iteration", of_latency=True, unit="ms"),
    "throughput": LimitBound("inferences per second", is_least=True, of_latency=True, unit="per s"),
    "gpu_memory_mib": LimitBound("peak GPU memory of the process", unit="MiB"),
    "host_memory_mib": LimitBound("peak resident memory of the case alone", unit="MiB"),
    "nodes_on_ep_percent": LimitBound("share of nodes on the provider asked for", is_least=True, unit="%"),
    "session_creation_s": LimitBound("creation of the first session", unit="s"),
    "second_session_creation_s": LimitBound("creation of the second session", unit="s"),
    "first_run_s": LimitBound("first run", unit="s"),
}
"""Every limit by its key in `expect`."""

IN_EVERY_MODE = frozenset({"nodes_on_ep_percent"})
"""Limits that a validation is held to as well; a validation measures nothing else."""


def _read_case_dims(value: Any, place: Place) -> Mapping[str, int]:
    if not isinstance(value, dict):
        place.wrong(value, 'an object of values by dimension name, such as {"batch": 8}')
        return {}
    return {name: read_count(size, place.inside(name)) for name, size in value.items()}


EXPECT_KEYS: Mapping[str, Reader] = {
    **{name: read_percent if name.endswith("percent") else read_above_zero for name in BOUNDS},
    "provider": read_provider,
    "precision": read_precision,
    "timing": choice_reader("timing", TIMINGS),
    "dims": _read_case_dims,
}


def read_expect(value: Any, place: Place) -> tuple[LimitRule, ...]:
    """Return one rule per object, in their order."""
    rules = []
    for index, item in one_or_more(value):
        here = place if index is None else place.inside(index)
        found = read_object(item, here, EXPECT_KEYS, 'an object such as {"p50_ms": 5}, or a list of them')
        limits = {name: found.pop(name) for name in BOUNDS if name in found}
        if isinstance(item, dict) and not limits:
            here.report(f"limits nothing; give at least one of {', '.join(BOUNDS)}")
        _check_timing(limits, found.get("timing"), here)
        rules.append(LimitRule(limits=limits, **found))
    return tuple(rules)


def _check_timing(limits: Iterable[str], timing: str | None, place: Place) -> None:
    others = [name for name in limits if not BOUNDS[name].of_latency]
    if timing and others:
        place.report(f"timing {timing!r} means nothing for {', '.join(others)}; put it in an object of its own")


def limits_of(
    rules: Iterable[LimitRule], *, provider: str, precisions: Iterable[str | None], dims: Mapping[str, int]
) -> dict[tuple[str, str | None], float]:
    """Return the limits that hold for a case, each from the first rule that applies and gives it.

    Args:
        rules: Of the case's model.
        provider: Short name, such as `cuda`.
        precisions: What the case's precision may be called: as asked for, or what its weights are.
        dims: Of the case.

    Returns:
        By key of `BOUNDS` and timing mode; `None` is the headline.
    """
    called = {None, *precisions}
    found: dict[tuple[str, str | None], float] = {}
    for rule in rules:
        applies = rule.provider in (None, provider) and rule.precision in called
        if applies and all(dims.get(name) == size for name, size in rule.dims.items()):
            for name, limit in rule.limits.items():
                found.setdefault((name, rule.timing), limit)
    return found
