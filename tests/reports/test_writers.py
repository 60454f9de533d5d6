"""The table of report writers: one more row is written at the end of a run, and by `ortperf report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin.project import Project
from pytest_ortperf.cli import main
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports import writers


def write_count(run: StoredRun, folder: Path) -> list[Path]:
    path = folder / f"count_{run.header.run}.txt"
    path.write_text(f"{len(run.records)}\n", encoding="utf-8")
    return [path]


def test_one_more_writer_writes_at_the_end_and_by_command(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = writers.ReportWriter(name="Count", files="count_RUN.txt", write=write_count)
    monkeypatch.setattr(writers, "WRITERS", (*writers.WRITERS, more))
    project = Project(pytester)
    project.models("a", "b")
    done = pytester.runpytest_inprocess("--ortperf-mode=validate", "--ortperf-ep=cpu", "-p", "no:randomly")
    (written,) = (project.path / "result").glob("count_*.txt")
    assert written.read_text() == "2\n"
    done.stdout.fnmatch_lines([f"  {written.name}"])

    capsys.readouterr()
    assert main(["report", str(project.path / "result"), "--output", str(tmp_path)]) == 0
    assert (tmp_path / written.name).read_text() == "2\n"
    assert written.name in capsys.readouterr().out
    assert len(list(tmp_path.glob("benchmark_*.csv"))) == 9
