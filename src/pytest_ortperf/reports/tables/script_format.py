"""The files of ONNX Runtime's "TensorRT EP performance test" script, made from a run: `--ortperf-csv=original`.

Names, columns, their order and the texts of cells are those of the script's wrapper, as of 2022 to 2024. Providers that
the script did not know have further columns behind its own. Unlike it, each file is of one run alone and written
whole, and a cell is empty where nothing is known: it never repeats the row above.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_ortperf.cases.providers import known_provider
from pytest_ortperf.quantities import QUANTITIES, nodes_on_provider
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.packed_numbers import in_order
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import percentile, summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.columns import Cell, dims_text, runtime_version
from pytest_ortperf.reports.tables.csv_tables import status_of, write_csv
from pytest_ortperf.reports.tables.gains import counts
from pytest_ortperf.reports.tables.rows import Group, Rows, Subject, group_of, sorted_rows, subject_of

SCRIPT_TARGETS: Mapping[Group, str] = {
    ("cpu", None): "ORT-CPUFp32",
    ("cuda", None): "ORT-CUDAFp32",
    ("tensorrt", None): "ORT-TRTFp32",
    ("trtexec", None): "TRTFp32",
    ("cuda", "fp16"): "ORT-CUDAFp16",
    ("tensorrt", "fp16"): "ORT-TRTFp16",
    ("trtexec", "fp16"): "TRTFp16",
    ("acl", None): "ORT-ACLFp32",
}
"""The script's names of targets, in the order of its columns. It had no columns for the last one."""

_CPU, _ACL = ("cpu", None), ("acl", None)
_COLUMNS = tuple(group for group in SCRIPT_TARGETS if group != _ACL)
_STATUSES = {"pass": "Pass", "fail": "Fail"}
_ERROR_TYPES = {"precision error": "script error", "result accuracy issue": "result accuracy issue"}
"""By kind of failure; everything else is a `runtime error`."""

_ABSENT = "  "
"""In metrics.csv."""

_MIXED = " , *All ORT-TRT and TRT are run in Mixed Precision mode (Fp16 and Fp32)."
_LATENCY = ("mean (ms)", "90th percentile (ms)", "peak memory usage (MiB)")
_SUCCESS = (
    "engine",
    "version",
    "device",
    "fp16",
    "io_binding",
    "graph_optimizations",
    "enable_cache",
    "model_name",
    "inputs",
    "batch_size",
    "sequence_length",
    "datetime",
    "test_times",
    "QPS",
    "average_latency_ms",
    "latency_variance",
    "latency_90_percentile",
    "latency_95_percentile",
    "latency_99_percentile",
)
_METRICS = (
    "Model",
    "% CUDA operators (not fall back to CPU)",
    "Total TRT operators",
    "Total operators",
    "% TRT operator",
    "Total TRT execution time",
    "Total execution time",
    "% TRT execution time",
)

Lines = tuple[Sequence[str], Iterable[Sequence[Cell]]]
"""Column names, and rows."""


def target_name(group: Group) -> str:
    """Return the script's name of a target, or one made after its pattern: `ORT-OpenVINOFp16`."""
    provider, precision = group
    if group in SCRIPT_TARGETS:
        return SCRIPT_TARGETS[group]
    row = known_provider(provider)
    name = row.full_name.removesuffix("ExecutionProvider") if row else provider
    as_given = SCRIPT_TARGETS.get((provider, None), f"ORT-{name}Fp32")
    return f"{as_given.removesuffix('Fp32')}{(precision or 'fp32').capitalize()}"


def write_script_files(run: StoredRun, folder: Path) -> list[Path]:
    """Write the script's eight files, over files of those names; return them in order.

    Raises:
        ResultsFileError: If a file cannot be written.
    """
    tables = ScriptTables(sorted_rows(run))
    paths = []
    for name, build in FILES.items():
        columns, rows = build(tables)
        path = folder / name
        write_csv(path, columns, rows, run)
        paths.append(path)
    return paths


