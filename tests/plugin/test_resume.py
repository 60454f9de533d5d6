"""`--ortperf-resume`: what is settled is taken over, the rest runs, and one file holds one run."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugin.project import MODEL, Project

CONFTEST = """
import os, pathlib, signal

def pytest_ortperf_before_first_run(case, session):
    name = case.model.name
    pathlib.Path(__file__).with_name("ran").open("a").write(f"{name} {case.mode}\\n")
    if name == "fails":
        raise RuntimeError("as planned")
    if name == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def cut_off(project: Project) -> Project:
    """Return a project whose run was cut off in the middle of a line, with two records and a crash before it."""
    project.write("conftest.py", CONFTEST)
    project.models("good", "fails", "crashes", "rest")
    project.run()
    path = records_file(project)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:100])
    (project.path / "ran").unlink()
    return project


def records_file(project: Project) -> Path:
    (path,) = (project.path / "result").glob("records_*.jsonl")
    return path


def ran(project: Project) -> list[str]:
    """Return which cases really ran since the last call."""
    path = project.path / "ran"
    found = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.split()[0] for line in found]


def lines_of(project: Project) -> list[dict[str, Any]]:
    return [json.loads(line) for line in records_file(project).read_text().splitlines()]


def outcomes(project: Project) -> list[tuple[str, str, int]]:
    records = [line for line in lines_of(project) if line["type"] == "record"]
    return [(record["model"], record["outcome"], record["attempt"]) for record in records]


@pytest.mark.parametrize(
    "args",
    [
        ("--ortperf-isolation=pool",),
        *(pytest.param(each, marks=pytest.mark.slow) for each in [(), ("--forked",), ("-n", "1")]),
    ],
)
def test_what_is_settled_is_taken_over(cut_off: Project, args: tuple[str, ...]) -> None:
    result = cut_off.run("--ortperf-resume", "--junit-xml=j.xml", *args)
    assert ran(cut_off) == ["crashes", "rest"]
    assert outcomes(cut_off) == [
        ("good", "passed", 1),
        ("fails", "failed", 1),
        ("crashes", "crashed", 1),
        ("crashes", "crashed", 2),
        ("rest", "passed", 1),
    ]
    assert lines_of(cut_off)[-1]["type"] == "end"
    assert result.exit_code == 1
    assert result.counts == {"failed": 2, "passed": 2}
    assert "4 models, 4 cases: 2 passed, 1 failed, 1 crashed" in result.out
    assert "resumed: 2 cases taken over from before, 2 run now" in result.out
    suite = cut_off.junit()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert "RuntimeError: as planned" in result.out
    # crashed twice, it is settled
    assert cut_off.run("--ortperf-resume", *args).exit_code == 1
    assert ran(cut_off) == []
    assert len(outcomes(cut_off)) == 5


@pytest.mark.slow
def test_another_content_of_the_same_size_and_date_runs_again(cut_off: Project) -> None:

    path = cut_off.path / "m.onnx"
    status = path.stat()
    changed = MODEL.replace(b"add", b"sum", 1)
    assert len(changed) == len(MODEL)
    path.write_bytes(changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    cut_off.run("--ortperf-resume")
    assert ran(cut_off) == ["good", "fails", "crashes", "rest"]


@pytest.mark.slow
def test_a_changed_entry_runs_again(cut_off: Project) -> None:
    cut_off.models("good", {"name": "fails", "tolerance": {"atol": 1.0}}, "crashes", "rest")
    cut_off.run("--ortperf-resume")
    assert ran(cut_off) == ["fails", "crashes", "rest"]


@pytest.mark.slow
def test_a_model_that_cannot_be_read_in_time_runs_again(cut_off: Project) -> None:

    path = cut_off.path / "m.onnx"
    path.unlink()
    os.mkfifo(path)
    cut_off.models(*({"name": name, "timeout": 0.5} for name in ("good", "fails", "crashes", "rest")))
    result = cut_off.run("--ortperf-resume")
    assert result.counts == {"failed": 4}


@pytest.mark.slow
def test_other_options_are_another_run(cut_off: Project) -> None:
    before = records_file(cut_off)
    named = cut_off.run(f"--ortperf-resume={before.stem.removeprefix('records_')}", "--ortperf-atol=1")
    assert named.exit_code == 4
    assert "--ortperf-atol was not given, is 1. Run with what it was made with" in named.err
    newest = cut_off.run("--ortperf-resume", "--ortperf-atol=1")
    assert "a new run: run" in newest.out
    assert "--ortperf-atol was not given, is 1" in newest.out
    assert len(newest.records) == 4
    assert ran(cut_off) == ["good", "fails", "crashes", "rest"]
    # the newest run that is the same
    result = cut_off.run("--ortperf-resume")
    assert f"resumes run {before.stem.removeprefix('records_')}" in result.out
    assert ran(cut_off) == ["crashes", "rest"]


@pytest.mark.slow
def test_without_a_run_there_is_a_new_one(project: Project) -> None:
    project.models("good")
    result = project.run("--ortperf-resume")
    assert "holds none to resume" in result.out
    assert result.outcomes == {"good::validate[cpu]": "passed"}


@pytest.mark.slow
def test_what_is_no_run_is_told(project: Project) -> None:
    project.models("good")
    result = project.run("--ortperf-resume=19990101-000000")
    assert result.exit_code == 4
    assert "no such file or folder" in result.err or "holds no run '19990101-000000'" in result.err


@pytest.mark.slow
def test_benchmarks_follow_validations_that_were_taken_over(project: Project) -> None:
    project.write("conftest.py", CONFTEST)
    project.models("good", "fails")
    quick = ("--ortperf-iterations=3", "--ortperf-warmup=0", "--ortperf-track-memory=off", "--ortperf-operators=off")
    project.run(*quick, mode="both")
    path = records_file(project)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    ran(project)
    result = project.run("--ortperf-resume", *quick, mode="both")
    assert result.counts == {"failed": 1, "passed": 2, "skipped": 1}
    assert outcomes(project) == [
        ("good", "passed", 1),
        ("good", "passed", 1),
        ("fails", "failed", 1),
        ("fails", "skipped", 1),
    ]
    benchmark = next(line for line in lines_of(project) if line.get("mode") == "benchmark")
    assert benchmark["validation"] == "validated"


@pytest.mark.slow
def test_a_run_that_is_still_written_is_left_alone(project: Project) -> None:

    project.models("good")
    project.run()
    with records_file(project).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = project.run("--ortperf-resume")
    assert result.exit_code == 4
    assert "is still being written by another run" in result.err


@pytest.fixture
def script() -> Iterator[ModuleType]:
    benchmarks = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, benchmarks)
    import resume_after_kill

    yield resume_after_kill
    sys.path.remove(benchmarks)


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_a_run_is_whole(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "print", lambda *_, **__: None, raising=False)
    assert script.main(["--kills=4", "--cases=100"]) == 0


def test_doubles_and_losses_are_found(script: ModuleType) -> None:
    whole = script.Part({"a": "passed", "b": "crashed"}, Counter("ab"), ended=True)
    assert script.problems(whole, whole) == []
    assert script.problems(whole, script.Part({"a": "passed", "b": "crashed"}, Counter("abb"), ended=True)) == []
    assert script.problems(whole, script.Part({"a": "passed", "b": "crashed"}, Counter("aab"), ended=True))
    assert script.problems(whole, script.Part({"a": "passed"}, Counter("a"), ended=True))
    assert script.problems(whole, script.Part({"a": "passed", "b": "crashed"}, Counter("ab"), ended=False))
