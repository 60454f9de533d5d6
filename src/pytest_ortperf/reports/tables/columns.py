"""The columns of each table, as data: name with unit, and how to get the value; `None` is an empty cell.

Columns of measured quantities come from `pytest_ortperf.quantities`; names, states and texts stand here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from pytest_ortperf import quantities as groups
from pytest_ortperf.cases.providers import known_provider
from pytest_ortperf.quantities import QUANTITIES, Group, Quantity, read
from pytest_ortperf.records.environment.run_header import Environment, RunHeader
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.operators import OperatorTime
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.tables.gains import Gain, list_of
from pytest_ortperf.reports.tables.limit_text import limits_state
from pytest_ortperf.reports.tables.machine_text import off_text

Cell = str | int | float | bool | None

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column over rows of a kind."""

    name: str
    get: Callable[[R], Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRow:
    """One timing mode of one benchmark: what its quantities are read from."""

    record: Record
    latency: Latency
    summary: Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(TimingRow):
    """A row of the success table."""

    gain: Gain | None
    """Against the reference provider."""

    standalone_gain: Gain | None = None
    """Against the program that runs the same engine without ONNX Runtime."""

    header: RunHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One operator type on one provider: a row of the operator table."""

    record: Record
    assigned: str
    op_type: str
    nodes: int | None
    """As assigned; `None` for a type that only fusion made."""

    time: OperatorTime | None = None
    """As run; `None` for a type of which fusion left none, or that was not profiled."""


def value_of(quantity: Quantity, record: Record, latency: Latency | None = None) -> Any:
    """Return a quantity of a whole case, in its unit; `None` if it is not known.

    Args:
        quantity: Of an output, the highest counts.
        record: Of the case.
        latency: The timing mode; the headline unless given.
    """
    if quantity.group.of == groups.OUTPUT:
        values = [quantity.value(output) for data_set in record.accuracy for output in data_set.outputs]
        return max((value for value in values if value is not None), default=None)
    if not quantity.of_latency:
        return quantity.value(record)
    found = latency or next(iter(record.latencies), None)
    return quantity.value(TimingRow(record=record, latency=found, summary=summarize(found))) if found else None


def columns_of(group: Group) -> Iterator[Column[Any]]:
    """Yield the columns of a group of quantities, over what these are read from."""
    return (Column(quantity.name, quantity.cell) for quantity in QUANTITIES if quantity.group == group)


def _of_timing(group: Group) -> Iterator[Column[Measured]]:
    return (Column(each.name, partial(_timing_cell, each)) for each in QUANTITIES if each.group == group)


def _timing_cell(quantity: Quantity, row: Measured) -> Any:
    """Return a cell of a timing mode; what is measured once a case stands in the rows of some modes alone."""
    if quantity.of_latency:
        return quantity.cell(row)
    timing = quantity.group.timing
    timings = (read(row.record, timing),) if isinstance(timing, str) else timing
    return quantity.cell(row.record) if timings is None or row.latency.label in timings else None


def at(path: str) -> Callable[[Any], Any]:
    """Return what reads the end of a path of attributes; `None` where something on it is absent."""
    return lambda row: read(row, path)


def dims_text(dims: Mapping[str, int]) -> str | None:
    """Return `batch=8,seq=128`; `None` for none."""
    return ",".join(f"{name}={value}" for name, value in dims.items()) or None


def refused_text(refused: Mapping[str, str]) -> str | None:
    """Return `graph: CPUExecutionProvider has no CUDA graphs; ...`."""
    return "; ".join(f"{timing}: {reason}" for timing, reason in refused.items()) or None


def inputs_text(record: Record) -> str | None:
    """Return `ids:int64[1,128]; mask:float[1,128]`."""
    texts = (
        f"{fact.name}:{fact.dtype}" + (f"[{','.join(map(str, fact.shape))}]" if fact.shape is not None else "")
        for fact in record.inputs
    )
    return "; ".join(texts) or None


def device_name(record: Record, environment: Environment) -> str | None:
    """Return the hardware's name where it is certain: the CPU, or the GPU if all are of one kind."""
    row = known_provider(record.provider)
    if row is not None and row.device == "cpu":
        return environment.cpu
    names = {gpu.name for gpu in environment.gpus}
    if row is not None and row.nvidia and len(names) == 1:
        return names.pop()
    return None


def runtime_version(environment: Environment) -> str | None:
    """Return the version out of `onnxruntime-gpu 1.31.1`."""
    text = environment.onnxruntime_distribution
    return text.rpartition(" ")[2] if text else None


def _version(row: Measured) -> str | None:
    program = row.record.program
    return program.version if program else runtime_version(row.header.environment)


def _provider_options(row: Measured) -> str | None:
    given = row.record.session.provider_options if row.record.session else {}
    options = {name: dict(values) for name, values in given.items() if values}
    return json.dumps(options, sort_keys=True) if options else None


def _energy_source(row: Measured) -> str | None:
    resources = row.record.resources
    return at("energy.source")(resources) if resources and resources.timing == row.latency.label else None


def _engines(record: Record) -> str | None:
    return record.program.engine if record.program else record.session.engines if record.session else None


def _program(record: Record) -> str | None:
    return f"{record.program.path} {record.program.version}" if record.program else None


def _absent_text(record: Record) -> str | None:
    absent = record.resources.absent if record.resources else {}
    return "; ".join(f"{name}: {reason}" for name, reason in absent.items()) or None


def _gain(gain: str, name: str) -> Column[Measured]:
    def rounded(row: Measured) -> float | None:
        value = read(row, f"{gain}.{name}")
        return None if value is None else round(value, 4)

    return Column(f"{gain}_{name}", rounded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the numbers of a row come from: what its first columns are read from."""

    header: RunHeader
    records: Sequence[Record] = ()
    """Those that the row is about: of one model."""


def _devices(row: Origin) -> str | None:
    names = (device_name(record, row.header.environment) for record in row.records)
    return "; ".join(dict.fromkeys(name for name in names if name)) or None


ORIGIN: tuple[Column[Origin], ...] = (
    Column("run", lambda row: row.header.run),
    Column("list", lambda row: list_of(row.records[0]) if row.records else None),
    Column("group", lambda row: next((record.group for record in row.records if record.group), None)),
    *(Column(name, at(f"header.labels.{name}")) for name in ("commit", "branch", "date")),
    Column("host", lambda row: row.header.environment.hostname),
    Column("device", _devices),
)
"""What every table starts with."""

IDENTITY: tuple[Column[Record], ...] = (
    Column("model", lambda row: row.model),
    Column("dims", lambda row: dims_text(row.dims)),
    Column("provider", lambda row: row.provider),
    Column("precision", lambda row: row.precision),
    Column("mode", lambda row: row.mode),
)
"""What each table of records goes on with. `precision` is as asked: empty is the model as given."""

FAIL: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("outcome", lambda row: row.outcome),
    Column("error_type", at("failure.kind")),
    *(Column(name, at(f"failure.{name}")) for name in ("stage", "signal", "exit_code", "message")),
    Column("nodeid", lambda row: row.nodeid),
)

SUCCESS: tuple[Column[Measured], ...] = (
    Column("engine", lambda row: row.record.provider if row.record.program else "onnxruntime"),
    Column("version", _version),
    Column("model", lambda row: row.record.model),
    Column("dims", lambda row: dims_text(row.record.dims)),
    Column("provider", lambda row: row.record.provider),
    Column("precision", lambda row: row.record.precision),
    Column("model_precision", at("record.model_fact.precision")),
    Column("model_sha256", at("record.model_fact.sha256")),
    Column("validation", lambda row: row.record.validation),
    Column("compute_precision", at("record.model_fact.compute_precision")),
    Column("note", at("record.model_fact.note")),
    Column("timing", lambda row: row.latency.timing),
    Column("io_binding", lambda row: None if row.record.program else row.latency.timing != "host"),
    Column("timing_note", lambda row: row.record.timing_notes.get(row.latency.label)),
    Column("graph_optimization", at("record.session.graph_optimization")),
    Column("intra_op_threads", at("record.session.intra_op_threads")),
    Column("provider_options", _provider_options),
    Column("inputs", lambda row: None if row.latency.is_further else inputs_text(row.record)),
    Column("data_set", lambda row: row.latency.data_set),
    Column("assumed_dims", lambda row: dims_text(row.record.assumed_dims)),
    Column("batch", lambda row: row.latency.batch),
    Column("started", lambda row: row.record.started),
    *_of_timing(groups.LATENCY),
    Column("status", lambda row: row.latency.status),
    Column("stop_reason", lambda row: row.latency.stop_reason),
    Column("limits", lambda row: limits_state(row.record)),
    *_of_timing(groups.WARM_UP),
    Column("steady", lambda row: row.latency.steady),
    *_of_timing(groups.ENERGY),
    Column("energy_source", _energy_source),
    *_of_timing(groups.CLOCKS),
    *_of_timing(groups.COPIES),
    *_of_timing(groups.THREADS),
    *(_gain("gain", name) for name in ("percent", "low_percent", "high_percent")),
    Column("gain_reference", at("gain.reference")),
    *(_gain("standalone_gain", name) for name in ("percent", "low_percent", "high_percent")),
    *_of_timing(groups.PROGRAM),
    Column("machine", at("record.machine.level")),
    Column("machine_findings", lambda row: off_text(row.record.machine)),
)

LATENCY_GROUP: tuple[Column[Measured], ...] = tuple(
    Column(each.name.removeprefix("latency_"), partial(_timing_cell, each))
    for name in ("latency_p50_ms", "latency_mean_ms", "latency_p90_ms", "gpu_peak_memory_mib")
    for each in QUANTITIES
    if each.name == name
)
"""Of each provider and precision in the wide latency table, its name before them: `cuda_fp16_p50_ms`."""

METRICS: tuple[Column[Record], ...] = (
    *IDENTITY,
    *columns_of(groups.NODES),
    Column("profile_note", lambda row: "; ".join(row.operators.notes) or None if row.operators else None),
    Column("source", at("placement.source")),
)

OP_METRICS: tuple[Column[Placed], ...] = (
    Column("model", lambda row: row.record.model),
    Column("dims", lambda row: dims_text(row.record.dims)),
    Column("provider", lambda row: row.record.provider),
    Column("precision", lambda row: row.record.precision),
    Column("assigned_provider", lambda row: row.assigned),
    Column("op_type", lambda row: row.op_type),
    *columns_of(groups.OPERATORS),
)

SESSION: tuple[Column[Record], ...] = (
    *IDENTITY,
    *columns_of(groups.SESSION),
    Column("timings_refused", lambda row: refused_text(row.refused_timings)),
    Column("engines", _engines),
    *columns_of(groups.ENGINES),
    Column("program", _program),
    Column("advice", lambda row: "; ".join(row.program.advice) or None if row.program else None),
    *columns_of(groups.HOST_MEMORY),
    Column("gpu_memory_of", at("resources.device_memory.source")),
    *columns_of(groups.GPU_MEMORY),
    Column("not_known", _absent_text),
)
