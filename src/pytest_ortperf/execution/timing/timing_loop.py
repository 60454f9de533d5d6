"""The timed loop: two readings of the clock around each call, and nothing else between them."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[], int]
WALL_CLOCK: Clock = time.perf_counter_ns


def time_calls(call: Callable[[], object], count: int, clock: Clock = WALL_CLOCK) -> array[int]:
    """Return the time of each of `count` calls, in ns.

    The places for the times are there before the first call: nothing grows between two of them.
    """
    times = array("q", bytes(8 * count))
    for place in range(count):
        start = clock()
        call()
        end = clock()
        times[place] = end - start
    return times


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Keep Python's garbage collector from running meanwhile; what is garbage already goes first."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
