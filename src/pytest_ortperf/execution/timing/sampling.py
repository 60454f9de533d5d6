"""Timed iterations in blocks, until the median is known precisely enough.

When to stop sampling: block after block, until the interval of the median is as narrow as asked for.
"""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.timing_loop import WALL_CLOCK, Clock, time_calls, without_garbage_collection
from pytest_ortperf.execution.timing.warm_up import WarmUp
from pytest_ortperf.records.intervals import (
    BLOCK_ITERATIONS,
    FEWEST,
    MIN_BLOCKS,
    block_medians,
    correlated,
    fitting_length,
    relative_half_width,
)
from pytest_ortperf.records.latency import FIXED, STABLE, UNSTABLE, Latency
from pytest_ortperf.records.statistics import compute

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

    @property
    def is_precise(self) -> bool:
        """Whether the interval is as narrow as asked for now, whatever ended sampling."""
        return self.half_width is not None and self.half_width <= self._goal.half_width

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


NOTE_S = 0.25
"""Samples and progress are told about this often, between blocks."""

_ITERATIONS = "iterations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where sampling stands between two blocks."""

    iterations: int
    half_width: float | None
    """Of the median's 95 % interval, as a share of the median; `None` while blocks are too few."""

    target: float | None
    """Half-width that ends it; `None` where a number of iterations was asked for."""

    seconds_left: float | None
    """Estimated; `None` while nothing tells."""


Note = Callable[[Sequence[int], Progress], None]
"""Told the samples since it was last told, and the progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The samples and how their number came about; fields as in `Latency`."""

    samples_ns: tuple[int, ...]
    block_iterations: int
    stop_reason: str
    status: str
    precision_target: float

    def latency(self, timing: str, warm: WarmUp, batch: int | None, *, keep_samples: bool) -> Latency:
        """Return the part of a record that this becomes, with its statistics."""
        return Latency(
            timing=timing,
            samples_ns=self.samples_ns if keep_samples else (),
            warmup_iterations=warm.iterations,
            warmup_ns=warm.ns,
            steady=warm.steady,
            batch=batch,
            block_iterations=self.block_iterations,
            stop_reason=self.stop_reason,
            status=self.status,
            precision_target=self.precision_target,
            summary=compute(self.samples_ns, block_iterations=self.block_iterations, batch=batch),
        )


def sample(
    call: Callable[[], object],
    settings: ExecutionSettings,
    note: Note,
    run_ns: float | None = None,
    clock: Clock = WALL_CLOCK,
) -> Sampled:
    """Time iterations of `call`, in blocks, and return the samples in call order.

    Exactly `settings.iterations` of them, else until the 95 % interval of the median is within
    `settings.precision_target` for 3 blocks in a row, at least `settings.min_time_s` and at most
    `settings.max_time_s`. Python's garbage collector is off meanwhile.

    Args:
        call: One iteration.
        settings: How many, how precise, how long.
        note: Told new samples about four times a second, between blocks.
        run_ns: What a run takes, as the warm-up saw it; the first sample tells where it is not known.
        clock: For tests.
    """
    with without_garbage_collection():
        session = _Session(call, settings, note, clock)
        return session.run(run_ns)


class _Session:
    """Sampling in progress."""

    def __init__(self, call: Callable[[], object], settings: ExecutionSettings, note: Note, clock: Clock) -> None:
        self._call = call
        self._clock = clock
        self._note = note
        self._wanted = settings.iterations
        max_ns = settings.max_time_s * 1e9
        self._goal = Goal(
            half_width=settings.precision_target, min_ns=min(settings.min_time_s * 1e9, max_ns), max_ns=max_ns
        )
        self._samples = array("q")
        self._told = 0
        self._start_ns = self._told_ns = clock()

    def run(self, run_ns: float | None) -> Sampled:
        if run_ns is None:
            self._time(1)
            run_ns = self._samples[0]
        length = block_runs(run_ns, self._goal.max_ns)
        rule = StopRule(length, self._goal)
        while (reason := self._stop(rule)) is None:
            if self._clock() - self._told_ns >= NOTE_S * 1e9:
                self._tell(rule)
            self._time(self._next(length))
        self._tell(rule)
        return self._sampled(rule, reason)

    def _next(self, length: int) -> int:
        """Return how many runs end the block that is begun."""
        left = length - len(self._samples) % length
        return left if self._wanted is None else min(left, self._wanted - len(self._samples))

    def _time(self, count: int) -> None:
        self._samples.extend(time_calls(self._call, count, self._clock))

    def _stop(self, rule: StopRule) -> str | None:
        if self._wanted is not None:
            return _ITERATIONS if len(self._samples) >= self._wanted else None
        return rule.stop(self._samples, self._clock() - self._start_ns)

    def _tell(self, rule: StopRule) -> None:
        new = self._samples[self._told :]
        progress = Progress(
            iterations=len(self._samples),
            half_width=rule.half_width,
            target=None if self._wanted else self._goal.half_width,
            seconds_left=self._seconds_left(rule),
        )
        self._note(new.tolist(), progress)
        self._told, self._told_ns = len(self._samples), self._clock()

    def _seconds_left(self, rule: StopRule) -> float | None:
        elapsed_ns = self._clock() - self._start_ns
        run_ns = elapsed_ns / len(self._samples)
        if self._wanted is not None:
            return (self._wanted - len(self._samples)) * run_ns / 1e9
        blocks = rule.blocks_left()
        if blocks is None:
            return None
        needed_ns = max(blocks * rule.length * run_ns, self._goal.min_ns - elapsed_ns)
        return max(0.0, min(needed_ns, self._goal.max_ns - elapsed_ns)) / 1e9

    def _sampled(self, rule: StopRule, reason: str) -> Sampled:
        samples = tuple(self._samples)
        is_fixed = self._wanted is not None
        fits = not is_fixed and len(samples) // rule.length >= FEWEST
        return Sampled(
            samples_ns=samples,
            block_iterations=rule.length if fits else fitting_length(samples, rule.length),
            stop_reason=reason,
            status=FIXED if is_fixed else STABLE if rule.is_precise else UNSTABLE,
            precision_target=self._goal.half_width,
        )
