"""Change points of all series of one machine, provider and timing: what they have in common is taken out first.

Runs are looked at in windows of 100 that overlap by half; each window answers for its middle. So what a new run may
change lies in the last two windows, and the same points give the same answer whether they came one by one or at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_ortperf.history.steps import Values, find_steps
from pytest_ortperf.reports.comparison.fleet import MIN_FLEET

WINDOW = 100
"""Runs that are looked at together."""

_HALF, _QUARTER = WINDOW // 2, WINDOW // 4
NEAR = 5
"""Runs by which the place of a change may move while runs are added: within it, it is the same change."""

_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """A step of one series, in positions of the runs and rows it was looked for in."""

    series: int
    """Row."""

    before: int
    """Column of the last value of the old level."""

    at: int
    """Column of the first value of the new level."""

    before_level: float
    """Median of the values from the last change to this one, the common movement taken out."""

    after_level: float
    """Median from this change to the next, likewise."""

    noise: float
    """Relative standard deviation from run to run around both levels."""

    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some runs in a row that are looked at together."""

    start: int
    end: int
    is_last: bool

    @property
    def first(self) -> int:
        """First run it answers for."""
        return self.start + _QUARTER if self.start else 0

    @property
    def last(self) -> int:
        """End of the runs it answers for; the next window, which begins a little before, may place a change earlier."""
        return self.end if self.is_last else self.start + WINDOW - _QUARTER + NEAR

    @property
    def settled(self) -> int:
        """First run that the window before has no say in."""
        return self.first + NEAR if self.start else 0


def windows_of(count: int, first_new: int = 0) -> list[Window]:
    """Return the windows over `count` runs whose answers may differ once those from `first_new` on are there.

    The first of them is one whose runs are all known already, unless there is none: what it said of its first runs
    stands, see `Window.settled`.
    """
    number = max(1, math.ceil((count - WINDOW) / _HALF) + 1)
    starts = range(0, number * _HALF, _HALF)
    first = sum(start + WINDOW <= first_new for start in starts)
    return [
        Window(start=start, end=min(start + WINDOW, count), is_last=start == starts[-1])
        for start in starts[max(0, first - 1) :]
    ]


def level_changes(values: Values, windows: Sequence[Window], known: Iterable[LevelChange] = ()) -> list[LevelChange]:
    """Return the change points at or behind the first window's settled runs.

    Args:
        values: One row a series, one column a run, from the start of the first window to the end of the last; NaN
            where a run has no value. Values that are not above 0 count as none.
        windows: Of `windows_of`.
        known: What was found before; only what is settled matters.
    """
    settled = windows[0].settled
    found = {_place(change): change for change in known if change.at < settled}
    origin = windows[0].start
    logs = np.log(np.where(values > 0, values, np.nan))
    for window in windows:
        for change in _of_window(logs[:, window.start - origin : window.end - origin], window.start):
            series, at, is_slower = _place(change)
            is_known = any((series, at + by, is_slower) in found for by in range(-NEAR, NEAR + 1))
            if max(window.first, settled) <= at < window.last and not is_known:
                found[_place(change)] = change
    return [change for change in found.values() if change.at >= settled]


def _place(change: LevelChange) -> tuple[int, int, bool]:
    return change.series, change.at, change.after_level > change.before_level


def without_common_movement(logs: Values) -> Values:
    """Return logarithms less what all series of a run have in common; runs with fewer than 8 series are left out.

    Where no run has that many, nothing is taken out. What is common is the median over the series of how far each is
    from its own median, as a comparison of two runs has it.
    """
    present = np.isfinite(logs)
    enough = present.sum(axis=0) >= MIN_FLEET
    if not enough.any():
        return logs
    left: Values = np.where(enough, logs, np.nan)
    for _ in range(_ROUNDS):
        left = left - _medians(left - _medians(left, axis=1), axis=0)
    return left


def _medians(values: Values, axis: int) -> Values:
    """Return medians of what is there; 0 where nothing is."""
    is_empty = ~np.isfinite(values).any(axis=axis, keepdims=True)
    return np.asarray(np.nanmedian(np.where(is_empty, 0.0, values), axis=axis, keepdims=True))


def _of_window(logs: Values, offset: int) -> Iterator[LevelChange]:
    normalised = without_common_movement(logs)
    for row, line in enumerate(normalised):
        columns = np.flatnonzero(np.isfinite(line))
        for step in find_steps(line[columns]):
            yield LevelChange(
                series=row,
                before=offset + int(columns[step.index - 1]),
                at=offset + int(columns[step.index]),
                before_level=math.exp(step.before),
                after_level=math.exp(step.after),
                noise=step.noise,
                p_value=step.p_value,
            )
