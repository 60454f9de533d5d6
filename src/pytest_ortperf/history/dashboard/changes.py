"""What changed in a run: its values against the median of earlier runs of its branch on its machine."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pytest_ortperf.history.dashboard.view import Run, Series

WINDOW = 10
"""Earlier runs that a value is held against."""

LEAST_RUNS = 3
"""Of them; with fewer nothing is said."""

SCATTER = 3.0
"""Besides both floors, a change is beyond so many times the scatter of earlier runs: a standard deviation, from their
MAD."""

FLEET = 8
"""Series of one quantity and variant that tell a slower machine from a slower model."""

_ALMOST = 1 - 1e-9

_DEVIATION = 1.4826
"""From the median absolute deviation to a standard deviation, of a normal distribution."""

Values: TypeAlias = Mapping[int, float]
"""By series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A value beside those of earlier runs."""

    series: Series
    value: float
    median: float
    """Of earlier runs; times what the rest of the run shows, where that is known."""

    change: float
    """Relative to the median; 1 or -1 where that is 0."""

    is_change: bool
    """Whether it is beyond the floors and the scatter."""

    earlier: tuple[float, ...]

    @property
    def better(self) -> int:
        """1, -1, or 0 where nothing changed."""
        if not self.is_change:
            return 0
        return 1 if (self.change > 0) is self.series.more_is_better else -1

    @property
    def word(self) -> str:
        """For the change."""
        if self.series.is_time and self.series.unit in ("ms", "s"):
            return "slower" if self.change > 0 else "faster"
        return "more" if self.change > 0 else "less"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All series of one quantity and variant in a run."""

    metric: str
    variant: str
    ratio: float
    count: int
    floor: float
    """From here on it is worth saying."""


class EarlierRuns:
    """Finds what a run is compared with.

    Args:
        runs: In the order of time.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._order = {run.id: place for place, run in enumerate(runs)}
        self._places: dict[tuple[str | None, str | None], list[Run]] = {}
        counts: dict[str | None, int] = {}
        for run in runs:
            self._places.setdefault(run.place, []).append(run)
            counts[run.branch] = counts.get(run.branch, 0) + 1
        self.main_branch = max(counts, key=lambda name: (counts[name], name or ""), default=None)
        """The one with most runs."""

    def of(self, run: Run, count: int = WINDOW) -> list[Run]:
        """Return earlier runs of the branch, oldest first; where they are too few, of the branch with most runs."""
        found = self._before(run, run.place, count)
        if len(found) >= LEAST_RUNS or run.branch == self.main_branch:
            return found
        return self._before(run, (self.main_branch, run.machine), count)

    def _before(self, run: Run, place: tuple[str | None, str | None], count: int) -> list[Run]:
        runs = self._places.get(place, [])
        end = bisect.bisect_left(runs, self._order[run.id], key=lambda other: self._order[other.id])
        return runs[max(0, end - count) : end]


def newest_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the newest run of each branch and machine, the newest first."""
    newest = {run.place: run for run in runs}
    order = {run.id: place for place, run in enumerate(runs)}
    return sorted(newest.values(), key=lambda run: -order[run.id])


def levels(
    values: Values, earlier: Sequence[Values], series: Mapping[int, Series]
) -> tuple[dict[int, Level], list[Fleet]]:
    """Return each value of a run beside those of earlier runs, and how all series of a variant moved.

    Args:
        values: Of the run.
        earlier: Of each earlier run, oldest first.
        series: By id.
    """
    known = {}
    for number in values:
        found = tuple(each[number] for each in earlier if number in each)
        if len(found) >= LEAST_RUNS:
            known[number] = found
    fleets = _fleets(values, known, series)
    ratios = {(fleet.metric, fleet.variant): fleet.ratio for fleet in fleets}
    return {
        number: _level(series[number], values[number], found, ratios)
        for number, found in known.items()
        if number in series
    }, fleets


def _level(series: Series, value: float, earlier: tuple[float, ...], ratios: Mapping[tuple[str, str], float]) -> Level:
    median = statistics.median(earlier)
    expected = median * ratios.get((series.metric, series.variant), 1.0)
    scatter = _DEVIATION * statistics.median(abs(each - median) for each in earlier)
    away = abs(value - expected)
    relative, absolute = series.floors or (math.inf, math.inf)
    is_far = away > max(relative * abs(expected), absolute, SCATTER * scatter)
    is_change = bool(series.floors) and is_far and _is_rare(away if value > expected else -away, median, earlier)
    return Level(
        series=series,
        value=value,
        median=expected,
        change=(value - expected) / (abs(expected) or away or 1.0),
        is_change=is_change,
        earlier=earlier,
    )


def _is_rare(away: float, median: float, earlier: tuple[float, ...]) -> bool:
    """Return whether at most one of ten earlier runs was as far away, but for those right before with the new level."""
    side = math.copysign(1, away)
    as_far = [side * (each - median) >= abs(away) * _ALMOST for each in earlier]
    while as_far and as_far[-1]:
        as_far.pop()
    return sum(as_far) <= len(earlier) // WINDOW


def _fleets(values: Values, earlier: Mapping[int, tuple[float, ...]], series: Mapping[int, Series]) -> list[Fleet]:
    ratios: dict[tuple[str, str, float], list[float]] = {}
    for number, found in earlier.items():
        about = series.get(number)
        median = statistics.median(found)
        if about and about.is_time and about.floors and median > 0:
            ratios.setdefault((about.metric, about.variant, about.floors[0]), []).append(values[number] / median)
    return [
        Fleet(metric=metric, variant=variant, ratio=statistics.median(found), count=len(found), floor=floor)
        for (metric, variant, floor), found in sorted(ratios.items())
        if len(found) >= FLEET
    ]


def ranked(found: Iterable[Level]) -> list[Level]:
    """Return changes for the worse, the largest first, then those for the better."""
    listed = [level for level in found if level.is_change]
    return sorted(listed, key=lambda level: (level.better, -abs(level.change), level.series.id))


def rule_text() -> str:
    """Return the rule in words."""
    return (
        f"A value is listed when it differs from the median of up to {WINDOW} earlier runs of its branch on its "
        f"machine by more than two floors and by more than {SCATTER:g} times their scatter, and at most one of ten "
        f"was as far away, but for those right before it. The floors are 5 % and "
        f"0.01 ms for the median latency, 2 % and 8 MiB for peak memory, 25 % and 0.05 s for the creation of sessions, "
        f"5 % and 1 mJ for energy; errors of outputs have to double. Where {FLEET} or more cases of a provider were "
        f"measured, what all of them share is the machine's or the runtime's, and is taken out first. A branch with "
        f"fewer than {LEAST_RUNS} runs is held against the branch with most runs."
    )
