"""The summary at the end of a run, as lines with their markup."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_ortperf.records.record import NEVER_VALIDATED, OTHERWISE_VALIDATED, OUTCOMES, VALIDATED, Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.columns import runtime_version
from pytest_ortperf.reports.tables.gains import Gains, list_of
from pytest_ortperf.reports.tables.limit_text import long_limit
from pytest_ortperf.reports.tables.machine_text import machine_lines
from pytest_ortperf.reports.tables.rows import BECAUSE_OF_VALIDATION, Rows, sorted_rows
from pytest_ortperf.reports.terminal.latency_text import latency_lines, timing_lines
from pytest_ortperf.reports.terminal.operator_text import operator_lines
from pytest_ortperf.reports.terminal.text_table import cut

_CSV_NAME = re.compile(r"benchmark_(?P<kind>[a-z_]+)_(?P<run>[0-9-]+)\.csv")

Markup = Mapping[str, bool]
Line = tuple[str, Markup]
"""A text without line end, and what pytest's `TerminalReporter.write_line` takes beside it."""

PLAIN: Markup = {}
BOLD: Markup = {"bold": True}
RED: Markup = {"red": True}
GREEN: Markup = {"green": True}
YELLOW: Markup = {"yellow": True}

MOST_FAILURES = 20
MOST_REASONS = 10
_LINES_OF_A_REASON = 3
_NARROWEST = 60

_WORDS = {"timed_out": "timed out"}


_OF_ONE_CASE = ("pass-relative", "float16 cannot hold")


def summary_lines(
    run: StoredRun, *, width: int, files: Sequence[Path], results: Path, verbose: bool = False
) -> list[Line]:
    """Return the summary of a run.

    Args:
        run: The run; it may hold no record, and may not have come to its end.
        width: Of the terminal, in characters.
        files: Files of the run that were written, in the order to name them.
        results: Folder that the files are in.
        verbose: Whether the operators of each case are listed in a run of several models too.
    """
    width = max(width, _NARROWEST)
    rows = sorted_rows(run)
    blocks = (
        _table(rows, width),
        _assumed(rows, width),
        [(line, PLAIN) for line in timing_lines(rows, width)],
        [(line, PLAIN) for line in operator_lines(rows, width, verbose=verbose)],
        _failures(rows, width),
        _unsure_limits(rows, width),
        _reasons(rows, width),
        _unvalidated(rows, width),
        _not_comparable(rows, width),
        _machine(run, width),
        [(f"note: {note}", YELLOW) for note in run.notes],
        [*_totals(run, width), *_files(files, results, width)],
    )
    lines: list[Line] = []
    for block in (block for block in blocks if block):
        lines += [("", PLAIN), *block] if lines else block
    return lines


def _table(rows: Rows, width: int) -> list[Line]:
    lines = latency_lines(rows, width)
    return [(line, BOLD if number == 0 else PLAIN) for number, line in enumerate(lines)]


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
    lines = [head, *(f"  {sizes}: {', '.join(names)}" for sizes, names in models.items())]
    return [(line, YELLOW) for line in _wrapped(lines, width, indent="    ")]


def _failures(rows: Rows, width: int) -> list[Line]:
    failed = rows.failed
    shown = failed[:MOST_FAILURES]
    lines: list[Line] = []
    owners: dict[str, set[str]] = {}
    for record in rows.records:
        owners.setdefault(record.case_id, set()).add(list_of(record))
    for record in shown:
        # of two lists, or of users' own tests
        owner = f"{list_of(record)}::" if len(owners[record.case_id]) > 1 else ""
        lines.append((cut(_failure(record, owner), width), RED))
        # whole, so that a terminal makes it a link
        lines += [(f"  pictures: {record.kept['picture']}", PLAIN)] if "picture" in record.kept else []
    more = len(failed) - len(shown)
    if more > 0:
        lines.append((f"and {more} more, in benchmark_fail_{rows.run.header.run}.csv", RED))
    return lines


def _failure(record: Record, owner: str) -> str:
    case = f"{_WORDS.get(record.outcome, record.outcome).upper()} {owner}{record.case_id}"
    if record.failure is None:
        return case
    kind = "" if record.failure.kind in (record.outcome, "crash", "timeout") else f"{record.failure.kind}: "
    return f"{case}: {kind}{record.failure.message}"


