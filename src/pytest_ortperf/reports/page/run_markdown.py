"""A run as Markdown, for a comment or a job's summary: the answer first, then the models, as much as fits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_ortperf.records.record import OUTCOMES, Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.comparison.run_comparison import Comparison, verdict_text
from pytest_ortperf.reports.comparison.verdicts import SLOWER
from pytest_ortperf.reports.page.answers import (
    Fastest,
    causes,
    failure_kind,
    fastest_variants,
    subject_text,
    variant_name,
)
from pytest_ortperf.reports.page.run_page import headline, run_facts
from pytest_ortperf.reports.rendering import visible
from pytest_ortperf.reports.tables.gains import counts
from pytest_ortperf.reports.tables.rows import FAILED, Group, Rows, group_of, sorted_rows

MOST_CHARACTERS = 65_000
"""What a comment on GitHub holds, less a little."""

_MOST_CAUSES = 20
_MOST_LENGTH = 300
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~@!$])")


def run_markdown(run: StoredRun, comparison: Comparison | None = None) -> str:
    """Return a run as Markdown of at most `MOST_CHARACTERS`; rows that do not fit are counted."""
    rows = sorted_rows(run)
    head = [f"## {headline(rows)}", "", ", ".join(map(escaped, run_facts(run))), ""]
    head += [*_failures(rows), *_slower(comparison)]
    table = list(_models(rows))
    kept = list(head)
    room = MOST_CHARACTERS - sum(len(line) + 1 for line in head) - 200
    for number, line in enumerate(table):
        room -= len(line) + 1
        if room < 0:
            kept += ["", f"{len(table) - number} more models are in the page and the CSV files of the run."]
            break
        kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line and shortened in the middle."""
    line = " ".join(visible(text).split())
    if len(line) > _MOST_LENGTH:
        line = f"{line[: _MOST_LENGTH // 2]}…{line[-_MOST_LENGTH // 2 :]}"
    return _SPECIAL.sub(r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _failures(rows: Rows) -> Iterator[str]:
    found = causes(rows.failed)
    if not found:
        return
    yield from ("### Failed", "", "| cases | cause | first case |", "| ---: | --- | --- |")
    for cause in found[:_MOST_CAUSES]:
        text = f"**{escaped(cause.kind)}**" + (f": {escaped(cause.message)}" if cause.message else "")
        yield f"| {len(cause.records)} | {text} | {escaped(cause.records[0].case_id)} |"
    if len(found) > _MOST_CAUSES:
        yield from ("", f"and {len(found) - _MOST_CAUSES} more causes.")
    yield ""


def _slower(comparison: Comparison | None) -> Iterator[str]:
    if comparison is None:
        return
    yield from (f"### Against {escaped(comparison.base.name)}: {verdict_text(comparison)}", "")
    slower = [pair for pair in comparison.pairs if pair.decision.verdict == SLOWER]
    for pair in slower[:_MOST_CAUSES]:
        yield f"- **{SLOWER}** {escaped(pair.case_id)}, {pair.timing}: ratio {pair.evidence.ratio:.3f}"
    if len(slower) > _MOST_CAUSES:
        yield f"- and {len(slower) - _MOST_CAUSES} more"
    yield ""


def _models(rows: Rows) -> Iterator[str]:
    """Yield a table of models by variants: the median in ms, the fastest valid one bold, or what came instead."""
    groups = [group for group in rows.groups if any(group_of(record) == group for record in rows.records)]
    if not groups:
        return
    fastest = fastest_variants(rows)
    yield "| model, p50 in ms | " + " | ".join(escaped(variant_name(group)) for group in groups) + " |"
    yield "| --- |" + " ---: |" * len(groups)
    for subject, records in rows.subjects.items():
        cells = [_cell(group, records, fastest.get(subject)) for group in groups]
        yield f"| {escaped(subject_text(subject))} | {' | '.join(cells)} |"


def _cell(group: Group, records: Sequence[Record], fastest: Fastest | None) -> str:
    found = [record for record in records if group_of(record) == group]
    failed = next((record for record in found if record.outcome in FAILED), None)
    if failed is not None:
        return f"❌ {escaped(failure_kind(failed))}"
    for record in found:
        if counts(record) and record.latencies:
            text = f"{summarize(record.latencies[0]).p50_ns / 1e6:.4g}"
            return f"**{text}**" if fastest is not None and fastest.record is record else text
    outcomes = [name for name in OUTCOMES if any(record.outcome == name for record in found)]
    return outcomes[0].replace("_", " ") if outcomes else ""
