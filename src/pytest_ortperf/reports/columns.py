"""The columns of each table, as data: name with unit, and how to get the value; `None` is an empty cell."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pytest_ortperf.records.environment import Environment, RunHeader
from pytest_ortperf.records.record import Failure, Latency, ModelFact, Placement, Record, SessionFact
from pytest_ortperf.records.statistics import Summary
from pytest_ortperf.reports.gains import Gain

Cell = str | int | float | bool | None

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column over rows of a kind."""

    name: str
    get: Callable[[R], Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One timing mode of one benchmark: a row of the success table."""

    record: Record
    latency: Latency
    summary: Summary
    gain: Gain | None
    header: RunHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One operator type on one provider: a row of the operator table."""

    record: Record
    assigned: str
    op_type: str
    nodes: int


def ms(ns: float | None) -> float | None:
    """Return nanoseconds as milliseconds, to the nanosecond."""
    return None if ns is None else round(ns / 1e6, 6)


def s(ns: int | None) -> float | None:
    """Return nanoseconds as seconds, to the nanosecond."""
    return None if ns is None else round(ns / 1e9, 9)


def dims_text(dims: Mapping[str, int]) -> str | None:
    """Return `batch=8,seq=128`; `None` for none."""
    return ",".join(f"{name}={value}" for name, value in dims.items()) or None


def failure_of(record: Record, get: Callable[[Failure], Cell]) -> Cell:
    """Return a fact of the failure, if there is one."""
    return get(record.failure) if record.failure else None


def session_of(record: Record, get: Callable[[SessionFact], Cell]) -> Cell:
    """Return a fact of the session, if there was one."""
    return get(record.session) if record.session else None


def model_of(record: Record, get: Callable[[ModelFact], Cell]) -> Cell:
    """Return a fact of the model file, if it was read."""
    return get(record.model_fact) if record.model_fact else None


def placement_of(record: Record, get: Callable[[Placement], Cell]) -> Cell:
    """Return a fact of the placement, if it is known."""
    return get(record.placement) if record.placement else None


def nodes_on_provider(record: Record) -> int | None:
    """Return how many nodes ran on the provider the case asked for."""
    placement = record.placement
    return placement.nodes_by_provider.get(record.provider_full_name, 0) if placement else None


def nodes_ratio(record: Record) -> float | None:
    """Return the share of nodes on the provider asked for, 0 to 1."""
    on_provider = nodes_on_provider(record)
    if on_provider is None or record.placement is None or not record.placement.total_nodes:
        return None
    return round(on_provider / record.placement.total_nodes, 6)


def inputs_text(record: Record) -> str | None:
    """Return `ids:int64[1,128]; mask:float[1,128]`."""
    texts = (
        f"{fact.name}:{fact.dtype}" + (f"[{','.join(map(str, fact.shape))}]" if fact.shape is not None else "")
        for fact in record.inputs
    )
    return "; ".join(texts) or None


def device_name(record: Record, environment: Environment) -> str | None:
    """Return the hardware's name where it is certain: the CPU, or the GPU if all are of one kind."""
    if record.provider == "cpu":
        return environment.cpu
    names = {gpu.name for gpu in environment.gpus}
    if record.provider in ("cuda", "tensorrt", "nvtensorrtrtx") and len(names) == 1:
        return names.pop()
    return None


def runtime_version(environment: Environment) -> str | None:
    """Return the version out of `onnxruntime-gpu 1.31.1`."""
    text = environment.onnxruntime_distribution
    return text.rpartition(" ")[2] if text else None


def _provider_options(fact: SessionFact) -> str | None:
    options = {name: dict(values) for name, values in fact.provider_options.items() if values}
    return json.dumps(options, sort_keys=True) if options else None


IDENTITY: tuple[Column[Record], ...] = (
    Column("model", lambda row: row.model),
    Column("dims", lambda row: dims_text(row.dims)),
    Column("provider", lambda row: row.provider),
    Column("precision", lambda row: row.precision),
    Column("mode", lambda row: row.mode),
)
"""What each table of records starts with. `precision` is as asked: empty is the model as given."""

FAIL: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("outcome", lambda row: row.outcome),
    Column("error_type", lambda row: failure_of(row, lambda it: it.kind)),
    Column("stage", lambda row: failure_of(row, lambda it: it.stage)),
    Column("signal", lambda row: failure_of(row, lambda it: it.signal)),
    Column("exit_code", lambda row: failure_of(row, lambda it: it.exit_code)),
    Column("message", lambda row: failure_of(row, lambda it: it.message)),
    Column("nodeid", lambda row: row.nodeid),
)

