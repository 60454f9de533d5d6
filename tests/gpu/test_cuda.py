"""CUDA on the bundled models: where nodes ran, what was compared and measured, and routes on which it is not there."""

from __future__ import annotations

import csv
import ctypes
import functools
import shutil
from pathlib import Path

import pytest

from gpu.project import CUDA, GpuProject, Result, multilayer, nodes_on_cuda, told

ROOT = Path(__file__).parents[2]
SMALL = {
    "tiny_bert",
    "small_cnn",
    "lstm",
    "dynamic_mlp",
    "detector_head",
    "int8_qdq_cnn",
    "external_weights",
    "multi_io",
}
NUMERIC = {"result accuracy issue", "precision error", "session error", "crash"}
"""What may become of a conversion to fp16; a fallback is not among it."""

CUDA_PARENT = """
import onnxruntime

kept = []

def pytest_collection_finish(session):
    onnxruntime.preload_dlls()
    found = onnxruntime.InferenceSession("healthy.onnx", providers=["CUDAExecutionProvider"])
    assert found.get_providers()[0] == "CUDAExecutionProvider"
    kept.append(found)
"""


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Return one run over the bundled models, validated and measured, in fp32 without TF32 and in fp16."""
    project = GpuProject(tmp_path_factory.mktemp("bundled"))
    # away from the repository, whose conftest is for its own tests
    shutil.copy(ROOT / "models.json", project.path)
    (project.path / "models").symlink_to(ROOT / "models")
    return project.run(
        "--ortperf-mode=both",
        "--ortperf-ep=cuda",
        "--ortperf-fp16",
        "--ortperf-ep-option=cuda.use_tf32=0",
        "-m",
        "not light",
    )


def test_bundled_models_pass_on_cuda(bundled: Result) -> None:
    own = [record for record in bundled.records if record.precision is None]
    assert {(record.model, record.mode) for record in own} == {
        (model, mode) for model in SMALL for mode in ("validate", "benchmark")
    }
    assert {record.case_id: told(record) for record in own if record.outcome != "passed"} == {}
    assert [record.case_id for record in own if not nodes_on_cuda(record)] == []
    assert [record.case_id for record in own if record.mode == "benchmark" and not record.latencies] == []


def test_bundled_models_in_fp16_pass_on_cuda_or_say_what_is_wrong(bundled: Result) -> None:
    own = [record for record in bundled.records if record.precision == "fp16"]
    passed = [record for record in own if record.outcome == "passed"]
    assert {record.mode for record in passed} == {"validate", "benchmark"}
    assert [record.case_id for record in passed if not nodes_on_cuda(record)] == []
    others = [record for record in own if record.outcome not in {"passed", "skipped"}]
    kinds = {record.case_id: record.failure.kind for record in others if record.failure}
    assert {case: kind for case, kind in kinds.items() if kind not in NUMERIC} == {}
    assert [record.case_id for record in others if record.latencies] == []


def test_each_node_has_a_provider(bundled: Result) -> None:
    (record,) = (record for record in bundled.records if record.case_id.startswith("small_cnn::validate[cuda]"))
    assert record.placement is not None
    assert record.placement.source == "assignment info"
    assert set(record.placement.nodes_by_provider) == {CUDA}
    assert any("Conv" in op_type for op_type in record.placement.op_types_by_provider[CUDA])


@functools.cache
def tensorrt_installed() -> bool:
    try:
        ctypes.CDLL("libnvinfer.so.10")
    except OSError:
        return False
    return True


def test_tensorrt_that_cannot_load_fails_with_the_reason_of_the_loader(project: GpuProject) -> None:
    if tensorrt_installed():
        pytest.skip("TensorRT is installed here")
    project.models([{"name": "healthy"}], {"healthy": multilayer()})
    result = project.run("--ortperf-mode=both", "--ortperf-ep=cuda tensorrt", "--ortperf-fp16")
    by_provider = {
        provider: [record for record in result.records if record.provider == provider]
        for provider in ("cuda", "tensorrt")
    }
    assert {record.outcome for record in by_provider["cuda"]} == {"passed"}
    refused = [record for record in by_provider["tensorrt"] if record.outcome != "skipped"]
    assert {record.outcome for record in refused} == {"failed"}
    assert [record.case_id for record in refused if "libnvinfer" not in told(record)] == []
    assert [record.case_id for record in by_provider["tensorrt"] if record.latencies] == []
    assert latency_cells(project.path, "tensorrt") == set()
    assert latency_cells(project.path, "cuda") != set()


def latency_cells(folder: Path, provider: str) -> set[str]:
    """Return the numbers in a provider's columns of the wide table of latencies."""
    (wide,) = (folder / "result").glob("benchmark_latency_*.csv")
    with wide.open(encoding="utf-8", newline="") as file:
        return {
            value
            for row in csv.DictReader(file)
            for column, value in row.items()
            if column.startswith(f"{provider}_") and is_number(value)
        }


def is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def test_a_session_after_a_fork_from_a_cuda_parent_is_caught(project: GpuProject) -> None:
    project.models([{"name": "healthy"}, {"name": "again", "path": "healthy.onnx"}], {"healthy": multilayer()})
    (project.path / "conftest.py").write_text(CUDA_PARENT, encoding="utf-8")
    result = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda", exit_codes=None)
    assert [record.model for record in result.records] == ["healthy", "again"]
    assert [record.case_id for record in result.records if record.outcome not in {"failed", "crashed"}] == []
    assert [record.case_id for record in result.records if record.latencies or nodes_on_cuda(record)] == []
