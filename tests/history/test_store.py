"""What a history keeps of runs, in SQLite and PostgreSQL, and that it is the same however it got there."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from history.runs import MACHINE, records, write_run
from pytest_ortperf.errors import HistoryError, ResultsFileError
from pytest_ortperf.history.database import Database
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.schema import META, SCHEMA
from pytest_ortperf.history.store import History, Point
from pytest_ortperf.records.record import ModelFact
from pytest_ortperf.records.store import RecordsFile, read_run
from record_examples import make_end, make_environment, make_failure, make_record

DATA = Path(__file__).parents[1] / "data" / "history"


def everything(history: History) -> dict[str, object]:
    return {
        "runs": history.runs(),
        "series": history.series(),
        "points": list(history.points()),
        "outcomes": list(history.outcomes()),
    }


def value_of(history: History, model: str, metric: str) -> list[float]:
    (series,) = [each for each in history.series(metric=metric, model=model) if each.mode == "benchmark"]
    return [point.value for point in history.trend(series.id)]


def test_a_run_is_kept_with_its_numbers(url: str, tmp_path: Path) -> None:
    path = write_run(
        tmp_path, labels={"branch": "main", "commit": "c0ffee", "date": "2026-11-23", "url": "http://ci/7"}
    )
    history = open_history(url, create=True)
    added = history.add(kept_records(path))
    assert (added.id, added.run, added.is_new, added.lines, added.state) == (1, "20261123-210146", True, 6, "complete")
    (run,) = history.runs()
    assert (run.id, run.branch, run.commit_id, run.commit_date, run.url) == (
        1,
        "main",
        "c0ffee",
        "2026-11-23",
        "http://ci/7",
    )
    assert (run.machine, run.host, run.device) == (MACHINE, "build-7", "AMD EPYC 9654")
    assert (run.cases, run.passed, run.failed, run.complete, run.groups) == (4, 4, 0, True, ("zoo",))
    assert run.identifier == "2026-11-23_c0ffee_1.31.1_main"
    assert run.source == str(path)

    (series,) = history.series(metric="latency_p50_ms", model="vgg")
    assert (series.timing, series.unit, series.provider, series.group) == ("host", "ms", "cpu", "zoo")
    (point,) = history.trend(series.id)
    assert isinstance(point, Point)
    assert point.value == pytest.approx(2 * 1.195)
    assert point.low is not None
    assert point.high is not None
    assert point.low < point.value < point.high
    assert (point.run, point.n) == (1, 40)
    assert value_of(history, "bert", "session_creation_s") == [0.012345678]
    assert history.count() == {"run": 1, "series": added.points, "point": added.points}


def test_a_run_added_twice_is_one_run(url: str, tmp_path: Path) -> None:
    history = open_history(url, create=True)
    history.add(kept_records(write_run(tmp_path)))
    before = everything(history)
    again = history.add(kept_records(write_run(tmp_path / "copied")))
    assert (again.id, again.is_new, again.lines, again.points) == (1, False, 0, 0)
    assert everything(history) == before


def test_runs_of_the_same_second_on_two_machines_are_two(url: str, tmp_path: Path) -> None:
    history = open_history(url, create=True)
    history.add(kept_records(write_run(tmp_path / "a")))
    history.add(kept_records(write_run(tmp_path / "b", environment=make_environment(fingerprint="another"))))
    assert [run.machine for run in history.runs()] == [MACHINE, "another"]
    assert len(history.series(metric="latency_p50_ms")) == 4


def test_every_line_comes_back_as_it_was(url: str, tmp_path: Path) -> None:
    path = write_run(tmp_path)
    history = open_history(url, create=True)
    history.add(kept_records(path))
    assert b"".join(line + b"\n" for _, line in history.record_lines(1)) == path.read_bytes()
    assert history.stored_run(1).records == read_run(path).records


def test_a_run_that_goes_on_grows(url: str, tmp_path: Path) -> None:
    whole = write_run(tmp_path).read_bytes()
    lines = whole.split(b"\n")
    path = tmp_path / "records_growing.jsonl"
    history = open_history(url, create=True)
    path.write_bytes(b"\n".join(lines[:3]) + b"\n" + lines[3][:50])
    first = history.add(kept_records(path))
    assert (first.lines, first.is_new) == (3, True)
    assert "no end line" in first.state
    assert not history.runs(complete=True)
    path.write_bytes(whole)
    second = history.add(kept_records(path))
    assert (second.id, second.is_new, second.lines, second.state) == (1, False, 3, "complete")
    assert [run.cases for run in history.runs(complete=True)] == [4]

    path.write_bytes(b"\n".join(lines[:2]) + b"\n")  # and a copy that is damaged takes nothing away
    history.add(kept_records(path))
    assert [run.cases for run in history.runs(complete=True)] == [4]


def test_damaged_lines_are_left_out_and_told(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"\x00\x00\x00"
    path.write_bytes(b"\n".join(lines))
    history = open_history(str(tmp_path / "history.db"), create=True)
    run = kept_records(path)
    assert [note.partition(" is damaged")[0] for note in run.parsed.stored.notes] == [f"{path.name}: line 3"]
    assert history.add(run).lines == 5
    assert [number for number, _ in history.record_lines(1)] == [1, 2, 4, 5, 6]
    assert [outcome.number for outcome in history.outcomes()] == [2, 4, 5]


def test_a_file_without_a_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records_1.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ResultsFileError, match="line 1 is no header"):
        kept_records(path)


def test_runs_stand_in_the_order_they_were_made_in(url: str, tmp_path: Path) -> None:
    history = open_history(url, create=True)
    names = ("20261123-210146-10", "20261123-210146", "20261123-210146-2", "20261122-000000")
    for number, name in enumerate(names, start=1):
        started = f"2026-11-2{number}T00:00:00+00:00"  # a clock that went its own way
        history.add(kept_records(write_run(tmp_path, name, records(number), started=started)))
    assert [run.run for run in history.runs()] == [names[3], names[1], names[2], names[0]]
    assert [run.id for run in history.runs()] == [4, 2, 3, 1]
    (series,) = history.series(metric="latency_p50_ms", model="bert")
    assert [point.run for point in history.trend(series.id)] == [4, 2, 3, 1]
    assert [point.run for point in history.points(runs=[1, 4]) if point.series == series.id] == [4, 1]


def test_failures_have_an_outcome_and_no_latency(tmp_path: Path) -> None:
    failed = make_record("bert", outcome="crashed", failure=make_failure(kind="crash", message="SIGSEGV\nmore"))
    history = open_history(str(tmp_path / "history.db"), create=True)
    history.add(kept_records(write_run(tmp_path, found=[failed])))
    (outcome,) = history.outcomes([1])
    assert (outcome.outcome, outcome.kind, outcome.text, outcome.nodeid) == (
        "crashed",
        "crash",
        "SIGSEGV",
        "models.json::bert::benchmark[cpu]",
    )
    assert history.count() == {"run": 1, "series": 0, "point": 0}


def test_texts_that_no_database_takes_are_made_plain(url: str, tmp_path: Path) -> None:
    failed = make_record("b\u00e9rt", outcome="failed", failure=make_failure(message="zero \0, half \ud800, \u00e9"))
    path = write_run(tmp_path, found=[failed], labels={"branch": "a\0b"})
    history = open_history(url, create=True)
    history.add(kept_records(path))
    (outcome,) = history.outcomes()
    assert (outcome.model, outcome.text) == ("b\u00e9rt", "zero \\x00, half \\ud800, \u00e9")
    assert [run.branch for run in history.runs()] == ["a\\x00b"]
    assert history.stored_run(1).records == read_run(path).records


@pytest.mark.slow
@pytest.mark.parametrize("url", ["history.db", "postgresql://127.0.0.1:1/perf"])
def test_a_missing_library_is_named_with_the_command(tmp_path: Path, url: str) -> None:
    path = write_run(tmp_path)
    missing = "sqlalchemy" if url == "history.db" else "psycopg"
    code = f"import sys; sys.modules['{missing}'] = None; from pytest_ortperf.cli import main; sys.exit(main())"
    for command in (["history", "list"], ["history", "add", str(path)], ["compare", "history:main", str(path)]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *command, f"--history={url}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert ended.returncode == 2
        assert ended.stderr == (
            f"ortperf: a history needs {missing}, which is not installed here: "
            "python -m pip install 'pytest-ortperf[history]'\n"
        )


def test_another_model_file_is_another_series_of_the_same_lineage(tmp_path: Path) -> None:
    history = open_history(str(tmp_path / "history.db"), create=True)
    for number, digest in enumerate(("aa", "bb"), start=1):
        fact = ModelFact(path="bert.onnx", byte=1, precision="fp32", sha256=digest)
        found = [dataclasses.replace(record, model_fact=fact) for record in records(models=["bert"])]
        history.add(kept_records(write_run(tmp_path, f"2026112{number}-000000", found)))
    found = history.series(metric="latency_p50_ms")
    assert {series.model_hash for series in found} == {"aa", "bb"}
    assert len({series.lineage for series in found}) == 1


def test_labels_given_when_adding_win_and_can_be_put_right(tmp_path: Path) -> None:
    path = write_run(tmp_path, labels={"branch": "wrong"})
    history = open_history(str(tmp_path / "history.db"), create=True)
    history.add(kept_records(path, {"branch": "main"}))
    assert [run.branch for run in history.runs()] == ["main"]
    assert not history.add(kept_records(path)).is_relabelled
    assert [run.branch for run in history.runs()] == ["main"]
    again = history.add(kept_records(path, {"branch": "release"}))
    assert (again.is_relabelled, again.lines) == (True, 0)
    assert [run.branch for run in history.runs(branch="release")] == ["release"]


def test_a_rebuild_gives_the_same_numbers(url: str, tmp_path: Path) -> None:
    history = open_history(url, create=True)
    for day in (1, 2, 3):
        history.add(kept_records(write_run(tmp_path, f"2026110{day}-000000", records(day))))
    history.accept(2, by="ada", why="good")
    before = everything(history)
    told: list[str] = []
    assert history.rebuild(told.append) == 3
    assert told == [f"rebuilding run {number} of 3" for number in (1, 2, 3)]
    assert everything(history) == before
    (accepted,) = history.runs(accepted=True)
    assert accepted.acceptance is not None
    assert (accepted.id, accepted.acceptance.by, accepted.acceptance.why) == (2, "ada", "good")


def test_an_older_schema_is_rebuilt_and_a_newer_one_refused(url: str, tmp_path: Path) -> None:
    history = open_history(url, create=True)
    history.add(kept_records(write_run(tmp_path)))
    before = everything(history)

    def set_schema(number: int) -> None:
        statement = update(META).where(META.c.name == "schema").values(value=str(number))
        history.database.write(lambda connection: connection.execute(statement))

    set_schema(SCHEMA - 1)
    with pytest.raises(HistoryError, match="has just changed its tables"):
        history.add(kept_records(write_run(tmp_path / "more")))
    told: list[str] = []
    assert everything(open_history(url, progress=told.append)) == before
    assert told == [f"bringing the history from schema {SCHEMA - 1} to {SCHEMA}", "rebuilding run 1 of 1"]
    set_schema(SCHEMA + 1)
    with pytest.raises(HistoryError, match=rf"a newer pytest-ortperf wrote this history \(schema {SCHEMA + 1}"):
        open_history(url)


def test_a_database_of_schema_1_opens_with_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(gzip.decompress((DATA / "schema_1.db.gz").read_bytes()))
    query = (
        "SELECT r.run, c.nodeid, s.timing, s.metric, s.unit, p.value, p.low, p.high, p.n, p.flags FROM point p "
        "JOIN run r ON r.id = p.run JOIN series s ON s.id = p.series JOIN test_case c ON c.id = s.test_case "
        "ORDER BY 1, 2, 3, 4"
    )
    outcomes = (
        "SELECT r.run, o.number, c.nodeid, o.outcome, o.kind, o.text FROM outcome o "
        "JOIN run r ON r.id = o.run JOIN test_case c ON c.id = o.test_case ORDER BY 1, 2"
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == ("1",)
        before = [connection.execute(each).fetchall() for each in (query, outcomes)]
    told: list[str] = []
    history = open_history(str(path), progress=told.append)
    assert told[0] == f"bringing the history from schema 1 to {SCHEMA}"
    with history.database.read() as connection:
        after = [[tuple(row) for row in connection.execute(text(each))] for each in (query, outcomes)]
    assert after == before
    assert [len(rows) for rows in before] == [349, 39]
    assert [(run.id, run.complete) for run in history.runs()] == [(1, True), (2, True), (3, True), (4, False)]
    assert [run.id for run in history.runs(accepted=True)] == [3]
    told.clear()
    open_history(str(path), progress=told.append)
    assert told == []


def test_tables_of_others_are_left_alone(url: str, tmp_path: Path) -> None:
    database = Database(url)
    database.create()

    def others(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE point (x INTEGER)"))
        connection.execute(text("INSERT INTO point VALUES (7)"))

    database.write(others)
    with pytest.raises(HistoryError, match=r"tables of something else that has the same names \(point\)"):
        open_history(url, create=True)
    with database.read() as connection:
        assert connection.execute(text("SELECT x FROM point")).scalars().all() == [7]
    if not url.startswith("postgresql"):
        return
    database.write(lambda connection: connection.execute(text("CREATE SCHEMA ours")))
    history = open_history(f"{url}?options=-csearch_path%3Dours", create=True)
    history.add(kept_records(write_run(tmp_path)))
    history.rebuild()
    assert [run.run for run in open_history(f"{url}?options=-csearch_path%3Dours").runs()] == ["20261123-210146"]


def test_a_database_of_others_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(
        HistoryError, match=r"there is no such history. Add the runs you have: ortperf history add result"
    ):
        open_history(str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE point (x)")
    with pytest.raises(HistoryError, match="holds no history"):
        open_history(str(tmp_path / "other.db"))
    (tmp_path / "text.db").write_text("no database at all, but long enough to look like a file of something" * 20)
    with pytest.raises(HistoryError, match="file is not a database"):
        open_history(str(tmp_path / "text.db"))


@pytest.mark.parametrize("given", ["mysql://host/perf", "sqlite://", "postgresql://host:port/x"])
def test_a_url_that_is_none_says_what_is(given: str) -> None:
    with pytest.raises(
        HistoryError, match=r"Give a file such as history\.db or sqlite:///history\.db, or postgresql://"
    ):
        open_history(given)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(HistoryError) as caught:
        open_history("postgresql://ada:secret@127.0.0.1:1/perf")
    assert "postgresql://ada:***@127.0.0.1:1/perf" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_settings_of_a_session_make_a_series_of_their_own(tmp_path: Path) -> None:
    history = open_history(str(tmp_path / "history.db"), create=True)
    history.add(kept_records(write_run(tmp_path, "20261101-000000")))
    found = [
        dataclasses.replace(each, session=dataclasses.replace(each.session, intra_op_threads=1))
        if each.session
        else each
        for each in records()
    ]
    history.add(kept_records(write_run(tmp_path, "20261102-000000", found)))
    series = history.series(metric="latency_p50_ms", model="bert")
    assert sorted(each.settings for each in series) == ["", "threads=1"]


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"max_abs_error":1e-07', b'"max_abs_error":"Infinity"'))
    history = open_history(str(tmp_path / "history.db"), create=True)
    history.add(kept_records(path))
    assert [each.model for each in history.series(metric="max_abs_error")] == ["vgg"]
    assert json.loads(history.record_lines(1)[1][1])["accuracy"][0]["outputs"][0]["max_abs_error"] == "Infinity"


def test_a_run_that_was_resumed_is_one_run_with_its_last_attempts(url: str, tmp_path: Path) -> None:
    crashed = make_record("bert", mode="validate", outcome="crashed", failure=make_failure(kind="crash"))
    passed = dataclasses.replace(make_record("bert", mode="validate"), attempt=2)
    path = write_run(tmp_path, found=[crashed, make_record("vgg", mode="validate")], is_complete=False)
    history = open_history(url, create=True)
    history.add(kept_records(path))
    with RecordsFile.resume(path) as file:
        file.append(passed)
        file.append(make_record("resnet", mode="validate"))
        file.end(make_end(exit_status=0))
    added = history.add(kept_records(path))
    assert (added.is_new, added.lines) == (False, 3)
    assert len(history.runs()) == 1
    found = sorted(repr(each) for each in history.outcomes())
    assert len(found) == 3
    assert not any("crashed" in text for text in found)
