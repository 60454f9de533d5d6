"""What a run means in numbers: the rows of the derived tables."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_ortperf.cases.providers import known_provider
from pytest_ortperf.history.kept_run import Parsed
from pytest_ortperf.history.script_views import script_results, script_specs
from pytest_ortperf.quantities import ENERGY, OUTPUT, QUANTITIES, TIMING, Drift, Quantity
from pytest_ortperf.records.environment.run_header import Environment, RunHeader
from pytest_ortperf.records.latency import UNSTABLE, Latency
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.comparison.compared_side import unfinished
from pytest_ortperf.reports.tables.columns import TimingRow, dims_text, runtime_version, value_of
from pytest_ortperf.reports.tables.gains import PASSED, counts, list_of
from pytest_ortperf.reports.tables.rows import FAILED

METRICS: tuple[Quantity, ...] = tuple(
    quantity for quantity in QUANTITIES if quantity.expect or quantity.comparison or quantity.group == ENERGY
)
"""Quantities that a history keeps: those that limits and comparisons look at, and energy."""

_MEAN = next(quantity for quantity in METRICS if quantity.name == "latency_mean_ms")
_STAMP = re.compile(r"(\d{8}-\d{6})(?:-(\d{1,4}))?")
_DOUBTFUL = ("warning", "reject")
_TEXT_SHOWN = 500

Row = dict[str, Any]


@dataclass
class Derived:
    """Rows by table; those that several runs have in common are by id."""

    run: Row
    cases: dict[int, Row] = field(default_factory=dict)
    series: dict[int, Row] = field(default_factory=dict)
    points: dict[int, Row] = field(default_factory=dict)
    """By series: of a case that ran more than once the last counts."""

    outcomes: list[Row] = field(default_factory=list)
    script_results: list[Row] = field(default_factory=list)
    script_specs: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a run besides its file."""

    id: int
    kind: str
    added_at: str
    source: str | None
    labels: Mapping[str, str]
    """Given when it was added; they win over the run's own."""

    digest: str


def derive(parsed: Parsed, origin: Origin) -> Derived:
    """Return the rows of a run."""
    stored = parsed.stored
    found = Derived(
        run=_run_row(stored, origin),
        script_results=script_results(parsed, origin.id),
        script_specs=script_specs(stored, origin.id),
    )
    environment = stored.header.environment
    for number, record in zip(parsed.numbers, stored.records, strict=True):
        case = _case_row(record, environment)
        found.cases[case["id"]] = case
        found.outcomes.append(_outcome_row(record, case["id"], number, origin.id))
        values = [*_values(record), *_of_mean(parsed.means_ns.get(record.case_id))]
        for metric, timing, value in values:
            if math.isfinite(value["value"]):
                series = _series_row(case, metric, timing)
                found.series[series["id"]] = series
                found.points[series["id"]] = {"run": origin.id, "series": series["id"], **value}
    return found


