"""CSV files of the removed ONNX Runtime script as a side, of 2021 or of 2022 to 2024: a folder, or a single file.

They have a mean and no samples: latencies are shown with their ratio, and are UNSURE unless the user gives a threshold.

A JSON file of pytest-benchmark as a side; its benchmarks are paired by their full names.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.providers import PROVIDERS, find_provider
from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.record import Failure, Record, SessionFact
from pytest_ortperf.records.resources import DeviceMemory, Resources
from pytest_ortperf.records.store import DAMAGE
from pytest_ortperf.reports.comparison.compared_side import CaseResult, Observation, RunSide, Side
from pytest_ortperf.reports.tables.rows import Group
from pytest_ortperf.reports.tables.script_format import target_name
from pytest_ortperf.safe_files import read_regular, shortened

MOST_BYTE = 1 << 28
_MOST = 1e12
"""Of a number in a table; a larger one, a negative one and no number at all say nothing."""

_NO_TIME = "1970-01-01T00:00:00+00:00"


def is_pytest_benchmark(path: Path) -> bool:
    """Whether a file is JSON as pytest-benchmark writes it, by its name and its first bytes."""
    if path.suffix != ".json" or not path.is_file():
        return False
    data = _json(path)
    return isinstance(data, dict) and "benchmarks" in data and "machine_info" in data


def read_pytest_benchmark(path: Path) -> Side:
    """Return the benchmarks of a pytest-benchmark file.

    Raises:
        ResultsFileError: If it is none.
    """
    data = _json(path)
    try:
        cases = _cases_by_id(map(_benchmark, data["benchmarks"]))
        machine = data.get("machine_info") or {}
        cpu = machine.get("cpu") or {}
        parts = [str(part) for part in (cpu.get("brand_raw"), cpu.get("count"), machine.get("node")) if part]
        labels = {"commit": str((data.get("commit_info") or {}).get("id") or "")}
    except (*DAMAGE, ZeroDivisionError) as error:
        raise ResultsFileError(f"{path}: is not what pytest-benchmark writes ({shortened(repr(error))}).") from error
    run = RunSide(name=path.stem, cases=cases, fingerprint=", ".join(parts) or None, labels=labels)
    return Side(name=str(path), runs=(run,))


def _json(path: Path) -> Any:
    try:
        return json.loads(read_regular(path, MOST_BYTE))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsFileError(f"{path}: cannot be read as JSON: {shortened(str(error))}.") from error


def _cases_by_id(found: Iterable[tuple[str, CaseResult]]) -> dict[str, CaseResult]:
    """Return the cases; one that stands there once for each of its timing modes has all of these."""
    cases: dict[str, CaseResult] = {}
    for case_id, case in found:
        known = cases.get(case_id, case)
        cases[case_id] = dataclasses.replace(known, observations={**known.observations, **case.observations})
    return cases


def _benchmark(data: Mapping[str, Any]) -> tuple[str, CaseResult]:
    stats, extra = data["stats"], data.get("extra_info") or {}
    case_id = str(extra.get("ortperf_case_id") or data["fullname"])
    provider = str(extra.get("ep") or "pytest-benchmark")
    record = Record(
        case_id=case_id,
        nodeid=str(data["fullname"]),
        model=str(extra.get("model") or data["name"]),
        mode="benchmark",
        provider=provider,
        provider_full_name=provider,
        precision=extra.get("precision"),
        outcome="passed",
        started=_NO_TIME,
    )
    rounds = int(stats["rounds"])
    observation = Observation(
        mean_ns=stats["mean"] * 1e9,
        median_ns=stats["median"] * 1e9,
        min_ns=stats["min"] * 1e9,
        # of the median of normal numbers; too small where rounds are alike, which is why the fleet counts besides
        log_error=1.2533 * stats["stddev"] / stats["mean"] / rounds**0.5 if rounds > 1 else None,
        not_seen=("nobody looked at the machine meanwhile (pytest-benchmark)",),
    )
    return case_id, CaseResult(record=record, observations={str(extra.get("timing") or "host"): (observation,)})


TARGETS: Mapping[str, Group] = {
    **{target_name((row.name, precision)): (row.name, precision) for row in PROVIDERS for precision in (None, "fp16")},
    "CPUExecutionProvider": ("cpu", None),
    "CUDAExecutionProvider": ("cuda", None),
    "CUDAExecutionProvider_fp16": ("cuda", "fp16"),
    "TensorrtExecutionProvider": ("tensorrt", None),
    "TensorrtExecutionProvider_fp16": ("tensorrt", "fp16"),
    "ACLExecutionProvider": ("acl", None),
    "Standalone_TRT": ("trtexec", None),
    "Standalone_TRT_fp16": ("trtexec", "fp16"),
    "CPU": ("cpu", None),
    "CPU fp32": ("cpu", None),
    "CUDA fp32": ("cuda", None),
    "CUDA fp16": ("cuda", "fp16"),
    "TRT EP fp32": ("tensorrt", None),
    "TRT EP fp16": ("tensorrt", "fp16"),
    "Standalone TRT fp32": ("trtexec", None),
    "Standalone TRT fp16": ("trtexec", "fp16"),
}
"""The script's names of targets: of 2022 to 2024, and for other providers names like them; of 2021 in statuses and
failures, and of 2021 in headers."""

_KINDS = {"script error": "precision error"}
_TABLES = ("latency", "fail", "status", "session", "specs")
_TABLE = re.compile(r"(?:benchmark_)?(?P<table>latency|fail|status|session|specs)(?:_[\d-]+)?\.csv")
_MEAN, _MEMORY = "mean (ms)", "peak memory usage (MiB)"
_CREATION, _SECOND = "session creation time (s)", "second session creation time (s)"

_COLUMNS_OF: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "latency": lambda columns: "model" in columns and any(column.endswith(f" {_MEAN}") for column in columns),
    "session": lambda columns: "model" in columns and any(column.endswith(f" {_CREATION}") for column in columns),
    "fail": lambda columns: {"model", "ep", "error type"} <= set(columns),
    "status": lambda columns: "model" in columns and len(columns) > 1 and set(columns[1:]) <= set(TARGETS),
}
"""How a table is known by its columns."""

_COLUMNS_SHOWN = 8

Tables = Mapping[str, list[dict[str, str]]]
Cells = dict[tuple[str, str], dict[str, str]]


def is_script_folder(folder: Path) -> bool:
    """Whether a folder holds the script's tables and no records file."""
    return bool(_tables(folder)) and not any(folder.glob("records_*.jsonl"))


