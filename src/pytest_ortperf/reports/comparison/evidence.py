"""What is known of the ratio of two latencies, and from what: runs, single runs beside their fleet, or pairs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.records.intervals import critical_value, two_sided_p

PAIRS, RUNS, SINGLE = "pairs", "runs", "single runs"

MIN_RUNS = 3
"""Runs on each side from which on their own spread can show a change."""

MIN_STORED_RUNS = 6
"""Stored runs from which on one current run can be held against their spread."""

OUTSIDE = 0.10
"""Of the interval that is shown: what lies outside of it on both sides together."""

_MOST_LOG = 100.0
_TINY = 1e-9
"""Least standard error: numbers that are all the same prove nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The logarithm of current over base, with its error."""

    kind: str
    """`pairs` (interleaved), `runs` (their spread) or `single runs` (the spread of the fleet)."""

    log_ratio: float
    error: float
    """Standard error."""

    freedom: int
    """Degrees of freedom of the error."""

    base_count: int
    current_count: int

    @property
    def ratio(self) -> float:
        """Current over base; above 1 is slower."""
        return math.exp(self.log_ratio)

    @property
    def half_width(self) -> float:
        """Half of the 90 % interval, of the logarithm."""
        return self.error * critical_value(OUTSIDE, self.freedom)

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval of the ratio: inside of plus and minus delta, both one-sided tests at 5 % say SAME."""
        half = min(self.half_width, _MOST_LOG)
        return math.exp(self.log_ratio - half), math.exp(self.log_ratio + half)

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the error."""
        return math.isfinite(self.error)

    @property
    def p(self) -> float:
        """Two-sided, of no change at all."""
        return two_sided_p(self.log_ratio / self.error, self.freedom)

    @property
    def may_decide(self) -> bool:
        """Whether there is enough of it for SLOWER and FASTER."""
        least = min(self.base_count, self.current_count)
        return self.kind == SINGLE or least >= MIN_RUNS or self.base_count >= MIN_STORED_RUNS


def of_pairs(log_ratios: Sequence[float]) -> Evidence:
    """Return what interleaved pairs of processes say.

    Args:
        log_ratios: One a pair, at least two.
    """
    count = len(log_ratios)
    error = statistics.stdev(log_ratios) / math.sqrt(count)
    return Evidence(
        kind=PAIRS,
        log_ratio=statistics.fmean(log_ratios),
        error=max(error, _TINY),
        freedom=count - 1,
        base_count=count,
        current_count=count,
    )


def of_runs(base: Sequence[float], current: Sequence[float], *, fleet_spread: float = 0.0, fleet: int = 1) -> Evidence:
    """Return what several runs say: logarithms of latencies, one a run, less what the run's fleet has in common.

    Both sides have their own spread (Welch, degrees of freedom rounded down); one run alone has that of the others.

    Args:
        base: At least one.
        current: Likewise; more than two with those of the base.
        fleet_spread: Of the fleet's log ratios. The error is not less: three runs are often alike by luck.
        fleet: Pairs in it.
    """
    error, freedom = _welch(base, current) if min(len(base), len(current)) > 1 else _pooled(base, current)
    if fleet_spread > error:
        error, freedom = fleet_spread, max(fleet - 1, 1)
    return Evidence(
        kind=RUNS,
        log_ratio=statistics.fmean(current) - statistics.fmean(base),
        error=max(error, _TINY),
        freedom=freedom,
        base_count=len(base),
        current_count=len(current),
    )


def of_single_runs(log_ratio: float, *, fleet_spread: float, fleet: int, own_errors: Sequence[float]) -> Evidence:
    """Return what one run on each side says, beside the other pairs of its fleet.

    Args:
        log_ratio: Less the shift of the fleet.
        fleet_spread: Robust standard deviation of the fleet's log ratios: what moves from run to run.
        fleet: Pairs in it.
        own_errors: Standard errors within the processes of both sides, where known.
    """
    own = math.hypot(*own_errors) if own_errors else 0.0
    return Evidence(
        kind=SINGLE,
        log_ratio=log_ratio,
        error=max(fleet_spread, own, _TINY),
        freedom=max(fleet - 1, 1),
        base_count=1,
        current_count=1,
    )


def _welch(base: Sequence[float], current: Sequence[float]) -> tuple[float, int]:
    parts = [statistics.variance(side) / len(side) for side in (base, current)]
    total = sum(parts)
    if total <= 0:
        return 0.0, min(len(base), len(current)) - 1
    below = sum(part * part / (len(side) - 1) for part, side in zip(parts, (base, current), strict=True))
    return math.sqrt(total), max(1, math.floor(total * total / below + _TINY))


def _pooled(base: Sequence[float], current: Sequence[float]) -> tuple[float, int]:
    freedom = len(base) + len(current) - 2
    squares = sum(statistics.variance(side) * (len(side) - 1) for side in (base, current) if len(side) > 1)
    return math.sqrt(squares / freedom * (1 / len(base) + 1 / len(current))), freedom
