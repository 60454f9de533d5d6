"""`--ortperf-history`: the run is added at its end, and whatever the database does, nothing becomes of the run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

# Pytester forgets modules that its runs imported; compiled ones of SQLAlchemy cannot be imported twice.
import pytest_ortperf.history.store  # noqa: F401
from plugin.project import Project
from plugin.test_baseline_gate import QUICK
from pytest_ortperf.cli import main
from pytest_ortperf.history.opening import open_history


@pytest.fixture(autouse=True)
def model(project: Project) -> None:
    project.models("mine")


def run(project: Project, *args: str) -> str:
    result = project.run(*QUICK, *args, mode="benchmark")
    assert result.exit_code == 0, result.out + result.err
    return result.out


def test_runs_are_added_and_are_the_baseline_of_later_ones(project: Project) -> None:
    out = run(project, "--ortperf-history=perf/night.db", "--ortperf-label=branch=main")
    path = project.path / "perf" / "night.db"
    points = open_history(str(path)).count()["point"]
    assert f"added to the history {path} as run 1: {points} points" in out
    project.write("pytest.ini", "[pytest]\nortperf_history = perf/night.db\n")
    out = run(project, "--ortperf-baseline=history:main", "--ortperf-fail-on=failures", "--ortperf-label=branch=topic")
    assert "base     history:main (newest run " in out
    assert f"added to the history {path} as run 2" in out
    history = open_history(str(path))
    assert [(each.branch, each.complete, each.passed) for each in history.runs()] == [
        ("main", True, 1),
        ("topic", True, 1),
    ]
    (series,) = history.series(metric="latency_p50_ms")
    assert [point.run for point in history.trend(series.id)] == [1, 2]


def test_a_database_that_is_down_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/perf"
    out = run(project, f"--ortperf-history={url}")
    (line,) = [line for line in out.splitlines() if line.startswith("not added to the history: ")]
    assert "history postgresql://ada:***@127.0.0.1:1/perf: " in line
    assert "secret" not in out
    (records,) = (project.path / "result").glob("records_*.jsonl")
    assert b"secret" not in records.read_bytes()
    header, *_, end = map(json.loads, records.read_text().splitlines())
    assert header["options"]["history"] == "postgresql://ada:***@127.0.0.1:1/perf"
    assert end["type"] == "end"

    command = shlex.split(line.partition("add them later: ")[2])
    assert command == ["ortperf", "history", "add", str(records), "--history=postgresql://ada:***@127.0.0.1:1/perf"]
    monkeypatch.chdir(project.path)
    assert main([*command[1:-1], "--history=later.db"]) == 0
    assert open_history("later.db").count()["run"] == 1


@pytest.mark.slow
def test_a_missing_library_changes_nothing(project: Project) -> None:
    project.write("conftest.py", "import sys\nsys.modules['sqlalchemy'] = None\n")
    out = run(project, "--ortperf-history=history.db")
    assert "not added to the history: a history needs sqlalchemy, which is not installed here: python -m pip" in out


@pytest.mark.slow
def test_what_is_no_database_is_told_and_changes_nothing(project: Project) -> None:
    path = Path(project.path / "text.db")
    path.write_text("no database" * 100)
    out = run(project, "--ortperf-history=text.db")
    assert f"not added to the history: history {path}: file is not a database." in out


def test_a_baseline_that_is_not_there_stops_the_run_at_once(project: Project) -> None:
    result = project.run(*QUICK, "--ortperf-baseline=history:main", mode="benchmark")
    assert result.exit_code == 4
    assert "--ortperf-baseline: " in result.err
    assert "there is no such history. Add the runs you have: ortperf history add result" in result.err
