"""The nine light networks, each timed in two ways. Not for use alone: `time_to_precision.py` runs it.

It is a pytest file, because pytest-benchmark measures only inside a test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.sources import RAMP, light_networks
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.timing.sampling import sample
from pytest_ortperf.execution.timing.warm_up import warm_up
from pytest_ortperf.records.statistics import compute

NETWORKS = light_networks()
TARGET = float(os.environ.get("ORTPERF_TARGET", "0.01"))
FIXED = int(os.environ.get("ORTPERF_FIXED", "0"))


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> tuple[str, Callable[[], object]]:
    """Return the name of a network and one run of it, after its first run."""
    name: str = request.param
    path = NETWORKS[name].path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model = Model(name=name, path=path, origin="here", inputs=RAMP)
    call = ModelRunner(session, None, generate_inputs(session.get_inputs(), model=model, dims={}, seed=0)).call
    call()
    return name, call


def test_pytest_ortperf(network: tuple[str, Callable[[], object]]) -> None:
    """Warm up and sample with the product's defaults."""
    name, call = network
    settings = ExecutionSettings(precision_target=TARGET)
    start = time.perf_counter()
    warm = warm_up(call, settings)
    sampled = sample(call, settings, lambda _new, _progress: None, warm.run_ns)
    seconds = time.perf_counter() - start
    summary = compute(sampled.samples_ns, block_iterations=sampled.block_iterations)
    note(name, "ours", seconds, count=summary.count, half_width=summary.half_width, reason=sampled.stop_reason)
    note(name, "mean", summary.mean_ns / 1e9)


@pytest.mark.skipif(not FIXED, reason="computed from the mean")
def test_fixed_number(network: tuple[str, Callable[[], object]]) -> None:
    """Time a fixed number of iterations."""
    name, call = network
    start = time.perf_counter()
    sampled = sample(call, ExecutionSettings(iterations=FIXED), lambda _new, _progress: None)
    seconds = time.perf_counter() - start
    summary = compute(sampled.samples_ns, block_iterations=sampled.block_iterations)
    note(name, "fixed", seconds, count=summary.count, half_width=summary.half_width)


def test_pytest_benchmark(network: tuple[str, Callable[[], object]], benchmark: Callable[..., object]) -> None:
    """Time with pytest-benchmark's defaults."""
    name, call = network
    start = time.perf_counter()
    benchmark(call)
    seconds = time.perf_counter() - start
    rounds = [int(value * 1e9) for value in benchmark.stats.stats.data]  # type: ignore[attr-defined]
    summary = compute(rounds)
    note(name, "benchmark", seconds, count=summary.count, half_width=summary.half_width)


def note(name: str, side: str, seconds: float, **more: object) -> None:
    """Write a line to the file that the script named."""
    with Path(os.environ["ORTPERF_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(json.dumps({"network": name, "side": side, "seconds": seconds, **more}) + "\n")
