"""Other pytest plugins beside this one, in an environment of their own: `make companions`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from plugin.project import Project

COMPANIONS = {
    "randomly": "pytest-randomly",
    "pytest_cov": "pytest-cov",
    "html": "pytest-html",
    "sugar": "pytest-sugar",
    "benchmark": "pytest-benchmark",
    "timeout": "pytest-timeout",
    "rerunfailures": "pytest-rerunfailures",
    "repeat": "pytest-repeat",
}
"""Name of the plugin for `-p no:NAME` -> its distribution."""


def pytest_runtest_setup() -> None:
    missing = [name for name in COMPANIONS.values() if not _installed(name)]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


def _installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


@pytest.fixture
def project(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a case that passes, one that fails, one that crashes and one that hangs."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ORTPERF_LOCKS", str(tmp_path / "locks"))
    project = Project(pytester)
    project.write("conftest.py", CONFTEST)
    project.models("good", "fails", "crashes", {"name": "hangs", "timeout": 1}, "last")
    return project


CONFTEST = """
import os, pathlib, signal, time

def pytest_ortperf_before_first_run(case, session):
    name = case.model.name
    tried = pathlib.Path(__file__).with_name(f"tried_{name}_{case.mode}")
    first = not tried.exists()
    tried.touch()
    if name == "fails":
        raise RuntimeError("as planned")
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hangs":
        time.sleep(1000)
    if name == "flaky" and first:
        raise RuntimeError("the first time only")
    if name == "flaky_crash" and first:
        os.kill(os.getpid(), signal.SIGSEGV)
"""
