"""One case in detail, as blocks that the script of a page draws without knowing what they are about."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_ortperf.quantities import ENERGY, ENGINES, GPU_MEMORY, HOST_MEMORY, QUANTITIES, SESSION, Group, Quantity
from pytest_ortperf.records.checks import LEAK, STUCK, WRONG
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.packed_numbers import histogram, in_order
from pytest_ortperf.records.record import Placement, Record
from pytest_ortperf.records.statistics import percentile, summarize
from pytest_ortperf.reports.standings import gain_ratio, gain_text
from pytest_ortperf.reports.tables.accuracy_columns import ACCURACY, compared_rows
from pytest_ortperf.reports.tables.check_columns import CHECKS, check_rows
from pytest_ortperf.reports.tables.columns import refused_text
from pytest_ortperf.reports.tables.gains import Gains

Block = dict[str, Any]

BINS = 40
_HISTOGRAM_FROM = 20
"""Samples."""


def details_of(record: Record, gains: Gains) -> list[Block]:
    """Return the blocks of a case in the order of reading."""
    makers = (
        _failure,
        lambda it: _latency(it, gains),
        _limits,
        _placement,
        _accuracy,
        _checks,
        _memory,
        _session,
        _model,
        _machine,
        _stages,
        _files,
        lambda it: () if it.failure else _commands(it),
        _log,
    )
    return [block for make in makers for block in make(record)]


def number(value: object) -> str:
    """Return a number in four digits, anything else as text; nothing for `None`."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def facts(title: str, pairs: Iterable[tuple[str, object]], help_text: str | None = None) -> Iterator[Block]:
    """Yield a block of names and values; nothing if all values are absent."""
    known = [[name, number(value)] for name, value in pairs if value not in (None, "")]
    if known:
        yield {"title": title, "facts": known, "help": help_text}


def table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[object]], wrong: Sequence[int] = ()
) -> Iterator[Block]:
    """Yield a block of a table without its empty columns; nothing without rows."""
    cells = [[number(cell) for cell in row] for row in rows]
    kept = [place for place in range(len(head)) if any(row[place] for row in cells)]
    if cells:
        yield {
            "title": title,
            "head": [head[place] for place in kept],
            "rows": [[row[place] for place in kept] for row in cells],
            "wrong": list(wrong) or None,
        }


def _failure(record: Record) -> Iterator[Block]:
    failure = record.failure
    if failure is None:
        if record.reason:
            yield {"title": "Reason", "text": record.reason}
        return
    yield {
        "title": f"{failure.kind}" + (f" in {failure.stage}" if failure.stage else ""),
        "text": failure.message,
        "bad": True,
    }
    yield from facts("Process", [("signal", failure.signal), ("exit code", failure.exit_code)])
    if failure.log_tail and failure.log_tail != record.log:
        yield {"title": "Last output of the process", "text": "\n".join(failure.log_tail), "log": True}
    yield from _commands(record)


def _latency(record: Record, gains: Gains) -> Iterator[Block]:
    rows = []
    for latency in record.latencies:
        summary = summarize(latency)
        gain = gains.of_timing(record, latency)
        low, high = _ms(summary.p50_low_ns), _ms(summary.p50_high_ns)
        rows.append(
            (
                latency.label,
                _ms(summary.p50_ns),
                f"{number(low)} to {number(high)}" if low is not None else None,
                _ms(summary.mean_ns),
                _ms(summary.min_ns),
                _ms(summary.p90_ns),
                _ms(summary.p99_ns),
                _ms(summary.max_ns),
                summary.throughput_per_s,
                f"{gain_text(gain_ratio(gain.percent))} vs {gain.reference}" if gain else None,
                summary.count,
                ", ".join(filter(None, (latency.status, latency.stop_reason))),
                record.timing_notes.get(latency.label),
            )
        )
    head = (
        "timing",
        "p50 ms",
        "95 % interval",
        "mean",
        "min",
        "p90",
        "p99",
        "max",
        "per s",
        "gain",
        "samples",
        "sampling",
        "note",
    )
    yield from table("Latency", head, rows)
    for latency in record.latencies:
        yield from _histogram(latency, summarize(latency))
    if record.refused_timings:
        yield {"title": "Not measured", "text": refused_text(record.refused_timings)}
    if record.concurrent:
        found = record.concurrent
        pairs = [
            ("threads", len(found.iterations)),
            ("iterations per s", found.iterations_per_s),
            ("inferences per s", found.inferences_per_s),
        ]
        yield from facts("Threads on one session", pairs)


