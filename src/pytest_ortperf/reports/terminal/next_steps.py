"""What to do next, at the end of the summary: the few commands that the results of the run call for."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.causes import failure_causes
from pytest_ortperf.reports.tables.rows import Rows

MOST_STEPS = 4
_BISECTED = ("result accuracy issue", "runtime error", "crash")
"""Kinds of failure that `ortperf bisect` looks into."""


def next_lines(rows: Rows, notes: frozenset[str], width: int) -> list[str]:
    """Return at most four steps, each with its command or option.

    Args:
        rows: The run.
        notes: Letters of the notes that measured rows have.
        width: Of the terminal, in characters.
    """
    steps = list(_steps(rows, notes))[:MOST_STEPS]
    heads = ["next: ", *["      "] * len(steps)]
    return [
        line
        for head, step in zip(heads, steps, strict=False)
        for line in textwrap.wrap(
            step,
            width,
            initial_indent=head,
            subsequent_indent="        ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _steps(rows: Rows, notes: frozenset[str]) -> Iterator[str]:
    causes = failure_causes(rows)
    if causes:
        yield f"run what failed again: {shlex.join([*rows.run.header.command, '--lf'])}"
    found = next((record for cause in causes for record in cause.records if _can_be_bisected(record)), None)
    if found is not None:
        yield f"find the node that is wrong: ortperf bisect {shlex.quote(found.nodeid)}"
        yield f"report a bug with what it needs: ortperf repro {shlex.quote(found.nodeid)}"
    if notes & {"u", "e"}:
        yield "narrow the intervals marked u and e: a quieter machine, or a longer --ortperf-max-time"
    if "v" in notes and all(record.mode != "validate" for record in rows.records):
        yield "find out whether the outputs are right: --ortperf-mode=both"
    if not causes and any(record.latencies for record in rows.records):
        yield f"compare a later run with this one: --ortperf-baseline={rows.run.header.run}"


def _can_be_bisected(record: Record) -> bool:
    has_list = "::" in record.nodeid.removesuffix(record.case_id)
    return record.failure is not None and record.failure.kind in _BISECTED and has_list and record.mode == "validate"
