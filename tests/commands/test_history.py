"""`ortperf history`, and `ortperf compare history:BRANCH`: what they print, their exit status, and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from history.runs import MACHINE, records, write_run
from pytest_ortperf.cli import main
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import read_run
from pytest_ortperf.reports.tables.script_format import write_script_files
from record_examples import make_environment
from reports.comparison.sides import fleet


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def write(
    folder: str, day: int, found: list[Record] | None = None, branch: str = "main", machine: str = MACHINE
) -> Path:
    environment = make_environment(fingerprint=machine, hostname="build-7")
    labels = {"branch": branch, "commit": f"c0ffee{day:034}"}
    return write_run(Path(folder), f"202611{day:02}-000000", found, labels=labels, environment=environment)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_add_takes_folders_files_and_patterns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("result", 1)
    write("result", 2)
    write_run(here / "cut", "20261103-000000", is_complete=False)
    (here / "result" / "records_20261104-000000.jsonl").touch()  # of a run that is about to begin
    assert main(["history", "add", "result"]) == 0
    assert lines(capsys) == [
        "1 of 2  20261101-000000 added: 14 points",
        "2 of 2  20261102-000000 added: 14 points",
        "history.db: 2 new of 2, 2 runs in all",
    ]
    assert main(["history", "add", "res*/records_*.jsonl", "cut/records_20261103-000000.jsonl"]) == 0
    state = "its records file has no end line, so it was killed or is still running; it holds 4 cases"
    assert lines(capsys) == [
        "1 of 3  20261101-000000 is there already",
        "2 of 3  20261102-000000 is there already",
        f"3 of 3  20261103-000000 added: 14 points; incomplete, no baseline: {state}",
        "history.db: 1 new of 3, 3 runs in all",
    ]


def test_what_is_damaged_is_told_and_keeps_nothing_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("result", 2)
    damaged = path.read_bytes().split(b"\n")
    damaged[1] = b"{broken"
    path.write_bytes(b"\n".join(damaged))
    (here / "result" / "records_20261101-000000.jsonl").write_text("no header\n")
    assert main(["history", "add", "result"]) == 1
    first, second, third, last = lines(capsys)
    assert first.startswith("1 of 2  not added: ")
    assert "records_20261101-000000.jsonl: line 1 is no header of a run" in first
    assert second == "2 of 2  20261102-000000 added: 12 points"
    assert third.startswith("2 of 2  records_20261102-000000.jsonl: line 2 is damaged (")
    assert last == "history.db: 1 new of 2, 1 runs in all"


def test_csv_files_of_the_original_get_labels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = read_run(write("result", 1))
    (here / "zoo").mkdir()
    write_script_files(stored, here / "zoo")
    assert main(["history", "add", "zoo", "--label", "branch=old", "--label=commit=44cd0f8a"]) == 0
    assert lines(capsys)[0] == "zoo added: 4 points"
    assert main(["history", "list", "--branch=old", "--json"]) == 0
    (run,) = json.loads("\n".join(lines(capsys)))
    assert (run["run"], run["branch"], run["commit"], run["cases"]) == ("zoo", "old", "44cd0f8a", 2)
    assert main(["history", "add", "zoo/latency.csv"]) == 2
    assert "give the folder that this file is in" in error(capsys)
    assert main(["history", "add", "zoo", "--label", "branch"]) == 2
    assert error(capsys).startswith("ortperf: --label: 'branch' is no NAME=VALUE pair.")


def test_list_shows_runs_and_accepted_ones(capsys: pytest.CaptureFixture[str]) -> None:
    write("result", 1)
    write("result", 2, branch="topic")
    main(["history", "add", "result"])
    assert main(["history", "accept", "20261101-000000", "--by=ada", "--why=a quiet night"]) == 0
    assert lines(capsys)[-1] == f"20261101-000000 is accepted: history:main compares with it on {MACHINE}"
    assert main(["history", "list"]) == 0
    titles, *rows = [[cell.strip() for cell in re.split(r"  +", line)] for line in lines(capsys)]
    assert titles == [
        "number",
        "run",
        "date (UTC)",
        "branch",
        "commit",
        "ONNX Runtime",
        "cases",
        "failed",
        "machine",
        "state",
    ]
    same = ["1.31.1", "4", "0", MACHINE]
    assert rows == [
        [
            "1",
            "20261101-000000",
            "2026-11-23 21:01",
            "main",
            "c0ffee0000",
            *same,
            "complete, accepted by ada: a quiet night",
        ],
        ["2", "20261102-000000", "2026-11-23 21:01", "topic", "c0ffee0000", *same, "complete"],
    ]
    assert main(["history", "accept", "1", "--undo"]) == 0
    assert main(["history", "rebuild"]) == 0
    assert lines(capsys) == ["20261101-000000 is no longer accepted", "history.db: 2 runs rebuilt"]
    main(["history", "list", "--json"])
    assert [run["accepted"] for run in json.loads("\n".join(lines(capsys)))] == [None, None]


def test_only_complete_runs_that_are_there_can_be_accepted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "result", "20261101-000000", is_complete=False)
    main(["history", "add", "result"])
    lines(capsys)
    assert main(["history", "accept", "20261101-000000"]) == 2
    assert "cannot be accepted: its records file has no end line" in error(capsys)
    assert main(["history", "accept", "20261105-000000"]) == 2
    assert "is not in the history; its runs, newest first: 20261101-000000." in error(capsys)


def test_a_run_id_of_two_machines_needs_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    write("a", 1)
    write("b", 1, machine="another")
    main(["history", "add", "a", "b"])
    lines(capsys)
    assert main(["history", "accept", "20261101-000000"]) == 2
    assert "there are 2 of this id; give the number of one: 1 (build-7), 2 (build-7)." in error(capsys)
    assert main(["history", "accept", "2"]) == 0


def test_errors_name_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "list"]) == 2
    assert error(capsys) == (
        "ortperf: history.db: there is no such history. Add the runs you have: ortperf history add result "
        "--history=history.db\n"
    )
    assert main(["history", "add", "nothing"]) == 2
    assert error(capsys).startswith("ortperf: nothing: is no file and no folder. Give records files, results folders")
    write("result", 1)
    assert main(["history", "add", "result", "--history=postgresql://127.0.0.1:1/perf"]) == 2
    assert "history postgresql://127.0.0.1:1/perf: " in error(capsys)
    with pytest.raises(SystemExit) as ended:
        main(["history"])
    assert ended.value.code == 2


def test_compare_takes_the_newest_runs_of_a_branch(capsys: pytest.CaptureFixture[str]) -> None:
    for day in range(1, 8):
        write("night", day, fleet(seed=day))
    write("topic", 8, fleet(seed=8, m3=1.5), branch="topic")
    write("elsewhere", 9, fleet(seed=9, m3=1.5), machine="another")
    main(["history", "add", "night", "topic", "elsewhere"])
    lines(capsys)
    assert main(["compare", "history:main", "topic"]) == 1
    out = lines(capsys)
    assert out[0].startswith("base     history:main (newest run 20261107-000000), 7 runs")
    assert any(line.startswith("latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 19 SAME") for line in out)
    assert any(line.startswith("m3::benchmark[cpu]") for line in out)


def test_compare_takes_the_accepted_run(capsys: pytest.CaptureFixture[str]) -> None:
    write("night", 1, fleet(seed=1, m3=1.5))
    write("night", 2, fleet(seed=2))
    write("topic", 3, fleet(seed=3, m3=1.5), branch="topic")
    main(["history", "add", "night", "--history=night.db"])
    main(["history", "accept", "20261101-000000", "--by=ada", "--why=m3 may be slower", "--history=night.db"])
    lines(capsys)
    assert main(["compare", "history:main", "topic", "--history=night.db"]) == 0
    out = lines(capsys)
    assert out[0].startswith("base     history:main (accepted run 20261101-000000)")
    assert "note: run 20261101-000000 was accepted by ada: m3 may be slower" in out
    assert not any("SLOWER" in line and line.startswith("m3") for line in out)


def test_incomplete_runs_are_no_baseline(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("night", 1, fleet(seed=1))
    write_run(here / "night", "20261102-000000", fleet(seed=2)[:5], is_complete=False)
    write("topic", 3, fleet(seed=3), branch="topic")
    main(["history", "add", "night"])
    lines(capsys)
    assert main(["compare", "history:main", "topic"]) == 0
    assert lines(capsys)[0].startswith("base     history:main (newest run 20261101-000000)")


def test_no_baseline_says_what_there_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("elsewhere", 1, records(), machine="another machine")
    write_run(here / "cut", "20261102-000000", labels={"branch": "cut"}, is_complete=False)
    write("topic", 3)
    main(["history", "add", "elsewhere", "cut"])
    lines(capsys)
    assert main(["compare", "history:none", "topic"]) == 2
    assert "holds no run of branch none (its branches: cut, main). Add one: ortperf history add" in error(capsys)
    assert main(["compare", "history:main", "topic"]) == 2
    assert f"holds no complete run of it on this machine ({MACHINE}), but on another machine." in error(capsys)
    assert main(["compare", "history:cut", "topic"]) == 2
    assert "holds no complete run of it: 20261102-000000: its records file has no end line" in error(capsys)
