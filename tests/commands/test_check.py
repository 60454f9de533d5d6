"""`ortperf check` as a program: what it prints, writes and returns."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ort_models import add_relu
from planted_ops import LEAK_RUN, RACE, library, needs_compiler, triple_model

from pytest_ortperf.cli import main
from pytest_ortperf.records.checks import (
    LEAK,
    NO_LEAK,
    SAME,
    UNSURE,
    WRONG,
    Growth,
    LeakCheck,
    LostBlocks,
    ThreadCheck,
    ThreadRun,
    ValgrindCheck,
)
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import RecordsFile, find_run, read_run
from pytest_ortperf.reports.comparison.sources.side_sources import read_side
from pytest_ortperf.reports.page.case_details import details_of
from pytest_ortperf.reports.page.run_page import run_page
from pytest_ortperf.reports.tables.gains import Gains
from pytest_ortperf.reports.terminal.check_text import check_lines
from record_examples import make_end, make_failure, make_header, make_record, make_run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with a model list of a sound model."""
    (tmp_path / "m.onnx").write_bytes(add_relu())
    (tmp_path / "models.json").write_text('[{"name": "sound", "path": "m.onnx"}]')
    return tmp_path


def plant(project: Path, fault: str) -> None:
    (project / "triple.onnx").write_bytes(triple_model())
    (project / "libtriple.so").write_bytes(library(fault))
    entry = {"name": "planted", "path": "triple.onnx", "session": {"custom_op_libraries": ["libtriple.so"]}}
    (project / "models.json").write_text(json.dumps([entry]))


def ortperf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_ortperf.cli", *arguments]
    added = {"PYTHONPATH": os.pathsep.join(sys.path), "ORTPERF_LOCKS": str(folder / "locks")}
    return subprocess.run(
        command, cwd=folder, env=os.environ | added, capture_output=True, text=True, timeout=120, check=False
    )


def record_in(folder: Path) -> Record:
    run = read_run(find_run(folder / "result"))
    assert run.end is not None
    (record,) = run.records
    assert (run.header.options["mode"], record.mode, run.end.collected) == ("check", "check", 1)
    return record


@pytest.mark.slow
def test_a_sound_case_passes_and_leaves_a_run_that_reports_read(project: Path) -> None:
    done = ortperf(project, "check", "sound::benchmark[cpu]", "--leaks", "--threads=2", "--seconds=8")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["sound::check[cpu]", "leaks: no leak"]
    assert "2 threads: same" in lines
    assert done.stderr.splitlines()[0].startswith("runs: up to ")
    record = record_in(project)
    assert (record.case_id, record.nodeid) == ("sound::check[cpu]", "models.json::sound::check[cpu]")
    assert (record.outcome, record.stage_ns.keys() >= {"leaks", "threads"}) == ("passed", True)
    (table,) = (project / "result").glob("benchmark_checks_*.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {row["kind"] for row in rows} == {"leaks", "threads"}
    assert {row["result"] for row in rows} == {NO_LEAK, SAME}
    again = ortperf(project, "report", "result")
    assert again.returncode == 0
    assert "1 passed" in again.stdout


@pytest.mark.slow
@needs_compiler
def test_a_leak_fails_the_check_with_its_size(project: Path) -> None:
    plant(project, LEAK_RUN)
    done = ortperf(project, "check", "models.json::planted::validate[cpu]", "--leaks", "--seconds=12")
    assert done.returncode == 1, done.stdout + done.stderr
    record = record_in(project)
    assert record.failure is not None
    assert (record.outcome, record.failure.kind, record.failure.stage) == ("failed", "leak", "leaks")
    assert record.failure.message.startswith("it leaks: heap: 1,0")
    assert "a run (95 % interval 1,0" in record.failure.message


@pytest.mark.slow
@needs_compiler
def test_a_race_fails_the_check(project: Path) -> None:
    plant(project, RACE)
    done = ortperf(project, "check", "planted::validate[cpu]", "--threads=3")
    assert done.returncode == 1, done.stdout + done.stderr
    record = record_in(project)
    assert record.failure is not None
    assert (record.failure.kind, record.failure.stage) == ("race", "threads")
    assert "outside tolerance" in record.failure.message


def test_what_to_look_for_has_to_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "m::validate[cpu]"]) == 2
    assert "say what to look for: --leaks, --valgrind or --threads=N" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1", "257", "two"])