@dataclass(frozen=True)
class ScriptTables:
    """A run, by the script's rows and columns."""

    rows: Rows

    @cached_property
    def targets(self) -> tuple[Group, ...]:
        """The script's columns, then those of the other providers that the run has records of."""
        return tuple(dict.fromkeys((*_COLUMNS, *map(group_of, self.rows.records))))

    @cached_property
    def names(self) -> Mapping[Subject, str]:
        """The name of each row: the model, with its dimensions, and its list where two lists have such a model."""
        names = {subject: _with_dims(subject) for subject in self.rows.subjects}
        found = list(names.values())
        return {subject: f"{name} [{subject[0]}]" if found.count(name) > 1 else name for subject, name in names.items()}

    @property
    def groups(self) -> Mapping[str, str | None]:
        """What the model of each row belongs to, by the row's name."""
        return {
            self.names[subject]: next((record.group for record in records if record.group), None)
            for subject, records in self.rows.subjects.items()
        }

    @cached_property
    def cells(self) -> Mapping[Subject, Mapping[Group, Sequence[Record]]]:
        """The records of each cell, in the order in which they started."""
        found: dict[Subject, dict[Group, list[Record]]] = {subject: {} for subject in self.rows.subjects}
        for record in sorted(self.rows.records, key=lambda record: record.started):
            found[subject_of(record)].setdefault(group_of(record), []).append(record)
        return found

    def by_target(self, read: Callable[[Group, Sequence[Record]], Sequence[Cell]]) -> Iterator[list[Cell]]:
        """Yield a row per model: its name, then what is read from the records of each target."""
        for subject, groups in self.cells.items():
            cells = (cell for group in self.targets for cell in read(group, groups.get(group, ())))
            yield [self.names[subject], *cells]


def _fail(tables: ScriptTables) -> Lines:
    """Return the first failure of each model on each target."""
    rows = []
    for subject, groups in tables.cells.items():
        for group, records in groups.items():
            failures = [it.failure for it in records if it.failure and it.outcome != "xfailed"]
            if failures:
                kind = _ERROR_TYPES.get(failures[0].kind, "runtime error")
                rows.append((tables.names[subject], target_name(group), kind, failures[0].message))
    return ("model", "ep", "error type", "error message"), rows


def _success(tables: ScriptTables) -> Lines:
    """Return a row per benchmark of ONNX Runtime that passed."""
    version = runtime_version(tables.rows.run.header.environment)
    measured = ((record, _measured([record])) for record in tables.rows.records if record.program is None)
    rows = [
        ("onnxruntime", version, *_success_cells(tables.names[subject_of(record)], record, latency))
        for record, latency in measured
        if latency
    ]
    return _SUCCESS, rows


def _success_cells(name: str, record: Record, latency: Latency) -> Iterator[Cell]:
    summary, session, batch = summarize(latency), record.session, latency.batch or 1
    options = session.provider_options.get("TensorrtExecutionProvider", {}) if session else {}
    yield from (target_name(group_of(record)), record.precision == "fp16", latency.timing != "host")
    yield session.graph_optimization if session else None
    yield options.get("trt_engine_cache_enable", "0").lower() in {"1", "true"}
    yield from (name, len(record.inputs), batch, 1, record.started, summary.count)
    yield f"{batch * 1e9 / summary.mean_ns:.2f}"
    yield _ms(summary.mean_ns)
    yield f"{((summary.standard_deviation_ns or 0) / 1e6) ** 2 * (summary.count - 1) / summary.count:.2f}"
    yield from (_ms(_percentile(latency, percent)) for percent in (90, 95, 99))


def _latency(tables: ScriptTables) -> Lines:
    columns = [
        f"{target_name(group)} \n{ending}"
        for group in tables.targets
        for ending in (_LATENCY[:2] if group == _CPU else _LATENCY)
    ]

    def cells(group: Group, records: Sequence[Record]) -> Sequence[Cell]:
        latency = _measured(records)
        times = (_ms(summarize(latency).mean_ns), _ms(_percentile(latency, 90))) if latency else (None, None)
        return times if group == _CPU else (*times, _memory(records))

    return ("Model", *columns), tables.by_target(cells)


def _metrics(tables: ScriptTables) -> Lines:
    """Return two rows per model: of fp32, and of fp16."""
    rows: list[list[Cell]] = []
    for subject, groups in tables.cells.items():
        if any(record.placement for records in groups.values() for record in records):
            for precision, ending in ((None, ""), ("fp16", " (FP16)")):
                cuda, tensorrt = (_placed(groups.get((name, precision), ())) for name in ("cuda", "tensorrt"))
                name = f"{tables.names[subject]}{ending}"
                rows.append([name, _share(cuda), *_nodes(tensorrt), _share(tensorrt), *_times(tensorrt)])
    return _METRICS, [[_ABSENT if cell is None else cell for cell in row] for row in rows]


def _op_metrics(tables: ScriptTables) -> Lines:
    shares = [
        (tables.names[subject], target_name(group), _share(_placed(groups.get(group, ()))))
        for subject, groups in tables.cells.items()
        for group in (("cuda", None), ("cuda", "fp16"), ("tensorrt", None), ("tensorrt", "fp16"))
    ]
    return ("Model", "Ep", "op percentage in each ep"), [row for row in shares if row[-1] is not None]


