"""The nine CSV files of a run.

Absent is an empty cell. Text that a spreadsheet would run as a formula (starts with `=`, `+`, `-`, `@`, tab
or line end) gets an apostrophe in front, since model names and error messages come from files of others;
numbers stay numbers. Line ends within text are line feeds. The records file holds every text as it was.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.accuracy_columns import ACCURACY, compared_rows
from pytest_ortperf.reports.tables.columns import (
    FAIL,
    LATENCY_GROUP,
    METRICS,
    OP_METRICS,
    SESSION,
    SUCCESS,
    Cell,
    Column,
    Measured,
    R,
    dims_text,
)
from pytest_ortperf.reports.tables.gains import PASSED, Gains, references_of
from pytest_ortperf.reports.tables.rows import FAILED, Group, Rows, group_name, group_of, sorted_rows, subject_of

Row = Mapping[str, Cell]
Table = tuple[Sequence[str], list[Row]]
"""Column names in order, and rows; a column that a row lacks is empty."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")


def write_tables(run: StoredRun, folder: Path) -> list[Path]:
    """Write `benchmark_<table>_<run>.csv` for each table, over files of that name; return them in order.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    rows = sorted_rows(run)
    paths = []
    for name, build in TABLES.items():
        columns, cells = build(rows)
        path = folder / f"benchmark_{name}_{run.header.run}.csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                lines = csv.writer(file, lineterminator="\n")
                lines.writerow(columns)
                lines.writerows([_safe(row.get(column)) for column in columns] for row in cells)
        except OSError as error:
            raise ResultsFileError(
                f"{path}: not written: {error.strerror or error}. The records are in {run.path}; "
                f"once there is room, 'ortperf report {run.path}' writes the tables again."
            ) from error
        paths.append(path)
    return paths


def json_text(run: StoredRun) -> str:
    """Return the same tables as JSON: by name a list of rows, absent values left out."""
    tables = {}
    for name, build in TABLES.items():
        columns, cells = build(sorted_rows(run))
        tables[name] = [
            {column: _plain(row[column]) for column in columns if row.get(column) is not None} for row in cells
        ]
    return json.dumps({"run": run.header.run, "tables": tables}, indent=1, allow_nan=False) + "\n"


def fail_table(rows: Rows) -> Table:
    """Return one row per case that failed."""
    return _table(FAIL, rows.failed)


def success_table(rows: Rows) -> Table:
    """Return one row per benchmark and timing mode."""
    return _table(SUCCESS, rows.measured)


def latency_table(rows: Rows) -> Table:
    """Return one row per model and dimensions; headline timing mode, columns grouped by provider."""
    gained = [(group, name) for group in rows.groups for name in _references(group, rows)]
    columns = [
        *_SUBJECT_COLUMNS,
        *(f"{group_name(group)}_{column.name}" for group in rows.groups for column in LATENCY_GROUP),
        *(_gain_column(group, name) for group, name in gained),
    ]
    headline = [row for row in rows.measured if row.latency is row.record.latencies[0]]
    gains = Gains(rows.run.header, rows.records)
    cells = _subject_cells(rows)
    for row in headline:
        cells[subject_of(row.record)].update(_latency_cells(row))
        for name in _references(group_of(row.record), rows):
            found = gains.of(row.record, name)
            if found:
                column = _gain_column(group_of(row.record), name)
                cells[subject_of(row.record)][column] = round(found.percent, 4)
    return columns, list(cells.values())


def metrics_table(rows: Rows) -> Table:
    """Return one row per model, provider and precision whose placement is known."""
    return _table(METRICS, rows.placed)


def op_metrics_table(rows: Rows) -> Table:
    """Return one row per operator type on each provider that got nodes."""
    return _table(OP_METRICS, rows.operators)


def status_table(rows: Rows) -> Table:
    """Return one row per model and dimensions, with `pass`, `fail`, `xfail` or `skip` per provider."""
    cells = _subject_cells(rows)
    for subject, records in rows.subjects.items():
        for group in rows.groups:
            cells[subject][group_name(group)] = _status([record for record in records if group_of(record) == group])
    return [*_SUBJECT_COLUMNS, *map(group_name, rows.groups)], list(cells.values())


def session_table(rows: Rows) -> Table:
    """Return one row per case that made a session, or was run by a program."""
    return _table(SESSION, (record for record in rows.records if record.session or record.program))


def system_info_table(rows: Rows) -> Table:
    """Return one row per fact of run and machine."""
    return ("spec", "value"), [{"spec": spec, "value": value} for spec, value in _specs(rows.run)]


def accuracy_table(rows: Rows) -> Table:
    """Return one row per output that was compared, and per check of a case's own outputs."""
    return _table(ACCURACY, compared_rows(rows.records))


