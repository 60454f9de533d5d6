from __future__ import annotations

import statistics
import time

import pytest

from gpu.project import GpuProject, multilayer
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.machine.gpu_checks import GPU_CHECKS, GpuSubject, gpu_findings, own_processes
from pytest_ortperf.execution.machine.gpu_reading import COUNTERS, read_gpu
from pytest_ortperf.execution.machine.nvml import Gpu, opened_gpu
from pytest_ortperf.records.store import find_run, read_run

FIRST = "GPU 0"


def test_a_real_gpu_answers_every_check() -> None:
    with opened_gpu() as gpu:
        assert isinstance(gpu, Gpu)
        subject = GpuSubject(gpu=gpu, label=FIRST, driver=nvml_gpus().driver, own=own_processes())
        findings = gpu_findings(subject)
    told = {found.check: f"{found.level}: {found.seen}" for found in findings}
    print(told)  # noqa: T201 - what this machine says
    assert len(told) == len(GPU_CHECKS)
    for check in ("gpu-driver", "gpu-ecc", "gpu-persistence", "gpu-power-limit", "gpu-processes"):
        assert not told[check].startswith("unknown"), told[check]


def test_a_reading_is_whole_and_takes_less_than_two_milliseconds() -> None:
    times = []
    with opened_gpu() as gpu:
        assert isinstance(gpu, Gpu)
        for _ in range(50):
            start = time.perf_counter_ns()
            reading = read_gpu(gpu, own_processes())
            times.append(time.perf_counter_ns() - start)
        refusals = gpu.refusals
    print(reading, refusals, sorted(times))  # noqa: T201 - what this machine says
    assert reading.sm_clock_mhz
    assert reading.clock_event_reasons is not None
    assert reading.temperature_c
    assert reading.pcie_width
    assert "power cap" in reading.limited_ns
    assert set(reading.limited_ns) <= set(COUNTERS)
    assert statistics.median(times) < 2_000_000


def test_a_benchmark_on_a_gpu_holds_the_gpu_around_it(project: GpuProject) -> None:
    project.models([{"name": "mlp"}], {"mlp": multilayer()})
    record = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda").of("mlp")
    assert record.machine is not None
    for span in record.machine.spans:
        assert span.after.gpu is not None
        assert span.after.gpu.sm_clock_mhz
    run = read_run(find_run(project.path / "result"))
    assert {"gpu-driver", "gpu-ecc", "gpu-power-limit"} <= {found.check for found in run.header.machine}
    print(run.header.environment.fingerprint, record.machine)  # noqa: T201 - what this machine says


def test_the_case_itself_is_no_other_process(project: GpuProject) -> None:
    project.models([{"name": "mlp"}], {"mlp": multilayer()})
    record = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda").of("mlp")
    assert record.machine is not None
    others = [found for found in record.machine.findings if found.check == "gpu-processes"]
    if others and others[0].level == "unknown":
        pytest.skip(f"NVML does not tell: {others[0].seen}")
    assert others == []
