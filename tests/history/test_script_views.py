"""The original dashboard's tables, cell by cell beside the files that `--ortperf-csv=original` writes."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from history.runs import write_run
from pytest_ortperf.history.adding import kept
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.script_views import VIEWS
from pytest_ortperf.history.store import History
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.resources import DeviceMemory, Resources
from pytest_ortperf.records.store import read_run
from pytest_ortperf.reports.tables.script_format import SCRIPT_TARGETS, write_script_files
from record_examples import make_failure, make_latency, make_placement, make_record, make_session

H200 = Path(__file__).parents[1] / "data/h200/records_20261130-223940.jsonl.gz"
COMMON = ("UploadTime", "Identifier", "Branch", "CommitId", "CommitDate")
TARGETS = [name for (provider, _), name in SCRIPT_TARGETS.items() if provider != "acl"]

Rows = list[dict[str, Any]]


def rows_of(history: History, view: str) -> Rows:
    with history.database.read() as connection:
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {view}")).mappings()]  # noqa: S608


def cells_of(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a file, line ends in its headers as spaces."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return [{" ".join(key.split()): cell for key, cell in row.items()} for row in csv.DictReader(file)]


def gpu_records() -> list[Record]:
    """Return cases of the script's targets, and of one that it did not know: passed, failed, without a session."""
    memory = DeviceMemory(source="process", baseline_byte=0, creation_peak_byte=None, run_peak_byte=700 * 2**20)
    found = []
    for number, (provider, precision) in enumerate((("cpu", None), ("cuda", None), ("cuda", "fp16"), ("dml", None)), 1):
        session = make_session("cpu", creation_ns=number * 10**9, second_creation_ns=number * 10**8)
        found.append(
            make_record(
                "bert",
                provider,
                precision=precision,
                group="onnx-zoo",
                latencies=(make_latency(number, number + 1, number + 3),),
                session=session,
                placement=make_placement("cuda", MatMul=3, Add=number) if provider == "cuda" else None,
                resources=Resources(device_memory=memory) if provider == "cuda" else None,
            )
        )
    failure = make_failure(kind="result accuracy issue", message='it\'s 5 % off; see "y"')
    found.append(make_record("vgg", "tensorrt", mode="validate", outcome="failed", failure=failure, group="partner"))
    found.append(make_record("vgg", "cuda", outcome="failed", failure=make_failure(), group="partner"))
    return found


