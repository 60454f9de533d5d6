"""A record as JUnit properties: name and text pairs that CI systems show beside a test."""

from __future__ import annotations

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.tables.columns import nodes_ratio, time_ratio
from pytest_ortperf.reports.tables.resource_cells import mib


def properties(record: Record) -> list[tuple[str, object]]:
    """Return the properties of one record; what is absent has none."""
    values: dict[str, object] = {
        "model": record.model,
        "mode": record.mode,
        "ep": record.provider_full_name,
        "precision": record.precision or (record.model_fact.precision if record.model_fact else None),
        "status": record.outcome,
        "reason": record.reason,
        **_failure(record),
        **_placement(record),
        **_latency(record),
        **_accuracy(record),
        **_resources(record),
        "session_creation_s": record.session.creation_ns / 1e9 if record.session else None,
    }
    return [(f"ortperf.{name}", _text(value)) for name, value in values.items() if value is not None]


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _failure(record: Record) -> dict[str, object]:
    failure = record.failure
    if failure is None:
        return {}
    return {
        "error_type": failure.kind,
        "stage": failure.stage,
        "signal": failure.signal,
        "exit_code": failure.exit_code,
    }


def _placement(record: Record) -> dict[str, object]:
    placement = record.placement
    if placement is None:
        return {}
    return {
        "nodes_on_ep": placement.nodes_by_provider.get(record.provider_full_name, 0),
        "nodes": placement.total_nodes,
        "ops_on_ep": nodes_ratio(record),
        "time_on_ep": time_ratio(record),
    }


def _latency(record: Record) -> dict[str, object]:
    if not record.latencies:
        return {}
    summary = summarize(record.latencies[0])
    return {
        "timing": record.latencies[0].timing,
        "median_ms": _ms(summary.p50_ns),
        "ci_low_ms": _ms(summary.p50_low_ns),
        "ci_high_ms": _ms(summary.p50_high_ns),
        "mean_ms": _ms(summary.mean_ns),
        "min_ms": _ms(summary.min_ns),
        "p90_ms": _ms(summary.p90_ns),
        "p95_ms": _ms(summary.p95_ns),
        "p99_ms": _ms(summary.p99_ns),
        "iterations": summary.count,
        "modes": summary.modes,
        "latency_status": record.latencies[0].status,
        "steady": record.latencies[0].steady,
    }


def _resources(record: Record) -> dict[str, object]:
    found = record.resources
    if found is None:
        return {}
    return {
        "peak_vram_mib": mib(found.device_peak_byte),
        "peak_host_memory_mib": mib(found.host_peak_byte),
        "energy_per_iteration_mj": found.energy.per_iteration_mj if found.energy else None,
        "sm_clock_mhz": found.clocks.mean_sm_mhz if found.clocks else None,
    }


def _accuracy(record: Record) -> dict[str, object]:
    outputs = [output for data_set in record.accuracy for output in data_set.outputs]
    errors = [output.max_abs_error for output in outputs if output.max_abs_error is not None]
    shares = [output.percent_mismatch for output in outputs if output.percent_mismatch is not None]
    return {
        "max_abs_error": max(errors, default=None),
        "accuracy_verdict": _verdict(record),
        "percent_mismatch": max(shares, default=None),
    }


def _verdict(record: Record) -> str | None:
    verdicts = {output.verdict for data_set in record.accuracy for output in data_set.outputs}
    return next((verdict for verdict in ("fail", "pass-relative", "pass") if verdict in verdicts), None)


def _ms(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6
