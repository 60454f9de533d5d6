"""The latency table of the terminal summary: one row per measured variant.

What the terminal says of timing modes beside their table: refusals, notes, threads on one session.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from pytest_ortperf.quantities import COPIES, nodes_on_provider
from pytest_ortperf.records.latency import Summary
from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.reports.standings import gain_ratio, gain_text, variant_name
from pytest_ortperf.reports.tables.columns import Measured, dims_text
from pytest_ortperf.reports.tables.gains import PASSED, list_of
from pytest_ortperf.reports.tables.rows import Group, Rows, Subject, group_of, subject_of
from pytest_ortperf.reports.terminal.notes import MOST_NAMES, Notes, dims_legend, dims_lines, row_name
from pytest_ortperf.reports.terminal.text_table import TextColumn, short_names, table_lines

_LEAST_SHOWN = 0.0005
LONGEST_DIMS = 24
"""Characters of dimensions that stand in the column of variants; longer ones move to the legend."""


def half_width_text(summary: Summary) -> str:
    """Return `0.6 %`: half the width of the median's 95 % interval; nothing for none."""
    half_width = summary.half_width
    if half_width is None:
        return ""
    return f"{100 * half_width:.1f} %" if half_width >= _LEAST_SHOWN else "<0.1 %"


def timing_lines(rows: Rows, width: int) -> list[str]:
    """Return the lines; nothing where there is nothing to say."""
    texts = [text for record in rows.records for text in _of_record(record)]
    # what holds for many cases is said once
    said: dict[str, list[str]] = {}
    for name, text in texts:
        said.setdefault(text, []).append(name)
    lines = [f"{short_names(names, MOST_NAMES)}: {text}" for text, names in said.items()]
    return [line for text in lines for line in wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)]


def _of_record(record: Record) -> Iterator[tuple[str, str]]:
    if record.outcome not in PASSED:
        return
    name = row_name(record)
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


UNITS: Sequence[tuple[str, float]] = (("s", 1e9), ("ms", 1e6), ("us", 1e3))
_MOST_DECIMALS = 6
_SIGNIFICANT = 3

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


def latency_lines(rows: Rows, measured: Sequence[Measured], notes: Notes, width: int) -> list[str]:
    """Return the table with its title; nothing without a measurement.

    Columns go in the order of their `keep` where the terminal is too narrow: docs/reference/terminal.md names it.
    """
    if not measured:
        return []
    time = TimeFormat.of([row.summary.p50_ns for row in measured])
    timings = list(dict.fromkeys(row.latency.timing for row in measured))
    long_dims = dims_legend((row.record for row in measured), LONGEST_DIMS)
    columns = [
        TextColumn(title="model", cells=model_names([row.record for row in measured])),
        TextColumn(title="variant", cells=[_variant(row.record, long_dims) for row in measured], to_left=True),
        *([_timing_column(measured)] if len(timings) > 1 else []),
        *([_data_set_column(measured)] if any(row.latency.is_further for row in measured) else []),
        _column("p50", measured, lambda row: time.text(row.summary.p50_ns)),
        _column("+-", measured, lambda row: half_width_text(row.summary), keep=9),
        _column("mean", measured, lambda row: time.text(row.summary.mean_ns), keep=4),
        _column("p90", measured, lambda row: time.text(row.summary.p90_ns), keep=5),
        _column("min", measured, lambda row: time.text(row.summary.min_ns), keep=1),
        _column("iterations", measured, lambda row: str(row.summary.count), keep=2),
        _column("inferences/s", measured, lambda row: _per_s(row.summary.throughput_per_s), keep=3),
        _column("nodes", measured, lambda row: _nodes(row.record), keep=8),
        _column("copies in/out", measured, _copies, keep=6),
        _gain_column(measured),
        *_error_columns(measured, rows.records),
        TextColumn(title="notes", cells=[notes.letters(row) for row in measured], to_left=True),
    ]
    placed = "; nodes on the provider asked for / all nodes" if any(row.record.placement for row in measured) else ""
    title = f"latency in {time.unit}, {covered_text(timings)}{placed}"
    filled = [column for column in columns if any(column.cells)]
    return [*wrap(title, width, subsequent_indent="  "), *table_lines(filled, width), *dims_lines(long_dims, width)]


def covered_text(timings: Sequence[str]) -> str:
    """Return what latencies of these timing modes cover."""
    return TIMINGS.get(timings[0], timings[0]) if len(timings) == 1 else "as timing says"


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


def model_names(records: Sequence[Record]) -> list[str]:
    """Return model names, with their list where two lists have a model of that name."""
    lists: dict[str, set[str]] = {}
    for record in records:
        lists.setdefault(record.model, set()).add(list_of(record))
    return [f"{list_of(it)}::{it.model}" if len(lists[it.model]) > 1 else it.model for it in records]


def _variant(record: Record, long_dims: Mapping[str, str]) -> str:
    dims = dims_text(record.dims) or ""
    return "-".join(part for part in (variant_name(group_of(record)), long_dims.get(dims, dims)) if part)


def _per_s(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 - four digits are enough to compare


def _nodes(record: Record) -> str:
    on_provider = nodes_on_provider(record)
    if on_provider is None or record.placement is None:
        return ""
    return f"{on_provider}/{record.placement.total_nodes}"


def _gain_column(rows: Sequence[Measured]) -> TextColumn:
    """Return the column of gains; it names the reference itself where all have the same."""
    gains = [[gain for gain in (row.gain, row.standalone_gain) if gain] for row in rows]
    references = {gain.reference for found in gains for gain in found}
    texts = [[(gain_text(gain_ratio(gain.percent)), gain.reference) for gain in found] for found in gains]
    if len(references) == 1 and all(len(found) < 2 for found in gains):  # noqa: PLR2004 - two need their names
        cells = ["".join(text for text, _ in found) for found in texts]
        return TextColumn(title=f"gain vs {next(iter(references))}", cells=cells, keep=7)
    cells = [", ".join(f"{text} vs {reference}" for text, reference in found) for found in texts]
    return TextColumn(title="gain", cells=cells, keep=7)


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
