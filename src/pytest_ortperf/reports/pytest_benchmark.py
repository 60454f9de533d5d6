"""A run in the JSON of pytest-benchmark, for the tools that read it: `ortperf report --format=pytest-benchmark`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ortperf.records.environment.run_header import RunHeader
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import MILD, percentile, summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.columns import device_name
from pytest_ortperf.reports.tables.gains import counts, list_of
from pytest_ortperf.reports.tables.rows import sorted_rows

LIKE_VERSION = "5.3.1"
"""Of pytest-benchmark, whose files have these fields."""


def pytest_benchmark_text(run: StoredRun) -> str:
    """Return the document; a benchmark per timing mode of what counts."""
    benchmarks = [
        _benchmark(record, latency, run.header)
        for record in sorted_rows(run).records
        if counts(record)
        for latency in record.latencies
    ]
    document = {
        "machine_info": _machine(run.header),
        "commit_info": _commit(run.header.labels),
        "benchmarks": benchmarks,
        "datetime": run.header.started,
        "version": LIKE_VERSION,
    }
    return json.dumps(document, allow_nan=False, indent=1) + "\n"


def _benchmark(record: Record, latency: Latency, header: RunHeader) -> dict[str, Any]:
    """Return one timing mode of a benchmark. Its names hold no more than ids do, so that they last from run to run."""
    parameters = {
        "model": record.model,
        "ep": record.provider,
        "precision": record.precision,
        "timing": latency.label,
        **record.dims,
    }
    return {
        "group": record.group,
        "name": f"{record.case_id} {latency.label}",
        "fullname": f"{list_of(record)}::{record.case_id} {latency.label}",
        "params": parameters,
        "param": latency.label,
        "extra_info": {
            "ortperf_run": header.run,
            "ortperf_case_id": record.case_id,
            **parameters,
            "batch": latency.batch,
            "device": device_name(record, header.environment),
            "status": latency.status,
            "validation": record.validation,
        },
        "options": {"warmup": latency.warmup_iterations > 0},
        "stats": _statistics(latency),
    }


def _statistics(latency: Latency) -> dict[str, Any]:
    """Return the statistics in seconds, a round being one iteration.

    Where samples were not kept, quartiles are the ends of the median absolute deviation, between which half of the
    samples lie.
    """
    summary = summarize(latency)
    ordered = sorted(latency.samples_ns)
    deviation, spread = summary.standard_deviation_ns or 0.0, summary.mad_ns or 0.0
    if ordered:
        q1, q3 = percentile(ordered, 25), percentile(ordered, 75)
        low, high = q1 - MILD * (q3 - q1), q3 + MILD * (q3 - q1)
        inside = [sample for sample in ordered if low <= sample <= high]
        beyond = sum(abs(sample - summary.mean_ns) > deviation for sample in ordered)
        lowest, highest, outliers = inside[0], inside[-1], len(ordered) - len(inside)
    else:
        q1, q3 = summary.p50_ns - spread, summary.p50_ns + spread
        lowest, highest, beyond = summary.min_ns, summary.max_ns, 0
        outliers = (summary.mild_outliers or 0) + (summary.severe_outliers or 0)
    times = {
        "min": summary.min_ns,
        "max": summary.max_ns,
        "mean": summary.mean_ns,
        "stddev": deviation,
        "median": summary.p50_ns,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "ld15iqr": lowest,
        "hd15iqr": highest,
        "total": summary.mean_ns * summary.count,
    }
    return {
        **{name: value / 1e9 for name, value in times.items()},
        "rounds": summary.count,
        "iterations": 1,
        "ops": 1e9 / summary.mean_ns if summary.mean_ns else 0,
        "iqr_outliers": outliers,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outliers}",
    }


def _machine(header: RunHeader) -> dict[str, Any]:
    environment = header.environment
    return {
        "node": environment.hostname,
        "system": environment.os,
        "release": environment.kernel,
        "python_version": environment.python,
        "cpu": {"brand_raw": environment.cpu, "count": environment.logical_cores},
        "gpus": [gpu.name for gpu in environment.gpus],
        "onnxruntime": environment.onnxruntime_distribution,
    }


def _commit(labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": labels.get("commit", "unversioned"),
        "time": labels.get("date"),
        "author_time": None,
        "dirty": None,
        "project": None,
        "branch": labels.get("branch", "(unknown)"),
    }
