"""What the terminal says of timing modes beside their table: refusals, notes, threads on one session, waits."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.reports.tables.columns import dims_text
from pytest_ortperf.reports.tables.gains import PASSED
from pytest_ortperf.reports.tables.rows import Rows

_WAIT_WORTH_TELLING_NS = 1_000_000_000


def timing_lines(rows: Rows, width: int) -> list[str]:
    """Return the lines; nothing where there is nothing to say."""
    texts = [text for record in rows.records for text in _of_record(record)]
    # what holds for many cases is said once
    said: dict[str, list[str]] = {}
    for name, text in texts:
        said.setdefault(text, []).append(name)
    lines = [f"{_names(names)}: {text}" for text, names in said.items()]
    return [line for text in (*lines, *_waits(rows)) for line in wrap(text, width, subsequent_indent="  ")]


def _of_record(record: Record) -> Iterator[tuple[str, str]]:
    if record.outcome not in PASSED:
        return
    variant = "-".join(part for part in (record.provider, record.precision, dims_text(record.dims)) if part)
    name = f"{record.model} {variant}"
    for timing, reason in record.refused_timings.items():
        yield name, f"{timing} not measured: {reason}"
    for timing, note in record.timing_notes.items():
        yield name, f"{timing}: {note}"
    if record.concurrent:
        yield name, _concurrent(record.concurrent)


def _concurrent(found: Concurrent) -> str:
    count = len(found.iterations)
    threads = f"{count} thread{'' if count == 1 else 's'} on one session"
    rate = found.inferences_per_s
    inferences = "" if rate is None or found.batch == 1 else f", {rate:.6g} inferences/s"
    low, high = min(found.p50_ns) / 1e6, max(found.p50_ns) / 1e6
    return (
        f"{threads}, {found.timing}: {found.iterations_per_s:.6g} iterations/s{inferences}; "
        f"median latency of a thread {low:.4g} to {high:.4g} ms"
    )


def _waits(rows: Rows) -> Iterator[str]:
    waits = [ns for record in rows.records if (ns := record.stage_ns.get("lease", 0)) >= _WAIT_WORTH_TELLING_NS]
    if waits:
        cases = f"{len(waits)} case{'' if len(waits) == 1 else 's'}"
        yield f"{cases} waited until other benchmarks had left the CPU or GPU: {sum(waits) / 1e9:.1f} s in all"


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
