"""The tables of the dashboard that the ONNX Runtime script posted to, as views.

Names and columns are those of 2022 to 2024. What they show of a run is what `--ortperf-csv=original` writes of it: rows
of `script_result` and `script_spec`, made by the same code. The wide ones have the script's own targets; those in long
form (`_over_time`) have all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_ortperf.history.kept_run import RECORDS, Parsed
from pytest_ortperf.quantities import QUANTITIES
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.columns import Cell
from pytest_ortperf.reports.tables.rows import sorted_rows
from pytest_ortperf.reports.tables.script_format import FILES, SCRIPT_TARGETS, ScriptTables, target_name

Row = dict[str, Any]

_PEAK = next(quantity for quantity in QUANTITIES if quantity.name == "gpu_peak_memory_mib")
_COLUMN = re.compile(r"(?P<target>\S+) ?\n ?(?P<what>.+)")
_FIELDS = {
    "mean (ms)": "mean_ms",
    "peak memory usage (MiB)": "memory_mib",
    "session creation time (s)": "session_s",
    "second session creation time (s)": "second_session_s",
}
"""Columns of the script's wide tables, after the target."""

_EMPTY: Mapping[str, Cell] = dict.fromkeys((*_FIELDS.values(), "status", "error_type", "error_message", "op_share"))
_STATUSES = {"passed": "Pass", "failed": "Fail"}


def script_results(parsed: Parsed, run: int) -> list[Row]:
    """Return a row per model and target of the script: what its tables say of it."""
    found: dict[tuple[str, str], Row] = {}
    if parsed.kind == RECORDS:
        tables = ScriptTables(sorted_rows(parsed.stored))
        groups = tables.groups
        cells = _of_tables({name: build(tables) for name, build in FILES.items() if name in _READERS})
    else:
        groups = {record.model: record.group for record in parsed.stored.records}
        cells = _of_script(parsed)
    for model, target, name, value in cells:
        row = found.setdefault(
            (model, target),
            {"run": run, "model": model, "target": target, "group_name": groups.get(model), **_EMPTY},
        )
        row[name] = value
    return [found[key] for key in sorted(found)]


def script_specs(stored: StoredRun, run: int) -> list[Row]:
    """Return the rows of the script's table of hardware and versions."""
    _, rows = FILES["specs.csv"](ScriptTables(sorted_rows(stored)))
    return [{"run": run, "number": number, "spec": spec, "version": version} for number, spec, version in rows]


Cells = Iterator[tuple[str, str, str, Any]]
"""Model, target, column of `script_result`, value."""


def _of_tables(tables: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Cell]]]]) -> Cells:
    for name, (columns, rows) in tables.items():
        for row in rows:
            yield from _READERS[name](columns, row)


def _wide(columns: Sequence[str], row: Sequence[Cell]) -> Cells:
    for column, cell in zip(columns[1:], row[1:], strict=True):
        match = _COLUMN.fullmatch(column)
        field = _FIELDS.get(match["what"]) if match else None
        if match and field and cell not in (None, ""):
            yield str(row[0]), match["target"], field, float(cell or 0)


def _status(columns: Sequence[str], row: Sequence[Cell]) -> Cells:
    for target, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            yield str(row[0]), target, "status", cell


def _fail(_: Sequence[str], row: Sequence[Cell]) -> Cells:
    model, target, kind, message = row
    yield str(model), str(target), "error_type", kind
    yield str(model), str(target), "error_message", message


def _op_metrics(_: Sequence[str], row: Sequence[Cell]) -> Cells:
    model, target, share = row
    yield str(model), str(target), "op_share", share


_READERS = {
    "latency.csv": _wide,
    "session.csv": _wide,
    "status.csv": _status,
    "fail.csv": _fail,
    "op_metrics.csv": _op_metrics,
}


