"""A GPU watched by a thread of its own, while a session is made or while iterations run that nobody times."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from pytest_ortperf.execution.machine.gpu_reading import IDLE, REASONS
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.records.resources import Clocks, DeviceMemory

POLL_S = 0.01
CLOCK_SAMPLES = 30
"""Of a GPU that is busy: with fewer there is no mean clock."""

STEADY_SHARE = 0.02
"""How far the SM clock may be from its running median."""

STEADY_READINGS = 3
MEDIAN_READINGS = 15

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySample:
    """Memory of a GPU at one moment, in bytes."""

    device_byte: int | None
    process_byte: int | None
    """Of this process; `None` if NVML does not list it or does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSample:
    """A GPU at work, at one moment."""

    at_ns: int
    energy_mj: int | None
    sm_clock_mhz: int | None
    event_reasons: int | None


class Poller(Generic[T]):
    """Takes a sample at entry, then about every `POLL_S` in a thread of its own, and one at exit.

    Args:
        take: Returns a sample. What it raises is raised again at exit.
        poll_s: Time between samples.
    """

    def __init__(self, take: Callable[[], T], poll_s: float = POLL_S) -> None:
        self.samples: list[T] = []
        self._take = take
        self._poll_s = poll_s
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._poll, name="ortperf-poller", daemon=True)

    def __enter__(self) -> Poller[T]:
        self.samples.append(self._take())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self.samples.append(self._take())

    def _poll(self) -> None:
        try:
            while not self._ended.wait(self._poll_s):
                self.samples.append(self._take())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for this one
            self._error = error


class ClockWatch:
    """Whether a GPU's SM clock has settled: what a warm-up waits for beside its windows."""

    def __init__(self, gpu: Gpu | NoGpu) -> None:
        self._gpu = gpu
        self._seen: list[int] = []

    def is_steady(self) -> bool:
        """Read the clock once; whether it is within 2 % of the median of the last readings, of which there are 3.

        Without a GPU, or a clock that NVML tells, there is nothing to wait for.
        """
        clock = self._gpu.sm_clock_mhz if isinstance(self._gpu, Gpu) else None
        if clock is None:
            return True
        self._seen = [*self._seen, clock][-MEDIAN_READINGS:]
        middle = statistics.median(self._seen)
        return len(self._seen) >= STEADY_READINGS and abs(clock - middle) <= STEADY_SHARE * middle


def sample_memory(gpu: Gpu, pid: int | None = None) -> MemorySample:
    """Return the memory in use, of the GPU and of a process, this one unless its id is given."""
    wanted = os.getpid() if pid is None else pid
    own = [process.used_byte for process in gpu.processes or () if process.pid == wanted]
    return MemorySample(device_byte=gpu.used_memory_byte, process_byte=own[0] if own else None)


def sample_load(gpu: Gpu) -> LoadSample:
    """Return energy and clock; the time is that of the energy."""
    energy = gpu.total_energy_mj
    return LoadSample(
        at_ns=time.perf_counter_ns(),
        energy_mj=energy,
        sm_clock_mhz=gpu.sm_clock_mhz,
        event_reasons=gpu.clock_event_reasons,
    )


class DeviceMemoryMeter:
    """Samples of a GPU's memory -> peaks over what was there before."""

    def __init__(self, gpu: Gpu, creation: Sequence[MemorySample]) -> None:
        self._gpu = gpu
        self._creation = creation
        self._runs: Sequence[MemorySample] = ()

    def ran(self, samples: Sequence[MemorySample]) -> None:
        """Take the samples of runs, of the same session or a later one."""
        self._runs = samples

    @property
    def reason(self) -> str:
        """Why nothing is known."""
        return refusal(self._gpu, "GetMemoryInfo")

    @property
    def fact(self) -> DeviceMemory | None:
        """Of this process where NVML lists it, else of the whole GPU."""
        by_process = any(sample.process_byte is not None for sample in (*self._creation, *self._runs))
        if by_process:
            baseline: int | None = self._creation[0].process_byte or 0
        else:
            baseline = self._creation[0].device_byte
        if baseline is None:
            return None
        return DeviceMemory(
            source="process" if by_process else "device",
            baseline_byte=baseline,
            creation_peak_byte=_growth(self._creation, baseline, by_process=by_process),
            run_peak_byte=_growth(self._runs, baseline, by_process=by_process),
        )


def _growth(samples: Sequence[MemorySample], baseline: int, *, by_process: bool) -> int | None:
    values = [sample.process_byte if by_process else sample.device_byte for sample in samples]
    return max((value - baseline for value in values if value is not None), default=None)


def refusal(gpu: Gpu, question: str) -> str:
    """Return why a question had no answer."""
    return f"NVML: {gpu.refusals.get(question, 'no answer')}"


def clocks_of(samples: Sequence[LoadSample]) -> Clocks | str:
    """Return the SM clock of the samples of a busy GPU, or why there is none."""
    busy = [it for it in samples if it.sm_clock_mhz is not None and not (it.event_reasons or 0) & IDLE]
    clocks = [it.sm_clock_mhz for it in busy if it.sm_clock_mhz is not None]
    if len(clocks) < CLOCK_SAMPLES:
        return f"the GPU was busy in {len(clocks)} of {len(samples)} samples, {CLOCK_SAMPLES} are needed"
    bits = 0
    for sample in busy:
        bits |= sample.event_reasons or 0
    return Clocks(
        mean_sm_mhz=statistics.fmean(clocks),
        min_sm_mhz=min(clocks),
        max_sm_mhz=max(clocks),
        samples=len(clocks),
        event_reasons=tuple(name for bit, name in REASONS.items() if bits & bit),
    )