def _unsure_limits(rows: Rows, width: int) -> list[Line]:
    """Return which limits pass though the measurement cannot tell, and how to settle it."""
    texts = [
        f"passed, but unsure: {record.case_id}: {long_limit(fact)}"
        for record in rows.records
        for fact in record.limits
        if fact.is_unsure and fact.is_kept
    ]
    more = len(texts) - MOST_REASONS
    shown = [*texts[:MOST_REASONS], *([f"and {more} more limits are unsure"] if more > 0 else [])]
    return [(line, YELLOW) for line in _wrapped(shown, width, indent="  ")]


def _reasons(rows: Rows, width: int) -> list[Line]:
    told = [(it.outcome, _reason(it)) for it in rows.records if it.outcome in {"passed", "failed"} and it.reason]
    skipped = [(it.outcome, _reason(it)) for it in rows.records if it.outcome == "skipped"]
    counts = Counter([*skipped, *told])
    listed = counts.most_common(MOST_REASONS)
    lines = [
        (line, YELLOW)
        for (outcome, reason), count in listed
        for line in _reason_lines(f"{outcome} {count}: {reason}", width)
    ]
    more = len(counts) - len(listed)
    if more > 0:
        lines.append((f"and for {more} more reasons, in {rows.run.path.name}", YELLOW))
    return lines


def _reason_lines(text: str, width: int) -> list[str]:
    """Return a reason in some lines, since the way out stands at its end; a failure told above already in one."""
    if any(f": {reason}" in text for reason in BECAUSE_OF_VALIDATION):
        return [cut(text, width)]
    return textwrap.wrap(
        text,
        width,
        subsequent_indent="  ",
        break_on_hyphens=False,
        max_lines=_LINES_OF_A_REASON,
        placeholder="...",
    )


def _reason(record: Record) -> str:
    """Return why a case passed or was skipped, with its name if that is about its own numbers."""
    reason = record.reason or "no reason given"
    return f"{record.case_id}: {reason}" if any(words in reason for words in _OF_ONE_CASE) else reason


def _unvalidated(rows: Rows, width: int) -> list[Line]:
    """Return which latencies are of a model that nobody has compared, or another than was compared."""
    found: dict[str, list[str]] = {}
    for record in rows.records:
        label = record.validation or VALIDATED
        if record.outcome == "passed" and (label == NEVER_VALIDATED or label.startswith(OTHERWISE_VALIDATED)):
            found.setdefault(label, []).append(record.case_id)
    # without one of this run: a validation that compared nothing would do so again
    way = "" if any(it.mode == "validate" for it in rows.records) else "; --ortperf-mode=both validates too"
    texts = (
        (f"{label}: {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "") + way, label)
        for label, names in found.items()
    )
    return [
        (line, PLAIN if label == NEVER_VALIDATED else YELLOW)
        for text, label in texts
        for line in _wrapped([text], width, indent="  ")
    ]


def _not_comparable(rows: Rows, width: int) -> list[Line]:
    """Return which cases have no gain because their reference was measured at other shapes."""
    texts = [
        f"not comparable: {base.case_id} and {record.case_id}: {difference}; give both the same shapes with "
        f'--ortperf-dim, or "inputs" in the model list'
        for record, base, difference in Gains(rows.run.header, rows.records).not_comparable()
    ]
    return [(line, YELLOW) for line in _wrapped(texts, width, indent="  ")]


def _machine(run: StoredRun, width: int) -> list[Line]:
    return [
        (text, RED if line.rejects else YELLOW)
        for line in machine_lines(run)
        for text in textwrap.wrap(line.text, width, subsequent_indent="  ", break_on_hyphens=False)
    ]


def _totals(run: StoredRun, width: int) -> list[Line]:
    counts = Counter(record.outcome for record in run.records)
    outcomes = ", ".join(f"{counts[name]} {_WORDS.get(name, name)}" for name in OUTCOMES if counts[name])
    models = len({record.model for record in run.records})
    text = f"{_count(models, 'model')}, {_count(len(run.records), 'case')}" + (f": {outcomes}" if outcomes else "")
    bad = any(counts[name] for name in ("failed", "crashed", "timed_out"))
    return [
        (text + _not_run(run) + _duration(run), RED if bad else GREEN if counts["passed"] else YELLOW),
        *((line, PLAIN) for line in _wrapped([_where(run)], width)),
    ]


def _not_run(run: StoredRun) -> str:
    if run.end is None or run.end.collected is None or run.end.collected <= len(run.records):
        return ""
    return f", {run.end.collected - len(run.records)} not run"


def _duration(run: StoredRun) -> str:
    return f" in {run.end.duration_ns / 1e9:.1f} s" if run.end else "; the run did not come to its end"


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
