"""Memory, energy and clocks of a case on CUDA, beside NVML asked by a process that is no part of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_node

from gpu.project import GpuProject, graph_of, nodes_on_cuda
from pytest_ortperf.records.record import Record

MIB = 2**20
WEIGHTS = 80 * MIB
FEW_BUFFERS = (
    "--ortperf-timing=bound",
    "--ortperf-operators=off",
    "--ortperf-iterations=2000",
    # another process sees the memory of all that a case does, and inputs that rotate are most of what differs
    "--ortperf-rotate-inputs=1",
)

SPY = """
import sys, time
import pynvml

pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
print("ready", flush=True)
while True:
    own = [(process.pid, process.usedGpuMemory) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)]
    total = pynvml.nvmlDeviceGetMemoryInfo(gpu).used
    energy = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    clock = pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM)
    print(time.monotonic_ns(), energy, clock, total, max([byte or 0 for _, byte in own], default=0), flush=True)
    time.sleep(0.005)
"""


@pytest.fixture
def spy(tmp_path: Path) -> Iterator[Path]:
    """Write what NVML tells, each 5 ms, to a file: time, energy, clock, memory in use, that of the largest process."""
    path = tmp_path / "spy.txt"
    with path.open("w") as out, subprocess.Popen([sys.executable, "-c", SPY], stdout=out) as process:
        while "ready" not in path.read_text():
            assert process.poll() is None
        yield path
        process.kill()


def rows_of(path: Path) -> np.ndarray:
    lines = path.read_text().splitlines()[1:-1]
    return np.array([[int(word) for word in line.split()] for line in lines])


def busy_model(rounds: int = 24) -> onnx.ModelProto:
    """Return products that keep a GPU busy, with 80 MiB of weights that are not folded."""
    side = 4096
    parts = WEIGHTS // (side * side * 4)
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.01, (side, side)).astype(np.float32), f"w{n}") for n in range(parts)
    ]
    rest = (WEIGHTS - parts * side * side * 4) // side // 4
    if rest:
        weights.append(numpy_helper.from_array(np.ones((rest, side), np.float32), "rest"))
    nodes = [make_node("MatMul", ["x" if n == 0 else f"h{n}", f"w{n % parts}"], [f"h{n + 1}"]) for n in range(rounds)]
    last = f"h{rounds}"
    if rest:
        nodes.append(make_node("Concat", [last, "rest"], ["all"], axis=0))
        last = "all"
    nodes.append(make_node("ReduceMean", [last], ["y"], keepdims=1))
    kinds: dict[str, tuple[int, list[int | str]]] = {"x": (TensorProto.FLOAT, [1024, side])}
    return graph_of(nodes, kinds, {"y": (TensorProto.FLOAT, [1, 1])}, weights)


def measured(project: GpuProject, *args: str) -> Record:
    project.models([{"name": "busy"}], {"busy": busy_model()})
    result = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda", *FEW_BUFFERS, *args)
    record = result.of("busy")
    assert record.outcome == "passed", record.failure
    assert nodes_on_cuda(record)
    return record


def test_memory_agrees_with_nvml_from_outside(project: GpuProject, spy: Path) -> None:
    record = measured(project)
    assert record.resources is not None
    memory = record.resources.device_memory
    assert memory is not None, record.resources.absent
    seen = rows_of(spy)
    outside = int(seen[:, 4].max()) if memory.source == "process" else int(seen[:, 3].max() - seen[0, 3])
    print(memory, outside)  # noqa: T201 - numbers of the machine
    # `host` is measured besides, and its copies to the device take an arena's chunk more
    peak = max(memory.creation_peak_byte or 0, memory.run_peak_byte or 0)
    assert peak == pytest.approx(outside, rel=0.05, abs=32 * MIB)
    assert (memory.run_peak_byte or 0) > WEIGHTS


def test_energy_and_clock_agree_with_nvml_from_outside(project: GpuProject, spy: Path) -> None:
    record = measured(project)
    found = record.resources
    assert found is not None
    assert found.energy is not None, found.absent
    assert found.clocks is not None, found.absent
    assert found.timing == "bound"
    seen = rows_of(spy)
    steps = seen[1:][np.diff(seen[:, 1]) != 0]
    power = np.diff(steps[:, 1]) / np.diff(steps[:, 0]) * 1e6
    updates_ms = np.diff(steps[:, 0]) / 1e6
    print(found, np.median(updates_ms), np.percentile(power, [50, 75, 90, 100]))  # noqa: T201
    # the load lasts for most of the time that the GPU draws much: its power is the upper quarter's
    busy = power[power > 0.8 * np.percentile(power, 90)]
    assert found.energy.power_w == pytest.approx(float(np.median(busy)), rel=0.1)
    assert found.energy.per_iteration_mj == pytest.approx(
        found.energy.power_w * record.latencies[0].samples_ns[len(record.latencies[0].samples_ns) // 2] / 1e6, rel=0.15
    )
    drawing_much = np.interp(seen[:, 0], steps[1:, 0], power) > 0.8 * np.percentile(power, 90)
    assert found.clocks.mean_sm_mhz == pytest.approx(float(seen[drawing_much, 2].mean()), rel=0.1)


def test_the_watch_costs_the_first_creation_little(project: GpuProject) -> None:
    times: dict[str, list[float]] = {"on": [], "off": []}
    for _ in range(3):
        for track, seconds in times.items():
            session = measured(project, f"--ortperf-track-memory={track}", "--ortperf-iterations=3").session
            assert session is not None
            seconds.append(session.creation_ns / 1e9)
    print(times)  # noqa: T201
    assert min(times["on"]) < 1.1 * min(times["off"]) + 0.05


def test_nvml_of_the_process_is_the_gpu_that_cuda_uses() -> None:
    code = (
        "from pytest_ortperf.execution.machine.nvml import cuda_uuid, opened_gpu\n"
        "with opened_gpu(0) as gpu: print(gpu.uuid.removeprefix('GPU-'), cuda_uuid(0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    by_nvml, by_cuda = done.stdout.split()
    assert by_nvml == by_cuda
