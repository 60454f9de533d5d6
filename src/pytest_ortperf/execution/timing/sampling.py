"""Timed iterations in blocks, until the median is known precisely enough."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.stop_rule import Goal, StopRule, block_runs
from pytest_ortperf.execution.timing.timing_loop import WALL_CLOCK, Clock, time_calls, without_garbage_collection
from pytest_ortperf.execution.timing.warm_up import WarmUp
from pytest_ortperf.records.intervals import FEWEST, fitting_length
from pytest_ortperf.records.latency import FIXED, STABLE, UNSTABLE, Latency
from pytest_ortperf.records.statistics import compute

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
    precision_target: float | None

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
            status=FIXED if is_fixed else STABLE if reason == "target" else UNSTABLE,
            precision_target=None if is_fixed else self._goal.half_width,
        )
