"""Writes the verdict of each item of the official runner to a file; `conformance.py` copies it as `conftest.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

CATEGORIES = {
    "OnnxBackendNodeModelTest": "node",
    "OnnxBackendSimpleModelTest": "simple",
    "OnnxBackendPyTorchConvertedModelTest": "pytorch-converted",
    "OnnxBackendPyTorchOperatorModelTest": "pytorch-operator",
}

verdicts: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome of the call, or of another phase if that is not a pass."""
    if report.when == "call" or not report.passed:
        _, category, name = report.nodeid.split("::")
        case = f"{CATEGORIES[category]}/{name.removesuffix('_cpu')}"
        crash = getattr(report.longrepr, "reprcrash", None)
        verdicts[case] = (report.outcome, str(crash.message if crash else report.longrepr or ""))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write them in the process that has seen all."""
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["CONFORMANCE_VERDICTS"]).write_text(json.dumps(verdicts), encoding="utf-8")
