"""Warm-up, then timed iterations."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_ortperf.execution.settings import ExecutionSettings

MIN_WARMUP = 3
MIN_WARMUP_S = 0.1
MIN_ITERATIONS = 10
CHUNK_S = 0.25
"""Samples go to the journal about this often, between iterations."""

Clock = Callable[[], int]


def warm_up(call: Callable[[], object], settings: ExecutionSettings, clock: Clock = time.perf_counter_ns) -> int:
    """Run `call` untimed; return how often.

    As often as `settings.warmup` says, else at least 3 times and at least 0.1 s.
    """
    if settings.warmup is not None:
        for _ in range(settings.warmup):
            call()
        return settings.warmup
    end, done = clock() + int(MIN_WARMUP_S * 1e9), 0
    while done < MIN_WARMUP or clock() < end:
        call()
        done += 1
    return done


def sample(
    call: Callable[[], object],
    settings: ExecutionSettings,
    note: Callable[[list[int]], None],
    clock: Clock = time.perf_counter_ns,
) -> tuple[int, ...]:
    """Return the wall-clock time of each iteration of `call`, in ns, in call order.

    Exactly `settings.iterations` of them, else as many as fit `settings.max_time_s`, at least 10. The garbage
    collector is off meanwhile.

    Args:
        call: One iteration.
        settings: How many.
        note: Told the new samples about four times a second, outside of the timed part.
        clock: For tests.
    """
    samples: list[int] = []
    wanted = settings.iterations or MIN_ITERATIONS
    told = 0
    with _without_garbage_collection():
        begin = end = noted = clock()
        limit = begin if settings.iterations else begin + int(settings.max_time_s * 1e9)
        while len(samples) < wanted or end < limit:
            start = clock()
            call()
            end = clock()
            samples.append(end - start)
            if end - noted > CHUNK_S * 1e9:
                note(samples[told:])
                told, noted = len(samples), end
    note(samples[told:])
    return tuple(samples)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
