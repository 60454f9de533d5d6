"""Memory, energy and clocks of one case, taken around its sessions and in a window of iterations nobody times.

Energy counters read over a window of iterations -> energy of one; RAPL's counters of the processors.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.device_monitor import (
    ClockWatch,
    DeviceMemoryMeter,
    LoadSample,
    MemorySample,
    Poller,
    clocks_of,
    refusal,
    sample_load,
    sample_memory,
)
from pytest_ortperf.execution.machine.host_memory import HostMemoryMeter, give_back_free_memory
from pytest_ortperf.execution.machine.lease import device_of
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu, cuda_uuid, opened_gpu
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.records.resources import Clocks, Energy, Resources

POWERCAP = Path("/sys/class/powercap")

MIN_UPDATES = 5
MIN_SPAN_NS = 300_000_000

ResourceReading = tuple[int, float]
"""Time in ns, and energy since whenever in mJ."""


def energy_of(source: str, readings: Iterable[ResourceReading], *, window_ns: int, iterations: int) -> Energy | str:
    """Return the energy of iterations that filled a window, or why it is not known.

    A counter moves in steps, NVML's some tens of milliseconds apart. Power is taken between the first and the last
    reading that showed a new value, so that what is before the first step and after the last does not count; the
    window's iterations are alike, so that power and time of one give its energy.

    Args:
        source: Of the counter.
        readings: In the order of time.
        window_ns: From the first iteration's start to the last one's end.
        iterations: In the window.
    """
    steps = _steps(list(readings))
    if len(steps) < MIN_UPDATES:
        return f"the counter of {source} changed {len(steps)} times in the window, {MIN_UPDATES} are needed"
    (start, first), (end, last) = steps[0], steps[-1]
    if end - start < MIN_SPAN_NS:
        return (
            f"the counter of {source} changed during {(end - start) / 1e6:.0f} ms, {MIN_SPAN_NS / 1e6:.0f} are needed"
        )
    return Energy(
        source=source,
        power_w=(last - first) * 1e6 / (end - start),
        updates=len(steps),
        window_ns=window_ns,
        iterations=iterations,
    )


def _steps(readings: Sequence[ResourceReading]) -> list[ResourceReading]:
    return [now for before, now in itertools.pairwise(readings) if now[1] != before[1]]


class Rapl:
    """The energy of all processor packages, where this user may read it.

    Args:
        root: Folder that stands for `/sys/class/powercap`.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._counters = []
        self.reason: str | None = None
        """Why nothing is known."""
        for folder in sorted(root.glob("intel-rapl:*")):
            try:
                if (folder / "name").read_text().startswith("package"):
                    self._counters.append(_Counter(folder))
            except (OSError, ValueError) as error:
                self.reason = f"{folder}: {getattr(error, 'strerror', None) or error}"
        if self.reason is None and not self._counters:
            self.reason = f"{root} lists no processor package"

    def read_mj(self) -> float:
        """Return the energy since this was made."""
        return sum(counter.read_mj() for counter in self._counters)


