"""The summary at the end of a run, as lines with their markup."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ortperf.plain_text import plain, plain_line
from pytest_ortperf.records.record import OUTCOMES, Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.causes import (
    failure_causes,
    models_by_label,
    outcome_word,
    remark_causes,
    shared_case_ids,
)
from pytest_ortperf.reports.standings import Fastest, Standing, fastest, standings
from pytest_ortperf.reports.tables.columns import Measured, runtime_version
from pytest_ortperf.reports.tables.gains import Gains
from pytest_ortperf.reports.tables.limit_text import long_limit
from pytest_ortperf.reports.tables.machine_text import machine_lines
from pytest_ortperf.reports.tables.rows import Rows, Subject, sorted_rows
from pytest_ortperf.reports.terminal.latency_text import latency_lines, timing_lines
from pytest_ortperf.reports.terminal.matrix_text import MOST_ROWS, fastest_text, matrix_lines, matrix_of, standing_lines
from pytest_ortperf.reports.terminal.next_steps import next_lines
from pytest_ortperf.reports.terminal.notes import Notes
from pytest_ortperf.reports.terminal.operator_text import operator_lines
from pytest_ortperf.reports.terminal.text_table import short_names
from pytest_ortperf.safe_files import shortened

_CSV_NAME = re.compile(r"benchmark_(?P<kind>[a-z_]+)_(?P<run>[0-9-]+)\.csv")

Markup = Mapping[str, bool]
Line = tuple[str, Markup]
"""A text without line end, and what pytest's `TerminalReporter.write_line` takes beside it."""

PLAIN: Markup = {}
BOLD: Markup = {"bold": True}
RED: Markup = {"red": True}
GREEN: Markup = {"green": True}
YELLOW: Markup = {"yellow": True}

MOST_CAUSES = 20
MOST_REMARKS = 10
MOST_CASES = 8
"""Models that are named for each thing that was done with them."""

MOST_MESSAGE_LINES = 4
MOST_PICTURES = 3
MOST_SIZES = 10
_NARROWEST = 60
_WAIT_WORTH_TELLING_S = 1


_LONGEST = 8000
"""Of a line: an operator of somebody else's file may have a name of megabytes."""


def summary_lines(
    run: StoredRun, *, width: int, files: Sequence[Path], results: Path, verbose: bool = False
) -> list[Line]:
    """Return the summary of a run; no escape sequence of a name or message is left in it.

    Args:
        run: The run; it may hold no record, and may not have come to its end.
        width: Of the terminal, in characters.
        files: Files of the run that were written, in the order to name them.
        results: Folder that the files are in.
        verbose: Whether the operators of each case are listed in a run of several models too.
    """
    width = max(width, _NARROWEST)
    rows = sorted_rows(plain_run(run))
    measured = rows.measured
    notes = Notes(rows, measured)
    best = fastest(rows, measured)
    stood = standings(rows, best)
    blocks = (
        _table(rows, measured, notes, best, width),
        _assumed(rows, width),
        [(line, PLAIN) for line in timing_lines(rows, width)],
        [(line, PLAIN) for line in operator_lines(rows, width, verbose=verbose)],
        _remarks(rows, width),
        _not_comparable(rows, width),
        _machine(run, width),
        [(line, YELLOW) for note in run.notes for line in _wrapped([f"note: {note}"], width, indent="  ")],
        _unsure_limits(rows, width),
        _failures(rows, width),
        _standings(stood, width),
        [*_totals(run, width), *_files(files, results, width)],
        [(line, PLAIN) for line in next_lines(rows, notes.used, width)],
    )
    lines: list[Line] = []
    for block in (block for block in blocks if block):
        lines += [("", PLAIN), *block] if lines else block
    return [(plain_line(shortened(text, _LONGEST)), markup) for text, markup in lines]


def plain_run(run: StoredRun) -> StoredRun:
    """Return the run with names and messages that may be written anywhere, so that columns keep their widths."""
    return dataclasses.replace(run, records=tuple(map(_plain_record, run.records)))


def _plain_record(record: Record) -> Record:
    texts = {name: getattr(record, name) for name in ("case_id", "nodeid", "model", "provider", "reason")}
    message = record.failure.message if record.failure else ""
    changes: dict[str, Any] = {name: plain_line(text) for name, text in texts.items() if text}
    changes = {name: text for name, text in changes.items() if text != texts[name]}
    if record.failure is not None and plain(message) != message:
        changes["failure"] = dataclasses.replace(record.failure, message=plain(message))
    return dataclasses.replace(record, **changes) if changes else record


