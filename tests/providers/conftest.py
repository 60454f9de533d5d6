from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from plugin.project import Project
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.session.placement import assignment_is_complete
from pytest_ortperf.records.environment.host import GpuSurvey

DISTRIBUTIONS = {
    "cpu_wheel": "onnxruntime",
    "gpu_wheel": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
    "qnn": "onnxruntime-qnn",
}
"""Marker -> the distribution that its tests are about."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, distribution in DISTRIBUTIONS.items():
        if item.get_closest_marker(marker) and not _installed(distribution):
            pytest.skip(f"{distribution} is not installed here")
    if item.get_closest_marker("gpu_wheel") and _gpus().gpus:
        pytest.skip("there is a CUDA device here")
    if item.get_closest_marker("older_runtime") and assignment_is_complete():
        pytest.skip("this ONNX Runtime tells the placement of all nodes")


@functools.cache
def _gpus() -> GpuSurvey:
    return nvml_gpus()


def _installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


@pytest.fixture
def project(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project; its runs know nothing of a surrounding CI."""
    monkeypatch.setenv("COLUMNS", "400")
    # no latency matters here: nothing waits for the benchmarks of another test
    monkeypatch.setenv("ORTPERF_LOCKS", str(tmp_path / "locks"))
    return Project(pytester)