def _of_script(parsed: Parsed) -> Cells:
    """Yield what a folder of the script says itself."""
    for record in parsed.stored.records:
        model, target = record.model, target_name((record.provider, record.precision))
        mean = parsed.means_ns.get(record.case_id)
        values = {
            "mean_ms": mean[1] / 1e6 if mean else None,
            "memory_mib": _PEAK.value(record),
            "session_s": record.session.creation_ns / 1e9 if record.session else None,
            "second_session_s": _second(record),
            "status": _STATUSES.get(record.outcome),
            "error_type": record.failure.kind if record.failure else None,
            "error_message": record.failure.message if record.failure else None,
        }
        for name, value in values.items():
            if value is not None:
                yield model, target, name, value


def _second(record: Record) -> float | None:
    found = record.session.second_creation_ns if record.session else None
    return None if found is None else found / 1e9


_TARGETS = [name for (provider, _), name in SCRIPT_TARGETS.items() if provider != "acl"]
_ORT = [name for name in _TARGETS if name.startswith("ORT-")]
_NOT_CPU = [name for name in _TARGETS if name != "ORT-CPUFp32"]

_COMMON = (
    'r.added_at AS "UploadTime", r.identifier AS "Identifier", r.branch AS "Branch", '
    'r.commit_id AS "CommitId", r.commit_date AS "CommitDate"'
)
_BY = "r.id, r.added_at, r.identifier, r.branch, r.commit_id, r.commit_date, x.model, x.group_name"
_FROM = "FROM script_result x JOIN run r ON r.id = x.run"


def _pivot(columns: Mapping[str, tuple[str, str]]) -> str:
    """Return a wide view: its column -> target and column of `script_result`."""
    shown = [
        f"MAX(CASE WHEN x.target = '{target}' THEN x.{field} END) AS \"{name}\""
        for name, (target, field) in columns.items()
    ]
    used = " OR ".join(f"x.{field} IS NOT NULL" for field in sorted({field for _, field in columns.values()}))
    return (
        f'SELECT x.model AS "Model", {", ".join(shown)}, x.group_name AS "Group", {_COMMON} '
        f"{_FROM} WHERE {used} GROUP BY {_BY}"
    )


def _long(columns: Mapping[str, str], where: str) -> str:
    shown = ", ".join(f'{field} AS "{name}"' for name, field in columns.items())
    return (
        f'SELECT x.model AS "Model", x.group_name AS "Group", x.target AS "Ep", {shown}, {_COMMON} '
        f"{_FROM} WHERE {where}"
    )


VIEWS: Mapping[str, str] = {
    "ep_model_fail": _long(
        {"ErrorType": "x.error_type", "ErrorMessage": "x.error_message"}, "x.error_type IS NOT NULL"
    ),
    "ep_model_latency": _pivot({name: (name, "mean_ms") for name in _TARGETS}),
    "ep_model_latency_over_time": _long({"Latency": "x.mean_ms", "ReportUrl": "r.url"}, "x.mean_ms IS NOT NULL"),
    "ep_model_memory": _pivot({name: (name, "memory_mib") for name in _NOT_CPU}),
    "ep_model_memory_over_time": _long({"MemUsage": "x.memory_mib"}, "x.memory_mib IS NOT NULL"),
    "ep_model_status": _pivot({name: (name, "status") for name in _TARGETS}),
    "ep_model_status_over_time": _long(
        {"Pass": "CASE x.status WHEN 'Pass' THEN 1 ELSE 0 END"}, "x.status IN ('Pass', 'Fail')"
    ),
    "ep_model_session": _pivot(
        {name: (name, "session_s") for name in _ORT} | {f"{name}_second": (name, "second_session_s") for name in _ORT}
    ),
    "ep_model_session_over_time": _long(
        {"SessionCreationTime": "x.session_s", "SessionCreationTime_second": "x.second_session_s"},
        "x.session_s IS NOT NULL",
    ),
    "ep_model_op_metrics": _long({"OpPercentage": "x.op_share"}, "x.op_share IS NOT NULL"),
    "ep_model_specs": (
        f'SELECT s.number AS ".", s.spec AS "Spec", s.version AS "Version", {_COMMON} '  # noqa: S608 - all constants
        "FROM script_spec s JOIN run r ON r.id = s.run"
    ),
}
"""Name -> query, the same for SQLite and PostgreSQL."""