def _table(
    rows: Rows, measured: Sequence[Measured], notes: Notes, best: Mapping[Subject, Fastest], width: int
) -> list[Line]:
    if len(measured) > MOST_ROWS:
        lines = matrix_lines(matrix_of(rows, measured, notes, best), width)
    else:
        lines = latency_lines(rows, measured, notes, width)
    table: list[Line] = [(line, BOLD if number == 0 else PLAIN) for number, line in enumerate(lines)]
    table += [(line, PLAIN) for line in _wrapped(notes.legend(), width, indent="   ")]
    winners = fastest_text(best) if len(measured) <= MOST_ROWS else ""
    return [*table, *((line, GREEN) for line in _wrapped([winners], width, indent="  "))]


def _assumed(rows: Rows, width: int) -> list[Line]:
    """Return which sizes nobody gave; models with the same ones on one line."""
    found: dict[tuple[str, str], None] = {}
    for record in rows.records:
        if record.assumed_dims:
            sizes = ", ".join(f"{name}={size}" for name, size in record.assumed_dims.items())
            found[sizes, record.model] = None
    if not found:
        return []
    models: dict[str, list[str]] = {}
    for sizes, model in found:
        models.setdefault(sizes, []).append(model)
    named = [size.split("=") for sizes in models for size in sizes.split(", ")]
    name = next((name for name, size in named if size not in "01"), named[0][0])
    head = f"sizes assumed, because nothing gives them (--ortperf-dim={name}=N does):"
    listed = [f"  {sizes}: {short_names(names, MOST_CASES)}" for sizes, names in list(models.items())[:MOST_SIZES]]
    more = len(models) - MOST_SIZES
    lines = [head, *listed, *([f"  and {more} more, in {rows.run.path.name}"] if more > 0 else [])]
    return [(line, YELLOW) for line in _wrapped(lines, width, indent="    ")]


def _failures(rows: Rows, width: int) -> list[Line]:
    """Return each cause of failure once, then the cases that it hit."""
    causes = failure_causes(rows)
    if not causes:
        return []
    owners = shared_case_ids(rows)
    lines: list[Line] = []
    for cause in causes[:MOST_CAUSES]:
        lines += [(line, RED) for line in _cut_message(cause.title, width)]
        lines += [(line, PLAIN) for line in _cases(cause.records, owners, width)]
        if cause.consequence:
            lines.append((f"  {cause.consequence}", PLAIN))
        pictures = [record.kept["picture"] for record in cause.records if "picture" in record.kept]
        # whole, so that a terminal makes it a link
        lines += [(f"  pictures: {path}", PLAIN) for path in pictures[:MOST_PICTURES]]
    more = causes[MOST_CAUSES:]
    if more:
        cases = _count(sum(len(cause.records) for cause in more), "case")
        lines.append((f"and {len(more)} more causes of {cases}, in benchmark_fail_{rows.run.header.run}.csv", RED))
    return lines


def _unsure_limits(rows: Rows, width: int) -> list[Line]:
    """Return which limits pass though the measurement cannot tell, and how to settle it."""
    texts = [
        f"passed, but unsure: {record.case_id}: {long_limit(fact)}"
        for record in rows.records
        for fact in record.limits
        if fact.is_unsure and fact.is_kept
    ]
    more = len(texts) - MOST_REMARKS
    shown = [*texts[:MOST_REMARKS], *([f"and {more} more limits are unsure"] if more > 0 else [])]
    return [(line, YELLOW) for line in _wrapped(shown, width, indent="  ")]


def _remarks(rows: Rows, width: int) -> list[Line]:
    """Return why cases were skipped, and what is to be known of others that passed."""
    causes = remark_causes(rows)
    owners = shared_case_ids(rows)
    lines: list[Line] = []
    for cause in causes[:MOST_REMARKS]:
        lines += [(line, YELLOW) for line in _cut_message(cause.title, width)]
        lines += [(line, PLAIN) for line in _cases(cause.records, owners, width)]
    more = len(causes) - MOST_REMARKS
    if more > 0:
        lines.append((f"and for {more} more reasons, in {rows.run.path.name}", YELLOW))
    return lines


def _cases(records: Sequence[Record], owners: frozenset[str], width: int) -> list[str]:
    labels = models_by_label(records, owners)
    texts = [f"{label}: {short_names(models, MOST_CASES)}" for label, models in labels.items()]
    return [f"  {line}" for line in _wrapped(texts, width - 2, indent="  ")]


