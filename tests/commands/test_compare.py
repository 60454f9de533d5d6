"""`ortperf compare` as a command: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ortperf.cli import main
from pytest_ortperf.records.record import Record
from reports.comparison.sides import fleet
from reports.comparison.test_side_sources import script_run, write_run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def two_runs(here: Path, current: list[Record]) -> None:
    write_run(here / "result", "20260101-000000", fleet())
    write_run(here / "result", "20260102-000000", current)


COMMAND = ["compare", "20260101-000000", "20260102-000000"]


def test_something_slower_is_exit_status_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_runs(here, fleet(seed=1, m3=1.5))
    assert main(COMMAND) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 19 SAME; ratio is current / base less the shift of the fleet" in out
    assert out.endswith("\nfails on latency, failures: 1\n")
    assert main([*COMMAND, "--fail-on", "failures"]) == 0
    assert main([*COMMAND, "--fail-on=none"]) == 0


def test_nothing_slower_is_exit_status_0(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_runs(here, fleet(seed=1, m3=0.5))
    assert main([*COMMAND, "--all"]) == 0
    out = capsys.readouterr().out
    assert "latency: 0 SLOWER, 1 FASTER, 0 UNSURE, 19 SAME" in out
    assert out.count(" SAME\n") == 20  # the fleet's too


def test_files_are_written_by_their_endings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_runs(here, fleet(seed=1, m3=1.5))
    outputs = ["-o", "a.csv", "--output", "deep/a.md", "-o", "a.json", "-o", "a.html", "--explain", "m3::"]
    assert main([*COMMAND, *outputs]) == 1
    assert "samples, host, ms: base (60) to the left, current (60) to the right" in capsys.readouterr().out
    assert (here / "a.csv").read_text().splitlines()[1].startswith("latency,m3::benchmark[cpu],SLOWER,host,median,")
    assert (here / "deep" / "a.md").read_text().startswith("**1 SLOWER, 0 FASTER, 0 UNSURE, 19 SAME**\n")
    assert json.loads((here / "a.json").read_text())["verdicts"] == {"SLOWER": 1, "SAME": 19}
    assert "<svg " in (here / "a.html").read_text()


def test_tables_of_the_script_can_be_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script_run(here / "a", "10.00")
    script_run(here / "b", "5.00")
    assert main(["compare", "a", "b"]) == 0
    assert "0 SLOWER, 0 FASTER, 2 UNSURE, 0 SAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "20260101-000000"], "ortperf: x: is no file, no run in result and no git revision of "),
        ([*COMMAND[1:], "-o", "a.txt"], "ortperf: --output a.txt: the ending must be one of .csv, .md, .json, .html\n"),
        ([*COMMAND[1:], "--fail-on", "speed"], "ortperf: --fail-on: unknown speed; choose from "),
        ([*COMMAND[1:], "--explain", "zzz"], "ortperf: --explain zzz: is no case of both sides. "),
        ([*COMMAND[1:], "-o", "result/records_20260101-000000.jsonl/a.csv"], "a.csv: not written: "),
    ],
)
def test_what_cannot_be_used_is_exit_status_2(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    two_runs(here, fleet(seed=1))
    assert main(["compare", *arguments]) == 2
    assert message in capsys.readouterr().err