class _Counter:
    """One package's counter, which starts again at its end."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = self._read_uj()
        self._sum_uj = 0

    def read_mj(self) -> float:
        now = self._read_uj()
        self._sum_uj += (now - self._last_uj) % (self._range_uj + 1)
        self._last_uj = now
        return self._sum_uj / 1000

    def _read_uj(self) -> int:
        return int(self._file.read_text())


WINDOW_S = 1.0
"""Of iterations on a GPU: some ten steps of its energy counter, and three times the clock samples needed."""

CPU_WINDOW_S = 0.5
MEMORY_S = 0.05
CPU_POLL_S = 0.05

Call = Callable[[], object]


@contextmanager
def resource_meter(case: Case, settings: ExecutionSettings, facts: RecordBuilder) -> Iterator[ResourceMeter]:
    """Open what a case's resources are read from, for as long as it lasts.

    Args:
        case: Its provider says which device counts.
        settings: Whether memory and energy are taken, and the device's number.
        facts: What is found goes there.
    """
    if not case.provider.loads_cuda:
        yield ResourceMeter(facts, NoGpu(f"{case.provider.full_name} uses no NVIDIA GPU"), takes=settings.track_memory)
        return
    with opened_gpu(device_number(case, settings), uuid_of=cuda_uuid) as gpu:
        yield ResourceMeter(facts, gpu, takes=settings.track_memory, on_gpu=True)


def device_number(case: Case, settings: ExecutionSettings) -> int:
    """Return the number of the CUDA device that a case runs on, as CUDA counts."""
    number = device_of(case, settings)
    return int(number) if number.isdecimal() else 0


class ResourceMeter:
    """What a case takes besides time; what is found goes to its facts at once.

    Args:
        facts: Of the case.
        gpu: Its own, or why there is none.
        takes: Whether anything is taken; the clock is watched anyway.
        on_gpu: Whether it runs on a GPU that NVML may answer for.
    """

    def __init__(self, facts: RecordBuilder, gpu: Gpu | NoGpu, *, takes: bool = True, on_gpu: bool = False) -> None:
        self._facts = facts
        self._gpu = gpu
        self._takes = takes
        self._on_gpu = on_gpu
        self._host = HostMemoryMeter()
        self._device: DeviceMemoryMeter | None = None
        self._clock = ClockWatch(gpu)
        self._created = False
        if takes and on_gpu and isinstance(gpu, NoGpu):
            self._note(absent={"device_memory": gpu.reason, "energy": gpu.reason, "clocks": gpu.reason})

    def clock_is_steady(self) -> bool:
        """Whether the GPU's SM clock has settled; there is nothing to wait for without one."""
        return self._clock.is_steady()

    @contextmanager
    def creation(self) -> Iterator[None]:
        """Around the creation of each session: what the first one took is noted."""
        if not self._takes:
            yield
            return
        if self._created:
            give_back_free_memory()
            yield
        else:
            with self._first_creation():
                yield
            self._created = True
        self._host.restart_peak()

    def first_runs(self, call: Call) -> None:
        """Note what runs take of the memory; some more are made meanwhile, since arenas still grow in the second.

        Args:
            call: One iteration, with one set of inputs.
        """
        if not self._takes:
            return
        with self._polled_memory() as samples:
            run_for(call, MEMORY_S)
        self._host.after_runs()
        self._note_host()
        if self._device is not None:
            self._device.ran(samples)
            self._note_device()

    def window(self, call: Call, timing: str) -> None:
        """Note energy and clocks of about a second of iterations, watched and not timed.

        Args:
            call: One iteration.
            timing: Its mode.
        """
        if not self._takes:
            return
        if isinstance(self._gpu, Gpu):
            self._note(timing=timing)
            self._watch_gpu(self._gpu, call)
        elif not self._on_gpu:
            self._watch_processors(call, timing)

    @contextmanager
    def _first_creation(self) -> Iterator[None]:
        self._host.before_creation()
        with self._polled_memory() as samples:
            yield
        self._host.after_creation()
        self._note_host()
        if isinstance(self._gpu, Gpu):
            self._device = DeviceMemoryMeter(self._gpu, samples)
            self._note_device()

    @contextmanager
    def _polled_memory(self) -> Iterator[list[MemorySample]]:
        gpu = self._gpu
        if isinstance(gpu, NoGpu):
            yield []
            return
        with Poller(lambda: sample_memory(gpu)) as poller:
            yield poller.samples

    def _note_host(self) -> None:
        absent = {} if self._host.reason is None else {"host_memory": self._host.reason}
        self._note(host_memory=self._host.fact, absent=absent)

    def _note_device(self) -> None:
        if self._device is None:
            return
        fact = self._device.fact
        self._note(device_memory=fact, absent={} if fact else {"device_memory": self._device.reason})

    def _watch_gpu(self, gpu: Gpu, call: Call) -> None:
        with Poller(lambda: sample_load(gpu)) as poller:
            iterations, window_ns = run_for(call, WINDOW_S)
        samples = poller.samples
        readings = [(sample.at_ns, float(sample.energy_mj)) for sample in samples if sample.energy_mj is not None]
        if readings:
            self._note_energy(energy_of("NVML", readings, window_ns=window_ns, iterations=iterations))
        else:
            self._note_energy(refusal(gpu, "GetTotalEnergyConsumption"))
        self._note_clocks(gpu, samples)

    def _note_clocks(self, gpu: Gpu, samples: Sequence[LoadSample]) -> None:
        known = any(sample.sm_clock_mhz is not None for sample in samples)
        found = clocks_of(samples) if known else refusal(gpu, "GetClockInfo")
        if isinstance(found, Clocks):
            self._note(clocks=found)
        else:
            self._note(absent={"clocks": found})

    def _watch_processors(self, call: Call, timing: str) -> None:
        rapl = Rapl()
        if rapl.reason is not None:
            self._note(absent={"energy": rapl.reason})
            return
        self._note(timing=timing)
        with Poller(lambda: (time.perf_counter_ns(), rapl.read_mj()), CPU_POLL_S) as poller:
            iterations, window_ns = run_for(call, CPU_WINDOW_S)
        self._note_energy(energy_of("RAPL", poller.samples, window_ns=window_ns, iterations=iterations))

    def _note_energy(self, found: Energy | str) -> None:
        if isinstance(found, Energy):
            self._note(energy=found)
        else:
            self._note(absent={"energy": found})

    def _note(self, *, absent: dict[str, str] | None = None, **found: Any) -> None:
        known = self._facts.resources or Resources()
        self._facts.resources = replace(known, absent={**known.absent, **(absent or {})}, **found)


def run_for(call: Call, seconds: float) -> tuple[int, int]:
    """Run `call` for about that long, once at least; return how often, and how long it took in ns."""
    start = now = time.perf_counter_ns()
    end = start + int(seconds * 1e9)
    iterations = 0
    while now < end:
        call()
        iterations += 1
        now = time.perf_counter_ns()
    return iterations, now - start