def read_script_folder(folder: Path) -> Side:
    """Return the script's results in a folder.

    Raises:
        ResultsFileError: If a table cannot be read, or none of them tells of a case.
    """
    tables = {name: _rows(path) for name, path in _tables(folder).items()}
    side = _side(folder, tables)
    if not side.runs[0].cases and not side.notes:
        shown = {name: list(rows[0])[:_COLUMNS_SHOWN] for name, rows in tables.items() if rows}
        told = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in shown.items()) or "no rows"
        raise ResultsFileError(
            f"{folder}: its tables tell of no case that can be compared (columns of {told}). The ONNX Runtime script's "
            f"latency table has columns such as 'ORT-CUDAFp32 {_MEAN}'."
        )
    return side


def read_script_table(path: Path) -> Side:
    """Return the script's results in one of its tables, whatever the file is called.

    Raises:
        ResultsFileError: If it is none of them.
    """
    rows = _rows(path)
    columns = list(rows[0]) if rows else []
    table = next((name for name, is_it in _COLUMNS_OF.items() if is_it(columns)), None)
    if table is None:
        shown = ", ".join(columns[:_COLUMNS_SHOWN]) or "none"
        raise ResultsFileError(
            f"{path}: is no table of the ONNX Runtime script that can be compared (its columns: {shown}). Give its "
            f"latency, fail, status or session table; of a run of this plugin, give the records_<run>.jsonl."
        )
    return _side(path, {table: rows})


def _side(path: Path, tables: Tables) -> Side:
    cells = _cells(tables)
    unknown = sorted({target for _, target in cells} - set(TARGETS))
    cases = [_case(model, *target, values) for (model, target), values in _merged(cells).items()]
    run = RunSide(name=path.name, cases={case.record.case_id: case for case in cases}, fingerprint=_fingerprint(tables))
    notes = (f"{path.name}: unknown targets were left out: {', '.join(unknown)}",) if unknown else ()
    return Side(name=str(path), runs=(run,), notes=notes)


