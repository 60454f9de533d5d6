from __future__ import annotations

from pathlib import Path

import pytest

from plugin.project import Project


@pytest.fixture
def project(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return an empty project; its runs are 80 columns wide and know nothing of a surrounding CI."""
    monkeypatch.setenv("COLUMNS", "80")
    # no latency matters here: nothing waits for the benchmarks of another test
    monkeypatch.setenv("ORTPERF_LOCKS", str(tmp_path / "locks"))
    return Project(pytester)
