"""Real models against themselves, and against one with extra nodes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pairing.ab_project import AbProject, places, told
from pytest_ortperf.records.pairs_file import read_floor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

BUNDLED = Path(__file__).parents[2] / "models"


def bundled(name: str) -> dict[str, str]:
    return {"name": name, "path": str(BUNDLED / name / "model.onnx"), "test_data": str(BUNDLED / name)}


def test_a_bundled_model_against_itself_is_the_same_in_two_pairs(project: AbProject) -> None:
    project.models(bundled("small_cnn"))
    done = project.ab("--aa", "--ortperf-ep=cpu", "--ortperf-threads=1", "--screen-pairs=2", "--pair-time=0.3")
    assert done.returncode == 0, done.stderr
    assert places(project.stored.pairs) == [("screen", 0, "small_cnn"), ("screen", 1, "small_cnn")]
    for pair in project.stored.pairs:
        assert set(pair.order) == {"A", "B"}
        assert pair.order.count("A") == pair.order.count("B") == len(pair.base.turns_ns) // 2
        assert len(pair.base.turns_ns) == len(pair.current.turns_ns) >= 6
        assert abs(pair.log_ratio) < 1
        assert pair.base.iterations >= len(pair.base.turns_ns)
    assert told(done)[-1] == "no noise floor: it takes 10 pairs of a case"
    assert [path.name for path in project.path.glob("result/floor_*")] == []
    assert {record.record.outcome for record in project.stored.records} == {"passed"}
    assert {record.record.latencies for record in project.stored.records} == {()}


def test_a_floor_is_measured_and_decides(project: AbProject) -> None:
    project.models("tiny")
    quick = ("--ortperf-ep=cpu", "--ortperf-threads=1", "--pair-time=0.02", "-pno:hypothesispytest")
    done = project.ab("--aa", *quick)
    assert done.returncode == 0, done.stderr
    (path,) = (project.path / "result").glob("floor_*.json")
    assert done.stdout.endswith(f"\nfloor: result/{path.name}\n")
    floor = read_floor(path)
    assert [(case.case_id, case.pairs) for case in floor.cases] == [("tiny::benchmark[cpu]", 10)]
    assert 0 < floor.cases[0].log_floor < 0.5
    # with a floor that high, nothing is a change
    path.write_text(path.read_text().replace(f"{floor.cases[0].log_floor!r}", "1.5"))
    other = ("--current-option=--ortperf-graph-optimization=basic", f"--floor=result/{path.name}", "-o", "a.json")
    again = project.ab(*quick, *other, "--screen-pairs=2", "--confirm-pairs=1", "--results=other")
    assert again.returncode == 0, again.stderr
    (row,) = json.loads((project.path / "a.json").read_text())["rows"]
    assert row["delta_percent"] == pytest.approx(1908.55, rel=1e-3)


def chain(path: Path, nodes: int) -> None:
    """Write a model of as many matrix products, each of which takes some 30 us."""
    weight = numpy_helper.from_array(np.eye(96, dtype=np.float32) * np.float32(0.5), "w")
    products = [helper.make_node("MatMul", [f"x{each}", "w"], [f"x{each + 1}"]) for each in range(nodes)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [96, 96]) for name in ("x0", f"x{nodes}"))
    graph = helper.make_graph(products, "chain", [x], [y], [weight])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_a_model_with_extra_nodes_is_slower_and_its_neighbour_is_not(project: AbProject) -> None:
    chain(project.path / "ten.onnx", 10)
    chain(project.path / "twenty.onnx", 20)
    project.models({"name": "planted", "path": "ten.onnx"}, {"name": "neighbour", "path": "ten.onnx"}, name="base.json")
    project.models(
        {"name": "planted", "path": "twenty.onnx"}, {"name": "neighbour", "path": "ten.onnx"}, name="current.json"
    )
    lists = ("--base-models=base.json", "--current-models=current.json")
    options = ("--ortperf-ep=cpu", "--ortperf-threads=1", "-pno:hypothesispytest", "--pair-time=0.4")
    done = project.ab(*lists, *options, "--confirm-pairs=6", "-o", "a.json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads((project.path / "a.json").read_text())["rows"]
    rows = {row["case_id"].partition("::")[0]: row for row in found if row["topic"] == "latency"}
    assert [row["verdict"] for row in found if row["topic"] != "latency"] == ["another graph"]
    assert rows["planted"]["verdict"] == "SLOWER"
    assert 1.5 < rows["planted"]["ratio"] < 3
    assert rows["planted"]["base_count"] == 6
    assert rows["neighbour"]["verdict"] in ("SAME", "UNSURE")
    assert done.stdout.endswith("\nfails on latency, failures, missing, incomplete: 1\n")
    confirmed = [model for stage, _, model in places(project.stored.pairs) if stage == "confirm"]
    assert confirmed.count("planted") == 6