def _ms(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def _histogram(latency: Latency, summary: Summary) -> Iterator[Block]:
    """Yield how many samples took how long, what is beyond the 99th percentile in the last bin."""
    if len(latency.samples_ns) < _HISTOGRAM_FROM:
        return
    samples = in_order(latency.samples_ns)
    low, high = int(samples[0]), percentile(samples, 99)
    if high <= low:
        return
    counts = histogram(samples, low, high, BINS)
    yield {
        "title": f"Samples of {latency.label}",
        "bins": counts,
        "from": low / 1e6,
        "to": high / 1e6,
        "middle": summary.p50_ns / 1e6,
    }


def _limits(record: Record) -> Iterator[Block]:
    rows = [
        (it.name, it.timing, it.limit, it.value, "kept" if it.is_kept else "broken", it.note) for it in record.limits
    ]
    wrong = [number for number, it in enumerate(record.limits) if not it.is_kept]
    yield from table("Limits", ("limit", "timing", "allowed", "measured", "result", "from"), rows, wrong)


def _placement(record: Record) -> Iterator[Block]:
    placement = record.placement
    if placement is not None:
        yield {
            "title": f"Placement of {placement.total_nodes} nodes",
            "bars": [
                [_short(name), count, name != record.provider_full_name, _operators(placement, name)]
                for name, count in placement.nodes_by_provider.items()
            ],
            "help": f"As assigned before fusions, by {placement.source}.",
        }
    profile = record.operators
    if profile is not None:
        share = profile.share
        rows = [
            (
                _short(it.provider),
                it.op_type,
                it.nodes,
                it.time_ns / 1e6,
                f"{100 * (share(it.time_ns) or 0):.1f} %",
                _ms(it.kernel_ns),
            )
            for it in profile.operators
        ]
        head = ("provider", "operator", "nodes", "ms", "share", "kernels ms")
        for block in table("Operators by time", head, rows):
            yield {**block, "help": " ".join([f"A profiled run takes {profile.run_ns / 1e6:.4g} ms.", *profile.notes])}


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def _operators(placement: Placement, provider: str) -> str:
    kinds = placement.op_types_by_provider.get(provider, {})
    ordered = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered)


_ACCURACY_LEFT_OUT = {"model", "dims", "provider", "precision", "mode"}


def _accuracy(record: Record) -> Iterator[Block]:
    rows = list(compared_rows([record]))
    if not rows:
        return
    columns = [column for column in ACCURACY if column.name not in _ACCURACY_LEFT_OUT]
    wrong = [
        number
        for number, row in enumerate(rows)
        if (row.output and row.output.verdict == "fail") or (row.check and row.check.fails)
    ]
    head = [column.name.replace("_", " ") for column in columns]
    yield from table("Accuracy", head, ([column.get(row) for column in columns] for row in rows), wrong)


_CHECKS_LEFT_OUT = {"model", "dims", "provider", "precision"}


def _checks(record: Record) -> Iterator[Block]:
    rows = list(check_rows([record]))
    columns = [column for column in CHECKS if column.name not in _CHECKS_LEFT_OUT]
    wrong = [number for number, row in enumerate(rows) if row.result in (LEAK, WRONG, STUCK)]
    head = [column.name.replace("_", " ") for column in columns]
    yield from table("Leaks and threads", head, ([column.get(row) for column in columns] for row in rows), wrong)
    if record.leak_check and record.leak_check.advice:
        yield {"title": "What to try", "text": "\n".join(record.leak_check.advice)}


