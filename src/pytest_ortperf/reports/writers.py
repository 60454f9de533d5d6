"""The reports that are files made from a run's records: at the end of the run, and again by `ortperf report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.csv_tables import write_tables

if TYPE_CHECKING:
    from pytest_ortperf.reports.comparison.run_comparison import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWriter:
    """One format. A new one is a row of `WRITERS`, and the function that makes it."""

    name: str
    """For the documentation."""

    files: str
    """Their names, `RUN` being the run's id; empty for a format that is written on request alone."""

    write: Callable[[StoredRun, Path], list[Path]] | None = None
    """Of a format of several files: writes them into a folder, over files of the same names, and returns the paths;
    raises `ResultsFileError`."""

    text: Callable[[StoredRun, Comparison | None], str] | None = None
    """Of a format of one file: its content. The comparison is that with the run's baseline."""

    ending: str = ""
    """Of a format of one file: the ending by which `ortperf report -o FILE` knows it."""


def _page(run: StoredRun, comparison: Comparison | None) -> str:
    from pytest_ortperf.reports.page.run_page import run_page

    return run_page(run, comparison)


def _markdown(run: StoredRun, comparison: Comparison | None) -> str:
    from pytest_ortperf.reports.markdown import run_markdown

    return run_markdown(run, comparison)


def _json(run: StoredRun, _: Comparison | None) -> str:
    from pytest_ortperf.reports.tables.csv_tables import json_text

    return json_text(run)


WRITERS: tuple[ReportWriter, ...] = (
    ReportWriter(name="CSV tables", files="benchmark_TABLE_RUN.csv", write=write_tables),
    ReportWriter(name="Page", files="report_RUN.html", text=_page, ending=".html"),
    ReportWriter(name="Markdown, for a comment", files="report_RUN.md", text=_markdown, ending=".md"),
    ReportWriter(name="JSON", files="", text=_json, ending=".json"),
)


def write_reports(run: StoredRun, folder: Path, comparison: Comparison | None = None) -> list[Path]:
    """Write every report of a run into a folder; return the paths in order.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    paths: list[Path] = []
    for writer in WRITERS:
        if writer.write is not None:
            paths += writer.write(run, folder)
        elif writer.files:
            path = folder / writer.files.replace("RUN", run.header.run)
            write_report(run, path, comparison)
            paths.append(path)
    return paths


def write_report(run: StoredRun, path: Path, comparison: Comparison | None = None) -> None:
    """Write the report that a file's ending asks for, whole or not at all.

    Raises:
        ResultsFileError: If it cannot be written, or no report has that ending.
    """
    writer = next((writer for writer in WRITERS if writer.text and writer.ending == path.suffix), None)
    if writer is None or writer.text is None:
        endings = ", ".join(writer.ending for writer in WRITERS if writer.ending)
        raise ResultsFileError(f"{path}: no report has the ending '{path.suffix}'. Choose from {endings}.")
    text = writer.text(run, comparison)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ResultsFileError(
            f"{path}: not written: {error.strerror or error}. The records are in {run.path}; "
            f"once there is room, 'ortperf report {run.path}' writes the reports again."
        ) from error