@pytest.fixture(params=["real", "made up"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "made up":
        labels = {"branch": "main", "commit": "c0ffee", "date": "2026-11-23T10:00:00+00:00", "url": "http://ci/7"}
        return write_run(tmp_path, found=gpu_records(), labels=labels)
    found = tmp_path / "records_20261130-223940.jsonl"
    found.write_bytes(gzip.decompress(H200.read_bytes()))
    return found


def test_views_hold_what_the_files_of_the_original_hold(url: str, tmp_path: Path, path: Path) -> None:
    stored = read_run(path)
    history = open_history(url, create=True)
    history.add(kept(path, {}))
    folder = tmp_path / "csv"
    folder.mkdir()
    write_script_files(stored, folder)
    groups = {record.model: record.group for record in stored.records}
    views = {name: rows_of(history, name) for name in VIEWS}

    (run,) = history.runs()
    common = (run.added_at, run.identifier, run.branch, run.commit_id, run.commit_date)
    for rows in views.values():
        assert all(tuple(row[name] for name in COMMON) == common for row in rows)
    for name in VIEWS.keys() - {"ep_model_specs"}:
        assert all(row["Group"] == groups[row["Model"].partition(" (")[0]] for row in views[name])

    wide = {
        "ep_model_latency": ("latency.csv", r"(\S+) mean \(ms\)", r"\1"),
        "ep_model_memory": ("latency.csv", r"(\S+) peak memory usage \(MiB\)", r"\1"),
        "ep_model_session": ("session.csv", r"(\S+) (?:(second) )?session creation time \(s\)", r"\1_\2"),
        "ep_model_status": ("status.csv", r"(.+)", r"\1"),
    }
    compared = 0
    for view, (file, pattern, name) in wide.items():
        expected = {}
        for row in cells_of(folder, file):
            columns = {
                re.sub(pattern, name, key).rstrip("_"): cell for key, cell in row.items() if re.fullmatch(pattern, key)
            }
            told = {key: value_of(cell) for key, cell in columns.items() if key.removesuffix("_second") in TARGETS}
            if any(value is not None for value in told.values()):
                expected[row["Model"]] = told
        found = {row["Model"]: {key: row[key] for key in expected.get(row["Model"], {})} for row in views[view]}
        assert found == expected, view
        compared += sum(len(cells) for cells in expected.values())
    assert compared > 30

    melted = {
        "ep_model_latency_over_time": ("Latency", "latency.csv", "mean (ms)"),
        "ep_model_memory_over_time": ("MemUsage", "latency.csv", "peak memory usage (MiB)"),
        "ep_model_session_over_time": ("SessionCreationTime", "session.csv", "session creation time (s)"),
    }
    for view, (column, file, ending) in melted.items():
        cells = {
            (row["Model"], key.removesuffix(f" {ending}")): value_of(cell)
            for row in cells_of(folder, file)
            for key, cell in row.items()
            if re.fullmatch(rf"\S+ {re.escape(ending)}", key) and cell
        }
        assert {(row["Model"], row["Ep"]): row[column] for row in views[view]} == cells, view
    seconds = {
        (row["Model"], row["Ep"]): row["SessionCreationTime_second"] for row in views["ep_model_session_over_time"]
    }
    ending = " second session creation time (s)"
    for row in cells_of(folder, "session.csv"):
        for key, cell in row.items():
            if key.endswith(ending) and cell:
                assert seconds[row["Model"], key.removesuffix(ending)] == float(cell)
    statuses = {
        (row["Model"], target): 1 if cell == "Pass" else 0
        for row in cells_of(folder, "status.csv")
        for target, cell in row.items()
        if target != "Model" and cell
    }
    assert {(row["Model"], row["Ep"]): row["Pass"] for row in views["ep_model_status_over_time"]} == statuses
    failures = [(row["Model"], row["Ep"], row["ErrorType"], row["ErrorMessage"]) for row in views["ep_model_fail"]]
    assert sorted(failures) == sorted(tuple(row.values()) for row in cells_of(folder, "fail.csv"))
    assert {(row["Model"], row["Ep"]): row["OpPercentage"] for row in views["ep_model_op_metrics"]} == {
        (row["Model"], row["Ep"]): float(row["op percentage in each ep"]) for row in cells_of(folder, "op_metrics.csv")
    }
    assert {row["Spec"]: row["Version"] or "" for row in views["ep_model_specs"]} == {
        row["Spec"]: row["Version"] for row in cells_of(folder, "specs.csv")
    }


def value_of(cell: str) -> float | str | None:
    if not cell:
        return None
    return cell if cell in ("Pass", "Fail") else float(cell)


def test_report_urls_come_from_the_run(tmp_path: Path) -> None:
    history = open_history(str(tmp_path / "history.db"), create=True)
    history.add(kept(write_run(tmp_path, labels={"url": "http://ci/7"}), {}))
    assert {row["ReportUrl"] for row in rows_of(history, "ep_model_latency_over_time")} == {"http://ci/7"}


def test_a_folder_of_the_original_is_a_run(url: str, tmp_path: Path) -> None:
    first = write_run(tmp_path, found=gpu_records())
    folder = tmp_path / "onnx-zoo-models"
    folder.mkdir()
    write_script_files(read_run(first), folder)
    history = open_history(url, create=True)
    labels = {"branch": "main", "commit": "c0ffee"}
    added = history.add(kept(folder, labels))
    assert not history.add(kept(folder, labels)).is_new
    (run,) = history.runs()
    assert (run.kind, run.run, run.branch, run.commit_id) == ("script", "onnx-zoo-models", "main", "c0ffee")
    assert run.source == str(folder)
    assert added.points == history.count()["point"]
    cells = cells_of(folder, "latency.csv")
    found = {
        (series.model, series.provider, series.precision): series.id
        for series in history.series(metric="latency_mean_ms")
    }
    (point,) = history.trend(found["bert", "cuda", "fp16"])
    assert point.value == float(cells[0]["ORT-CUDAFp16 mean (ms)"])
    (row,) = rows_of(history, "ep_model_latency")
    assert row["Group"] == "onnx-zoo-models"
    assert {target: row[target] for target in TARGETS if row[target]} == {
        target: float(cells[0][f"{target} mean (ms)"]) for target in TARGETS if cells[0][f"{target} mean (ms)"]
    }
    before = list(history.points())
    history.rebuild()
    assert list(history.points()) == before
