"""The reports that are files made from a run's records: at the end of the run, and again by `ortperf report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.store import StoredRun, write_whole
from pytest_ortperf.reports.tables.csv_tables import write_tables
from pytest_ortperf.reports.tables.script_format import write_script_files

if TYPE_CHECKING:
    from pytest_ortperf.reports.comparison.run_comparison import Comparison


CSV_KINDS = ("ortperf", "original")
"""Choices of `--ortperf-csv`; the first is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWriter:
    """One format. A new one is a row of `WRITERS`, and the function that makes it."""

    name: str
    """For the documentation."""

    files: str
    """Their names, `RUN` being the run's id; empty for a format without a name, written on request alone."""

    write: Callable[[StoredRun, Path], list[Path]] | None = None
    """Of a format of several files: writes them into a folder, over files of the same names, and returns the paths;
    raises `ResultsFileError`."""

    text: Callable[[StoredRun, Comparison | None], str] | None = None
    """Of a format of one file: its content. The comparison is that with the run's baseline."""

    ending: str = ""
    """Of a format of one file: the ending by which `ortperf report -o FILE` knows it."""

    csv: str | None = None
    """Which of `CSV_KINDS` it writes; `None` for reports that are no such files."""

    format: str | None = None
    """What `ortperf report --format` calls it, if it is written by that alone."""


def _page(run: StoredRun, comparison: Comparison | None) -> str:
    from pytest_ortperf.reports.page.run_page import run_page

    return run_page(run, comparison)


def _markdown(run: StoredRun, comparison: Comparison | None) -> str:
    from pytest_ortperf.reports.markdown import run_markdown

    return run_markdown(run, comparison)


def _json(run: StoredRun, _: Comparison | None) -> str:
    from pytest_ortperf.reports.tables.csv_tables import json_text

    return json_text(run)


def _pytest_benchmark(run: StoredRun, _: Comparison | None) -> str:
    from pytest_ortperf.reports.pytest_benchmark import pytest_benchmark_text

    return pytest_benchmark_text(run)


WRITERS: tuple[ReportWriter, ...] = (
    ReportWriter(name="CSV tables", files="benchmark_TABLE_RUN.csv", write=write_tables, csv="ortperf"),
    ReportWriter(name="The original's CSV files", files="TABLE.csv", write=write_script_files, csv="original"),
    ReportWriter(name="Page", files="report_RUN.html", text=_page, ending=".html"),
    ReportWriter(name="Markdown, for a comment", files="report_RUN.md", text=_markdown, ending=".md"),
    ReportWriter(name="JSON", files="", text=_json, ending=".json"),
    ReportWriter(
        name="JSON of pytest-benchmark",
        files="pytest_benchmark_RUN.json",
        text=_pytest_benchmark,
        format="pytest-benchmark",
    ),
)


def formats() -> list[str]:
    """Return the choices of `ortperf report --format`."""
    return [writer.format for writer in WRITERS if writer.format]


def write_reports(
    run: StoredRun,
    folder: Path,
    comparison: Comparison | None = None,
    *,
    csv: str | None = None,
    only_format: str | None = None,
) -> list[Path]:
    """Write the reports of a run into a folder; return the paths in order.

    Args:
        run: Of which.
        folder: Where.
        comparison: That with the run's baseline.
        csv: One of `CSV_KINDS`.
        only_format: One of `formats()`, to write that and nothing else.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    kinds = (None, csv or CSV_KINDS[0])
    paths: list[Path] = []
    for writer in (each for each in WRITERS if each.format == only_format and each.csv in kinds):
        if writer.write is not None:
            paths += writer.write(run, folder)
        elif writer.files:
            path = folder / writer.files.replace("RUN", run.header.run)
            _write_text(run, path, writer, comparison)
            paths.append(path)
    return paths


def write_report(run: StoredRun, path: Path, comparison: Comparison | None = None) -> None:
    """Write the report that a file's ending asks for, whole or not at all.

    Raises:
        ResultsFileError: If it cannot be written, or no report has that ending.
    """
    writer = next((writer for writer in WRITERS if writer.ending and writer.ending == path.suffix), None)
    if writer is None:
        endings = ", ".join(writer.ending for writer in WRITERS if writer.ending)
        raise ResultsFileError(f"{path}: no report has the ending '{path.suffix}'. Choose from {endings}.")
    _write_text(run, path, writer, comparison)


def _write_text(run: StoredRun, path: Path, writer: ReportWriter, comparison: Comparison | None) -> None:
    text = writer.text(run, comparison) if writer.text else ""
    try:
        write_whole(path, text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ResultsFileError(
            f"{path}: not written: {error.strerror or error}. The records are in {run.path}; "
            f"once there is room, 'ortperf report {run.path}' writes the reports again."
        ) from error
