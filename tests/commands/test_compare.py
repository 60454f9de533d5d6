"""`ortperf compare` as a command: what it prints and writes, and its exit status."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from pytest_ortperf.cli import main
from pytest_ortperf.records.record import Record, TensorFact
from reports.comparison.sides import fleet, timed
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
    assert out.endswith("\nfails on latency, failures, missing, incomplete: 1\n")
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


def test_the_scripts_spelling_decides_by_threshold(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, cuda_ms in (("prev", "10.00"), ("cur", "13.00")):
        (script_run(here / name, cuda_ms) / "latency.csv").rename(here / f"{name}.csv")
    command = ["compare", "-p", "prev.csv", "-c", "cur.csv"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "latency: 0 SLOWER, 0 FASTER, 2 UNSURE, 0 SAME" in out
    assert out.endswith(
        "\nUNSURE 2: It is not known which machine measured one of the sides.\n"
        "  resnet::benchmark[cpu], resnet::benchmark[cuda]\n"
        "  To settle it, decide on a threshold of your choice:\n"
        "    ortperf compare prev.csv cur.csv --threshold=20%\n"
    )
    assert main([*command, "--threshold=20%", "-o", "out", "-o", "more.csv"]) == 1
    assert "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 1 SAME" in capsys.readouterr().out
    (row, _) = csv.DictReader((here / "out" / "comparison.csv").read_text().splitlines())
    assert (row["case_id"], row["verdict"], row["evidence"], row["decided_by"], row["text"]) == (
        "resnet::benchmark[cuda]",
        "SLOWER",
        "single runs",
        "threshold",
        "changed by +30.0 % as measured, threshold 20 %; no statistics stand behind it",
    )
    assert (here / "more.csv").read_text() == (here / "out" / "comparison.csv").read_text()
    assert main([*command, "--threshold=20%", "--ep=cpu"]) == 0
    assert main([*command, "--fail-on=latency:40%"]) == 0
    assert main(["compare", "prev", "cur", "--threshold=20%", "--fail-on=none"]) == 0


def test_folders_of_the_script_decide_by_threshold_too(here: Path) -> None:
    script_run(here / "a", "10.00")
    script_run(here / "b", "13.00")
    assert main(["compare", "a", "b", "--threshold=20%"]) == 1
    (here / "b" / "specs.csv").unlink()
    assert main(["compare", "a", "b", "--threshold=20%"]) == 1
    assert main(["compare", "b", "a", "--threshold=20%"]) == 0


def test_a_side_that_was_killed_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "whole", "20260101-000000", fleet(32))
    path = write_run(here / "killed", "20260102-000000", fleet(32, seed=1))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    for sides in (["whole", "killed"], ["killed", "whole"]):
        assert main(["compare", *sides]) == 1
    out = capsys.readouterr().out
    text = "20260102-000000: its records file has no end line, so it was killed or is still running; it holds 4 cases"
    assert f"runs: 1 incomplete\n  incomplete  current run {text[:65]}" in out
    assert "\nfails on latency, failures, missing, incomplete: 29\n" in out
    assert out.endswith("\nfails on latency, failures, missing, incomplete: 1\n")
    assert main(["compare", "whole", "killed", "--fail-on=latency,failures"]) == 0


def test_several_runs_on_each_side(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for day in range(1, 7):
        write_run(here / "result", f"2026010{day}-000000", fleet(seed=day, **({"m3": 1.4} if day > 3 else {})))
    before, after = (["-p", "20260101-000000", "20260102-000000", "20260103-000000"], ["-c", "2026010[456]*"])
    assert main(["compare", *before, *after]) == 1
    assert "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 19 SAME" in capsys.readouterr().out


def test_cases_at_other_shapes_are_not_comparable_in_files_either(here: Path) -> None:
    def sized(size: int, ms: float) -> Record:
        shape = TensorFact(name="x", dtype="float", shape=(1, size), origin="generated")
        return dataclasses.replace(timed("sized", ms), inputs=(shape,))

    two_runs(here, [*fleet(seed=1), sized(224, 30)])
    (here / "result" / "records_20260101-000000.jsonl").unlink()
    write_run(here / "result", "20260101-000000", [*fleet(), sized(64, 10)])
    assert main([*COMMAND, "--threshold=20%", "-o", "a.csv", "-o", "a.json"]) == 0
    rows = list(csv.DictReader((here / "a.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows if row["case_id"].startswith("sized")] == ["not comparable"]
    found = [row for row in json.loads((here / "a.json").read_text())["rows"] if row["case_id"].startswith("sized")]
    assert [row["verdict"] for row in found] == ["not comparable"]


def test_runs_are_listed_in_their_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "result", "20260101-000000-2", fleet(3))
    write_run(here / "result", "20260101-000000", fleet(2), commit="0123456789abcdef")
    path = write_run(here / "result", "20260102-000000", fleet(5))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    (here / "result" / "records_20260103-000000.jsonl").touch()
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run                date (UTC)        commit      ONNX Runtime  cases  state",
        "20260101-000000    2026-11-23 21:01  0123456789  1.31.1        2      complete",
        "20260101-000000-2  2026-11-23 21:01              1.31.1        3      complete",
        (
            "20260102-000000    2026-11-23 21:01              1.31.1        2      its records file has no end line, "
            "so it was killed or is still running; it holds 2 cases"
        ),
        (
            "20260103-000000                                                       holds no run; it ended before its "
            "first line was written"
        ),
    ]
    assert main(["list", "result/records_20260101-000000.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "run": "20260101-000000",
            "date": "2026-11-23 21:01",
            "commit": "0123456789",
            "onnxruntime": "1.31.1",
            "cases": 2,
            "state": "complete",
        }
    ]
    assert main(["list", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("ortperf: nowhere: no such file or folder. Give a results folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "20260101-000000"], "ortperf: x: is no file, no run in result and no git revision of "),
        ([*COMMAND[1:], "-o", "a.txt"], "ortperf: --output a.txt: the ending must be one of .csv, .md, .json, .html\n"),
        ([*COMMAND[1:], "--fail-on", "speed"], "ortperf: --fail-on: unknown speed; choose from "),
        (["a"], "ortperf: compare takes two sides: BASE CURRENT, or -p BASE... -c CURRENT...\n"),
        (["a", "b", "-p", "c"], "ortperf: compare takes two sides: BASE CURRENT, or -p BASE... -c CURRENT...\n"),
        ([*COMMAND[1:], "--ep=cuda"], "ortperf: --ep cuda: no side has a case of it; they have cpu\n"),
        ([*COMMAND[1:], "--threshold=20"], "ortperf: --threshold=20: give a percentage above 0, such as 20%\n"),
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
