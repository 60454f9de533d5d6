"""Warm-up: untimed runs until two windows of them agree, capped, and labelled where they never did."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.timing_loop import WALL_CLOCK, Clock, time_calls
from pytest_ortperf.records.statistics import MILD, median_absolute_deviation, percentile

MIN_RUNS, MIN_S = 3, 0.5
WINDOW_RUNS, WINDOW_S = 20, 0.25
FEWEST_IN_WINDOW = 3
"""Of a model so slow that two windows of 20 runs would take more than the warm-up may."""

MAX_S = 10.0

MAX_WINDOWS = 15
"""300 runs in windows of 20."""

STEP_S = 0.05
"""How far windows of 0.25 s move on; windows of 20 runs move on by one."""

SAME_LEVEL, SAME_SPREAD = 0.05, 0.10
_MOST_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What a warm-up did."""

    iterations: int
    ns: int
    steady: bool | None
    """Whether two windows agreed; `None` where nobody looked: a number of runs was asked for, or runs are too slow."""

    run_ns: float | None
    """Median time of a run at its end; `None` without runs."""


def warm_up(
    call: Callable[[], object],
    settings: ExecutionSettings,
    ready: Callable[[], bool] = lambda: True,
    clock: Clock = WALL_CLOCK,
) -> WarmUp:
    """Run `call` until it takes the same time as before, and return what that took.

    At least 3 runs and 0.5 s; then until two neighbouring windows of 20 runs, or of 0.25 s if that is more, agree in
    median, quartiles and spread. At most 300 runs, or 15 windows of 0.25 s, or 10 s, or half of `settings.max_time_s`;
    while it is not ready, up to 10 s or four times `settings.max_time_s`. With `settings.warmup` exactly that number.

    Args:
        call: One iteration.
        settings: How long.
        ready: What else must hold at its end, such as a GPU's clock that no longer moves.
        clock: For tests.
    """
    if settings.warmup is not None:
        return _done(time_calls(call, settings.warmup, clock), steady=None)
    runs, spent_ns = array("q"), 0

    def run(count: int) -> None:
        nonlocal spent_ns
        new = time_calls(call, count, clock)
        runs.extend(new)
        spent_ns += sum(new)

    while len(runs) < MIN_RUNS or spent_ns < MIN_S * 1e9:
        run(max(1, int(len(runs) * STEP_S * 1e9 / max(spent_ns, 1))))
    most_ns = min(MAX_S, settings.max_time_s / 2) * 1e9
    longest_ns = min(MAX_S, 4 * settings.max_time_s) * 1e9
    window = window_runs(statistics.median(runs), most_ns)
    if window is None:
        return _done(runs, steady=None)
    most_runs = len(runs) + MAX_WINDOWS * window
    run(2 * window)
    while True:
        if agree(runs[-2 * window : -window], runs[-window:]) and ready():
            return _done(runs, steady=True)
        is_over = len(runs) >= most_runs or spent_ns >= most_ns
        if is_over and (spent_ns >= longest_ns or ready()):
            return _done(runs, steady=False)
        run(max(1, int(window * STEP_S / WINDOW_S)) if window > WINDOW_RUNS else 1)


def window_runs(run_ns: float, most_ns: float) -> int | None:
    """Return how many runs a window has; `None` if runs are so slow that not even the smallest windows fit."""
    if not run_ns:
        return WINDOW_RUNS
    natural = max(WINDOW_RUNS, math.ceil(WINDOW_S * 1e9 / run_ns))
    fitting = int((most_ns - MIN_S * 1e9) / 2 / run_ns)
    if fitting >= natural or natural > WINDOW_RUNS:
        return natural
    return fitting if fitting >= FEWEST_IN_WINDOW else None


def agree(earlier: Sequence[int], later: Sequence[int]) -> bool:
    """Tell whether two windows of runs are alike, and the first run of the earlier one is no outlier of it.

    Median and quartiles differ by at most 5 %, the median absolute deviation by at most 10 %. Windows of fewer than
    20 runs are not asked for the latter: of 3 runs, it differs by more in one of eight pairs of windows that only
    chance tells apart.
    Source: the calibration of warm-ups in pyperf (pyperf/_worker.py), with the median in the place of the mean.
    """
    one, other = sorted(_thinned(earlier)), sorted(_thinned(later))
    q1, q3 = percentile(one, 25), percentile(one, 75)
    if earlier[0] > q3 + MILD * (q3 - q1):
        return False
    levels = all(_close(percentile(one, at), percentile(other, at), SAME_LEVEL) for at in (25, 50, 75))
    return levels and (
        len(later) < WINDOW_RUNS
        or _close(median_absolute_deviation(one), median_absolute_deviation(other), SAME_SPREAD)
    )


def _close(one: float, other: float, share: float) -> bool:
    return abs(one - other) <= share * other


def _thinned(window: Sequence[int]) -> Sequence[int]:
    return window[:: math.ceil(len(window) / _MOST_LOOKED_AT)]


def _done(runs: Sequence[int], *, steady: bool | None) -> WarmUp:
    run_ns = statistics.median(runs[-WINDOW_RUNS:]) if runs else None
    return WarmUp(iterations=len(runs), ns=sum(runs), steady=steady, run_ns=run_ns)
