"""One session of a case with its inputs: the calls that each timing mode times, and what is measured beside them.

Several threads on one session for a fixed time.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnxruntime

from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.inputs.rotation import (
    DEVICE_CACHE_BYTE,
    buffer_count,
    buffers_of,
    byte_of,
    last_cache_byte,
    rotating_call,
)
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.timing.io_binding import Bound, Call, CannotBind, Memory
from pytest_ortperf.execution.timing.timing_modes import memory_of, note_of
from pytest_ortperf.records.record import Concurrent, Copies

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


COPY_RUNS = 50
"""Copies that are timed, or as many as fit `COPY_S`."""

COPY_S = 0.5


class MeasuredSession:
    """A session that has run once.

    Attributes:
        feeds: Inputs by name.
        shapes: Of the outputs, by name.
        batch: Of the inputs; `None` if unknown.
        data_set: Name of the inputs.
        is_further: Whether another data set is timed before.
    """

    def __init__(
        self,
        *,
        session: onnxruntime.InferenceSession,
        runner: ModelRunner,
        data: CaseData,
        shapes: Mapping[str, tuple[int, ...] | None],
        batch: int | None,
        provider: Provider,
        rotate: int | None,
        is_further: bool = False,
    ) -> None:
        self.feeds = data.inputs
        self.shapes = shapes
        self.batch = batch
        self.data_set = data.name
        self.is_further = is_further
        self._session: onnxruntime.InferenceSession | None = session
        self._runner: ModelRunner | None = runner
        self._provider = provider
        self._rotate = rotate
        self._bound: Bound | None = None

    def call(self, timing: str) -> tuple[Call, str | None]:
        """Return one iteration of a timing mode, and what is to be known of its numbers.

        Raises:
            CannotBind: If the mode cannot be had.
        """
        if timing == "host":
            buffers = buffers_of(self.feeds, self._buffers(last_cache_byte()))
            return rotating_call(self.open_session, self._open_runner, buffers), _rotation_note(len(buffers))
        bound = self._bound_session()
        call = bound.run_call() if timing == "bound" else bound.run_call_with_copies()
        notes = [note_of(bound), _rotation_note(bound.buffers)]
        return call, "; ".join(note for note in notes if note) or None

    def copies(self) -> Copies | None:
        """Return what copies to and from the device take; `None` without device, or where nothing could be bound."""
        if self._provider.memory is None or self._bound is None:
            return None
        try:
            to_device, to_host = self._bound.copy_calls()
        except CannotBind:
            return None
        return Copies(
            to_device_ns=_median_ns(to_device),
            to_host_ns=_median_ns(to_host),
            to_device_byte=self._bound.input_byte,
            to_host_byte=self._bound.output_byte,
        )

    def concurrent(self, threads: int, window_s: float) -> Concurrent:
        """Return what several threads at once came to, each with inputs and outputs of its own.

        In `bound` mode if that was measured, else in `host` mode.
        """
        buffers = buffers_of(self.feeds, threads)
        if self._bound is None:
            names = self._open_runner.output_names
            calls: list[Call] = [ModelRunner(self.open_session, names, each).call for each in buffers]
        else:
            calls = [self._new_bound([each]).run_call() for each in buffers]
        timing = "host" if self._bound is None else "bound"
        return run_concurrently(calls, timing=timing, window_s=window_s, batch=self.batch)

    def memory(self, session: onnxruntime.InferenceSession) -> Memory:
        """Return where inputs and outputs of a session of this provider are bound.

        Raises:
            CannotBind: If nobody knows.
        """
        return memory_of(self._provider, session)

    def close(self) -> None:
        """Let go of the session; inputs and shapes stay."""
        self._session = self._runner = self._bound = None

    def label(self, timing: str) -> str:
        """Return what records call a timing mode of these inputs; see `Latency.label`."""
        return f"{timing}, {self.data_set}" if self.is_further else timing

    @property
    def open_session(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise RuntimeError("the session is closed")
        return self._session

    @property
    def _open_runner(self) -> ModelRunner:
        if self._runner is None:
            raise RuntimeError("the session is closed")
        return self._runner

    def _buffers(self, cache_byte: int) -> int:
        return buffer_count(byte_of(self.feeds), cache_byte, self._rotate)

    def _bound_session(self) -> Bound:
        if self._bound is None:
            cache_byte = last_cache_byte() if self.memory(self.open_session).is_host else DEVICE_CACHE_BYTE
            bound = self._new_bound(buffers_of(self.feeds, self._buffers(cache_byte)))
            try:
                bound.run_call()()
            except Exception as error:  # ONNX Runtime's classes have no common base
                raise CannotBind(f"a bound run failed: {type(error).__name__}: {str(error).strip()}") from error
            self._bound = bound
        return self._bound

    def _new_bound(self, buffers: list[Mapping[str, Value]]) -> Bound:
        return Bound(self.open_session, self.shapes, buffers, self.memory(self.open_session))


def _rotation_note(buffers: int) -> str | None:
    return f"inputs rotate over {buffers} buffers" if buffers > 1 else None


def _median_ns(call: Call) -> float:
    """Return the median time of a call that waits for its own end."""
    samples: list[int] = []
    end = time.perf_counter_ns() + int(COPY_S * 1e9)
    call()
    while len(samples) < COPY_RUNS and (not samples or time.perf_counter_ns() < end):
        start = time.perf_counter_ns()
        call()
        samples.append(time.perf_counter_ns() - start)
    return statistics.median(samples)
