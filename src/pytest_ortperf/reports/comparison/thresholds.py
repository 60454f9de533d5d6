"""Thresholds that the user gives: `--fail-on=latency:20%`, and `slowdown_percent` of a model list.

They decide on the values as measured. No statistics stand behind such a verdict, and it says so.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_ortperf.cases.expectations import SLOWDOWN
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.change import DEFAULT_FAIL_ON, TOPICS
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.verdicts import FASTER, SAME, SLOWER, UNSURE, Decision

THRESHOLD = "threshold"
"""Of `Decision.by`."""

WITH_THRESHOLD = ("latency", "memory", "creation")
"""Topics that a threshold can be given for."""

_PERCENT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%")
_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|ms|s)")
_UNITS_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_NOTABLE_SHIFT = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOn:
    """What fails a comparison."""

    topics: tuple[str, ...] = DEFAULT_FAIL_ON
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By topic, as a share of 1."""

    least_change_ns: float | None = None
    """Smallest change of a latency that counts, as a time; `None` is the default."""

    def with_threshold(self, share: float | None) -> FailOn:
        """Return the same with a threshold for latency, if one is given."""
        if share is None:
            return self
        topics = self.topics if "latency" in self.topics else ("latency", *self.topics)
        return dataclasses.replace(self, topics=topics, thresholds={**self.thresholds, "latency": share})


DEFAULT = FailOn()


def read_time_ns(text: str, flag: str) -> float:
    """Return a time such as `5us`, `0.2ms` or `1s` in ns.

    Raises:
        SettingsError: If it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise SettingsError(f"{flag}: {text!r} is not a time; give a number with its unit, such as 5us or 0.2ms")
    return float(found[1]) * _UNITS_NS[found[2]]


def read_fail_on(text: str | None) -> FailOn:
    """Return what a text such as `latency:20%,failures` names; `none` is nothing, absent the default.

    Raises:
        SettingsError: If a topic is unknown, or a threshold cannot be used.
    """
    if text is None:
        return DEFAULT
    names: list[str] = []
    thresholds: dict[str, float] = {}
    for word in text.replace(",", " ").split():
        name, colon, number = word.partition(":")
        if word == "none":
            continue
        names.append(name)
        if colon and name in WITH_THRESHOLD:
            thresholds[name] = read_percent(number, f"--fail-on: {word}")
        elif colon and name in TOPICS:
            raise SettingsError(f"--fail-on: {word}: only {', '.join(WITH_THRESHOLD)} take a threshold; give {name}")
    unknown = [name for name in names if name not in TOPICS]
    if unknown:
        raise SettingsError(f"--fail-on: unknown {', '.join(unknown)}; choose from {', '.join(TOPICS)}, or none")
    return FailOn(topics=tuple(dict.fromkeys(names)), thresholds=thresholds)


def read_percent(text: str, what: str) -> float:
    """Return a percentage such as `20%` as a share of 1.

    Raises:
        SettingsError: If it is none, or not above 0. `what` names the option.
    """
    found = _PERCENT.fullmatch(text.strip())
    if found is None or not float(found[1]) > 0:
        raise SettingsError(f"{what}: give a percentage above 0, such as 20%")
    return float(found[1]) / 100


def decided(pairs: Iterable[LatencyPair], current: Side, share: float | None) -> Iterator[LatencyPair]:
    """Yield the pairs, each with the decision of its threshold where it has one.

    Args:
        pairs: With the decisions that their evidence allows.
        current: Whose records hold `slowdown_percent` of their model lists, which goes before `share`.
        share: Of every other pair; `None` leaves those as they are.
    """
    last = current.last
    for pair in pairs:
        case = last.get(pair.case_id)
        own = slowdown_of(case.record, pair.timing) if case else None
        limit = share if own is None else own
        yield pair if limit is None else dataclasses.replace(pair, decision=_decision(pair, limit))


def slowdown_of(record: Record, timing: str) -> float | None:
    """Return the share that a model list allows a case to become slower by; `None` if it says nothing."""
    headline = record.latencies[0].label if record.latencies else None
    return next(
        (
            fact.limit / 100
            for fact in record.limits
            if fact.name == SLOWDOWN and (timing == fact.timing or (fact.timing is None and timing == headline))
        ),
        None,
    )


def _decision(pair: LatencyPair, share: float) -> Decision:
    """Return what the raw ratio says; a change whose interval includes no change at all is not decided."""
    limit, ratio = math.log1p(share), math.log(pair.raw_ratio)
    half = pair.evidence.half_width if pair.evidence.is_known else 0.0
    low, high = ratio - half, ratio + half
    said = [f"changed by {_percent(ratio)} as measured, threshold {100 * share:g} %; no statistics stand behind it"]
    shift = ratio - pair.evidence.log_ratio
    if abs(shift) > math.log1p(_NOTABLE_SHIFT):
        said.append(f"all cases together moved by {_percent(shift)}")
    if abs(ratio) <= limit:
        verdict = SAME
    elif half and low <= 0 <= high:
        verdict = UNSURE
        interval = f"{_percent(low)} to {_percent(high)}"
        said[0] = f"changed by {_percent(ratio)} as measured, but its 90 % interval ({interval}) includes no change"
    else:
        verdict = SLOWER if ratio > 0 else FASTER
    return Decision(verdict=verdict, delta=share, reasons=tuple(said), by=THRESHOLD)


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f} %"
