"""Confidence intervals.

Of a median, from blocks: what neighbouring samples have in common does not narrow it. Of a mean, from Student's t
distribution for whole degrees of freedom, in closed form.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95
MIN_BLOCKS = 10
"""Blocks that an interval is made of, where the samples allow it."""

FEWEST = 6
"""Values from which on there is a 95 % interval of their median: from least to greatest, 96.9 %."""

MOST_CORRELATION = 0.2
"""Of neighbouring block medians; above it, blocks are too short."""

_BY_CHANCE = 1.28

BLOCK_ITERATIONS = 10
"""Of a block, if nothing else is known."""


@functools.lru_cache(maxsize=4096)
def interval_rank(count: int) -> int | None:
    """Return the rank k for which the k-th least and k-th greatest of `count` values enclose the median.

    They do so with 95 % probability at least: the number of values below the median is binomial. `None` if even
    least and greatest do not, which is so below 6 values.
    """
    allowed = (1 - CONFIDENCE) / 2
    rank, term, below = 0, 0.5**count if count < 1000 else 0.0, 0.0  # noqa: PLR2004 - beyond it 0.5**n is 0
    if count >= 1000:  # noqa: PLR2004 - normal approximation, off by less than one rank
        return max(1, math.floor((count - statistics.NormalDist().inv_cdf(1 - allowed) * math.sqrt(count)) / 2))
    while below + term <= allowed:
        below += term
        rank += 1
        term *= (count - rank + 1) / rank
    return rank or None


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the median of independent values; `None` if they are fewer than 6."""
    rank = interval_rank(len(values))
    if rank is None:
        return None
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


def relative_half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the median's interval as a share of the median."""
    interval = median_interval(values)
    middle = statistics.median(values) if values else 0
    if interval is None or middle <= 0:
        return None
    return (interval[1] - interval[0]) / 2 / middle


def block_medians(samples: Sequence[int], length: int) -> list[float]:
    """Return the median of each whole block of `length` samples; what is left over belongs to none."""
    ends = range(length, len(samples) + 1, length)
    return [statistics.median(samples[end - length : end]) for end in ends]


def lag1_correlation(values: Sequence[float]) -> float | None:
    """Return the correlation of each value with the next; `None` below 3 values, or where all are the same."""
    if len(values) < 3:  # noqa: PLR2004 - two pairs
        return None
    mean = sum(values) / len(values)
    centred = [value - mean for value in values]
    variance: float = sum(map(operator.mul, centred, centred))
    if variance <= 0:
        return None
    covariance: float = sum(map(operator.mul, centred, itertools.islice(centred, 1, None)))
    return covariance / variance


def correlated(medians: Sequence[float]) -> bool:
    """Tell whether neighbouring block medians are too alike to count as independent.

    Above 0.2, and above what independent ones reach by chance in one of ten cases: 0.4 for 10 blocks.
    """
    correlation = lag1_correlation(medians)
    return correlation is not None and correlation > max(MOST_CORRELATION, _BY_CHANCE / math.sqrt(len(medians)))


def fitting_length(samples: Sequence[int], length: int | None) -> int:
    """Return the block length for samples whose number is final.

    At most the one wanted where that leaves too few blocks; longer while neighbouring block medians correlate and
    half as many would do.

    Args:
        samples: In call order.
        length: The one wanted; `None` if nothing is known.
    """
    fitting = max(1, min(length or BLOCK_ITERATIONS, len(samples) // MIN_BLOCKS))
    while len(samples) // (2 * fitting) >= MIN_BLOCKS and correlated(block_medians(samples, fitting)):
        fitting *= 2
    return fitting


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


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of independent values; `None` if they are fewer than 2."""
    if len(values) < 2:  # noqa: PLR2004 - one value has no spread
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    half_width = critical_value(1 - CONFIDENCE, len(values) - 1) * error
    mean = statistics.fmean(values)
    return mean - half_width, mean + half_width
