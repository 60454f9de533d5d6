"""The first case after idle is as fast as the same model later in the run: warm-up reached the busy clock."""

from __future__ import annotations

import statistics
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_node

from gpu.project import GpuProject, graph_of
from pytest_ortperf.records.statistics import summarize

IDLE_S = 15
NAMES = ("first", "second", "third", "fourth")
SIDE = 2048
ROUNDS = 16


def products() -> onnx.ModelProto:
    """Return products that take the GPU some milliseconds: what launches them hides behind them."""
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(0, 0.01, (SIDE, SIDE)).astype(np.float32), "w")
    nodes = [make_node("MatMul", ["x" if n == 0 else f"h{n}", "w"], [f"h{n + 1}"]) for n in range(ROUNDS)]
    nodes.append(make_node("ReduceMean", [f"h{ROUNDS}"], ["y"], keepdims=1))
    return graph_of(nodes, {"x": (TensorProto.FLOAT, [SIDE, SIDE])}, {"y": (TensorProto.FLOAT, [1, 1])}, [weight])


def test_the_first_item_after_idle_is_not_slower(project: GpuProject) -> None:
    model = products()
    project.models([{"name": name} for name in NAMES], dict.fromkeys(NAMES, model))
    time.sleep(IDLE_S)
    result = project.run(
        "--ortperf-mode=benchmark", "--ortperf-ep=cuda", "--ortperf-timing=bound", "--ortperf-operators=off"
    )
    records = [result.of(name) for name in NAMES]
    medians_ms = [summarize(record.latencies[0]).p50_ns / 1e6 for record in records]
    print(medians_ms, [record.resources and record.resources.clocks for record in records])  # noqa: T201 - of the machine
    assert medians_ms[0] == pytest.approx(statistics.median(medians_ms[1:]), rel=0.03)
