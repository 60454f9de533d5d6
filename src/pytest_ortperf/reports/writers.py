"""The reports that are files made from a run's records: at the end of the run, and again by `ortperf report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.csv_tables import write_tables


@dataclass(frozen=True, slots=True)
class ReportWriter:
    """One format. A new one is a row of `WRITERS`, and the function that writes it."""

    name: str
    """For the documentation."""

    files: str
    """Their names, `RUN` being the run's id."""

    write: Callable[[StoredRun, Path], list[Path]]
    """Writes into a folder, over files of the same names, and returns the paths; raises `ResultsFileError`."""


WRITERS: tuple[ReportWriter, ...] = (ReportWriter("CSV tables", "benchmark_TABLE_RUN.csv", write_tables),)


def write_reports(run: StoredRun, folder: Path) -> list[Path]:
    """Write every report of a run into a folder; return the paths in order.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    return [path for writer in WRITERS for path in writer.write(run, folder)]
