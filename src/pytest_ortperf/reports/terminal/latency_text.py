"""The latency table of the terminal summary.

How far a latency can be trusted, in words.

What the terminal says of timing modes beside their table: refusals, notes, threads on one session, waits.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from pytest_ortperf.quantities import COPIES, nodes_on_provider
from pytest_ortperf.records.latency import FIXED, UNSTABLE, Latency, Summary
from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.reports.tables.columns import Measured, dims_text
from pytest_ortperf.reports.tables.gains import PASSED, list_of
from pytest_ortperf.reports.tables.rows import Group, Rows, Subject, group_of, subject_of
from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines

NOT_PRECISE = "unstable: the 95 % interval of the median stayed wider than asked for; +- is what was reached"
NOT_LASTING = "unstable: sampling ended before the 95 % interval of the median had stayed as narrow as asked for"
WIDE = (
    "wide: the 95 % interval of the median is wider than --ortperf-precision-target; more iterations narrow it, and "
    "without --ortperf-iterations sampling goes on until it is that narrow"
)
NOT_STEADY = "not steady: the warm-up ended before two windows of it agreed; samples may still become faster or slower"
SEVERAL_MODES = "several modes: samples gather around more than one value, and p50 may be any of them"

_LEAST_SHOWN = 0.0005


def latency_notes(latency: Latency, summary: Summary) -> list[str]:
    """Return what a reader of the median must know."""
    half_width, target = summary.half_width, latency.precision_target
    # `None` where nothing is known of the precision
    narrow = None if half_width is None or target is None else half_width <= target
    notes = {
        NOT_LASTING if narrow else NOT_PRECISE: latency.status == UNSTABLE,
        WIDE: latency.status == FIXED and narrow is False,
        NOT_STEADY: latency.steady is False,
        SEVERAL_MODES: (summary.modes or 1) > 1,
    }
    return [note for note, holds in notes.items() if holds]


def half_width_text(summary: Summary) -> str:
    """Return `0.6 %`: half the width of the median's 95 % interval; nothing for none."""
    half_width = summary.half_width
    if half_width is None:
        return ""
    return f"{100 * half_width:.1f} %" if half_width >= _LEAST_SHOWN else "<0.1 %"


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


UNITS: Sequence[tuple[str, float]] = (("s", 1e9), ("ms", 1e6), ("us", 1e3))
_MOST_DECIMALS = 6
_SIGNIFICANT = 3
_NARROWEST = 40

TIMINGS = {
    "host": "host (arrays in, arrays out)",
    "bound": "bound (inputs and outputs in the memory of the device)",
    "bound+copies": "bound, with copies to and from the device",
    "graph": "replay of a CUDA graph",
}
"""What a timing mode covers, where its name does not say it."""

