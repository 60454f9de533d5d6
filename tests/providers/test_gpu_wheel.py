"""The distribution `onnxruntime-gpu` on a machine without CUDA: its providers are there, their libraries are not."""

from __future__ import annotations

import json
import re

import pytest

from plugin.project import Project
from providers import small_models
from providers.small_models import give_model
from providers.traces import latency_traces

pytestmark = pytest.mark.gpu_wheel

REASONS = {
    "cuda": (
        r"asked for CUDAExecutionProvider, but the session has only CPUExecutionProvider: "
        r"lib(cublasLt|cublas|cudart|cudnn)\.so\.\d+: cannot open shared object file: No such file or directory"
    ),
    "tensorrt": (
        r"no session on TensorrtExecutionProvider: RuntimeError: Please install TensorRT libraries .* "
        r"\(lib(nvinfer|cublas|cublasLt|cudart)\.so\.\d+: cannot open shared object file: No such file or directory\)"
    ),
}
"""The loader's own words, whichever library it misses first."""


@pytest.mark.parametrize("provider", REASONS)
def test_every_item_fails_with_the_loader_s_reason_and_no_time_is_given(project: Project, provider: str) -> None:
    give_model(project, small_models.network(), "m", "n")
    full_name = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[provider]

    for mode in ("validate", "benchmark"):
        result = project.run(f"--ortperf-ep=cpu,{provider}", "--ortperf-iterations=3", "--junit-xml=j.xml", mode=mode)

        assert result.outcomes == {
            f"{model}::{mode}[{name}]": "passed" if name == "cpu" else "failed"
            for model in "mn"
            for name in ("cpu", provider)
        }
        failures = [record["failure"] for record in result.records if record["provider"] == provider]
        assert {(it["kind"], it["stage"]) for it in failures} == {("provider unavailable", "session")}
        for failure in failures:
            assert re.fullmatch(f"{full_name} cannot be used here: {REASONS[provider]}", failure["message"])
            assert failure["message"] in result.out
        assert latency_traces(project, result, provider) == []
    assert latency_traces(project, result, "cpu") != []


def test_auto_runs_the_cpu_and_says_why_the_others_are_out(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run()

    assert result.outcomes == {"m::validate[cpu]": "passed"}
    told = dict(re.findall(r"^ortperf: left out: (\w+): (.*)$", result.out, re.MULTILINE))
    assert sorted(told) == sorted(REASONS)
    for provider, reason in told.items():
        assert re.fullmatch(REASONS[provider], reason)
    (path,) = (project.path / "result").glob("records_*.jsonl")
    header = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert header["unusable_providers"] == told


def test_a_run_on_the_cpu_prints_nothing_of_missing_libraries(project: Project) -> None:
    give_model(project, small_models.network())

    result = project.run("--ortperf-ep=cpu")

    assert result.outcomes == {"m::validate[cpu]": "passed"}
    assert ".so" not in result.out + result.err
