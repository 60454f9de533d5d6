"""How providers and models of a run stand: how many cases passed, the mean gain, and which provider is fastest."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.intervals import mean_interval
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.columns import Measured
from pytest_ortperf.reports.tables.gains import BEST_FIRST, PASSED, Gains, shape_difference
from pytest_ortperf.reports.tables.rows import FAILED, Group, Rows, Subject, group_of, subject_of

LEAST_FACTOR = 2.0
"""From here on a gain is shown as a factor: 17x is easier to read than -1600 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanGain:
    """The geometric mean of how many times as fast a provider is as its reference, over models."""

    ratio: float
    """Time of the reference over the provider's time; above 1 is faster."""

    low: float | None
    """Lower end of the 95 % interval of the mean, from the spread over models; `None` for a single model."""

    high: float | None
    cases: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One provider, in one precision."""

    name: str
    passed: int
    failed: int
    skipped: int
    """Including expected failures."""

    gain: MeanGain | None
    fastest_for: int
    """Models it is fastest for, alone or beside others."""

    beside_others: int
    """Models of these for which other providers are as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fastest:
    """The fastest valid provider of one model at one size."""

    model: str
    timing: str
    rows: tuple[Measured, ...]
    """The one with the least median first; then those whose 95 % intervals overlap with its interval."""

    lead: float | None
    """How many times as long the next provider takes; `None` where all are as fast."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the providers, with their precision."""
        return tuple(variant_name(group_of(row.record)) for row in self.rows)

    @property
    def text(self) -> str:
        """`cuda or tensorrt`, `cuda or 3 more`."""
        first, *others = self.names
        return " or ".join([first, *(others if len(others) < 2 else [f"{len(others)} more"])])  # noqa: PLR2004 - short


def variant_name(group: Group) -> str:
    """Return `cuda-fp16`."""
    return "-".join(part for part in group if part)


def gain_text(ratio: float) -> str:
    """Return how many times as fast something is as its reference: `+12.3 %` of time saved, `4.1x faster`."""
    is_small = 1 / LEAST_FACTOR < ratio < LEAST_FACTOR
    return f"{_percent(ratio)} %" if is_small else _factor_text(ratio)


def _percent(ratio: float) -> str:
    return f"{100 * (1 - 1 / ratio):+.1f}"


def _factor_text(ratio: float) -> str:
    return f"{_factor(ratio)} faster" if ratio >= 1 else f"{_factor(1 / ratio)} slower"


def _factor(value: float) -> str:
    return f"{value:.1f}x" if value < 10 else f"{value:.0f}x"  # noqa: PLR2004 - two digits are enough


def gain_ratio(percent: float) -> float:
    """Return how many times as fast, from the share of time saved in percent."""
    return 1 / (1 - percent / 100)


def interval_text(gain: MeanGain) -> str:
    """Return `1.9x to 4.1x faster`, `-120.0 to +23.1 %`; nothing for a gain of one model."""
    if gain.low is None or gain.high is None:
        return ""
    if gain.low < 1 < gain.high:
        return f"{_percent(gain.low)} to {_percent(gain.high)} %"
    is_wide = not 1 / LEAST_FACTOR < gain.low <= gain.high < LEAST_FACTOR
    low, high = (_factor_text(end) if is_wide else gain_text(end) for end in (gain.low, gain.high))
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def standings(rows: Rows, best: Mapping[Subject, Fastest]) -> list[Standing]:
    """Return one standing per provider and precision that the run has cases of, in table order.

    Args:
        rows: The run.
        best: Its fastest providers.
    """
    wins = Counter(name for found in best.values() for name in found.names)
    shared = Counter(name for found in best.values() if len(found.rows) > 1 for name in found.names)
    gains = _mean_gains(rows)
    counts: dict[Group, Counter[str]] = {}
    for record in rows.records:
        counts.setdefault(group_of(record), Counter())[record.outcome] += 1
    return [
        Standing(
            name=variant_name(group),
            passed=sum(counts[group][outcome] for outcome in PASSED),
            failed=sum(counts[group][outcome] for outcome in FAILED),
            skipped=counts[group]["skipped"] + counts[group]["xfailed"],
            gain=gains.get(group),
            fastest_for=wins[variant_name(group)],
            beside_others=shared[variant_name(group)],
        )
        for group in rows.groups
        if group in counts
    ]


def _mean_gains(rows: Rows) -> Mapping[Group, MeanGain]:
    gains = Gains(rows.run.header, rows.records)
    logs: dict[tuple[Group, str], list[float]] = {}
    for record in rows.records:
        found = gains.of(record) if record.latencies else None
        if found is not None:
            logs.setdefault((group_of(record), found.reference), []).append(math.log(gain_ratio(found.percent)))
    means = {}
    for (group, reference), values in logs.items():
        interval = mean_interval(values)
        means[group] = MeanGain(
            ratio=math.exp(statistics.fmean(values)),
            low=math.exp(interval[0]) if interval else None,
            high=math.exp(interval[1]) if interval else None,
            cases=len(values),
            reference=reference,
        )
    return means


def failed_validations(records: Sequence[Record]) -> set[tuple[Subject, Group]]:
    """Return what was compared in this run and found wrong."""
    bad = (*FAILED, "xfailed")
    return {(subject_of(it), group_of(it)) for it in records if it.mode == "validate" and it.outcome in bad}


def fastest(rows: Rows, measured: Sequence[Measured]) -> dict[Subject, Fastest]:
    """Return the fastest valid provider of each model that has two valid ones or more.

    Valid is a benchmark that passed and whose validation did not fail. Latencies of other timing modes, other data
    sets or other shapes are not comparable: the mode that most providers have is taken, of several the first of
    `BEST_FIRST`, and nothing where shapes differ.
    """
    wrong = failed_validations(rows.records)
    valid: dict[Subject, list[Measured]] = {}
    for row in measured:
        subject = subject_of(row.record)
        is_right = row.record.outcome in PASSED and (subject, group_of(row.record)) not in wrong
        if is_right and not row.latency.is_further:
            valid.setdefault(subject, []).append(row)
    found = {subject: _fastest(subject[1], each) for subject, each in valid.items()}
    return {subject: best for subject, best in found.items() if best is not None}


def _fastest(model: str, measured: Sequence[Measured]) -> Fastest | None:
    counts = Counter(row.latency.timing for row in measured)
    timing = max(counts, key=lambda name: (counts[name], -BEST_FIRST.index(name)))
    rows = sorted((row for row in measured if row.latency.timing == timing), key=lambda row: row.summary.p50_ns)
    if len(rows) < 2 or shape_difference(*(row.record for row in rows)):  # noqa: PLR2004 - a race
        return None
    end_ns = rows[0].summary.p50_high_ns or rows[0].summary.p50_ns
    near: list[Measured] = []
    slower: list[Measured] = []
    for row in rows[1:]:
        (near if (row.summary.p50_low_ns or row.summary.p50_ns) <= end_ns else slower).append(row)
    lead = slower[0].summary.p50_ns / rows[0].summary.p50_ns if slower and rows[0].summary.p50_ns else None
    return Fastest(model=model, timing=timing, rows=(rows[0], *near), lead=lead)