@functools.cache
def _group(group: Group) -> tuple[tuple[str, Quantity], ...]:
    named = [it for it in QUANTITIES if it.group == group]
    return tuple((f"{it.meaning}, {it.unit}" if it.unit else it.meaning, it) for it in named)


def _of(group: Group, record: Record) -> list[tuple[str, object]]:
    """Return the quantities of a group with their units."""
    return [(name, quantity.value(record)) for name, quantity in _group(group)]


def _memory(record: Record) -> Iterator[Block]:
    if record.resources is None and record.operators is None:
        return
    yield from facts("Memory", [*_of(HOST_MEMORY, record), *_of(GPU_MEMORY, record)])
    yield from facts("Energy", _of(ENERGY, record))
    clocks = record.resources.clocks if record.resources else None
    if clocks is not None:
        pairs = [
            ("mean SM clock, MHz", clocks.mean_sm_mhz),
            ("range, MHz", f"{clocks.min_sm_mhz} to {clocks.max_sm_mhz}"),
            ("held down by", ", ".join(clocks.event_reasons)),
        ]
        yield from facts("GPU clock", pairs)


def _session(record: Record) -> Iterator[Block]:
    session, program = record.session, record.program
    if session is None and program is None:
        return
    pairs: list[tuple[str, object]] = [*_of(SESSION, record), *_of(ENGINES, record)]
    if session is not None:
        options = {name: dict(values) for name, values in session.provider_options.items() if values}
        pairs += [
            ("providers asked for", ", ".join(session.requested_providers)),
            ("providers of the session", ", ".join(session.active_providers)),
            ("provider options", json.dumps(options, sort_keys=True) if options else None),
            ("graph optimisation", session.graph_optimization),
            ("threads inside operators", session.intra_op_threads),
            ("engines", session.engines),
        ]
    if program is not None:
        pairs += [("program", f"{program.path} {program.version}"), *program.commands.items()]
        pairs += [("advice", "; ".join(program.advice))]
    yield from facts("Session", pairs)


def _model(record: Record) -> Iterator[Block]:
    fact = record.model_fact
    if fact is not None:
        pairs = [
            ("file", fact.path),
            ("group", record.group),
            ("tags", ", ".join(record.tags)),
            ("size, MiB", fact.byte / 2**20),
            ("precision", fact.precision),
            ("fp16 from", fact.fp16_from),
            ("computed in", fact.compute_precision),
            ("note", fact.note),
            ("weights clipped", fact.fp16_clipped or None),
            ("weights flushed to 0", fact.fp16_flushed or None),
            ("SHA-256", fact.sha256),
        ]
        yield from facts("Model", pairs)
    rows = [
        (it.name, it.dtype, " x ".join(map(str, it.shape)) if it.shape is not None else None, it.origin)
        for it in record.inputs
    ]
    yield from table("Inputs", ("input", "type", "shape", "values"), rows)
    yield from facts("Validated", [("validation", record.validation)])


def _machine(record: Record) -> Iterator[Block]:
    findings = record.machine.findings if record.machine else ()
    rows = [(it.level, it.check, it.seen, it.why, it.advice) for it in findings if it.level != "unknown"]
    yield from table("Machine", ("level", "check", "seen", "why it matters", "try"), rows)


def _stages(record: Record) -> Iterator[Block]:
    stages = {name: taken for name, taken in record.stage_ns.items() if taken}
    pairs: Mapping[str, float] = {name.replace("_", " "): taken / 1e9 for name, taken in stages.items()}
    yield from facts("Time in each stage, s", pairs.items())
    yield from facts(
        "Process", [("isolation", record.isolation), ("worker", record.worker), ("started", record.started)]
    )


def _files(record: Record) -> Iterator[Block]:
    yield from facts("Files", record.kept.items())


def _commands(record: Record) -> Iterator[Block]:
    for what, command in record.commands.items():
        yield {"title": what[0].upper() + what[1:], "text": command}


def _log(record: Record) -> Iterator[Block]:
    if record.log:
        yield {"title": "Log", "text": "\n".join(record.log), "log": True}