def _cut_message(text: str, width: int) -> list[str]:
    """Return a message as a few lines that fit; where it is longer, it ends in `...`."""
    return textwrap.wrap(
        text, width, subsequent_indent="    ", break_on_hyphens=False, max_lines=MOST_MESSAGE_LINES, placeholder=" ..."
    )


def _standings(found: Sequence[Standing], width: int) -> list[Line]:
    lines = standing_lines(found, width)
    markup = [BOLD, *(RED if it.failed else PLAIN for it in found)]
    return list(zip(lines, markup, strict=False))


def _not_comparable(rows: Rows, width: int) -> list[Line]:
    """Return which cases have no gain because their reference was measured at other shapes."""
    texts = [
        f"not comparable: {base.case_id} and {record.case_id}: {difference}; give both the same shapes with "
        f'--ortperf-dim, or "inputs" in the model list'
        for record, base, difference in Gains(rows.run.header, rows.records).not_comparable()
    ]
    more = len(texts) - MOST_REMARKS
    texts = [*texts[:MOST_REMARKS], *([f"not comparable: {more} more, with the note s"] if more > 0 else [])]
    return [(line, YELLOW) for line in _wrapped(texts, width, indent="  ")]


def _machine(run: StoredRun, width: int) -> list[Line]:
    return [
        (text, RED if line.rejects else YELLOW)
        for line in machine_lines(run)
        for text in textwrap.wrap(line.text, width, subsequent_indent="  ", break_on_hyphens=False)
    ]


def _totals(run: StoredRun, width: int) -> list[Line]:
    counts = Counter(record.outcome for record in run.records)
    outcomes = ", ".join(f"{counts[name]} {outcome_word(name)}" for name in OUTCOMES if counts[name])
    models = len({record.model for record in run.records})
    text = f"{_count(models, 'model')}, {_count(len(run.records), 'case')}" + (f": {outcomes}" if outcomes else "")
    bad = any(counts[name] for name in ("failed", "crashed", "timed_out"))
    markup = RED if bad else GREEN if counts["passed"] else YELLOW
    return [
        *((line, markup) for line in _wrapped([text + _not_run(run) + _duration(run)], width, indent="  ")),
        *((line, PLAIN) for line in _wrapped([_where(run)], width)),
    ]


def _not_run(run: StoredRun) -> str:
    if run.end is None or run.end.collected is None or run.end.collected <= len(run.records):
        return ""
    return f", {run.end.collected - len(run.records)} not run"


def _duration(run: StoredRun) -> str:
    if run.end is None:
        return "; the run did not come to its end"
    waited_s = sum(record.stage_ns.get("lease", 0) for record in run.records) / 1e9
    waits = f"; benchmarks waited {waited_s:.1f} s for others" if waited_s >= _WAIT_WORTH_TELLING_S else ""
    return f" in {run.end.duration_ns / 1e9:.1f} s{waits}"


def _where(run: StoredRun) -> str:
    environment = run.header.environment
    version = runtime_version(environment)
    gpus = Counter(gpu.name for gpu in environment.gpus)
    parts = (
        f"run {run.header.run}",
        f"ONNX Runtime {version}" if version else "",
        environment.cpu or "",
        *(f"{count} x {name}" if count > 1 else name for name, count in gpus.items()),
    )
    return ", ".join(part for part in parts if part)


def _files(files: Sequence[Path], results: Path, width: int) -> list[Line]:
    if not files:
        return []
    names = [str(path.relative_to(results)) if path.is_relative_to(results) else str(path) for path in files]
    lines = _wrapped(_joined_kinds(names), width - 2)
    return [(f"results in {results}:", PLAIN), *((f"  {line}", PLAIN) for line in lines)]


def _joined_kinds(names: Sequence[str]) -> list[str]:
    """Return the names, the CSV files of one run as one: `benchmark_{fail, success}_<run>.csv`."""
    kinds: dict[str, list[str]] = {}
    others = []
    for name in names:
        match = _CSV_NAME.fullmatch(name)
        if match:
            kinds.setdefault(match["run"], []).append(match["kind"])
        else:
            others.append(name)
    joined = [
        f"benchmark_{{{', '.join(found)}}}_{run}.csv" if len(found) > 1 else f"benchmark_{found[0]}_{run}.csv"
        for run, found in kinds.items()
    ]
    return [*others, *joined]


def _wrapped(texts: Iterable[str], width: int, *, indent: str = "") -> list[str]:
    """Return texts as lines, further ones of a text indented; no word is broken."""
    wrapper = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line for text in texts for line in wrapper.wrap(text)]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
