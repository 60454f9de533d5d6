"""One call of about 5 us timed in four ways, in turns, in one process. Not for use alone: `timing_overhead.py` runs it.

It is a pytest file, because pytest-benchmark measures only inside a test.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import statistics
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.sampling import sample
from pytest_ortperf.execution.timing.warm_up import warm_up

Call = Callable[[], object]

ROUNDS = int(os.environ.get("ORTPERF_ROUNDS", "1"))
SECONDS = float(os.environ.get("ORTPERF_SECONDS", "0.5"))
BARE, OURS, TIMEIT, BENCHMARK = "bare loop", "pytest-ortperf", "timeit", "pytest-benchmark"
IN_A_LOOP = 200


@pytest.fixture(scope="module")
def call() -> Call:
    """Return one run of a model that adds four numbers, warmed up."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "add", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made: Call = functools.partial(session.run, ["y"], {"x": np.ones(4, np.float32)})
    warm_up(made, ExecutionSettings())
    return made


def bare(call: Call, _: pytest.FixtureRequest) -> float:
    """Return the median over short loops of the time per call; two readings of the clock a loop."""
    end, times = time.perf_counter() + SECONDS, []
    while time.perf_counter() < end:
        start = time.perf_counter_ns()
        for _unused in itertools.repeat(None, IN_A_LOOP):
            call()
        times.append((time.perf_counter_ns() - start) / IN_A_LOOP)
    return statistics.median(times)


def ours(call: Call, _: pytest.FixtureRequest) -> float:
    """Return the median that a record has."""
    settings = ExecutionSettings(min_time_s=SECONDS, max_time_s=SECONDS)
    return statistics.median(sample(call, settings, lambda _new, _progress: None, run_ns=5_000).samples_ns)


def by_timeit(call: Call, _: pytest.FixtureRequest) -> float:
    """Return the median as the removed ONNX Runtime script timed its runs."""
    return statistics.median(timeit.repeat(call, number=1, repeat=int(SECONDS / 6e-6))) * 1e9


def by_pytest_benchmark(call: Call, request: pytest.FixtureRequest) -> float:
    """Return the median of pytest-benchmark with its defaults, but for the time it takes."""
    benchmark = request.getfixturevalue("benchmark")
    benchmark(call)
    return float(benchmark.stats.stats.median * 1e9)


SIDES: Mapping[str, Callable[[Call, pytest.FixtureRequest], float]] = {
    BARE: bare,
    OURS: ours,
    TIMEIT: by_timeit,
    BENCHMARK: by_pytest_benchmark,
}
TURNS = [(number, side) for number in range(ROUNDS) for side in list(SIDES)[:: 1 if number % 2 == 0 else -1]]


@pytest.mark.parametrize(("number", "side"), TURNS)
def test_side(number: int, side: str, call: Call, request: pytest.FixtureRequest) -> None:
    """Time the call in one way; the result goes to the file that the script named."""
    line = {"round": number, "side": side, "ns": SIDES[side](call, request)}
    with Path(os.environ["ORTPERF_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(json.dumps(line) + "\n")
