"""Student's t distribution for whole degrees of freedom, in closed form."""

from __future__ import annotations

import functools
import math

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
