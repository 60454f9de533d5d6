"""What a reader wants to know first: what failed and why, and which provider is fastest for each model."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.standings import variant_name
from pytest_ortperf.reports.tables.gains import BEST_FIRST, PASSED, Gains, counts, shape_difference
from pytest_ortperf.reports.tables.rows import FAILED, Group, Rows, Subject, group_of

_VARYING = (
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\""), "'…'"),
    (re.compile(r"(?<![\w.])[~.]?/[^\s:;,()'\"]+"), "PATH"),
    (re.compile(r"0x[0-9a-fA-F]+|[-+]?\d[\d.]*(?:e[-+]?\d+)?"), "N"),
)
"""What differs between messages of one cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Cases that failed for the same reason."""

    kind: str
    """One of `FAILURE_KINDS`, or the outcome of a case without a failure."""

    message: str
    """First line of the first case's message."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fastest:
    """The fastest valid variant of a model."""

    record: Record
    timing: str
    p50_ns: float
    factor: float
    """How many times as long the next one takes."""

    is_clear: bool
    """Whether the intervals of both medians are apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTotals:
    """One provider and precision over all models."""

    name: str
    passed: int
    failed: int
    skipped: int
    fastest: int
    """Models whose fastest valid variant it is."""

    gain: float | None
    """Geometric mean of times faster than the reference provider; `None` without one."""

    gains: int
    reference: str | None


def failure_kind(record: Record) -> str:
    """Return the class of a failure."""
    return record.failure.kind if record.failure else record.outcome.replace("_", " ")


def first_line(text: str) -> str:
    """Return the first line of a message that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def cause_key(record: Record) -> tuple[str, str]:
    """Return what failures of one cause have in common: the class, and the message without what varies."""
    text = first_line(record.failure.message) if record.failure else ""
    if record.model:
        text = re.sub(rf"(?<!\w){re.escape(record.model)}(?!\w)", "MODEL", text)
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return failure_kind(record), text


def causes(records: Iterable[Record]) -> list[Cause]:
    """Return failures grouped by cause: the class with most cases first, in it the cause with most."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(cause_key(record), []).append(record)
    totals: dict[str, int] = {}
    for (kind, _), found in groups.items():
        totals[kind] = totals.get(kind, 0) + len(found)
    ordered = sorted(groups.items(), key=lambda item: (-totals[item[0][0]], item[0][0], -len(item[1])))
    return [
        Cause(
            kind=kind,
            message=first_line(found[0].failure.message) if found[0].failure else "",
            records=tuple(found),
        )
        for (kind, _), found in ordered
    ]


def fastest_variants(rows: Rows) -> dict[Subject, Fastest]:
    """Return the fastest valid variant of each model that was measured on two or more at the same shapes."""
    found = {}
    for subject, records in rows.subjects.items():
        wrong = {group_of(record) for record in records if record.mode == "validate" and record.outcome in FAILED}
        valid = [record for record in records if counts(record) and record.latencies and group_of(record) not in wrong]
        best = _fastest(valid)
        if best is not None:
            found[subject] = best
    return found


def _fastest(records: Sequence[Record]) -> Fastest | None:
    others = records[1:]
    if not others or any(shape_difference(records[0], other) for other in others):
        return None
    common = set.intersection(*({latency.label for latency in record.latencies} for record in records))
    timing = next((name for name in BEST_FIRST if name in common), None)
    if timing is None:
        return None
    measured = sorted(
        (
            (summarize(next(latency for latency in record.latencies if latency.label == timing)), record)
            for record in records
        ),
        key=lambda pair: pair[0].p50_ns,
    )
    (first, record), (second, _) = measured[:2]
    high, low = first.p50_high_ns, second.p50_low_ns
    return Fastest(
        record=record,
        timing=timing,
        p50_ns=first.p50_ns,
        factor=second.p50_ns / first.p50_ns if first.p50_ns else 1.0,
        is_clear=high is not None and low is not None and high < low,
    )


def variant_totals(rows: Rows, fastest: Mapping[Subject, Fastest]) -> list[VariantTotals]:
    """Return one line for each provider and precision that has cases, in the order of the run."""
    gains = Gains(rows.run.header, rows.records)
    return [
        _totals(group, records, gains, sum(group_of(each.record) == group for each in fastest.values()))
        for group in rows.groups
        if (records := [record for record in rows.records if group_of(record) == group])
    ]


def _totals(group: Group, records: Sequence[Record], gains: Gains, fastest: int) -> VariantTotals:
    found = [gain for record in records if record.latencies and (gain := gains.of(record)) is not None]
    factors = [math.log(1 - gain.percent / 100) for gain in found if gain.percent < 100]  # noqa: PLR2004 - percent
    return VariantTotals(
        name=variant_name(group),
        passed=sum(record.outcome in PASSED for record in records),
        failed=sum(record.outcome in FAILED for record in records),
        skipped=sum(record.outcome in ("skipped", "xfailed") for record in records),
        fastest=fastest,
        gain=math.exp(-statistics.fmean(factors)) if factors else None,
        gains=len(factors),
        reference=found[0].reference if found else None,
    )


def subject_text(subject: Subject) -> str:
    """Return `bert` or `bert, batch=8`."""
    return ", ".join([subject[1], *(f"{name}={size}" for name, size in subject[2])])
