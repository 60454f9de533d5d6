"""Steps in one series: E-divisive finds where a series may change, a t test decides whether it did.

Sources: Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data" (2014),
for the energy distance that places a change; Fleming et al., "Hunter: Using Change Point Detection to Hunt for
Performance Regressions" (2023), for a t test in place of permutations and for removing weak changes last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_ortperf.records.intervals import lag1_correlation, two_sided_p

Values = npt.NDArray[np.float64]

FEWEST = 3
"""Values on either side of a step: it is seen once three runs have the new level, and one outlier is no level."""

MAX_P = 1e-5
MIN_CHANGE = 0.02
"""Relative; smaller steps are not looked for."""

_MOST_CORRELATION = 0.9
_CANDIDATE_P = 1e-3
_SHORT = 6
_NEIGHBOURS = 4
"""On either side of a value."""

_MOST_NOISES = 3.5
_TO_SIGMA = 1.4826
"""Median absolute deviation -> standard deviation, of a normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A place where the level of a series changes."""

    index: int
    """Of the first value of the new level."""

    before: float
    """Median between the step before and this one."""

    after: float
    """Median from this step to the next."""

    noise: float
    """Robust standard deviation around both."""

    p_value: float


def find_steps(values: Sequence[float] | Values, *, max_p: float = MAX_P, min_change: float = MIN_CHANGE) -> list[Step]:
    """Return the steps of a series of logarithms, in order.

    Args:
        values: Logarithms, all finite, oldest first.
        max_p: Largest p value of a step.
        min_change: Least relative change of a step.
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * FEWEST:
        return []
    clipped = _without_outliers(series)
    cuts = _candidates(clipped)
    while cuts:
        steps = _steps(clipped, series, cuts)
        least = math.log1p(min_change)
        weak = [
            step
            for step in steps
            if step.p_value > max_p or abs(step.after - step.before) < least or not _is_apart(series, cuts, step)
        ]
        if not weak:
            return steps
        # one at a time: its neighbours then stand on more values
        cuts.remove(max(weak, key=lambda step: step.p_value).index)
    return []


def noise_of(values: Sequence[float] | Values) -> float:
    """Return the robust standard deviation of values around their median."""
    series = np.asarray(values, dtype=np.float64)
    return _TO_SIGMA * float(np.median(np.abs(series - np.median(series))))


def _without_outliers(series: Values) -> Values:
    """Bring values nearer that are far from those before them and from those after them; steps stay as they are."""
    width = _MOST_NOISES * _TO_SIGMA * float(np.median(np.abs(np.diff(series)))) / math.sqrt(2)
    if width <= 0:
        return series
    medians = np.median(np.lib.stride_tricks.sliding_window_view(series, _NEIGHBOURS + 1), axis=1)
    places = np.arange(len(series))
    until, since = medians[np.maximum(places - _NEIGHBOURS, 0)], medians[np.minimum(places, len(medians) - 1)]
    return np.clip(series, np.minimum(until, since) - width, np.maximum(until, since) + width)


def _candidates(series: Values) -> list[int]:
    """Return where the series may change: halved where the energy distance is largest, as long as that says much."""
    distances = np.abs(series[:, None] - series[None, :])
    sums = np.zeros((len(series) + 1, len(series) + 1))
    sums[1:, 1:] = distances.cumsum(axis=0).cumsum(axis=1)
    found: list[int] = []
    open_parts = [(0, len(series))]
    while open_parts:
        start, end = open_parts.pop()
        if end - start < 2 * FEWEST:
            continue
        cut, until = _farthest(sums, start, end)
        if _p_value(series[start:cut], series[cut:until]) <= _CANDIDATE_P:
            found.append(cut)
            open_parts += [(start, cut), (cut, end)]
    return sorted(found)


def _farthest(sums: Values, start: int, end: int) -> tuple[int, int]:
    """Return a place and an end for which what lies before and behind the place differs most, by energy distance.

    The end may be before that of the part: a change that was taken back is seen too.

    Args:
        sums: Of the distances of all pairs before a row and a column.
        start: Of the part.
        end: Of the part, at least twice `FEWEST` behind its start.
    """
    cut = np.arange(start + FEWEST, end - FEWEST + 1)[:, None]
    until = np.arange(start + 2 * FEWEST, end + 1)[None, :]
    allowed = until - cut >= FEWEST
    left, right = cut - start, np.where(allowed, until - cut, FEWEST)
    across = sums[cut, until] - sums[cut, cut] - sums[start, until] + sums[start, cut]
    within_left = sums[cut, cut] - 2 * sums[start, cut] + sums[start, start]
    within_right = sums[until, until] - 2 * sums[cut, until] + sums[cut, cut]
    energy = 2 * across / (left * right) - within_left / (left * (left - 1)) - within_right / (right * (right - 1))
    scaled = np.where(allowed, left * right / (left + right) * energy, -np.inf)
    row, column = divmod(int(scaled.argmax()), scaled.shape[1])
    return int(cut[row, 0]), int(until[0, column])


def _steps(clipped: Values, series: Values, cuts: Sequence[int]) -> list[Step]:
    edges = [0, *cuts, len(series)]
    widening = _widening(clipped, edges)
    found = []
    for start, cut, end in zip(edges, cuts, edges[2:], strict=False):
        left, right = series[start:cut], series[cut:end]
        before, after = float(np.median(left)), float(np.median(right))
        deviations = np.abs(np.concatenate([left - before, right - after]))
        step = Step(
            index=cut,
            before=before,
            after=after,
            noise=_TO_SIGMA * float(np.median(deviations)),
            p_value=_p_value(clipped[start:cut], clipped[cut:end], widening),
        )
        found.append(step)
    return found


def _is_apart(series: Values, cuts: Sequence[int], step: Step) -> bool:
    """Tell whether all values of a short part are nearer to its level than to the other: else they are outliers."""
    place = cuts.index(step.index)
    start, end = (0, *cuts, len(series))[place], (*cuts, len(series))[place + 1]
    middle, is_up = (step.before + step.after) / 2, step.after > step.before
    parts = (series[start : step.index] < middle) == is_up, (series[step.index : end] > middle) == is_up
    return all(bool(part.all()) for part in parts if len(part) < _SHORT)


def _widening(series: Values, edges: Sequence[int]) -> float:
    """Return how much farther means are off than those of independent values, as neighbours have much in common.

    That is sqrt((1 + r) / (1 - r)) for a correlation r of neighbours that fades from one to the next. What is left
    around fitted means correlates less than the noise does, the less the shorter the parts; that is made up for.
    """
    parts = [series[start:end] for start, end in itertools.pairwise(edges)]
    left = np.concatenate([part - part.mean() for part in parts])
    correlation = lag1_correlation(left.tolist())
    if correlation is None:
        return 1.0
    unbiased = correlation + len(parts) * (1 + 3 * max(correlation, 0.0)) / len(series)
    within = min(max(unbiased, 0.0), _MOST_CORRELATION)
    return math.sqrt((1 + within) / (1 - within))


def _p_value(left: Values, right: Values, widening: float = 1.0) -> float:
    """Return how likely means so far apart are by chance."""
    difference = abs(float(left.mean() - right.mean()))
    freedom = len(left) + len(right) - 2
    squares = float(((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum())
    error = widening * math.sqrt(squares / freedom * (1 / len(left) + 1 / len(right)))
    if error <= difference * 1e-12:
        return 0.0 if difference > 0 else 1.0
    return two_sided_p(difference / error, freedom)
