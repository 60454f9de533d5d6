"""A comparison for machines and pages: CSV, JSON and Markdown, from the same rows."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping

from pytest_ortperf.plain_text import markdown_code, plain_line
from pytest_ortperf.reports.comparison.change import Change
from pytest_ortperf.reports.comparison.comparison_text import (
    MOST_CASES,
    TITLES,
    fleet_text,
    names_text,
    ratio_notes,
    ratio_title,
    side_text,
    sorted_pairs,
    threshold_notes,
    verdict_of,
)
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import (
    Comparison,
    failing,
    health_notes,
    interval_text,
    verdict_text,
)
from pytest_ortperf.reports.comparison.verdicts import SAME
from pytest_ortperf.reports.comparison.ways_out import WayOut, ways_out
from pytest_ortperf.reports.tables.columns import Cell
from pytest_ortperf.reports.tables.csv_tables import safe_cell

COLUMNS = (
    "topic",
    "case_id",
    "verdict",
    "timing",
    "statistic",
    "base_ms",
    "current_ms",
    "ratio",
    "ratio_low",
    "ratio_high",
    "raw_ratio",
    "delta_percent",
    "p_adjusted",
    "evidence",
    "decided_by",
    "base_count",
    "current_count",
    "text",
)
"""Of the CSV file and of the rows in JSON."""

MOST_ROWS = 20
"""Of a Markdown table: a comment of a pull request has an end."""


def rows_of(comparison: Comparison) -> list[dict[str, Cell]]:
    """Return one row a pair and one a change; a column that has no meaning for it is absent."""
    return [
        *map(_pair_row, sorted_pairs(comparison.pairs, everything=True)),
        *map(_change_row, comparison.changes),
    ]


def csv_text(comparison: Comparison) -> str:
    """Return the rows as CSV; an empty cell is something absent."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows([safe_cell(row.get(column)) for column in COLUMNS] for row in rows_of(comparison))
    return file.getvalue()


def json_text(comparison: Comparison, fail_on: Iterable[str]) -> str:
    """Return everything as JSON: sides, verdict counts, fleets, rows, differences, and what fails."""
    data = {
        "schema": 1,
        "base": _side(comparison, "base"),
        "current": _side(comparison, "current"),
        "same_machine": comparison.machine is None,
        "machine": comparison.machine,
        "verdicts": dict(comparison.counts),
        "fleets": [dataclasses.asdict(fleet) for fleet in comparison.fleets],
        "rows": rows_of(comparison),
        "still_failing": list(comparison.still_failing),
        "differences": [dataclasses.asdict(each) for each in comparison.differences],
        "not_asked": [dataclasses.asdict(each) for each in comparison.not_asked],
        "unsure": [dataclasses.asdict(each) for each in ways_out(comparison)],
        "closing": list(comparison.closing),
        "notes": [*threshold_notes(comparison.pairs), *health_notes(comparison)],
        "failing": [dataclasses.asdict(each) for each in failing(comparison, tuple(fail_on))],
    }
    return json.dumps(data, allow_nan=False, indent=1) + "\n"


def markdown_text(comparison: Comparison) -> str:
    """Return a short page: for a pull request's comment or a CI summary."""
    parts = [
        f"**{verdict_text(comparison)}**",
        *map(_text, comparison.closing),
        f"Base: {_text(side_text(comparison.base))}  \nCurrent: {_text(side_text(comparison.current))}",
        *(_text(fleet_text(fleet)) for fleet in comparison.fleets),
        _pairs_table(comparison),
        *(_text(note) for note in ratio_notes(comparison)),
        *(_changes_list(title, comparison.of_topic(topic)) for topic, title in TITLES.items()),
        *(_text(note) for note in (*threshold_notes(comparison.pairs), *health_notes(comparison))),
        *(_text(each.text) for each in comparison.not_asked),
        *map(_way_out, ways_out(comparison)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _pairs_table(comparison: Comparison) -> str:
    pairs = sorted_pairs(comparison.pairs, everything=False)
    if not pairs:
        return ""
    rows = [
        f"| case | timing | base ms | current ms | {ratio_title(comparison)} | 90 % interval | delta | verdict | why |",
        "|---|---|---:|---:|---:|---|---:|---|---|",
        *(
            f"| {_text(pair.case_id)} | {pair.timing} | {pair.base_ns / 1e6:.4g} | {pair.current_ns / 1e6:.4g} "
            f"| {pair.evidence.ratio:.3f} | {interval_text(pair)} | {100 * pair.decision.delta:.3g} % "
            f"| {verdict_of(pair)} | {_text('; '.join(pair.decision.reasons))} |"
            for pair in pairs[:MOST_ROWS]
        ),
    ]
    more = len(pairs) - MOST_ROWS
    return "\n".join(rows) + (f"\n\nand {more} more that are not {SAME}" if more > 0 else "")


def _way_out(each: WayOut) -> str:
    names = _text(names_text(each.cases, MOST_CASES))
    lines = [f"**UNSURE {len(each.cases)}**: {_text(each.reason)} {names}. To settle it, {_text(each.what)}."]
    return "\n".join([*lines, *(["", "```console", *map(plain_line, each.commands), "```"] if each.commands else [])])


def _changes_list(title: str, changes: list[Change]) -> str:
    if not changes:
        return ""
    lines = [
        f"- {each.kind}: {markdown_code(each.case_id, in_table=False)}: {_text(each.text)}"
        for each in changes[:MOST_ROWS]
    ]
    more = len(changes) - MOST_ROWS
    return "\n".join([f"**{title}**\n", *lines, *([f"- and {more} more"] if more > 0 else [])])


def _text(text: str) -> str:
    """Return a text that Markdown shows as it is; names and messages come from files of others."""
    text = " ".join(plain_line(text).split())
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#!" else letter for letter in text)


def _pair_row(pair: LatencyPair) -> dict[str, Cell]:
    evidence = pair.evidence
    low, high = evidence.interval if evidence.is_known else (None, None)
    return {
        "topic": "latency",
        "case_id": pair.case_id,
        "verdict": pair.decision.verdict,
        "timing": pair.timing,
        "statistic": pair.statistic,
        "base_ms": _rounded(pair.base_ns / 1e6),
        "current_ms": _rounded(pair.current_ns / 1e6),
        "ratio": _rounded(evidence.ratio),
        "ratio_low": _rounded(low),
        "ratio_high": _rounded(high),
        "raw_ratio": _rounded(pair.raw_ratio),
        "delta_percent": _rounded(100 * pair.decision.delta),
        "p_adjusted": _rounded(pair.adjusted_p),
        "evidence": evidence.kind,
        "decided_by": pair.decision.by,
        "base_count": evidence.base_count,
        "current_count": evidence.current_count,
        "text": "; ".join(pair.decision.reasons) or None,
    }


def _change_row(change: Change) -> dict[str, Cell]:
    return {"topic": change.topic, "case_id": change.case_id, "verdict": change.kind, "text": change.text}


def _side(comparison: Comparison, name: str) -> Mapping[str, object]:
    side = comparison.base if name == "base" else comparison.current
    return {
        "name": side.name,
        "runs": [run.name for run in side.runs],
        "fingerprint": side.runs[-1].fingerprint,
        "labels": dict(side.runs[-1].labels),
        "cases": len(side.last),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