def test_a_number_of_threads_that_makes_no_sense_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "m::validate[cpu]", f"--threads={number}"])
    assert f"'{number}' is no number of threads from 2 to 256" in capsys.readouterr().err


def growth(**changes: Any) -> Growth:
    values: dict[str, Any] = {
        "calls_of": "runs",
        "name": "heap",
        "unit": "B",
        "verdict": LEAK,
        "per_call": 1040.25,
        "low": 1038,
        "high": 1051,
        "least": 16,
        "calls": (200, 400),
        "grown": (208_050, 416_100),
    }
    return Growth(**(values | changes))


LEAKS = LeakCheck(
    growths=(
        growth(without_arena=LEAK),
        growth(name="threads", unit="", verdict=NO_LEAK, per_call=0, low=0, high=0, least=0),
        growth(calls_of="sessions", name="resident memory", verdict=UNSURE, per_call=5000),
    ),
    absent={"GPU memory": "no GPU"},
    advice=("something else",),
)
LOST = LostBlocks(byte=9216, blocks=9, keyword="libtriple.so", where=("lose (libtriple.so)", "compute"), again=True)
VALGRIND = ValgrindCheck(version="3.19.0", sessions=3, runs=3, lost=(LOST,), lost_elsewhere_byte=12)
THREADS = ThreadCheck(
    threads=2,
    runs=(
        ThreadRun(sessions="one session", iterations=(100, 90), inputs=2, verdict=WRONG, differing=7, wrong=5,
                  messages=("thread 1 of 2 in iteration 3 is off",)),
        ThreadRun(sessions="a session each", iterations=(80, 70), inputs=2, verdict=SAME),
    ),
)  # fmt: skip


def checked_record() -> Record:
    return make_record(
        mode="check",
        leak_check=LEAKS,
        valgrind_check=VALGRIND,
        thread_check=THREADS,
        outcome="failed",
        failure=make_failure(kind="leak", stage="leaks", message="it leaks: heap: 1,040 B a run"),
    )


def test_what_is_printed() -> None:
    assert check_lines(checked_record()) == [
        "bert::check[cpu]",
        "leaks: leak",
        "  runs on one session: 600 in 2 rounds",
        "    heap     leak     1,040 B a run (95 % interval 1,038 to 1,051); with the arena off: leak",
        "    threads  no leak",
        "  sessions, each created, run once and destroyed: 600 in 2 rounds",
        "    resident memory  unsure   5,000 B a session",
        "  GPU memory was not read: no GPU",
        "  try: something else",
        "valgrind 3.19.0: leak in 3 sessions with 3 runs each; 9,216 B definitely lost, and 12 B by others",
        "  9,216 B in 9 blocks, by libtriple.so",
        "      lose (libtriple.so)",
        "      compute",
        "2 threads: wrong",
        "  one session: wrong (190 iterations, 2 sets of inputs; 7 with other bits, 5 outside tolerance)",
        "    thread 1 of 2 in iteration 3 is off",
        "  a session each: same (150 iterations, 2 sets of inputs)",
    ]


def test_a_record_with_checks_is_read_again_and_shown_on_the_page() -> None:
    record = checked_record()
    assert from_dict(Record, json.loads(json.dumps(as_dict(record)))) == record
    blocks = {block["title"]: block for block in details_of(record, Gains(make_header(), [record]))}
    shown = blocks["Leaks and threads"]
    assert [row[shown["head"].index("result")] for row in shown["rows"]] == [LEAK, NO_LEAK, UNSURE, LEAK, WRONG, SAME]
    assert (shown["wrong"], blocks["What to try"]["text"]) == ([0, 3, 4], "something else")
    page = run_page(make_run([record], header=make_header(options={"mode": "check"})), None)
    assert "it leaks: heap: 1,040 B a run" in page


def test_a_folder_is_compared_by_its_runs_and_not_by_checks(tmp_path: Path) -> None:
    for run, mode in (("20260101-000000", "benchmark"), ("20260102-000000", "check")):
        header = make_header(run=run, options={"mode": mode})
        with RecordsFile.create(tmp_path, run, header) as file:
            file.append(make_record(mode=mode))
            file.end(make_end(collected=1))
    assert [run.name for run in read_side(str(tmp_path), tmp_path, tmp_path).runs] == ["20260101-000000"]
    (tmp_path / "records_20260101-000000.jsonl").unlink()
    assert [run.name for run in read_side(str(tmp_path), tmp_path, tmp_path).runs] == ["20260102-000000"]
