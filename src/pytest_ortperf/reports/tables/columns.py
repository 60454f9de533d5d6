"""The columns of each table, as data: name with unit, and how to get the value; `None` is an empty cell."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pytest_ortperf.cases.providers import CPU, known_provider
from pytest_ortperf.records.environment.run_header import Environment, RunHeader
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime
from pytest_ortperf.records.record import Concurrent, Copies, Failure, ModelFact, Placement, Record, SessionFact
from pytest_ortperf.reports.tables import resource_cells as cells
from pytest_ortperf.reports.tables import resource_cells as programs
from pytest_ortperf.reports.tables.gains import Gain
from pytest_ortperf.reports.tables.machine_text import off_text

Cell = str | int | float | bool | None

R = TypeVar("R")

WITH_COPIES = ("host", "bound+copies")
"""Timing modes whose clock covers the copies to and from a device."""


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


def operators_of(record: Record, get: Callable[[OperatorProfile], Cell]) -> Cell:
    """Return a fact of the operators' times, if they are known."""
    return get(record.operators) if record.operators else None


def time_ratio(record: Record) -> float | None:
    """Return the share of the operators' time on the provider asked for, 0 to 1."""
    share = record.operators.share_of(record.provider_full_name) if record.operators else None
    return None if share is None else round(share, 6)


def copies_of(row: Measured, get: Callable[[Copies], Cell]) -> Cell:
    """Return a fact of the copies to and from the device, for a timing mode whose clock covers them."""
    return get(row.record.copies) if row.record.copies and row.latency.timing in WITH_COPIES else None


def concurrent_of(row: Measured, get: Callable[[Concurrent], Cell]) -> Cell:
    """Return a fact of threads on one session, for the timing mode that they ran in."""
    found = row.record.concurrent
    return get(found) if found and found.timing == row.latency.timing else None


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
    if row == CPU:
        return environment.cpu
    names = {gpu.name for gpu in environment.gpus}
    if row is not None and row.nvidia and len(names) == 1:
        return names.pop()
    return None


def runtime_version(environment: Environment) -> str | None:
    """Return the version out of `onnxruntime-gpu 1.31.1`."""
    text = environment.onnxruntime_distribution
    return text.rpartition(" ")[2] if text else None


def _time_percent(row: Placed) -> float | None:
    profile = row.record.operators
    share = profile.share(row.time.time_ns) if profile and row.time else None
    return None if share is None else round(100 * share, 4)


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

PRECISION: tuple[Column[Measured], ...] = (
    Column("latency_p50_low_ms", lambda row: ms(row.summary.p50_low_ns)),
    Column("latency_p50_high_ms", lambda row: ms(row.summary.p50_high_ns)),
    Column("latency_p50_half_width_percent", lambda row: _percent(row.summary.half_width)),
    Column("latency_mad_ms", lambda row: ms(row.summary.mad_ns)),
    Column("latency_variation_percent", lambda row: _percent(row.summary.variation)),
    Column("lag1_correlation", lambda row: _rounded(row.summary.lag1_correlation)),
    Column("mild_outliers", lambda row: row.summary.mild_outliers),
    Column("severe_outliers", lambda row: row.summary.severe_outliers),
    Column("modes", lambda row: row.summary.modes),
    Column("blocks", lambda row: row.summary.blocks),
    Column("block_iterations", lambda row: row.latency.block_iterations),
    Column("status", lambda row: row.latency.status),
    Column("stop_reason", lambda row: row.latency.stop_reason),
    Column("warmup_s", lambda row: s(row.latency.warmup_ns)),
    Column("steady", lambda row: row.latency.steady),
)
"""How far a latency can be trusted: columns of the success table. The interval of the median is a 95 % one."""

SUCCESS: tuple[Column[Measured], ...] = (
    Column("engine", lambda row: programs.engine_name(row.record)),
    Column("version", lambda row: programs.version_of(row.record, row.header.environment)),
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
    Column("timing_note", lambda row: row.record.timing_notes.get(row.latency.timing)),
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
    *PRECISION,
    Column("energy_per_iteration_mj", lambda row: cells.energy_of(row, lambda it: it.per_iteration_mj)),
    Column("power_w", lambda row: cells.energy_of(row, lambda it: it.power_w)),
    Column("energy_source", lambda row: cells.energy_of(row, lambda it: it.source)),
    Column("sm_clock_mean_mhz", lambda row: cells.clocks_of(row, lambda it: it.mean_sm_mhz)),
    Column("host_to_device_ms", lambda row: copies_of(row, lambda it: ms(it.to_device_ns))),
    Column("device_to_host_ms", lambda row: copies_of(row, lambda it: ms(it.to_host_ns))),
    Column("concurrent_threads", lambda row: concurrent_of(row, lambda it: len(it.iterations))),
    Column("concurrent_iterations_per_s", lambda row: concurrent_of(row, lambda it: _rounded(it.iterations_per_s))),
    Column("concurrent_inferences_per_s", lambda row: concurrent_of(row, lambda it: _rounded(it.inferences_per_s))),
    Column("concurrent_p50_ms", lambda row: concurrent_of(row, lambda it: ms(statistics.median(it.p50_ns)))),
    Column("gain_percent", lambda row: _rounded(row.gain.percent) if row.gain else None),
    Column("gain_low_percent", lambda row: _rounded(row.gain.low_percent) if row.gain else None),
    Column("gain_high_percent", lambda row: _rounded(row.gain.high_percent) if row.gain else None),
    Column("gain_reference", lambda row: row.gain.reference if row.gain else None),
    Column("standalone_gain_percent", lambda row: _standalone(row, lambda it: it.percent)),
    Column("standalone_gain_low_percent", lambda row: _standalone(row, lambda it: it.low_percent)),
    Column("standalone_gain_high_percent", lambda row: _standalone(row, lambda it: it.high_percent)),
    Column("program_throughput_per_s", lambda row: _rounded(programs.throughput_of(row.record, row.latency.timing))),
    Column("machine", lambda row: row.record.machine.level if row.record.machine else None),
    Column("machine_findings", lambda row: off_text(row.record.machine)),
)

