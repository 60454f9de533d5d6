"""Several threads on one session for a fixed time."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_ortperf.records.record import Concurrent

START_LIMIT_S = 60.0
"""Threads that have not all come to the start by then never will."""


@dataclass
class _Stream:
    """One thread's calls and what it found."""

    call: Callable[[], object]
    samples_ns: list[int] = field(default_factory=list)
    end_ns: int = 0
    error: BaseException | None = None


def run_concurrently(
    calls: Sequence[Callable[[], object]], *, timing: str, window_s: float, batch: int | None
) -> Concurrent:
    """Let one thread per call repeat it for a fixed time; all start together.

    ONNX Runtime gives Python's lock away while it runs, so the runs really are at the same time. Each thread warms
    up by itself before the common start, and finishes the iteration in which the time runs out.

    Args:
        calls: One per thread, each with inputs and outputs of its own.
        timing: What each call covers.
        window_s: How long.
        batch: Inferences per call; `None` if unknown.

    Raises:
        Exception: What the first thread that failed raised; the others then stop early.
    """
    streams = [_Stream(call) for call in calls]
    started = [0]

    def note_start() -> None:
        started[0] = time.perf_counter_ns()

    barrier = threading.Barrier(len(streams), note_start, START_LIMIT_S)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_work, args=(stream, barrier, stop, int(window_s * 1e9)), daemon=True)
        for stream in streams
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _raise_first(streams)
    return Concurrent(
        timing=timing,
        iterations=tuple(len(stream.samples_ns) for stream in streams),
        p50_ns=tuple(statistics.median(stream.samples_ns) for stream in streams),
        thread_ns=tuple(stream.end_ns - started[0] for stream in streams),
        wall_ns=max(stream.end_ns for stream in streams) - started[0],
        batch=batch,
    )


def _work(stream: _Stream, barrier: threading.Barrier, stop: threading.Event, window_ns: int) -> None:
    clock, call, samples = time.perf_counter_ns, stream.call, stream.samples_ns
    try:
        call()
        call()
        barrier.wait()
        end = clock()
        last = end + window_ns
        while not samples or (end < last and not stop.is_set()):
            start = clock()
            call()
            end = clock()
            samples.append(end - start)
        stream.end_ns = end
    except BaseException as error:  # noqa: BLE001 - raised again where the threads are joined
        stream.error = error
        stop.set()
        barrier.abort()


def _raise_first(streams: Sequence[_Stream]) -> None:
    errors = [stream.error for stream in streams if stream.error is not None]
    # a barrier that breaks is what the others see of one's error
    causes = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    for error in causes or errors:
        raise error
