"""Many tests at once: p values adjusted for it, and how small they can get at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

FALSE_DISCOVERIES = 0.05
"""Share of false ones among what is called SLOWER or FASTER that is put up with."""


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Benjamini and Hochberg's procedure, in the order given.

    Source: Benjamini and Hochberg, Controlling the False Discovery Rate, 1995.
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    found = [1.0] * len(values)
    least = 1.0
    for rank, index in zip(range(len(values), 0, -1), order, strict=True):
        least = min(least, values[index] * len(values) / rank)
        found[index] = least
    return found


def needed_by_a_lone_change(tests: int) -> float:
    """Return the p value that the only change among that many tests has to reach."""
    return FALSE_DISCOVERIES / max(tests, 1)


def rank_floor(base: int, current: int) -> float:
    """Return the smallest two-sided p value that ranks of two groups can give, with no assumption on their shape."""
    return min(1.0, 2 / math.comb(base + current, base))


def sign_floor(pairs: int) -> float:
    """Return the smallest two-sided p value that the signs of pairs can give."""
    return min(1.0, 2 * 0.5**pairs)