def _cells(tables: Tables) -> Cells:
    """Return what all tables say, by model and target."""
    found: Cells = {}
    for row in (*tables.get("latency", ()), *tables.get("session", ())):
        for target, column, text in _targets(row):
            found.setdefault((row["model"], target), {})[column] = text
    for row in tables.get("status", ()):
        for target, text in row.items():
            if target != "model" and text.strip():
                found.setdefault((row["model"], target), {})["status"] = text.strip()
    for row in tables.get("fail", ()):
        said = {"kind": row.get("error type", ""), "message": row.get("error message", "")}
        found.setdefault((row["model"], row.get("ep", "")), {}).update(said)
    return found


def _tables(folder: Path) -> dict[str, Path]:
    """Return the newest file of each table."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        match = _TABLE.fullmatch(path.name)
        if match and match["table"] in _TABLES:
            found[match["table"]] = path
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows, headers and names without the line ends and spaces that the script put in."""
    try:
        text = read_regular(path, MOST_BYTE).decode("utf-8", "replace")
        with io.StringIO(text, newline="") as file:
            rows = [{_name(key): value or "" for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, csv.Error) as error:
        raise ResultsFileError(f"{path}: cannot be read as one of the script's tables: {error}.") from error
    return [row for row in rows if any(row.values())]


def _name(header: str) -> str:
    text = " ".join(header.split())
    return "model" if text == "Model" else text


def _targets(row: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield target, column and cell of a wide table: `ORT-CUDAFp32 mean (ms)`."""
    for header, text in row.items():
        for column in (_SECOND, _CREATION, _MEAN, _MEMORY):
            if header.endswith(f" {column}") and text.strip():
                yield header.removesuffix(f" {column}"), column, text.strip()
                break


def _merged(cells: Cells) -> dict[tuple[str, tuple[str, str | None]], dict[str, str]]:
    """Return what is known by model and our names: in 2021 each table had its own names."""
    found: dict[tuple[str, tuple[str, str | None]], dict[str, str]] = {}
    for (model, target), values in cells.items():
        if target in TARGETS:
            found.setdefault((model, TARGETS[target]), {}).update(values)
    return found


def _case(model: str, name: str, precision: str | None, values: Mapping[str, str]) -> CaseResult:
    label = f"{name}-{precision}" if precision else name
    provider = find_provider(name)
    failed = "kind" in values or values.get("status") == "Fail"
    mean = _number(values.get(_MEAN))
    record = Record(
        case_id=f"{model}::benchmark[{label}]",
        nodeid=f"{model}::benchmark[{label}]",
        model=model,
        mode="benchmark",
        provider=provider.name,
        provider_full_name=provider.full_name,
        precision=precision,
        outcome="failed" if failed else "passed" if mean is not None or values.get("status") == "Pass" else "skipped",
        failure=_failure(values) if failed else None,
        started=_NO_TIME,
        session=_session(values),
        resources=_resources(values),
    )
    timing = "host" if provider.runner == "onnxruntime" else "bound+copies"
    observed = {} if mean is None or failed else {timing: (Observation(mean_ns=mean * 1e6),)}
    return CaseResult(record=record, observations=observed)


def _failure(values: Mapping[str, str]) -> Failure:
    kind = values.get("kind", "runtime error").strip()
    return Failure(kind=_KINDS.get(kind, kind), stage=None, message=values.get("message", "no message"))


def _session(values: Mapping[str, str]) -> SessionFact | None:
    first, second = _number(values.get(_CREATION)), _number(values.get(_SECOND))
    if first is None:
        return None
    return SessionFact(
        requested_providers=(),
        active_providers=(),
        provider_options={},
        graph_optimization="all",
        intra_op_threads=None,
        creation_ns=round(first * 1e9),
        second_creation_ns=None if second is None else round(second * 1e9),
    )


def _resources(values: Mapping[str, str]) -> Resources | None:
    peak = _number(values.get(_MEMORY))
    if not peak:  # the script's 0 is "not read"
        return None
    memory = DeviceMemory(source="process", baseline_byte=0, creation_peak_byte=None, run_peak_byte=round(peak * 2**20))
    return Resources(device_memory=memory)


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").strip())
    except ValueError:
        return None
    return number if 0 <= number < _MOST else None


def _fingerprint(tables: Tables) -> str | None:
    """Return CPU and GPU of the script's specs; nothing if either is missing."""
    specs = {row.get("Spec", ""): " ".join(row.get("Version", "").split()) for row in tables.get("specs", ())}
    parts = [specs[name] for name in ("CPU", "GPU") if specs.get(name)]
    return ", ".join(parts) if len(parts) == 2 else None  # noqa: PLR2004 - both