def _status(tables: ScriptTables) -> Lines:
    columns = ("Model", *map(target_name, tables.targets))
    return columns, tables.by_target(lambda _, records: [_STATUSES.get(status_of(records) or "")])


def _session(tables: ScriptTables) -> Lines:
    targets = [group for group in tables.targets if group[0] != "trtexec"]
    columns = [
        f"{target_name(group)} \n {which}session creation time (s)" for which in ("", "second ") for group in targets
    ]
    rows = []
    for subject, groups in tables.cells.items():
        newest = [reversed(groups.get(group, ())) for group in targets]
        sessions = [next((it.session for it in records if it.session), None) for records in newest]
        first = [_seconds(session.creation_ns) if session else None for session in sessions]
        second = [_seconds(session.second_creation_ns) if session else None for session in sessions]
        rows.append([tables.names[subject], *first, *second])
    return ("Model", *columns), rows


def _specs(tables: ScriptTables) -> Lines:
    environment = tables.rows.run.header.environment
    options: dict[str, dict[str, str]] = {}
    for record in tables.rows.records:
        for provider, values in (record.session.provider_options if record.session else {}).items():
            options.setdefault(provider, {}).update(values)
    versions = {
        "CPU": environment.cpu,
        "GPU": environment.gpus[0].name if environment.gpus else None,
        "TensorRT": f"{environment.tensorrt or ''}{_MIXED}",
        "CUDA": environment.cuda,
        "CuDNN": environment.cudnn,
        "EPOptionOverrides": json.dumps({name: found for name, found in options.items() if found}, sort_keys=True),
    }
    return (".", "Spec", "Version"), [(number, *row) for number, row in enumerate(versions.items(), start=1)]


FILES: Mapping[str, Callable[[ScriptTables], Lines]] = {
    "fail.csv": _fail,
    "success.csv": _success,
    "latency.csv": _latency,
    "metrics.csv": _metrics,
    "op_metrics.csv": _op_metrics,
    "status.csv": _status,
    "session.csv": _session,
    "specs.csv": _specs,
}


def _with_dims(subject: Subject) -> str:
    dims = dims_text(dict(subject[2]))
    return f"{subject[1]} ({dims})" if dims else subject[1]


def _measured(records: Sequence[Record]) -> Latency | None:
    """Return the latency that the script would have measured: with copies, if it was; `None` if nothing counts."""
    record = next((record for record in reversed(records) if counts(record) and record.latencies), None)
    if record is None:
        return None
    timing = "bound+copies" if record.program else "host"
    return next((latency for latency in record.latencies if latency.timing == timing), record.latencies[0])


def _percentile(latency: Latency, percent: int) -> float | None:
    """Return it from however few samples, as the script did."""
    if latency.samples_ns:
        return percentile(in_order(latency.samples_ns), percent)
    found: float | None = getattr(summarize(latency), f"p{percent}_ns")
    return found


def _ms(time_ns: float | None) -> str | None:
    return None if time_ns is None else f"{time_ns / 1e6:.2f}"


def _seconds(time_ns: int | None) -> float | None:
    return None if time_ns is None else round(time_ns / 1e9, 6)


_PEAK = next(quantity for quantity in QUANTITIES if quantity.name == "gpu_peak_memory_mib")


def _memory(records: Sequence[Record]) -> int | None:
    peak = next((value for value in map(_PEAK.value, reversed(records)) if value is not None), None)
    return None if peak is None else round(peak)


def _placed(records: Sequence[Record]) -> Record | None:
    """Return the record that shows the placement: a benchmark's before a validation's."""
    return min((record for record in records if record.placement), key=lambda record: record.mode, default=None)


def _nodes(record: Record | None) -> tuple[Cell, Cell]:
    """Return the nodes on the provider asked for, and all."""
    return (nodes_on_provider(record), record.placement.total_nodes) if record and record.placement else (None, None)


def _share(record: Record | None) -> float | None:
    """Return the share of nodes on the provider asked for."""
    if record is None or record.placement is None or not record.placement.total_nodes:
        return None
    return (nodes_on_provider(record) or 0) / record.placement.total_nodes


def _times(record: Record | None) -> tuple[Cell, Cell, Cell]:
    """Return the operators' time on the provider asked for and of all, in us as in profiles, and the share."""
    if record is None or record.operators is None:
        return None, None, None
    own_ns, all_ns = record.operators.time_ns_of(record.provider_full_name), record.operators.total_ns
    return round(own_ns / 1e3), round(all_ns / 1e3), own_ns / all_ns if all_ns else 0
