from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_nvml import MIB, FakeNvml

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.execution.machine.resource_meter import ResourceMeter, device_number, resource_meter
from pytest_ortperf.execution.profile.operator_profile import arenas_of
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session.engine_cache import engines_of
from pytest_ortperf.execution.session.profile_events import Event
from pytest_ortperf.records.record import SessionFact
from pytest_ortperf.records.resources import Arena, DeviceMemory, Resources


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


def working_gpu(looks: Iterator[int], watt: float = 300.0) -> Gpu:
    """Return a GPU at constant power whose memory in this process, in MiB, is another one at each look."""
    start = time.perf_counter()
    answers: dict[str, Callable[[], object]] = {
        "TotalEnergyConsumption": lambda: int((time.perf_counter() - start) * 1000 // 20 * 20 * watt),
        "ClockInfo": lambda: 1980,
        "CurrentClocksEventReasons": lambda: 0,
        "MemoryInfo": lambda: SimpleNamespace(used=900 * MIB),
        "ComputeRunningProcesses": lambda: [SimpleNamespace(pid=os.getpid(), usedGpuMemory=next(looks) * MIB)],
    }
    return Gpu(FakeNvml(answers), "0")


def resources_of(facts: RecordBuilder) -> Resources:
    assert facts.resources is not None
    return facts.resources


def test_a_case_on_a_gpu_has_everything(facts: RecordBuilder) -> None:
    looks = itertools.count(100)
    meter = ResourceMeter(facts, working_gpu(looks), on_gpu=True)
    with meter.creation():
        time.sleep(0.05)
    first = next(looks)
    with meter.creation():
        time.sleep(0.05)
    assert next(looks) == first + 1  # the second session is not watched
    meter.first_runs(lambda: time.sleep(0.001))
    last = next(looks)
    meter.window(lambda: time.sleep(0.002), "bound")
    found = resources_of(facts)
    assert found.absent == {}
    assert found.timing == "bound"
    memory = found.device_memory
    assert isinstance(memory, DeviceMemory)
    assert (memory.source, memory.baseline_byte) == ("process", 100 * MIB)
    assert memory.creation_peak_byte == (first - 101) * MIB
    assert memory.run_peak_byte == (last - 101) * MIB
    check_load(found)
    assert found.host_memory is not None
    assert meter.clock_is_steady() is False
    assert [meter.clock_is_steady() for _ in range(2)] == [False, True]


def check_load(found: Resources) -> None:
    """The power is as precise as this process is punctual; what follows from it is exact."""
    energy = found.energy
    assert energy is not None
    assert energy.power_w == pytest.approx(300, rel=0.3)
    each_s = energy.window_ns / energy.iterations / 1e9
    assert each_s >= 0.002
    assert energy.per_iteration_mj == pytest.approx(energy.power_w * each_s * 1000)
    assert found.clocks is not None
    assert found.clocks.mean_sm_mhz == 1980


def test_a_gpu_that_answers_nothing_says_so_for_each_part(facts: RecordBuilder) -> None:
    meter = ResourceMeter(facts, Gpu(FakeNvml(), "0"), on_gpu=True)
    with meter.creation():
        pass
    meter.first_runs(lambda: time.sleep(0.001))
    meter.window(lambda: time.sleep(0.01), "bound")
    found = resources_of(facts)
    assert (found.device_memory, found.energy, found.clocks) == (None, None, None)
    refused = "NVML: Not Supported"
    assert found.absent == {"device_memory": refused, "energy": refused, "clocks": refused}


def test_without_nvml_the_reason_is_told_once_and_nothing_more_is_run(facts: RecordBuilder) -> None:
    meter = ResourceMeter(facts, NoGpu("Driver Not Loaded"), on_gpu=True)
    with meter.creation():
        pass
    meter.window(pytest.fail, "bound")
    assert resources_of(facts).absent == dict.fromkeys(("device_memory", "energy", "clocks"), "Driver Not Loaded")
    assert resources_of(facts).host_memory is not None


def test_a_creation_that_failed_does_not_count_as_the_first(facts: RecordBuilder) -> None:
    meter = ResourceMeter(facts, NoGpu("none"))
    with pytest.raises(KeyError), meter.creation():
        raise KeyError
    assert facts.resources is None
    with meter.creation():
        pass
    assert resources_of(facts).host_memory is not None


def test_nothing_is_taken_where_that_is_asked(facts: RecordBuilder) -> None:
    case = Case(
        model=Model(name="m", path=Path("m.onnx"), origin="models.json"),
        provider=find_provider("cpu"),
        precision=None,
        mode="benchmark",
    )
    with resource_meter(case, ExecutionSettings(track_memory=False), facts) as meter:
        with meter.creation():
            pass
        meter.first_runs(pytest.fail)
        meter.window(pytest.fail, "host")
    assert facts.resources is None


def test_the_device_is_the_one_that_the_session_gets() -> None:
    model = Model(name="m", path=Path("m.onnx"), origin="models.json", ep_options={"cuda": {"device_id": "2"}})
    case = Case(model=model, provider=find_provider("cuda"), precision=None, mode="benchmark")
    assert device_number(case, ExecutionSettings(devices={"cuda": "1"})) == 2
    assert device_number(case, ExecutionSettings(ep_options={"cuda": {"device_id": "3"}})) == 3


def test_engines_are_built_if_a_file_is_new(tmp_path: Path) -> None:
    options = {"TensorrtExecutionProvider": {"trt_engine_cache_path": str(tmp_path)}}
    session = SessionFact(
        requested_providers=(),
        active_providers=(),
        provider_options=options,
        graph_optimization="all",
        intra_op_threads=None,
        creation_ns=1,
    )
    before = time.time_ns()
    assert engines_of(session, before) is None
    (tmp_path / "TensorrtExecutionProvider_TRTKernel_graph_0_0_sm90.engine").touch()
    assert engines_of(session, before) == "built"
    assert engines_of(session, time.time_ns() + 10**9) == "loaded"


def test_an_arena_is_as_large_as_it_ever_was() -> None:
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    events = [
        Event("Node", "a_kernel_time", 1, 0, 1, cpu, "MatMul", "0", 84934656, 83906560),
        Event("Node", "b_kernel_time", 1, 2, 1, cuda, "MatMul", "1", 2 * MIB, MIB),
        Event("Node", "a_kernel_time", 1, 4, 1, cpu, "MatMul", "0", 1048576, 83906561),
        Event("Node", "old_kernel_time", 1, 6, 1, "Old", "MatMul", "2"),
    ]
    assert arenas_of(events) == (
        Arena(provider=cpu, held_byte=84934656, in_use_byte=83906561),
        Arena(provider=cuda, held_byte=2 * MIB, in_use_byte=MIB),
    )
