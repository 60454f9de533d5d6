"""The distribution `onnxruntime`: it has the CPU provider, and one that takes no node."""

from __future__ import annotations

import onnxruntime
import pytest

from plugin.project import Project, junit_values
from providers import small_models
from providers.planted import Planted, check
from providers.small_models import give_model
from providers.traces import latency_traces
from pytest_ortperf.execution.session.placement import FOLDED

pytestmark = pytest.mark.cpu_wheel

PLANTED = {
    "provider missing": Planted(
        provider="cuda",
        kind="provider unavailable",
        stage="session",
        message=(
            "CUDAExecutionProvider cannot be used here: CUDAExecutionProvider is not part of this ONNX Runtime "
            f"{onnxruntime.__version__}, which has AzureExecutionProvider, CPUExecutionProvider; install the "
            "distribution or plugin package that has it, or leave it out of --ortperf-ep"
        ),
    ),
    "listed first, takes no operator": Planted(
        provider="AzureExecutionProvider",
        kind="fallback",
        stage="placement",
        message=("asked for AzureExecutionProvider, 0 of 2 nodes ran there; CPUExecutionProvider got 2 StringConcat"),
        model="strings",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fallback_is_caught(project: Project, name: str) -> None:
    check(project, PLANTED[name])


def test_provider_without_nodes_is_listed_first_by_the_session(project: Project) -> None:
    give_model(project, small_models.network())

    record = project.run("--ortperf-ep=AzureExecutionProvider").by_model["m"]

    assert record["session"]["active_providers"] == ["AzureExecutionProvider", "CPUExecutionProvider"]
    assert record["failure"]["kind"] == "fallback"


@pytest.mark.parametrize("provider", ["cpu", pytest.param("AzureExecutionProvider", marks=pytest.mark.slow)])
def test_graph_folded_to_constants_is_an_outcome_of_its_own(project: Project, provider: str) -> None:
    give_model(project, small_models.constants())

    result = project.run(f"--ortperf-ep={provider}", "--junit-xml=j.xml")

    record = result.by_model["m"]
    assert (record["outcome"], record["reason"], record["failure"]) == ("passed", FOLDED, None)
    assert record["placement"]["nodes_by_provider"] == {}
    assert f"1 passed: {FOLDED}" in result.out.splitlines()
    properties = junit_values(project.junit())
    assert properties["ortperf.reason"] == FOLDED
    assert properties["ortperf.nodes"] == "0"


@pytest.mark.parametrize(
    ("provider", "mode"),
    [
        ("cpu", "both"),
        ("AzureExecutionProvider", "benchmark"),
        pytest.param("cpu", "benchmark", marks=pytest.mark.slow),
        pytest.param("AzureExecutionProvider", "both", marks=pytest.mark.slow),
    ],
)
def test_graph_folded_to_constants_is_not_timed(project: Project, provider: str, mode: str) -> None:
    give_model(project, small_models.constants())

    result = project.run(f"--ortperf-ep={provider}", "--junit-xml=j.xml", mode=mode)

    record = next(it for it in result.records if it["mode"] == "benchmark")
    assert (record["outcome"], record["reason"], record["failure"]) == ("skipped", FOLDED, None)
    assert (record["placement"]["nodes_by_provider"], record["latencies"]) == ({}, [])
    assert f"1 skipped: {FOLDED}" in result.out.splitlines()
    traces = latency_traces(project, result, provider)
    assert [it for it in traces if "creation" not in it] == []


def test_folded_graph_with_a_wrong_output_fails_before_its_benchmark_is_left_out(project: Project) -> None:
    project.write("m.onnx", small_models.constants())
    project.write("data/test_data_set_0/output_0.pb", small_models.wrong_constants())
    project.models({"name": "m", "path": "m.onnx", "test_data": "data"})

    result = project.run("--ortperf-ep=cpu", mode="both")

    assert result.outcomes == {"m::validate[cpu]": "failed", "m::benchmark[cpu]": "skipped"}
    assert {it["reason"] for it in result.records if it["mode"] == "benchmark"} != {FOLDED}


def test_same_graph_unfolded_is_a_fallback(project: Project) -> None:
    give_model(project, small_models.constants())

    result = project.run("--ortperf-ep=AzureExecutionProvider", "--ortperf-graph-optimization=disable")

    assert result.by_model["m"]["failure"]["message"] == (
        "asked for AzureExecutionProvider, 0 of 1 nodes ran there; CPUExecutionProvider got 1 Add"
    )