TABLES: Mapping[str, Callable[[Rows], Table]] = {
    "fail": fail_table,
    "success": success_table,
    "latency": latency_table,
    "metrics": metrics_table,
    "op_metrics": op_metrics_table,
    "status": status_table,
    "session": session_table,
    "accuracy": accuracy_table,
    "system_info": system_info_table,
}

_SUBJECT_COLUMNS = ("model", "dims")


def _table(columns: Sequence[Column[R]], rows: Iterable[R]) -> Table:
    names = [column.name for column in columns]
    return names, [{column.name: column.get(row) for column in columns} for row in rows]


def _subject_cells(rows: Rows) -> dict[object, dict[str, Cell]]:
    return {subject: {"model": subject[1], "dims": dims_text(dict(subject[2]))} for subject in rows.subjects}


def _latency_cells(row: Measured) -> Iterator[tuple[str, Cell]]:
    group = group_name(group_of(row.record))
    for column in LATENCY_GROUP:
        yield f"{group}_{column.name}", column.get(row)


def _references(group: Group, rows: Rows) -> list[str]:
    """Return what a group's gains are against: its reference, asked for or not, and programs that the run has too."""
    first, *others = references_of(group[0], rows.run.header) or ("",)
    known = {provider for provider, _ in rows.groups}
    return [name for name in (first, *(name for name in others if name in known)) if name]


def _gain_column(group: Group, reference: str) -> str:
    """Return `tensorrt_vs_cuda_gain_percent`, or `tensorrt_vs_cuda_fp16_gain_percent`."""
    provider, precision = group
    return "_".join(part for part in (provider, "vs", reference, precision, "gain_percent") if part)


def _status(records: Sequence[Record]) -> str | None:
    """Return the worst of a cell's outcomes; a skipped mode beside a passed one does not hide the pass."""
    outcomes = {record.outcome for record in records}
    for status, members in (
        ("fail", FAILED),
        ("pass", PASSED),
        ("xfail", ("xfailed",)),
        ("skip", ("skipped",)),
    ):
        if outcomes.intersection(members):
            return status
    return None


def _specs(run: StoredRun) -> Iterator[tuple[str, Cell]]:
    header, environment = run.header, run.header.environment
    yield "run", header.run
    yield "started", header.started
    yield "duration_s", run.end.duration_ns / 1e9 if run.end else None
    yield "exit_status", run.end.exit_status if run.end else None
    yield "command", " ".join(header.command) or None
    yield "providers", " ".join(header.providers) or None
    for field in dataclasses.fields(environment):
        if field.name not in ("gpus", "packages"):
            yield field.name, getattr(environment, field.name)
    for gpu in environment.gpus:
        for field in dataclasses.fields(gpu):
            yield f"gpu_{gpu.index}_{field.name}", getattr(gpu, field.name)
    for found in (*header.machine, *(run.end.machine if run.end else ())):
        yield f"machine_{found.check}", f"{found.level}: {found.seen}"
    for title, mapping in _MAPPINGS:
        yield from ((f"{title}_{name}", _text(value)) for name, value in sorted(mapping(run).items()))


_MAPPINGS: tuple[tuple[str, Callable[[StoredRun], Mapping[str, object]]], ...] = (
    ("unusable", lambda run: run.header.unusable_providers),
    ("package", lambda run: run.header.environment.packages),
    ("label", lambda run: run.header.labels),
    ("option", lambda run: run.header.options),
)


def _text(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(value: Cell) -> Cell:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _safe(value: Cell) -> Cell:
    if isinstance(value, float) and math.isnan(value):
        return None
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare one would not be quoted, and end the row
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
