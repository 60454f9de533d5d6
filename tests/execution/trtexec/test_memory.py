from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from execution.fake_nvml import MIB, FakeNvml
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.trtexec.memory import NOT_TAKEN, ProgramMemory
from pytest_ortperf.execution.trtexec.program_run import Started
from pytest_ortperf.records.resources import DeviceMemory

PID = 4321
ABSENT = dict.fromkeys(("host_memory", "energy", "clocks"), NOT_TAKEN)


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


class Machine:
    """A GPU on which a program holds memory while it runs."""

    def __init__(self, facts: RecordBuilder, *, lists_processes: bool) -> None:
        self.held = 0
        answers = {"MemoryInfo": lambda: SimpleNamespace(used=(500 + self.held) * MIB, total=80_000 * MIB)}
        if lists_processes:
            answers["ComputeRunningProcesses"] = self._processes
        self.started = Started(facts, Path())
        self.memory = ProgramMemory(facts, Gpu(FakeNvml(answers), "0"), self.started)

    def _processes(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=PID, usedGpuMemory=self.held * MIB)] if self.held else []

    def use(self, held: int) -> None:
        """Have the program start, and hold that many MiB."""
        self.started.pid, self.held = PID, held


@pytest.mark.parametrize(("lists", "source"), [(True, "process"), (False, "device")])
def test_both_parts_are_told_over_what_was_there(facts: RecordBuilder, lists: bool, source: str) -> None:  # noqa: FBT001
    machine = Machine(facts, lists_processes=lists)
    with machine.memory.building():
        machine.use(900)
    with machine.memory.running():
        machine.use(300)
    assert facts.resources is not None
    assert facts.resources.device_memory == DeviceMemory(
        source=source,
        baseline_byte=0 if lists else 500 * MIB,
        creation_peak_byte=900 * MIB,
        run_peak_byte=900 * MIB,
    )
    assert facts.resources.absent == ABSENT


def test_without_a_gpu_there_is_a_reason(facts: RecordBuilder) -> None:
    memory = ProgramMemory(facts, NoGpu("NVML Shared Library Not Found"), Started(facts, Path()))
    with memory.building():
        pass
    with memory.running():
        pass
    assert facts.resources is not None
    assert facts.resources.device_memory is None
    assert facts.resources.absent == {"device_memory": "NVML Shared Library Not Found", **ABSENT}
