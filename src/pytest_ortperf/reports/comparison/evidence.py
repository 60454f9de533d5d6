"""What is known of the ratio of two latencies, and from what: runs, single runs beside their fleet, or pairs.

Student's t distribution for whole degrees of freedom, in closed form.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_EXACT = 300
"""Degrees of freedom up to which the finite series is summed; beyond, a normal distribution stands for it."""

_STEPS = 80


def two_sided_p(statistic: float, freedom: int) -> float:
    """Return the probability of a t at least that far from 0.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3, 26.7.4 and 26.7.8.

    Args:
        statistic: The t; infinite gives 0.
        freedom: Degrees of freedom, at least 1.

    Raises:
        ValueError: If there are no degrees of freedom.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom; a t has at least 1")
    size = abs(statistic)
    if math.isinf(size):
        return 0.0
    if freedom > _MOST_EXACT:
        normal = size * (1 - 1 / (4 * freedom)) / math.sqrt(1 + size * size / (2 * freedom))
        return math.erfc(normal / math.sqrt(2))
    inside = _odd(size, freedom) if freedom % 2 else _even(size, freedom)
    return min(1.0, max(0.0, 1 - inside))


@functools.lru_cache(maxsize=1024)
def critical_value(probability: float, freedom: int) -> float:
    """Return the t that is exceeded in size with a probability between 0 and 1.

    Half the width of a 90 % interval is `critical_value(0.1, freedom)` standard errors.
    """
    high = 1.0
    while two_sided_p(high, freedom) > probability:
        high *= 2
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, freedom) > probability else (low, middle)
    return high


def _odd(size: float, freedom: int) -> float:
    angle = math.atan(size / math.sqrt(freedom))
    cosine = math.cos(angle)
    term, total = cosine, 0.0
    for number in range(3, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (number - 1) / number
    return 2 / math.pi * (angle + math.sin(angle) * total)


def _even(size: float, freedom: int) -> float:
    angle = math.atan(size / math.sqrt(freedom))
    cosine = math.cos(angle)
    term, total = 1.0, 0.0
    for number in range(2, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (number - 1) / number
    return math.sin(angle) * total


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
