"""The tables of a run as pandas frames."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.store import RecordsFile
from pytest_ortperf.reports.tables.csv_tables import TABLES
from pytest_ortperf.reports.tables.frames import read_samples, read_tables
from record_examples import make_failure, make_header, make_latency, make_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a results folder with one benchmark of three iterations and one failure."""
    header = make_header()
    with RecordsFile.create(tmp_path, header.run, header) as file:
        file.append(make_record("bert", latencies=(make_latency(1.0, 2.0, 3.0),)))
        file.append(make_record("bad", outcome="failed", failure=make_failure(message="=1+1")))
    return tmp_path


def test_each_table_is_a_frame_with_the_columns_of_its_file(results: Path) -> None:
    tables = read_tables(results)
    assert list(tables) == list(TABLES)
    success = tables["success"]
    assert list(success["model"]) == ["bert"]
    assert list(success["latency_p50_ms"]) == [2.0]
    assert pd.isna(success["latency_p99_ms"][0])
    assert str(success["iterations"].dtype) == "Int64"


def test_texts_are_whole_where_a_file_guards_them_from_spreadsheets(results: Path) -> None:
    assert list(read_tables(results)["fail"]["message"]) == ["=1+1"]


def test_samples_have_a_row_each(results: Path) -> None:
    frame = read_samples(results)
    assert frame.to_dict("list") == {
        "case_id": ["bert::benchmark[cpu]"] * 3,
        "timing": ["host"] * 3,
        "iteration": [0, 1, 2],
        "ns": [1_000_000, 2_000_000, 3_000_000],
    }


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsFileError, match="no "):
        read_tables(tmp_path)
