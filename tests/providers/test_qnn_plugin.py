"""The distribution `onnxruntime-qnn`, a plugin provider beside `onnxruntime`; its HTP is emulated on an x86 CPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plugin.project import Project
from providers import small_models
from providers.planted import Planted, check
from providers.small_models import give_model

pytestmark = pytest.mark.qnn

HTP = "--ortperf-ep-option=qnn.backend_type=htp"
PLANTED = {
    "listed first, no backend": Planted(
        provider="qnn",
        options=("--ortperf-ep-option=qnn.backend_type=cpu",),
        kind="fallback",
        stage="placement",
        message=(
            "asked for QNNExecutionProvider, 0 of 2 nodes ran there; CPUExecutionProvider got 1 Conv, 1 Relu; QNN "
            "SetupBackend failed Unable to load backend, error:  libQnnCpu.so: cannot open shared object file: No such "
            "file or directory"
        ),
    ),
    "no backend named": Planted(
        provider="qnn",
        kind="provider unavailable",
        stage="session",
        message=(
            "QNNExecutionProvider cannot be used here: no session on QNNExecutionProvider: Fail: [ONNXRuntimeError] : "
            "1 : FAIL : Could not determine default backend path for device"
        ),
    ),
    "no operator that it takes": Planted(
        provider="qnn",
        options=(HTP,),
        kind="fallback",
        stage="placement",
        message="asked for QNNExecutionProvider, 0 of 2 nodes ran there; CPUExecutionProvider got 2 StringConcat",
        model="strings",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fallback_is_caught(project: Project, name: str) -> None:
    check(project, PLANTED[name])


def test_provider_without_nodes_is_listed_first_by_the_session(project: Project) -> None:
    give_model(project, small_models.network())

    record = project.run("--ortperf-ep=qnn", "--ortperf-ep-option=qnn.backend_type=cpu").by_model["m"]

    assert record["session"]["active_providers"] == ["QNNExecutionProvider", "CPUExecutionProvider"]
    assert record["failure"]["kind"] == "fallback"


def test_plugin_takes_every_node_of_a_static_network(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run("--ortperf-ep=cpu,qnn", HTP, "--ortperf-iterations=3", mode="both")

    assert set(result.outcomes.values()) == {"passed"}
    placed = {
        it["mode"]: list(it["placement"]["nodes_by_provider"]) for it in result.records if it["provider"] == "qnn"
    }
    assert placed == {"validate": ["QNNExecutionProvider"], "benchmark": ["QNNExecutionProvider"]}


def test_options_of_the_model_list_make_it_usable(project: Project) -> None:
    project.write("m.onnx", small_models.network())
    project.models({"name": "m", "ep_options": {"qnn": {"backend_type": "htp"}}}, "without")

    result = project.run("--ortperf-ep=qnn")

    assert result.outcomes == {"m::validate[qnn]": "passed", "without::validate[qnn]": "failed"}
    assert result.by_model["without"]["failure"]["kind"] == "provider unavailable"


COMPILE = """
import onnxruntime
import onnxruntime_qnn

onnxruntime.register_execution_provider_library("QNNExecutionProvider", onnxruntime_qnn.get_library_path())
options = onnxruntime.SessionOptions()
for key, value in (("enable", "1"), ("file_path", "engine.onnx"), ("embed_mode", "1")):
    options.add_session_config_entry(f"ep.context_{key}", value)
device = next(it for it in onnxruntime.get_ep_devices() if it.ep_name == "QNNExecutionProvider")
options.add_provider_for_devices([device], {"backend_type": "htp"})
onnxruntime.InferenceSession("m.onnx", options)
"""


def test_compiled_model_is_an_engine_that_runs_where_it_was_compiled_for(project: Project) -> None:
    project.write("m.onnx", small_models.network())
    subprocess.run([sys.executable, "-c", COMPILE], cwd=project.path, check=True)
    project.models({"name": "engine", "path": "engine.onnx"})

    result = project.run("--ortperf-ep=qnn", "--ortperf-fp16", HTP, "--ortperf-iterations=3", mode="benchmark")

    assert result.outcomes == {"engine::benchmark[qnn]": "passed", "engine::benchmark[qnn-fp16]": "failed"}
    engine, half = result.records
    assert engine["model_fact"]["precision"] == "engine"
    assert engine["placement"]["op_types_by_provider"] == {"QNNExecutionProvider": {"EPContext": 1}}
    assert [it["op_type"] for it in engine["operators"]["operators"]] == ["QNNExecutionProvider"]
    assert (half["failure"]["stage"], half["failure"]["kind"]) == ("precision", "precision error")


def test_auto_takes_the_plugin_where_its_options_make_it_usable(project: Project) -> None:
    give_model(project, small_models.network())

    assert set(project.run(HTP).outcomes) == {"m::validate[cpu]", "m::validate[qnn]"}


def test_auto_leaves_the_plugin_out_with_its_reason_where_it_is_not(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run()

    assert result.outcomes == {"m::validate[cpu]": "passed"}
    assert (
        "ortperf: left out: qnn: no session on QNNExecutionProvider: Fail: [ONNXRuntimeError] : 1 : FAIL : Could not "
        "determine default backend path for device"
    ) in result.out.splitlines()
