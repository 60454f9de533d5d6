"""What the script of a page shows: a row for each case, with validation and benchmark together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.quantities import OUTPUT, QUANTITIES, Quantity, nodes_on_provider
from pytest_ortperf.records.latency import Summary
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.causes import Cause, failure_kind
from pytest_ortperf.reports.page.case_details import details_of
from pytest_ortperf.reports.page.packing import packed
from pytest_ortperf.reports.standings import Fastest, gain_ratio, gain_text, variant_name
from pytest_ortperf.reports.tables.columns import dims_text, value_of
from pytest_ortperf.reports.tables.gains import Gains, counts, list_of
from pytest_ortperf.reports.tables.machine_text import off_text
from pytest_ortperf.reports.tables.rows import BECAUSE_OF_VALIDATION, FAILED, Rows, Subject, group_of, subject_of
from pytest_ortperf.reports.terminal.notes import LETTERS, WORDS, Notes

Data = dict[str, Any]

WORST_FIRST = ("crashed", "timed_out", "failed", "xpassed", "passed", "xfailed", "skipped")
"""Which outcome stands for a validation and a benchmark together."""


@dataclass(frozen=True, slots=True)
class PageColumn:
    """A column of the table of cases."""

    view: str
    title: str
    quantity: str


COLUMNS: tuple[PageColumn, ...] = (
    PageColumn("Overview", "p50", "latency_p50_ms"),
    PageColumn("Overview", "± p50", "latency_p50_half_width_percent"),
    PageColumn("Overview", "max error", "max_abs_error"),
    PageColumn("Overview", "host", "host_peak_memory_mib"),
    PageColumn("Overview", "GPU", "gpu_peak_memory_mib"),
    PageColumn("Latency", "p50", "latency_p50_ms"),
    PageColumn("Latency", "from", "latency_p50_low_ms"),
    PageColumn("Latency", "to", "latency_p50_high_ms"),
    PageColumn("Latency", "mean", "latency_mean_ms"),
    PageColumn("Latency", "min", "latency_min_ms"),
    PageColumn("Latency", "p90", "latency_p90_ms"),
    PageColumn("Latency", "p99", "latency_p99_ms"),
    PageColumn("Latency", "max", "latency_max_ms"),
    PageColumn("Latency", "throughput", "throughput_per_s"),
    PageColumn("Accuracy", "max error", "max_abs_error"),
    PageColumn("Accuracy", "relative error", "max_rel_error"),
    PageColumn("Accuracy", "outside", "percent_mismatch"),
    PageColumn("Accuracy", "own error", "own_error"),
    PageColumn("Accuracy", "non-finite", "nonfinite_mismatches"),
    PageColumn("Placement", "on provider", "nodes_on_provider_percent"),
    PageColumn("Placement", "nodes", "total_nodes"),
    PageColumn("Placement", "time share", "ratio_of_execution_time_on_provider"),
    PageColumn("Memory", "host peak", "host_peak_memory_mib"),
    PageColumn("Memory", "host, creation", "host_memory_creation_peak_mib"),
    PageColumn("Memory", "host, session", "host_memory_session_mib"),
    PageColumn("Memory", "host, runs", "host_memory_run_peak_mib"),
    PageColumn("Memory", "GPU, creation", "gpu_memory_creation_peak_mib"),
    PageColumn("Memory", "GPU, runs", "gpu_memory_run_peak_mib"),
    PageColumn("Memory", "arena", "arena_held_mib"),
    PageColumn("Memory", "energy", "energy_per_iteration_mj"),
    PageColumn("Sessions", "creation", "session_creation_s"),
    PageColumn("Sessions", "second", "second_session_creation_s"),
    PageColumn("Sessions", "first run", "first_run_s"),
    PageColumn("Sessions", "engine build", "engine_build_s"),
    PageColumn("Sessions", "engine", "engine_size_mib"),
)
"""In the order of the page; a column without a value in a run is left out."""

_BY_NAME: Mapping[str, Quantity] = {quantity.name: quantity for quantity in QUANTITIES}
_SHOWN = tuple(_BY_NAME[name] for name in dict.fromkeys(column.quantity for column in COLUMNS))


def packed_data(
    rows: Rows, causes: Sequence[Cause], fastest: Mapping[Subject, Fastest], pictures: Mapping[str, str]
) -> str:
    """Return everything that the script needs, packed.

    Args:
        rows: The run.
        causes: Of its failures, then of skips and remarks.
        fastest: Its fastest variants by model.
        pictures: Node id -> id of the template that holds the error pictures of a case.
    """
    seen = {variant_name(group_of(record)) for record in rows.records}
    variants = [name for group in rows.groups if (name := variant_name(group)) in seen]
    lists = list(dict.fromkeys(list_of(record) for record in rows.records))
    facts = {
        "run": rows.run.header.run,
        "variants": variants,
        "lists": lists,
        "groups": list(dict.fromkeys(record.group for record in rows.records if record.group)),
        "causes": [cause.what for cause in causes],
        "columns": [_column(column) for column in COLUMNS if _is_known(column, rows.records)],
    }
    return packed(facts, _page_rows(rows, causes, fastest, pictures, facts))


def _page_rows(
    rows: Rows,
    causes: Sequence[Cause],
    fastest: Mapping[Subject, Fastest],
    pictures: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Iterator[Data]:
    numbers = {id(record): number for number, cause in enumerate(causes) for record in (*cause.records, *cause.skipped)}
    lists, variants, groups = (
        {name: place for place, name in enumerate(facts[key])} for key in ("lists", "variants", "groups")
    )
    best = {
        id(row.record): "clear" if len(each.rows) == 1 else "close" for each in fastest.values() for row in each.rows
    }
    gains = Gains(rows.run.header, rows.records)
    notes = Notes(rows, ())
    for records in grouped(rows.records):
        yield {
            **_row(records, gains, notes),
            "fastest": next((best[id(record)] for record in records if id(record) in best), None),
            "list": lists[list_of(records[0])],
            "variant": variants[variant_name(group_of(records[0]))],
            "group": next((groups[it.group] for it in records if it.group), None),
            "causes": sorted({numbers[id(it)] for it in records if id(it) in numbers}) or None,
            "cases": [_case(record, gains, pictures) for record in records],
        }


def _is_known(column: PageColumn, records: Iterable[Record]) -> bool:
    """Whether any record has a value for a column."""
    quantity = _BY_NAME[column.quantity]
    return any(_can_have(quantity, record) and value_of(quantity, record) is not None for record in records)


def grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records of each case: what failed, its benchmark, its validation; a second of a mode stands alone."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        key: tuple[object, ...] = (subject_of(record), group_of(record))
        number = 0
        while any(known.mode == record.mode for known in groups.get((*key, number), ())):
            number += 1
        groups.setdefault((*key, number), []).append(record)
    return [sorted(found, key=lambda record: (record.outcome not in FAILED, record.mode)) for found in groups.values()]


def _column(column: PageColumn) -> Data:
    quantity = _BY_NAME[column.quantity]
    return {
        "view": column.view,
        "title": column.title,
        "key": column.quantity,
        "unit": quantity.unit,
        "help": quantity.meaning,
    }


def _row(records: Sequence[Record], gains: Gains, notes: Notes) -> Data:
    first = records[0]
    measured = next((record for record in records if counts(record) and record.latencies), None)
    worst = min(records, key=lambda record: WORST_FIRST.index(record.outcome))
    placed = next((record for record in records if record.placement), None)
    return {
        "model": first.model,
        "dims": dims_text(first.dims),
        "tags": list(first.tags) or None,
        "outcome": worst.outcome,
        "word": _word(worst),
        "values": _values(records),
        "gain": _gain(gains, measured),
        "latency": _interval(summarize(measured.latencies[0])) if measured else None,
        "timing": measured.latencies[0].label if measured else None,
        "nodes": _nodes(placed) if placed else None,
        "notes": list(dict.fromkeys(note for record in records for note in notes_of(record, notes))) or None,
    }


def _word(record: Record) -> str:
    if record.outcome in FAILED:
        return failure_kind(record)
    return {"xfailed": "known failure", "xpassed": "passed unexpectedly"}.get(record.outcome, record.outcome)


def _values(records: Sequence[Record]) -> Data:
    """Return the quantities of a case by name; those of the record that stands first."""
    found: Data = {}
    for record in records:
        for quantity in _SHOWN:
            if not _can_have(quantity, record):
                continue
            value = value_of(quantity, record)
            if value is not None:
                found.setdefault(quantity.name, value)
    return found


def _can_have(quantity: Quantity, record: Record) -> bool:
    if quantity.group.of == OUTPUT:
        return bool(record.accuracy)
    if quantity.of_latency:
        return bool(record.latencies) and counts(record)
    return record.session is not None or record.program is not None


def _gain(gains: Gains, record: Record | None) -> list[Any] | None:
    found = gains.of(record) if record else None
    if found is None:
        return None
    text = gain_text(gain_ratio(found.percent))
    return [found.percent, found.low_percent, found.high_percent, found.reference, found.timing, text]


def _interval(summary: Summary) -> list[float | None]:
    """Return in ms: the median, both ends of its interval, 10th and 90th percentile."""
    found = (summary.p50_ns, summary.p50_low_ns, summary.p50_high_ns, summary.p10_ns, summary.p90_ns)
    return [None if value is None else value / 1e6 for value in found]


def _nodes(record: Record) -> list[Any]:
    """Return the nodes on the provider asked for, all nodes, and where the others went."""
    placement = record.placement
    assert placement is not None  # noqa: S101 - the caller has looked
    others = {name: count for name, count in placement.nodes_by_provider.items() if name != record.provider_full_name}
    return [nodes_on_provider(record), placement.total_nodes, others]


def notes_of(record: Record, notes: Notes) -> list[tuple[str, str]]:
    """Return what to know of a case: a word, and a sentence."""
    details = {"a": dims_text(record.assumed_dims), "h": off_text(record.machine)}
    found = []
    for letter, text in notes.of(record):
        if letter == "f" and not record.latencies:
            continue  # nothing was measured with them
        detail = details.get(letter)
        found.append((WORDS[letter], f"{LETTERS[letter].partition(':')[0]}: {detail}" if detail else text))
    if record.reason and not record.reason.startswith(BECAUSE_OF_VALIDATION):
        line = record.reason.strip().partition("\n")[0]
        found.append(("reason" if record.outcome == "skipped" else "note", line))
    return found


def _case(record: Record, gains: Gains, pictures: Mapping[str, str]) -> Data:
    return {
        "id": record.nodeid,
        "case": record.case_id,
        "mode": record.mode,
        "outcome": record.outcome,
        "seconds": record.duration_ns / 1e9 if record.duration_ns is not None else None,
        "text": record.failure.message if record.failure else record.reason,
        "pictures": pictures.get(record.nodeid),
        "blocks": details_of(record, gains),
    }
