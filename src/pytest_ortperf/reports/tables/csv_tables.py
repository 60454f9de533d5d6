r"""The CSV files of a run: nine, and one of its checks where it has any.

Absent is an empty cell. Text that a spreadsheet would run as a formula (starts with `=`, `+`, `-`, `@`, tab
or line end) gets an apostrophe in front, since model names and error messages come from files of others;
numbers stay numbers, those in texts too. Line ends within text are line feeds. Characters that control a terminal or
turn the direction of text stand as `\x1b`. The records file holds every text as it was.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import TIMINGS, Record
from pytest_ortperf.records.store import StoredRun, write_whole
from pytest_ortperf.reports.tables.accuracy_columns import ACCURACY, compared_rows
from pytest_ortperf.reports.tables.check_columns import CHECKS, check_rows
from pytest_ortperf.reports.tables.columns import (
    FAIL,
    LATENCY_GROUP,
    METRICS,
    OP_METRICS,
    ORIGIN,
    SESSION,
    SUCCESS,
    Cell,
    Column,
    Measured,
    Origin,
    R,
    dims_text,
)
from pytest_ortperf.reports.tables.gains import PASSED, Gains, references_of
from pytest_ortperf.reports.tables.rows import (
    FAILED,
    Group,
    Rows,
    Subject,
    group_name,
    group_of,
    sorted_rows,
    subject_of,
)

Row = Mapping[str, Cell]
Table = tuple[Sequence[str], list[Row]]
"""Column names in order, and rows; a column that a row lacks is empty."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|inf|nan)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def write_tables(run: StoredRun, folder: Path) -> list[Path]:
    """Write `benchmark_<table>_<run>.csv` for each table, over files of that name; return them in order.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    rows = sorted_rows(run)
    paths = []
    for name, build in TABLES.items():
        columns, cells = build(rows)
        if name in _ONLY_WITH_ROWS and not cells:
            continue
        path = folder / f"benchmark_{name}_{run.header.run}.csv"
        write_csv(path, columns, ([row.get(column) for column in columns] for row in cells), run)
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


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Cell]], run: StoredRun) -> None:
    """Write one file, whole or not at all.

    Args:
        path: Of the file; its folder is made.
        columns: Their names.
        rows: A cell for each column.
        run: For the message, if it cannot be written.

    Raises:
        ResultsFileError: If it cannot be written.
    """
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(map(safe_cell, row) for row in rows)
    try:
        write_whole(path, file.getvalue().encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ResultsFileError(
            f"{path}: not written: {error.strerror or error}. The records are in {run.path}; "
            f"once there is room, 'ortperf report {run.path}' writes the tables again."
        ) from error


def fail_table(rows: Rows) -> Table:
    """Return one row per case that failed."""
    return _table(FAIL, rows, ((record, record) for record in rows.failed))


def success_table(rows: Rows) -> Table:
    """Return one row per benchmark and timing mode."""
    return _table(SUCCESS, rows, ((row.record, row) for row in rows.measured))


def latency_table(rows: Rows) -> Table:
    """Return one row per model, dimensions and timing mode; columns grouped by provider.

    The gains are those of the row's timing mode, of medians.
    """
    gained = [(group, name) for group in rows.groups for name in _references(group, rows)]
    columns = [
        *_SUBJECT_COLUMNS,
        "timing",
        "data_set",
        *(f"{group_name(group)}_{column.name}" for group in rows.groups for column in LATENCY_GROUP),
        *(_gain_column(group, name) for group, name in gained),
    ]
    gains = Gains(rows.run.header, rows.records)
    found: dict[tuple[Subject, str], dict[str, Cell]] = {}
    subjects = rows.subjects
    for row in sorted(rows.measured, key=_timing_order):
        subject = subject_of(row.record)
        cells = found.setdefault((subject, row.latency.label), {})
        if not cells:
            cells |= _subject_cells(rows, subject, subjects[subject])
            cells |= {"timing": row.latency.timing, "data_set": row.latency.data_set}
        cells.update(_latency_cells(row))
        for name in _references(group_of(row.record), rows):
            gain = gains.of_timing(row.record, row.latency, name)
            if gain:
                cells[_gain_column(group_of(row.record), name)] = round(gain.percent, 4)
    # by subject as elsewhere, and within it by timing mode
    order = {subject: number for number, subject in enumerate(subjects)}
    return columns, [found[key] for key in sorted(found, key=lambda key: order[key[0]])]


def metrics_table(rows: Rows) -> Table:
    """Return one row per model, provider and precision whose placement is known."""
    return _table(METRICS, rows, ((record, record) for record in rows.placed))


def op_metrics_table(rows: Rows) -> Table:
    """Return one row per operator type on each provider that got nodes."""
    return _table(OP_METRICS, rows, ((row.record, row) for row in rows.operators))


def status_table(rows: Rows) -> Table:
    """Return one row per model and dimensions, with `pass`, `fail`, `xfail` or `skip` per provider."""
    cells: list[Row] = []
    for subject, records in rows.subjects.items():
        statuses: Row = {
            group_name(group): status_of([record for record in records if group_of(record) == group])
            for group in rows.groups
        }
        cells.append({**_subject_cells(rows, subject, records), **statuses})
    return [*_SUBJECT_COLUMNS, *map(group_name, rows.groups)], cells


def session_table(rows: Rows) -> Table:
    """Return one row per case that made a session, or was run by a program."""
    return _table(SESSION, rows, ((it, it) for it in rows.records if it.session or it.program))


def system_info_table(rows: Rows) -> Table:
    """Return one row per fact of run and machine."""
    origin = _origin_cells(rows, ())
    columns = (*_ORIGIN_COLUMNS, "spec", "value")
    return columns, [origin | {"spec": spec, "value": value} for spec, value in _specs(rows.run)]


def accuracy_table(rows: Rows) -> Table:
    """Return one row per output that was compared, and per check of a case's own outputs."""
    return _table(ACCURACY, rows, ((row.record, row) for row in compared_rows(rows.records)))