SUCCESS: tuple[Column[Measured], ...] = (
    Column("engine", lambda _: "onnxruntime"),
    Column("version", lambda row: runtime_version(row.header.environment)),
    Column("model", lambda row: row.record.model),
    Column("dims", lambda row: dims_text(row.record.dims)),
    Column("provider", lambda row: row.record.provider),
    Column("precision", lambda row: row.record.precision),
    Column("model_precision", lambda row: model_of(row.record, lambda it: it.precision)),
    Column("compute_precision", lambda row: model_of(row.record, lambda it: it.compute_precision)),
    Column("note", lambda row: model_of(row.record, lambda it: it.note)),
    Column("device", lambda row: device_name(row.record, row.header.environment)),
    Column("timing", lambda row: row.latency.timing),
    Column("io_binding", lambda row: row.latency.timing != "host"),
    Column("graph_optimization", lambda row: session_of(row.record, lambda it: it.graph_optimization)),
    Column("intra_op_threads", lambda row: session_of(row.record, lambda it: it.intra_op_threads)),
    Column("provider_options", lambda row: session_of(row.record, _provider_options)),
    Column("inputs", lambda row: inputs_text(row.record)),
    Column("batch", lambda row: row.latency.batch),
    Column("started", lambda row: row.record.started),
    Column("iterations", lambda row: row.summary.count),
    Column("warmup_iterations", lambda row: row.latency.warmup_iterations),
    Column("throughput_per_s", lambda row: _rounded(row.summary.throughput_per_s)),
    Column("latency_mean_ms", lambda row: ms(row.summary.mean_ns)),
    Column("latency_p50_ms", lambda row: ms(row.summary.p50_ns)),
    Column("latency_min_ms", lambda row: ms(row.summary.min_ns)),
    Column("latency_max_ms", lambda row: ms(row.summary.max_ns)),
    Column("latency_standard_deviation_ms", lambda row: ms(row.summary.standard_deviation_ns)),
    Column("latency_p90_ms", lambda row: ms(row.summary.p90_ns)),
    Column("latency_p95_ms", lambda row: ms(row.summary.p95_ns)),
    Column("latency_p99_ms", lambda row: ms(row.summary.p99_ns)),
    Column("gain_percent", lambda row: _rounded(row.gain.percent) if row.gain else None),
    Column("gain_reference", lambda row: row.gain.reference if row.gain else None),
)

LATENCY_GROUP: tuple[Column[Measured], ...] = (
    Column("p50_ms", lambda row: ms(row.summary.p50_ns)),
    Column("mean_ms", lambda row: ms(row.summary.mean_ns)),
    Column("p90_ms", lambda row: ms(row.summary.p90_ns)),
    # Empty until memory is measured; here already, so that the columns of the file stay the same.
    Column("gpu_peak_memory_mib", lambda _: None),
)
"""Of each provider and precision in the wide latency table, its name before them: `cuda_fp16_p50_ms`."""

METRICS: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("total_nodes", lambda row: placement_of(row, lambda it: it.total_nodes)),
    Column("nodes_on_provider", nodes_on_provider),
    Column("ratio_of_nodes_on_provider", nodes_ratio),
    # Empty until kernels are timed.
    Column("ratio_of_execution_time_on_provider", lambda _: None),
    Column("source", lambda row: placement_of(row, lambda it: it.source)),
)

OP_METRICS: tuple[Column[Placed], ...] = (
    Column("model", lambda row: row.record.model),
    Column("dims", lambda row: dims_text(row.record.dims)),
    Column("provider", lambda row: row.record.provider),
    Column("precision", lambda row: row.record.precision),
    Column("assigned_provider", lambda row: row.assigned),
    Column("op_type", lambda row: row.op_type),
    Column("nodes", lambda row: row.nodes),
)

SESSION: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("session_creation_s", lambda row: session_of(row, lambda it: s(it.creation_ns))),
    Column("second_session_creation_s", lambda row: session_of(row, lambda it: s(it.second_creation_ns))),
    Column("validation_session_creation_s", lambda row: session_of(row, lambda it: s(it.validation_creation_ns))),
    Column("first_run_s", lambda row: session_of(row, lambda it: s(it.first_run_ns))),
)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