Cells = Mapping[tuple[Subject, Group], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFormat:
    """One unit and number of decimals for all latencies of a table."""

    unit: str
    ns: float
    decimals: int

    @classmethod
    def of(cls, medians_ns: Sequence[float]) -> TimeFormat:
        """Return the unit in which the middle one is 1 or more, and decimals that tell the smallest."""
        middle = statistics.median(medians_ns)
        unit, ns = next((row for row in UNITS if middle >= row[1]), UNITS[-1])
        smallest = max(min(medians_ns), 1) / ns
        decimals = _SIGNIFICANT - 1 - math.floor(math.log10(smallest))
        return cls(unit=unit, ns=ns, decimals=min(max(decimals, 0), _MOST_DECIMALS))

    def text(self, ns: float | None) -> str:
        """Return a latency without its unit; nothing for none."""
        return "" if ns is None else f"{ns / self.ns:.{self.decimals}f}"


def latency_lines(rows: Rows, width: int) -> list[str]:
    """Return the table with its title and the notes its rows point to; nothing without a measurement."""
    measured = rows.measured
    if not measured:
        return []
    time = TimeFormat.of([row.summary.p50_ns for row in measured])
    timings = list(dict.fromkeys(row.latency.timing for row in measured))
    notes = _notes(measured)
    columns = [
        TextColumn(title="model", cells=_models(measured)),
        TextColumn(title="variant", cells=[_variant(row, notes) for row in measured], to_left=True),
        *([_timing_column(measured)] if len(timings) > 1 else []),
        *([_data_set_column(measured)] if any(row.latency.is_further for row in measured) else []),
        _column("p50", measured, lambda row: time.text(row.summary.p50_ns)),
        _column("+-", measured, lambda row: half_width_text(row.summary), keep=9),
        _column("mean", measured, lambda row: time.text(row.summary.mean_ns), keep=4),
        _column("p90", measured, lambda row: time.text(row.summary.p90_ns), keep=5),
        _column("min", measured, lambda row: time.text(row.summary.min_ns), keep=1),
        _column("iterations", measured, lambda row: str(row.summary.count), keep=2),
        _column("per s", measured, lambda row: _per_s(row.summary.throughput_per_s), keep=3),
        _column("nodes", measured, lambda row: _nodes(row.record), keep=8),
        _column("copies in/out", measured, _copies, keep=6),
        _column("gain vs", measured, _gain, keep=7),
        *_error_columns(measured, rows.records),
    ]
    covered = TIMINGS.get(timings[0], timings[0]) if len(timings) == 1 else "as timing says"
    placed = "; nodes on the provider asked for / all nodes" if any(row.record.placement for row in measured) else ""
    title = f"latency in {time.unit}, {covered}{placed}"
    filled = [column for column in columns if any(column.cells)]
    return [title, *table_lines(filled, width), *_note_lines(notes, width)]


def _timing_column(rows: Sequence[Measured]) -> TextColumn:
    return TextColumn(title="timing", cells=[row.latency.timing for row in rows], to_left=True)


def _data_set_column(rows: Sequence[Measured]) -> TextColumn:
    return TextColumn(title="data set", cells=[row.latency.data_set or "" for row in rows], to_left=True)


def _copies(row: Measured) -> str:
    """Return the share of the copies to and from the device, timed apart, in a time that covers them."""
    copies = row.record.copies
    if copies is None or row.latency.label not in (COPIES.timing or ()) or not row.summary.p50_ns:
        return ""
    return f"{copies.to_device_ns / row.summary.p50_ns:.1%} / {copies.to_host_ns / row.summary.p50_ns:.1%}"


def _column(title: str, rows: Sequence[Measured], get: Callable[[Measured], str], keep: int = 0) -> TextColumn:
    return TextColumn(title=title, cells=[get(row) for row in rows], keep=keep)


def _models(rows: Sequence[Measured]) -> list[str]:
    """Return model names, with their list where two lists have a model of that name."""
    lists: dict[str, set[str]] = {}
    for row in rows:
        lists.setdefault(row.record.model, set()).add(list_of(row.record))
    return [
        f"{list_of(row.record)}::{row.record.model}" if len(lists[row.record.model]) > 1 else row.record.model
        for row in rows
    ]


def _notes(rows: Sequence[Measured]) -> dict[str, str]:
    """Return note -> mark, such as `fp16 storage, fp32 compute` -> `*`."""
    notes = dict.fromkeys(note for row in rows for note in _notes_of(row))
    return {note: "*" * number for number, note in enumerate(notes, start=1)}


def _note_lines(notes: Mapping[str, str], width: int) -> list[str]:
    wrapper = textwrap.TextWrapper(max(width, _NARROWEST), break_on_hyphens=False)
    return [line for note, mark in notes.items() for line in wrapper.wrap(f"{mark} {note}")]


def _notes_of(row: Measured) -> list[str]:
    note = row.record.model_fact.note if row.record.model_fact else None
    return [*([note] if note else []), *latency_notes(row.latency, row.summary)]


def _variant(row: Measured, notes: Mapping[str, str]) -> str:
    record = row.record
    variant = "-".join(part for part in (record.provider, record.precision, dims_text(record.dims)) if part)
    return " ".join([variant, *sorted(notes[note] for note in _notes_of(row))])


def _per_s(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 - four digits are enough to compare


def _nodes(record: Record) -> str:
    on_provider = nodes_on_provider(record)
    if on_provider is None or record.placement is None:
        return ""
    return f"{on_provider}/{record.placement.total_nodes}"


def _gain(row: Measured) -> str:
    found = [gain for gain in (row.gain, row.standalone_gain) if gain]
    return ", ".join(f"{gain.percent:+.1f} % {gain.reference}" for gain in found)


def _error_columns(measured: Sequence[Measured], records: Sequence[Record]) -> list[TextColumn]:
    """Return the column of worst errors, if anything of the run was compared."""
    errors = _worst_errors(records)
    if not errors:
        return []
    keys = [(subject_of(row.record), group_of(row.record)) for row in measured]
    cells = [f"{errors[key]:.1e}" if key in errors else "" for key in keys]
    return [TextColumn(title="max error", cells=cells, keep=6)]


def _worst_errors(records: Sequence[Record]) -> Cells:
    """Return the largest absolute error over data sets and outputs, by cell."""
    worst: dict[tuple[Subject, Group], float] = {}
    for record in records:
        outputs = [output for data_set in record.accuracy for output in data_set.outputs]
        errors = [output.max_abs_error for output in outputs if output.max_abs_error is not None]
        if errors:
            key = (subject_of(record), group_of(record))
            worst[key] = max(worst.get(key, 0.0), *errors)
    return worst
