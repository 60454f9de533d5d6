"""One case of a comparison in detail: samples of both sides, clocks, environments, operators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.comparison import Comparison
from pytest_ortperf.reports.comparison.latency import LatencyPair
from pytest_ortperf.reports.comparison.side import Side

BINS = 24
MOST_OPERATORS = 8
_TAIL = 0.05
"""Share of samples at each end that only the outermost bins show."""

_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Samples of both sides in common bins."""

    timing: str
    edges_ms: tuple[float, ...]
    """One more than there are bins; the first and last bin also hold what lies outside."""

    base: tuple[float, ...]
    """Share of the samples in each bin."""

    current: tuple[float, ...]
    base_count: int
    current_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorShift:
    """Operators of one type on one provider, in one run of the model."""

    provider: str
    op_type: str
    base_ns: int
    current_ns: int

    @property
    def change_ns(self) -> int:
        """Positive is slower."""
        return self.current_ns - self.base_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All of that."""

    case_id: str
    base: Record
    current: Record
    pairs: tuple[LatencyPair, ...]
    overlays: tuple[Overlay, ...]
    operators: tuple[OperatorShift, ...]
    """Those whose time changed most, first."""

    operator_note: str | None
    """Why there are none."""


def explain(comparison: Comparison, name: str) -> Explanation:
    """Return one case in detail.

    Args:
        comparison: What it is of.
        name: Its case id, or a part of it that no other case has.

    Raises:
        ResultsFileError: If both sides have no such case, or several.
    """
    key = _find(comparison, name)
    base, current = comparison.base.last[key].record, comparison.current.last[key].record
    operators, note = _operators(base, current)
    return Explanation(
        case_id=key,
        base=base,
        current=current,
        pairs=tuple(pair for pair in comparison.pairs if pair.case_id == key),
        overlays=tuple(_overlays(comparison, key)),
        operators=operators,
        operator_note=note,
    )


def _find(comparison: Comparison, name: str) -> str:
    keys = [key for key in comparison.current.last if key in comparison.base.last]
    if name in keys:
        return name
    found = [key for key in keys if name in key]
    if len(found) == 1:
        return found[0]
    benchmarks = [key for key in found if "::benchmark[" in key]
    if len(benchmarks) == 1:
        return benchmarks[0]
    listed = found or keys
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    shown = ", ".join(listed[:_NAMES_SHOWN]) + more
    what = f"is part of {len(found)} cases" if found else "is no case of both sides"
    raise ResultsFileError(f"--explain {name}: {what}. Give one of: {shown or 'none'}.")


def _overlays(comparison: Comparison, key: str) -> Iterator[Overlay]:
    for latency in comparison.current.last[key].record.latencies:
        sides = [_samples(side, key, latency.timing) for side in (comparison.base, comparison.current)]
        if all(sides):
            yield overlay(latency.timing, *sides)


def _samples(side: Side, key: str, timing: str) -> list[int]:
    return [
        sample
        for record in side.all_of(key)
        for latency in record.latencies
        if latency.timing == timing
        for sample in latency.samples_ns
    ]


def overlay(timing: str, base: Sequence[int], current: Sequence[int]) -> Overlay:
    """Return samples in ns of both sides, at least one each, in bins of equal ratio."""
    ends = [end for side in (base, current) for end in _ends(side)]
    low, high = math.log(max(min(ends), 1)), math.log(max(*ends, 2))
    step = max((high - low) / BINS, 1e-6)
    edges = tuple(math.exp(low + step * number) / 1e6 for number in range(BINS + 1))
    shares = [_shares(side, low, step) for side in (base, current)]
    return Overlay(
        timing=timing,
        edges_ms=edges,
        base=shares[0],
        current=shares[1],
        base_count=len(base),
        current_count=len(current),
    )


def _ends(samples: Sequence[int]) -> tuple[int, int]:
    ordered = sorted(samples)
    cut = int(len(ordered) * _TAIL)
    return ordered[cut], ordered[-1 - cut]


def _shares(samples: Sequence[int], low: float, step: float) -> tuple[float, ...]:
    counts = [0] * BINS
    for sample in samples:
        counts[min(BINS - 1, max(0, int((math.log(max(sample, 1)) - low) / step)))] += 1
    return tuple(count / len(samples) for count in counts)


def _operators(base: Record, current: Record) -> tuple[tuple[OperatorShift, ...], str | None]:
    if base.operators is None or current.operators is None:
        return (), "operators were not timed on both sides (--ortperf-operators=on times them)"
    times = [
        {(each.provider, each.op_type): each.time_ns for each in profile.operators}
        for profile in (base.operators, current.operators)
    ]
    found = [
        OperatorShift(provider=key[0], op_type=key[1], base_ns=times[0].get(key, 0), current_ns=times[1].get(key, 0))
        for key in dict.fromkeys([*times[0], *times[1]])
    ]
    return tuple(sorted(found, key=lambda each: -abs(each.change_ns))[:MOST_OPERATORS]), None
