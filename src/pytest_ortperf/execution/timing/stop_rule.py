"""When to stop sampling: block after block, until the interval of the median is as narrow as asked for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.records.intervals import (
    BLOCK_ITERATIONS,
    MIN_BLOCKS,
    block_medians,
    correlated,
    relative_half_width,
)

BLOCK_S = 0.05
MIN_RUNS = 30
SLOW_S = 1.0
"""From here on a run is a block of its own."""

MIN_SLOW_RUNS = 7
"""Of a run that slow; and of any, however little time there is. 6 is the smallest number with a 95 % interval."""

HITS = 3
"""Blocks in a row after which the interval is narrow enough: one alone may be so by chance."""

LOOK_BACK = 16
"""Blocks that count as the later half at least. Of steady noise, the interval narrows with the root of their number;
the narrowest of the last 16 seems not to in every second case."""

LEAST_IMPROVEMENT = 0.05

_SHARE_OF_MAX = 1 / 3
_FIRST_STOP = MIN_BLOCKS + HITS - 1
_FEWEST_IN_BLOCK = 3
_HOPELESS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How precise, and how long at least and at most."""

    half_width: float
    """Of the 95 % interval of the median, as a share of the median."""

    min_ns: float
    max_ns: float


def block_runs(run_ns: float, max_ns: float) -> int:
    """Return how many runs a block has.

    10, or as many as last 50 ms if that is more; 1 if a run takes over a second. Of slower runs fewer than 10, 3 at
    least, so that the blocks that are needed at least take a third of the time there is.
    """
    if run_ns > SLOW_S * 1e9:
        return 1
    if not run_ns:
        return BLOCK_ITERATIONS
    fitting = int(max_ns * _SHARE_OF_MAX / _FIRST_STOP / run_ns)
    return max(min(BLOCK_ITERATIONS, fitting), _FEWEST_IN_BLOCK, math.ceil(BLOCK_S * 1e9 / run_ns))


class StopRule:
    """Looks at the samples after each block, and says when they are enough.

    Attributes:
        length: Runs in a block; doubled while the medians of neighbouring blocks correlate.
        half_width: Of the median's interval now, as a share of the median; `None` below 6 blocks.
    """

    def __init__(self, length: int, goal: Goal) -> None:
        self.length = length
        self.half_width: float | None = None
        self._goal = goal
        self._is_slow = length == 1
        self._medians: list[float] = []
        self._widths: list[float] = []
        self._hits = 0

    def stop(self, samples: Sequence[int], elapsed_ns: float) -> str | None:
        """Return why sampling ends now, or `None` while it goes on.

        Args:
            samples: All so far, in call order; to be told after every block at least.
            elapsed_ns: Since sampling began.
        """
        if len(samples) // self.length > len(self._medians):
            self._look(samples)
        if self._has_enough(len(samples), elapsed_ns):
            if self._hits >= HITS:
                return "target"
            if self._no_gain():
                return "no gain"
            if self._out_of_reach(elapsed_ns):
                return "out of reach"
        if elapsed_ns >= self._goal.max_ns and len(samples) >= MIN_SLOW_RUNS:
            return "max time"
        return None

    def blocks_left(self) -> float | None:
        """Return how many more blocks it takes, as the interval narrows with the root of their number."""
        if self.half_width is None:
            return None
        done = len(self._medians)
        needed = done * (self.half_width / self._goal.half_width) ** 2
        return max(needed - done, HITS - self._hits, self._min_blocks - done, 0)

    @property
    def _min_blocks(self) -> int:
        return MIN_SLOW_RUNS if self._is_slow else MIN_BLOCKS

    def _look(self, samples: Sequence[int]) -> None:
        self._medians += block_medians(samples[len(self._medians) * self.length :], self.length)
        while len(self._medians) >= self._min_blocks and correlated(self._medians):
            self.length *= 2
            self._medians = block_medians(samples, self.length)
            self._widths.clear()
            self._hits = 0
        self.half_width = relative_half_width(self._medians)
        if self.half_width is not None:
            self._widths.append(self.half_width)
            self._hits = self._hits + 1 if self.half_width <= self._goal.half_width else 0

    def _has_enough(self, count: int, elapsed_ns: float) -> bool:
        runs = MIN_SLOW_RUNS if self._is_slow else MIN_RUNS
        return len(self._medians) >= self._min_blocks and count >= runs and elapsed_ns >= self._goal.min_ns

    def _out_of_reach(self, elapsed_ns: float) -> bool:
        """Tell whether, with a third of the time gone, the target would need three times all of it."""
        most = self._goal.max_ns
        if self.half_width is None or not most * _SHARE_OF_MAX <= elapsed_ns < most:
            return False
        return elapsed_ns * (self.half_width / self._goal.half_width) ** 2 > _HOPELESS * most

    def _no_gain(self) -> bool:
        """Tell whether the middle width of the later half of the blocks is less than 5 % below that of the others."""
        back = max(LOOK_BACK, len(self._widths) // 2)
        before, last = self._widths[:-back], self._widths[-back:]
        return bool(before) and statistics.median(last) > (1 - LEAST_IMPROVEMENT) * statistics.median(before)
