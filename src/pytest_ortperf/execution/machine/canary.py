"""The canary: fixed work on the host, independent of ONNX Runtime, before each benchmark and at both ends of a run.

Its times mean nothing by themselves. If they change, the machine did.
"""

from __future__ import annotations

import mmap
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pytest_ortperf.execution.process.child import ChildEnd, answer_of, die_with_parent
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import (
    HANDOFF,
    Canary,
    CanaryPart,
    Finding,
    drift_percent,
)

CANARY_S = 0.1
"""Of one canary, a quarter for each part: about 5 % of a benchmark that takes 2 s.

`docs/benchmarks/gross-changes.md` has what is left of a model's change from run to run, by the length of the canary.
"""

LONG_CANARY_S = 1.0
"""Of each of the two canaries whose difference `--ortperf-env=strict` judges."""

DRIFT_PERCENT = 5.0
DEADLINE_S = 30.0
FEWEST = 5


def run_canary(seconds: float = CANARY_S, clock: Callable[[], int] = time.perf_counter_ns) -> Canary:
    """Return the times of each piece of work, measured in this process.

    Args:
        seconds: For all of them; each takes at least five turns.
        clock: For tests.
    """
    alone = pieces()
    budget = int(seconds * 1e9 / (len(alone) + 1))
    parts = {name: _timed(work, budget, clock) for name, work in alone.items()}
    if len(os.sched_getaffinity(0)) > 1:
        with _partner() as exchange:
            parts[HANDOFF] = _timed(exchange, budget, clock)
    return Canary(parts=parts)


def run_canary_in_child(seconds: float = CANARY_S) -> Canary | str:
    """Return the times, measured in a child, so that this process keeps its memory and threads; else why not."""
    answer = answer_of(lambda: run_canary(seconds), DEADLINE_S)
    if isinstance(answer, ChildEnd):
        return "its process did not end in time" if answer.timed_out else "its process died"
    return answer


def judge_canary(before: Canary | str | None, after: Canary | str | None) -> Finding:
    """Return what two canaries tell; a text is why there is none."""
    if not isinstance(before, Canary) or not isinstance(after, Canary):
        reason = next((it for it in (before, after) if isinstance(it, str)), "it was not run")
        return finding("canary", "unknown", reason)
    drift = drift_percent(before, after)
    text = ", ".join(f"{name} {percent:+.1f} %" for name, percent in drift.items())
    off = any(abs(percent) > DRIFT_PERCENT for percent in drift.values())
    return finding("canary", "warning" if off else "ok", f"{text} from the start to the end of the run")


def pieces() -> Mapping[str, Callable[[], object]]:
    """Return the work of each part that one process does; a call is one turn."""
    import numpy as np

    # so small that BLAS uses one thread: with more, a neighbour's turn makes it thirty times slower or not at all
    matrix = np.ones((64, 64), np.float32)
    source = np.ones(MEMORY_FLOATS, np.float32)
    target = np.empty_like(source)
    return {
        "compute": lambda: [matrix @ matrix for _ in range(40)],
        "memory": lambda: np.copyto(target, source),
        "interpreter": _interpret,
    }


MEMORY_FLOATS = 8 << 20
"""Twice 32 MiB are copied: more than most caches hold."""


def _interpret() -> dict[int, int]:
    """Look up, add and store small integers 4,000 times."""
    counts: dict[int, int] = {}
    for number in range(4000):
        counts[number & 63] = counts.get(number & 63, 0) + number
    return counts


_ROUND_TRIPS = 50
_SYMBOLS = 200
_END = 255
_MOST_LOOKS = 20_000_000
"""About a second of looking at memory for the other side: it has died."""


@contextmanager
def _partner() -> Iterator[Callable[[], object]]:
    """Give a function that exchanges a byte with a second process 50 times through shared memory, both waiting busily.

    It shows how long one core takes to see what another one wrote. On a virtual machine that changes when its cores
    are moved, and with it by up to 2.4 times the latency of small models on several threads.
    """
    # bytes of cache lines apart
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    asked, answered = 0, 1024
    partner = os.fork()
    if partner == 0:
        die_with_parent()
        symbol = 0
        while _seen(memory, asked, (symbol := symbol % _SYMBOLS + 1)):
            memory[answered] = symbol
        os._exit(0)
    last = 0

    def exchange() -> None:
        nonlocal last
        for _ in range(_ROUND_TRIPS):
            last = last % _SYMBOLS + 1
            memory[asked] = last
            if not _seen(memory, answered, last):
                raise RuntimeError("the canary's second process died")

    try:
        yield exchange
    finally:
        memory[asked] = _END
        os.waitpid(partner, 0)
        memory.close()


def _seen(memory: mmap.mmap, place: int, symbol: int) -> bool:
    """Wait busily for a symbol; tell whether it came before the end or a deadline."""
    for _ in range(_MOST_LOOKS):
        found = memory[place]
        if found == symbol:
            return True
        if found == _END:
            return False
    return False


def _timed(work: Callable[[], object], budget_ns: int, clock: Callable[[], int]) -> CanaryPart:
    work()  # the first turn touches its memory and wakes its threads
    times: list[int] = []
    end = clock() + budget_ns
    now = clock()
    while len(times) < FEWEST or now < end:
        start = clock()
        work()
        now = clock()
        times.append(now - start)
    fast, median, _ = statistics.quantiles(times, n=4)
    return CanaryPart(fast_ns=int(fast), median_ns=int(median), repeats=len(times))
