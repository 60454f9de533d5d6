"""The distribution `onnxruntime-openvino`: a second real provider, on the CPU."""

from __future__ import annotations

import json

import numpy as np
import pytest

from original_script import check_own_target, read_files
from plugin.project import Project
from providers import small_models
from providers.planted import Planted, check
from providers.small_models import give_model
from pytest_ortperf.execution.session.placement import FOLDED

pytestmark = pytest.mark.openvino

NOT_MADE = (
    "OpenVINOExecutionProvider cannot be used here: asked for OpenVINOExecutionProvider, but the session has only "
    "CPUExecutionProvider: [ERROR] [OpenVINO] "
)
PLANTED = {
    "precision that this device lacks": Planted(
        provider="openvino",
        options=("--ortperf-ep-option=openvino.precision=FP16",),
        kind="provider unavailable",
        stage="session",
        message=NOT_MADE + "Unsupported inference precision is selected. CPU only supports FP32, ACCURACY.",
    ),
    "device that is not there": Planted(
        provider="openvino",
        options=("--ortperf-ep-option=openvino.device_type=GPU",),
        kind="provider unavailable",
        stage="session",
        message=NOT_MADE + "Device GPU is not available",
    ),
    "device chosen that is not there": Planted(
        provider="openvino",
        options=("--ortperf-device=openvino=NPU",),
        kind="provider unavailable",
        stage="session",
        message=NOT_MADE + "Device NPU is not available",
    ),
    "option that it does not know": Planted(
        provider="openvino",
        options=("--ortperf-ep-option=openvino.nonsense=1",),
        kind="provider unavailable",
        stage="session",
        message=(
            "OpenVINOExecutionProvider cannot be used here: no session on OpenVINOExecutionProvider: RuntimeError: "
            "Invalid OpenVINO EP option: nonsense"
        ),
    ),
    "no operator that it takes": Planted(
        provider="openvino",
        kind="fallback",
        stage="placement",
        message="asked for OpenVINOExecutionProvider, 0 of 2 nodes ran there; CPUExecutionProvider got 2 StringConcat",
        model="strings",
    ),
    "part of the operators, none may lie elsewhere": Planted(
        provider="openvino",
        options=("--ortperf-fallback=fail",),
        kind="fallback",
        stage="placement",
        message=(
            "asked for OpenVINOExecutionProvider, 2 of 3 nodes ran there: 33.3 % elsewhere, 0 % allowed by "
            "--ortperf-fallback; CPUExecutionProvider got 1 Hardmax"
        ),
        model="half_taken",
    ),
    "part of the operators, fewer may lie elsewhere": Planted(
        provider="openvino",
        options=("--ortperf-fallback=33",),
        kind="fallback",
        stage="placement",
        message=(
            "asked for OpenVINOExecutionProvider, 2 of 3 nodes ran there: 33.3 % elsewhere, 33 % allowed by "
            "--ortperf-fallback; CPUExecutionProvider got 1 Hardmax"
        ),
        model="half_taken",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fallback_is_caught(project: Project, name: str) -> None:
    check(project, PLANTED[name])


@pytest.mark.parametrize("fallback", [[], ["--ortperf-fallback=allow"], ["--ortperf-fallback=34"]])
def test_allowed_share_of_nodes_elsewhere_passes(project: Project, fallback: list[str]) -> None:
    give_model(project, small_models.half_taken())

    record = project.run("--ortperf-ep=openvino", *fallback).by_model["m"]

    assert (record["outcome"], record["reason"]) == ("passed", None)
    assert record["placement"]["op_types_by_provider"] == {
        "OpenVINOExecutionProvider": {"Conv": 1, "Relu": 1},
        "CPUExecutionProvider": {"Hardmax": 1},
    }


def test_half_precision_nodes_elsewhere_count_as_those_in_single_precision_do(project: Project) -> None:
    project.write("single.onnx", small_models.determinant())
    project.write("half.onnx", small_models.determinant(np.float16))
    project.models(*({"name": name, "path": f"{name}.onnx"} for name in ("single", "half")))

    records = project.run("--ortperf-ep=openvino", "--ortperf-fallback=fail").by_model

    assert {it["placement"]["source"] for it in records.values()} == {"assignment info", "assignment info and profile"}
    assert {it["failure"]["message"] for it in records.values()} == {
        (
            "asked for OpenVINOExecutionProvider, 1 of 4 nodes ran there: 75 % elsewhere, 0 % allowed by "
            "--ortperf-fallback; CPUExecutionProvider got 1 Det, 1 MatMul, 1 Sigmoid"
        )
    }


def test_graph_folded_to_constants_is_an_outcome_of_its_own(project: Project) -> None:
    give_model(project, small_models.constants())

    record = project.run("--ortperf-ep=openvino").by_model["m"]

    assert (record["outcome"], record["reason"]) == ("passed", FOLDED)


def test_auto_runs_both_and_every_node_is_where_it_was_asked_for(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run("--ortperf-iterations=3", mode="both")

    assert result.outcomes == {
        f"m::{mode}[{provider}]": "passed" for provider in ("cpu", "openvino") for mode in ("validate", "benchmark")
    }
    assert {(it["provider"], *it["placement"]["nodes_by_provider"]) for it in result.records} == {
        ("cpu", "CPUExecutionProvider"),
        ("openvino", "OpenVINOExecutionProvider"),
    }


def test_a_gain_over_the_reference_provider_is_measured_in_turns(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run("--ortperf-iterations=3", "--ortperf-paired", "--ortperf-max-time=0.1", mode="benchmark")

    assert result.exit_code == 0, result.out
    title, row = (line.split() for line in result.out.splitlines() if line.startswith(("gain over", "m::benchmark")))
    assert title == ["gain", "over", "cpu,", "in", "turns"]
    assert (row[:2], row[-1]) == (["m::benchmark[openvino]", "host"], "6")
    (path,) = (project.path / "result").glob("pairs_*_openvino_cpu.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    pairs = [line["pair"] for line in lines if line["type"] == "pair"]
    assert [pair["round"] for pair in pairs] == [0, 1, 2, 3, 4, 5]
    providers = {
        (line["record"]["side"], *line["record"]["record"]["placement"]["nodes_by_provider"])
        for line in lines
        if line["type"] == "record"
    }
    assert providers == {("base", "CPUExecutionProvider"), ("current", "OpenVINOExecutionProvider")}


def test_original_csv_has_columns_for_it_behind_the_scripts(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run("--ortperf-ep=openvino", "--ortperf-iterations=3", "--ortperf-csv=original", mode="both")

    found = read_files(project.path / "result", "ORT-OpenVINOFp32")
    check_own_target(found, "ORT-OpenVINOFp32", result.records)
