"""Memory of a case in its own process: 80 MiB of weights under a parent that holds far more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.records.resources import HostMemory
from pytest_ortperf.records.store import find_run, read_run

MIB = 2**20
WEIGHTS = 80 * MIB
PARENT = 300 * MIB


def heavy_model() -> onnx.ModelProto:
    """Return a product with 80 MiB of weights."""
    weight = np.random.default_rng(0).normal(size=(4096, WEIGHTS // 4096 // 4)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4096])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, weight.shape[1]])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "heavy", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its file, with the weights inside."""
    path = tmp_path_factory.mktemp("heavy") / "heavy.onnx"
    onnx.save_model(heavy_model(), path)
    return path


def memory_of(pytester: pytest.Pytester, model: Path, *args: str) -> HostMemory:
    pytester.makefile(".json", models=f'[{{"name": "heavy", "path": "{model}"}}]')
    pytester.makeconftest(f"import numpy as np\nheld = np.ones({PARENT} // 8)")
    quick = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-operators=off", "--ortperf-env=off")
    result = pytester.runpytest_subprocess("--ortperf-mode=benchmark", "--ortperf-ep=cpu", *quick, *args)
    result.assert_outcomes(passed=1)
    (record,) = read_run(find_run(pytester.path / "result")).records
    assert record.resources is not None
    assert record.resources.host_memory is not None
    return record.resources.host_memory


@pytest.mark.slow
@pytest.mark.parametrize(
    "isolation", ["forked", *(pytest.param(each, marks=pytest.mark.slow) for each in ("pool", "none"))]
)
def test_a_model_of_80_mib_shows_its_own_footprint(pytester: pytest.Pytester, model: Path, isolation: str) -> None:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this kernel has no /proc/self/clear_refs")
    memory = memory_of(pytester, model, f"--ortperf-isolation={isolation}")
    assert memory.baseline_byte > PARENT
    assert memory.creation_byte == pytest.approx(WEIGHTS, rel=0.15)
    assert memory.run_peak_byte == pytest.approx(WEIGHTS, rel=0.15)
    # weights are there twice while ONNX Runtime packs them
    assert memory.creation_peak_byte == pytest.approx(2 * WEIGHTS, rel=0.15)


@pytest.mark.slow
def test_nothing_is_taken_where_that_is_asked(pytester: pytest.Pytester, model: Path) -> None:
    pytester.makefile(".json", models=f'[{{"name": "heavy", "path": "{model}"}}]')
    quick = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-operators=off", "--ortperf-env=off")
    pytester.runpytest_subprocess(
        "--ortperf-mode=benchmark", "--ortperf-ep=cpu", "--ortperf-track-memory=off", *quick
    ).assert_outcomes(passed=1)
    (record,) = read_run(find_run(pytester.path / "result")).records
    assert record.resources is None
