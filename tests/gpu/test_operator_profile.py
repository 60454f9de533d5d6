"""Operators of CUDA sessions: nodes on CUDA take time, on both sides of a graph that is split, and the sums fit."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gpu.project import CUDA, GpuProject, Result, graph_of, told
from pytest_ortperf.records.operators import OperatorProfile
from pytest_ortperf.records.record import Record

ROOT = Path(__file__).parents[2]
CPU = "CPUExecutionProvider"
NAMES = ("small_cnn", "tiny_bert", "split")


def split() -> onnx.ModelProto:
    """Return a model whose middle has no CUDA kernel: strings are the CPU's."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(0, 0.1, (64, 64)).astype(np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["first"]),
        helper.make_node("Cast", ["first"], ["text"], to=TensorProto.STRING),
        helper.make_node("Cast", ["text"], ["second"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["second", "w"], ["y"]),
    ]
    return graph_of(nodes, {"x": (TensorProto.FLOAT, [8, 64])}, {"y": (TensorProto.FLOAT, [8, 64])}, [weight])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """Return a benchmark of three models on CUDA, and its folder."""
    project = GpuProject(tmp_path_factory.mktemp("operators"))
    entries = []
    for name in ("small_cnn", "tiny_bert"):
        shutil.copytree(ROOT / "models" / name, project.path / name)
        entries.append({"name": name, "path": f"{name}/model.onnx"})
    project.models([*entries, {"name": "split"}], {"split": split()})
    return project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda"), project.path


def profile_of(record: Record) -> OperatorProfile:
    assert record.outcome == "passed", told(record)
    assert record.reason is None
    assert record.operators is not None
    return record.operators


@pytest.mark.parametrize("name", NAMES)
def test_time_on_cuda_is_part_of_the_run(name: str, ran: tuple[Result, Path]) -> None:
    found = profile_of(ran[0].of(name))
    share = found.share_of(CUDA)
    assert share is not None
    assert 0 < share <= 1
    assert 0 < found.total_ns <= 1.2 * found.run_ns
    assert found.overlapping is False
    assert {operator.provider for operator in found.operators} <= {CUDA, CPU}


def test_a_graph_that_is_split_takes_time_on_both_sides(ran: tuple[Result, Path]) -> None:
    found = profile_of(ran[0].of("split"))
    by_type = {(operator.provider, operator.op_type): operator.nodes for operator in found.operators}
    assert by_type[CUDA, "MatMul"] == 2
    assert by_type[CPU, "Cast"] == 2
    # ONNX Runtime adds the copies as nodes of their own, and gives them to CUDA
    assert by_type[CUDA, "MemcpyToHost"] == by_type[CUDA, "MemcpyFromHost"] == 1
    share = found.share_of(CUDA)
    assert share is not None
    assert 0 < share < 1


def test_kernels_are_told_for_all_of_cuda_or_not_at_all(
    ran: tuple[Result, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = profile_of(ran[0].of("small_cnn"))
    told_ns = {operator.op_type: operator.kernel_ns for operator in found.operators if operator.provider == CUDA}
    with capsys.disabled():
        print(f"\nkernels of small_cnn in ns: {told_ns}; run {found.run_ns} ns; notes {found.notes}")  # noqa: T201 - whether this build tells them is a finding
    known = [ns for ns in told_ns.values() if ns is not None]
    assert all(ns >= 0 for ns in known)
    if known:
        assert 0 < sum(known) <= found.run_ns
        assert told_ns.get("Conv") or told_ns.get("FusedConv")


def test_the_ratio_is_in_the_table(ran: tuple[Result, Path]) -> None:
    result, folder = ran
    (path,) = (folder / "result").glob("benchmark_metrics_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        ratios = {row["model"]: float(row["ratio_of_execution_time_on_provider"]) for row in csv.DictReader(file)}
    assert ratios == {name: pytest.approx(profile_of(result.of(name)).share_of(CUDA), abs=1e-6) for name in NAMES}
