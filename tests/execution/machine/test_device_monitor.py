from __future__ import annotations

import itertools
import os
import time
from types import SimpleNamespace

import pytest
from fake_nvml import GH200, MIB, FakeNvml

from pytest_ortperf.execution.machine.device_monitor import (
    ClockWatch,
    DeviceMemoryMeter,
    LoadSample,
    MemorySample,
    Poller,
    clocks_of,
    sample_memory,
)
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.records.resources import Clocks, DeviceMemory


def test_a_poller_samples_at_both_ends_and_in_between() -> None:
    numbers = itertools.count()
    with Poller(lambda: next(numbers), poll_s=0.001) as poller:
        assert poller.samples[0] == 0
        while len(poller.samples) < 5:
            time.sleep(0.001)
    assert poller.samples == list(range(len(poller.samples)))


def test_an_error_in_the_poller_is_raised_where_it_is_waited_for() -> None:
    answers = iter([1])
    with pytest.raises(StopIteration), Poller(lambda: next(answers), poll_s=0.001):
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("clocks", "steady"),
    [
        ([1980, 1980, 1980], [False, False, True]),
        ([345, 1980, 1980, 1980], [False, False, True, True]),
        ([345, 800, 1400, 1980], [False, False, False, False]),
        ([1980, 1980, 1930], [False, False, False]),
        ([1980, 1980, 1950], [False, False, True]),
    ],
)
def test_a_clock_is_steady_near_its_running_median(clocks: list[int], steady: list[bool]) -> None:
    readings = iter(clocks)
    watch = ClockWatch(Gpu(FakeNvml({"ClockInfo": lambda: next(readings)}), "0"))
    assert [watch.is_steady() for _ in clocks] == steady


def test_there_is_nothing_to_wait_for_without_a_clock() -> None:
    assert ClockWatch(NoGpu("no driver")).is_steady()
    assert ClockWatch(Gpu(FakeNvml(), "0")).is_steady()


def sample(clock: int | None, reasons: int | None = 0) -> LoadSample:
    return LoadSample(at_ns=0, energy_mj=None, sm_clock_mhz=clock, event_reasons=reasons)


def test_the_mean_clock_is_of_a_busy_gpu() -> None:
    busy = [sample(1980)] * 20 + [sample(1965, 0x4)] * 10
    assert clocks_of([sample(345, 0x1), *busy, sample(None)]) == Clocks(
        mean_sm_mhz=1975.0, min_sm_mhz=1965, max_sm_mhz=1980, samples=30, event_reasons=("power cap",)
    )
    assert clocks_of([sample(345, 0x1), *busy[1:]]) == "the GPU was busy in 29 of 30 samples, 30 are needed"


def memory(device: int | None, process: int | None) -> MemorySample:
    return MemorySample(device_byte=device, process_byte=process)


def test_memory_is_that_of_this_process_where_nvml_lists_it() -> None:
    own = SimpleNamespace(pid=os.getpid(), usedGpuMemory=512 * MIB)
    nvml = FakeNvml(GH200 | {"ComputeRunningProcesses": [*GH200["ComputeRunningProcesses"], own]})
    assert sample_memory(Gpu(nvml, "0")) == memory(29465 * MIB, 512 * MIB)
    assert sample_memory(Gpu(FakeNvml(GH200), "0")) == memory(29465 * MIB, None)
    assert sample_memory(Gpu(FakeNvml(), "0")) == memory(None, None)


def test_growth_of_the_process_counts_from_nothing() -> None:
    meter = DeviceMemoryMeter(Gpu(FakeNvml(), "0"), [memory(900, None), memory(1500, 600), memory(1400, 500)])
    assert meter.fact == DeviceMemory(source="process", baseline_byte=0, creation_peak_byte=600, run_peak_byte=None)
    meter.ran([memory(1600, 700), memory(1550, 650)])
    assert meter.fact == DeviceMemory(source="process", baseline_byte=0, creation_peak_byte=600, run_peak_byte=700)


def test_growth_of_the_whole_gpu_stands_in_and_says_so() -> None:
    meter = DeviceMemoryMeter(Gpu(FakeNvml(), "0"), [memory(900, None), memory(1500, None)])
    meter.ran([memory(1400, None)])
    assert meter.fact == DeviceMemory(source="device", baseline_byte=900, creation_peak_byte=600, run_peak_byte=500)


def test_memory_that_nvml_does_not_tell_is_absent_with_its_reason() -> None:
    gpu = Gpu(FakeNvml(), "0")
    meter = DeviceMemoryMeter(gpu, [sample_memory(gpu)])
    assert (meter.fact, meter.reason) == (None, "NVML: Not Supported")