LATENCY_GROUP: tuple[Column[Measured], ...] = (
    Column("p50_ms", lambda row: ms(row.summary.p50_ns)),
    Column("mean_ms", lambda row: ms(row.summary.mean_ns)),
    Column("p90_ms", lambda row: ms(row.summary.p90_ns)),
    Column("gpu_peak_memory_mib", lambda row: cells.device_of(row.record, lambda it: it.peak_byte)),
)
"""Of each provider and precision in the wide latency table, its name before them: `cuda_fp16_p50_ms`."""

METRICS: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("total_nodes", lambda row: placement_of(row, lambda it: it.total_nodes)),
    Column("nodes_on_provider", nodes_on_provider),
    Column("ratio_of_nodes_on_provider", nodes_ratio),
    Column("ratio_of_execution_time_on_provider", time_ratio),
    Column("profiled_run_ms", lambda row: operators_of(row, lambda it: ms(it.run_ns))),
    Column("operators_ms", lambda row: operators_of(row, lambda it: ms(it.total_ns))),
    Column("between_operators_ms", lambda row: operators_of(row, lambda it: ms(it.between_ns))),
    Column("profiled_runs", lambda row: operators_of(row, lambda it: it.runs)),
    Column("profile_note", lambda row: operators_of(row, lambda it: "; ".join(it.notes) or None)),
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
    Column("nodes_as_run", lambda row: row.time.nodes if row.time else None),
    Column("time_ms", lambda row: ms(row.time.time_ns) if row.time else None),
    Column("time_percent", _time_percent),
    Column("device_kernels_ms", lambda row: ms(row.time.kernel_ns) if row.time else None),
)

SESSION: tuple[Column[Record], ...] = (
    *IDENTITY,
    Column("session_creation_s", lambda row: session_of(row, lambda it: s(it.creation_ns))),
    Column("second_session_creation_s", lambda row: session_of(row, lambda it: s(it.second_creation_ns))),
    Column("validation_session_creation_s", lambda row: session_of(row, lambda it: s(it.validation_creation_ns))),
    Column("first_run_s", lambda row: session_of(row, lambda it: s(it.first_run_ns))),
    Column("wait_for_hardware_s", lambda row: s(row.stage_ns.get("lease"))),
    Column("timings_refused", lambda row: refused_text(row.refused_timings)),
    Column("engines", programs.engines_of),
    Column("engine_build_s", lambda row: s(programs.build_ns(row))),
    Column("engine_size_mib", lambda row: programs.size_of(row, lambda it: it.engine_byte)),
    Column("execution_context_mib", lambda row: programs.size_of(row, lambda it: it.context_byte)),
    Column("builder_peak_gpu_mib", lambda row: programs.size_of(row, lambda it: it.build_peak_byte)),
    Column("program", lambda row: programs.program_of(row, lambda it: f"{it.path} {it.version}")),
    Column("advice", lambda row: programs.program_of(row, lambda it: "; ".join(it.advice) or None)),
    Column("host_memory_before_mib", lambda row: cells.host_of(row, lambda it: it.baseline_byte)),
    Column("host_memory_creation_peak_mib", lambda row: cells.host_of(row, lambda it: it.creation_peak_byte)),
    Column("host_memory_session_mib", lambda row: cells.host_of(row, lambda it: it.creation_byte)),
    Column("host_memory_run_peak_mib", lambda row: cells.host_of(row, lambda it: it.run_peak_byte)),
    Column("gpu_memory_of", cells.device_source),
    Column("gpu_memory_creation_peak_mib", lambda row: cells.device_of(row, lambda it: it.creation_peak_byte)),
    Column("gpu_memory_run_peak_mib", lambda row: cells.device_of(row, lambda it: it.run_peak_byte)),
    Column("arena_held_mib", cells.arena_held),
    Column("not_known", cells.absent_text),
)


def _standalone(row: Measured, get: Callable[[Gain], float | None]) -> float | None:
    return _rounded(get(row.standalone_gain)) if row.standalone_gain else None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 4)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