def checks_table(rows: Rows) -> Table:
    """Return one row per reading, lost block and way of threads of `ortperf check`."""
    return _table(CHECKS, rows, ((row.record, row) for row in check_rows(rows.records)))


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
    "checks": checks_table,
}
_ONLY_WITH_ROWS = ("checks",)

_ORIGIN_COLUMNS = tuple(column.name for column in ORIGIN)
_SUBJECT_COLUMNS = (*_ORIGIN_COLUMNS, "model", "dims")


def _table(columns: Sequence[Column[R]], rows: Rows, found: Iterable[tuple[Record, R]]) -> Table:
    """Return a table of what is found of each record."""
    names = [*_ORIGIN_COLUMNS, *(column.name for column in columns)]
    cells: list[Row] = [
        _origin_cells(rows, (record,)) | {it.name: it.get(row) for it in columns} for record, row in found
    ]
    return names, cells


def _origin_cells(rows: Rows, records: Sequence[Record]) -> dict[str, Cell]:
    origin = Origin(header=rows.run.header, records=records)
    return {column.name: column.get(origin) for column in ORIGIN}


def _subject_cells(rows: Rows, subject: Subject, records: Sequence[Record]) -> dict[str, Cell]:
    return {**_origin_cells(rows, records), "model": subject[1], "dims": dims_text(dict(subject[2]))}


def _timing_order(row: Measured) -> tuple[bool, int, str]:
    latency = row.latency
    return latency.is_further, TIMINGS.index(latency.timing), latency.label


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
    """Return `tensorrt_vs_cuda_p50_gain_percent`, or `tensorrt_vs_cuda_fp16_p50_gain_percent`."""
    provider, precision = group
    return "_".join(part for part in (provider, "vs", reference, precision, "p50_gain_percent") if part)


def status_of(records: Sequence[Record]) -> str | None:
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


def safe_cell(value: Cell) -> Cell:
    """Return a cell that harms neither a spreadsheet nor a terminal."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare one would not be quoted, and end the row
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text
