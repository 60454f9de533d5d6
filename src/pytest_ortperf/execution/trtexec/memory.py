"""Memory of the GPU that trtexec takes: sampled from outside, while it builds and, seldom, while it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.device_monitor import DeviceMemoryMeter, MemorySample, Poller, sample_memory
from pytest_ortperf.execution.machine.lease import device_of
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu, cuda_uuid, opened_gpu
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.trtexec.program_run import Started
from pytest_ortperf.records.resources import Resources

RUN_POLL_S = 0.25
"""A reading takes the driver some tens of microseconds, and is made on another core than trtexec's."""

NOT_TAKEN = "not taken of a program: its iterations cannot be told from its start"


class ProgramMemory:
    """Samples in two parts of a case; what they come to goes to its facts.

    Args:
        facts: Of the case.
        gpu: Its own, or why there is none.
        started: Says which process runs.
    """

    def __init__(self, facts: RecordBuilder, gpu: Gpu | NoGpu, started: Started) -> None:
        self._facts = facts
        self._gpu = gpu
        self._started = started
        self._building: Sequence[MemorySample] = ()

    @contextmanager
    def building(self) -> Iterator[None]:
        """Sample while the engine is built or looked for."""
        gpu = self._gpu
        if isinstance(gpu, NoGpu):
            yield
            return
        with Poller(lambda: self._sample(gpu)) as poller:
            yield
        self._building = poller.samples

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample while the engine runs; note what both parts came to."""
        gpu = self._gpu
        if isinstance(gpu, NoGpu):
            yield
            self._note(Resources(absent=self._absent(gpu.reason)))
            return
        with Poller(lambda: self._sample(gpu), RUN_POLL_S) as poller:
            yield
        meter = DeviceMemoryMeter(gpu, self._building)
        meter.ran(poller.samples)
        fact = meter.fact
        self._note(Resources(device_memory=fact, absent=self._absent(None if fact else meter.reason)))

    def _sample(self, gpu: Gpu) -> MemorySample:
        return sample_memory(gpu, self._started.pid)

    def _note(self, found: Resources) -> None:
        self._facts.resources = found

    @staticmethod
    def _absent(reason: str | None) -> dict[str, str]:
        found = {"host_memory": NOT_TAKEN, "energy": NOT_TAKEN, "clocks": NOT_TAKEN}
        return found if reason is None else {"device_memory": reason, **found}


@contextmanager
def program_memory(
    case: Case, settings: ExecutionSettings, facts: RecordBuilder, started: Started
) -> Iterator[ProgramMemory | None]:
    """Open what memory is read from; `None` where nobody wants it."""
    if not settings.track_memory:
        yield None
        return
    device = device_of(case, settings)
    with opened_gpu(int(device) if device.isdecimal() else 0, uuid_of=cuda_uuid) as gpu:
        yield ProgramMemory(facts, gpu, started)
