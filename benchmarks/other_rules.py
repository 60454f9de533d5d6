"""How other tools decide whether something got slower, on what each would have: one process a side."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from ab_data import CaseData, Side

MEAN_PERCENT = 5.0
ASV_FACTOR = 1.1
ASV_P = 0.002
_MOST_EXACT = 20

Rule = Callable[[Side, Side], bool]
"""Whether the second got slower than the first."""


def mean_fails(base: Side, current: Side) -> bool:
    """pytest-benchmark's `--benchmark-compare-fail=mean:5%`: the mean is more than 5 % above the stored one."""
    return current.mean_ns / base.mean_ns - 1 > MEAN_PERCENT / 100


def asv_slower(base: Side, current: Side) -> bool:
    """The rule of asv's `compare` and `continuous` by default: medians 1.1 apart, samples that differ."""
    medians = [statistics.median(side.turns_ns) for side in (base, current)]
    return asv_different(base.turns_ns, current.turns_ns) and medians[0] < medians[1] / ASV_FACTOR


def asv_different(one: Sequence[float], two: Sequence[float]) -> bool:
    """Return whether a Mann-Whitney test gives p < 0.002.

    Raises:
        ValueError: If there are so few samples that it never can; asv has another rule for that, left out here.
    """
    if 1 / math.comb(len(one) + len(two), len(one)) >= ASV_P:
        raise ValueError(f"{len(one)} and {len(two)} samples are too few for p < {ASV_P}")
    return mann_whitney_p(one, two) < ASV_P


def mann_whitney_p(one: Sequence[float], two: Sequence[float]) -> float:
    """Return the two-sided p value of a Mann-Whitney test; ties count as what makes it largest.

    Exact up to 20 samples a side, beyond by the normal distribution.
    """
    pairs = len(one) * len(two)
    above = sum(a > b for a in one for b in two)
    ties = sum(a == b for a in one for b in two)
    closest = min(max(pairs / 2, above), above + ties)
    extreme = math.floor(min(closest, pairs - closest))
    if max(len(one), len(two)) <= _MOST_EXACT:
        below = sum(_orders(len(one), len(two), value) for value in range(extreme + 1))
        return min(1.0, 2 * below / math.comb(len(one) + len(two), len(one)))
    deviation = math.sqrt(pairs * (len(one) + len(two) + 1) / 12)
    return min(1.0, math.erfc((pairs / 2 - extreme) / deviation / math.sqrt(2)))


@functools.cache
def _orders(one: int, two: int, above: int) -> int:
    """Return in how many orders of two groups just so many pairs have the first group's member above."""
    if above < 0:
        return 0
    if not one or not two:
        return int(above == 0)
    return _orders(one - 1, two, above - two) + _orders(one, two - 1, above)


def original_means(base: Side, current: Side) -> bool:
    """The removed ONNX Runtime script as its README has it: the mean is above the one before, by whatever."""
    return current.mean_ns > base.mean_ns


def original_written(base: Side, current: Side) -> bool:
    """The same as its code has it: the mean is *below* the one before."""
    return current.mean_ns < base.mean_ns


RULES: Mapping[str, Rule] = {
    "pytest-benchmark, mean:5%": mean_fails,
    "asv, factor 1.1": asv_slower,
    "removed script, as meant": original_means,
    "removed script, as written": original_written,
}


def called_slower(rule: Rule, case: CaseData) -> bool:
    """Return what a rule says to the first pair of a case."""
    return rule(case.base, case.current)