def identity(*parts: object) -> int:
    """Return a hash of 63 bits: it stays what it is in each database."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big") >> 1


def position_of(header: RunHeader) -> str:
    """Return what sorts runs: by their id, which follows their order even where the clock did not, else by time."""
    match = _STAMP.fullmatch(header.run)
    if match:
        return f"{match[1]}-{int(match[2] or 1):04}"
    try:
        return f"{datetime.fromisoformat(header.started):%Y%m%d-%H%M%S}-0001"
    except ValueError:
        return header.run


def _run_row(stored: StoredRun, origin: Origin) -> Row:
    header, environment = stored.header, stored.header.environment
    labels = {**header.labels, **origin.labels}
    outcomes = [record.outcome for record in stored.records]
    stopped = unfinished(stored)
    return {
        "id": origin.id,
        "position": position_of(header),
        "run": header.run,
        "kind": origin.kind,
        "added_at": origin.added_at,
        "started": header.started,
        "branch": labels.get("branch"),
        "commit_id": labels.get("commit"),
        "commit_date": labels.get("date"),
        "identifier": labels.get("identifier") or _identifier(labels, environment),
        "groups": json.dumps(sorted({record.group for record in stored.records if record.group})),
        "labels": json.dumps(labels, sort_keys=True),
        "options": json.dumps(dict(header.options), sort_keys=True),
        "host": environment.hostname,
        "machine": environment.fingerprint,
        "device": _device_of(environment),
        "onnxruntime": environment.onnxruntime_distribution,
        "complete": stopped is None,
        "state": stopped or "complete",
        "cases": len({record.nodeid for record in stored.records}),
        "passed": sum(outcome in PASSED for outcome in outcomes),
        "failed": sum(outcome in FAILED for outcome in outcomes),
        "deselected": json.dumps(stored.end.deselected if stored.end else ()),
        "notes": json.dumps(stored.notes),
        "digest": origin.digest,
        "source": origin.source,
        "url": labels.get("url"),
    }


def _identifier(labels: Mapping[str, str], environment: Environment) -> str | None:
    """Return what the original script named a run by, as far as it is known."""
    version = runtime_version(environment)
    parts = (labels.get("date"), labels.get("commit"), environment.tensorrt or version, labels.get("branch"))
    return "_".join(part for part in parts if part) or None


def _device_of(environment: Environment) -> str | None:
    gpus = dict.fromkeys(gpu.name for gpu in environment.gpus)
    return ", ".join(gpus) or environment.cpu


def _case_row(record: Record, environment: Environment) -> Row:
    provider = known_provider(record.provider)
    on_host = provider is None or provider.device == "cpu"
    row = {
        "nodeid": record.nodeid,
        "list": list_of(record),
        "case_id": record.case_id,
        "model": record.model,
        "model_hash": record.model_fact.sha256 if record.model_fact else None,
        "mode": record.mode,
        "provider": record.provider,
        "precision": record.precision,
        "dims": dims_text(record.dims) or "",
        "settings": _settings(record),
        "group_name": record.group,
        "machine": environment.fingerprint,
        "device": environment.cpu if on_host else _device_of(environment),
    }
    return {"id": identity(*row.values()), **row}


def _settings(record: Record) -> str:
    """Return what of a session is not as usual and changes what is measured."""
    session = record.session
    if session is None:
        return ""
    threads = f"threads={session.intra_op_threads}" if session.intra_op_threads is not None else ""
    optimization = session.graph_optimization
    level = f"optimization={optimization}" if optimization != "all" else ""
    return ",".join(filter(None, (threads, level)))


def _series_row(case: Row, metric: Quantity, timing: str) -> Row:
    without_content = [value for name, value in case.items() if name not in ("id", "model_hash")]
    return {
        "id": identity(case["id"], timing, metric.name),
        "test_case": case["id"],
        "lineage": identity(*without_content, timing, metric.name),
        "timing": timing,
        "metric": metric.name,
        "unit": metric.unit,
    }


def _outcome_row(record: Record, case: int, number: int, run: int) -> Row:
    failure = record.failure
    text = failure.message if failure else record.reason
    return {
        "run": run,
        "number": number,
        "test_case": case,
        "outcome": record.outcome,
        "kind": failure.kind if failure else None,
        "text": text.strip().partition("\n")[0][:_TEXT_SHOWN] if text else None,
    }


def _values(record: Record) -> Iterator[tuple[Quantity, str, Row]]:
    """Yield quantity, timing mode and value of all that is known; errors of outputs also where a case failed."""
    is_counted = counts(record)
    for metric in METRICS:
        if metric.group.of == OUTPUT:
            value = _of_outputs(metric, record)
        elif not is_counted:
            continue
        elif metric.group.of == TIMING:
            for latency in record.latencies:
                yield from _of_latency(metric, record, latency)
            continue
        else:
            value = metric.value(record)
        if value is not None:
            yield metric, "", _value_row(value)


def _of_mean(found: tuple[str, float] | None) -> Iterator[tuple[Quantity, str, Row]]:
    if found:
        timing, mean_ns = found
        yield _MEAN, timing, _value_row(mean_ns / _MEAN.scale.per)


def _of_latency(metric: Quantity, record: Record, latency: Latency) -> Iterator[tuple[Quantity, str, Row]]:
    summary = summarize(latency)
    row = TimingRow(record=record, latency=latency, summary=summary)
    value = metric.value(row)
    if value is not None:
        yield metric, latency.label, _value_row(value, metric.ends(row), summary.count, _flags(record, latency))


def _of_outputs(metric: Quantity, record: Record) -> Any:
    """Return the worst over all outputs: of a cosine that is the lowest."""
    if not (isinstance(metric.comparison, Drift) and metric.comparison.from_one):
        return value_of(metric, record)
    values = [metric.value(output) for data_set in record.accuracy for output in data_set.outputs]
    return min((value for value in values if value is not None), default=None)


def _value_row(
    value: Any, ends: tuple[Any, Any] | None = None, count: int | None = None, flags: str | None = None
) -> Row:
    low, high = ends or (None, None)
    return {"value": float(value), "low": low, "high": high, "n": count, "flags": flags}


def _flags(record: Record, latency: Latency) -> str | None:
    """Return what speaks against a latency: `unstable`, `modes`, `machine`."""
    summary = summarize(latency)
    findings = record.machine.findings if record.machine else ()
    flags = (
        "unstable" if latency.status == UNSTABLE else "",
        "modes" if (summary.modes or 1) > 1 else "",
        "machine" if any(found.level in _DOUBTFUL for found in findings) else "",
    )
    return ",".join(filter(None, flags)) or None
