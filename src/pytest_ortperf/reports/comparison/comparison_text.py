"""A comparison for a terminal, as lines with their markup."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_ortperf.plain_text import plain_line
from pytest_ortperf.reports.comparison.change import BETTER, TOPICS, WORSE, Change
from pytest_ortperf.reports.comparison.compared_side import RunSide, Side
from pytest_ortperf.reports.comparison.evidence import PAIRS
from pytest_ortperf.reports.comparison.fleet import FleetShift
from pytest_ortperf.reports.comparison.gross import GROSS
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.paired_closing import case_name
from pytest_ortperf.reports.comparison.run_comparison import Comparison, health_notes, interval_text, verdict_text
from pytest_ortperf.reports.comparison.thresholds import THRESHOLD
from pytest_ortperf.reports.comparison.verdicts import FASTER, SAME, SLOWER, UNSURE, VERDICTS
from pytest_ortperf.reports.comparison.ways_out import ways_out
from pytest_ortperf.reports.tables.columns import runtime_version
from pytest_ortperf.reports.terminal.summary import BOLD, GREEN, PLAIN, RED, YELLOW, Line, Markup
from pytest_ortperf.reports.terminal.text_table import TextColumn, cut, table_lines

MOST_PAIRS = 30
MOST_CHANGES = 30
MOST_CASES = 6
"""Of a reason for UNSURE; with everything, all are named."""

_NARROWEST = 60

_CLASSES = {GROSS: "gross change"}
_MARKUP: dict[str, Markup] = {SLOWER: RED, FASTER: GREEN, UNSURE: YELLOW, SAME: PLAIN}
_DIRECTIONS: dict[str, Markup] = {WORSE: RED, BETTER: GREEN}
TITLES = {
    "failures": "failures",
    "accuracy": "accuracy",
    "placement": "placement",
    "memory": "memory",
    "creation": "session creation",
    "missing": "cases",
    "incomplete": "runs",
}


def comparison_lines(comparison: Comparison, *, width: int, everything: bool = False) -> list[Line]:
    """Return a comparison.

    Args:
        comparison: What.
        width: Of the terminal, in characters.
        everything: Whether pairs that are SAME are listed too, and nothing is left out.
    """
    width = max(width, _NARROWEST)
    blocks = [
        list(_sides(comparison, width)),
        list(_latency(comparison, width, everything=everything)),
        *(list(_changes(comparison, topic, width, everything=everything)) for topic in TOPICS if topic in TITLES),
        [(text, PLAIN) for text in _still_failing(comparison)],
        [line for each in comparison.not_asked for line in _wrapped(each.text, width, PLAIN)],
        list(_ways_out(comparison, width, everything=everything)),
        [line for text in comparison.closing for line in _wrapped(text, width, BOLD)],
    ]
    lines: list[Line] = []
    for block in (block for block in blocks if block):
        lines += [("", PLAIN), *block] if lines else block
    return [(plain_line(text), markup) for text, markup in lines]


def side_text(side: Side) -> str:
    """Return a side in words: what was named, its runs, its ONNX Runtime."""
    names = [run.name for run in side.runs if run.name not in side.name]
    runs = f"{len(side.runs)} runs" if len(side.runs) > 1 else f"run {names[0]}" if names else ""
    return ", ".join(part for part in (side.name, runs, _runtime(side.runs[-1])) if part)


def _runtime(run: RunSide) -> str:
    version = runtime_version(run.environment) if run.environment else None
    return f"ONNX Runtime {version}" if version else ""


def _sides(comparison: Comparison, width: int) -> Iterator[Line]:
    texts = [f"base     {side_text(comparison.base)}", f"current  {side_text(comparison.current)}"]
    fingerprint = comparison.current.runs[-1].fingerprint
    texts.append(f"machine  {comparison.machine or f'the same, {fingerprint}'}")
    listed = [f"{each.name} {each.base} -> {each.current}" for each in comparison.differences]
    if listed:
        texts.append(f"differs  {'; '.join(listed)}")
    for text in texts:
        yield from (
            (line, PLAIN) for line in textwrap.wrap(text, width, subsequent_indent=" " * 9, break_on_hyphens=False)
        )
    for note in (*comparison.base.notes, *comparison.current.notes):
        yield f"note: {note}", YELLOW


def _latency(comparison: Comparison, width: int, *, everything: bool) -> Iterator[Line]:
    if not comparison.pairs:
        if any(case.observations for side in (comparison.base, comparison.current) for case in side.last.values()):
            yield "latency: nothing was measured on both sides", YELLOW
        return
    less = "" if comparison.is_paired else " less the shift of the fleet"
    yield f"latency: {verdict_text(comparison)}; {ratio_title(comparison)} is current / base{less}", BOLD
    for fleet in comparison.fleets:
        yield from _wrapped(fleet_text(fleet), width, _MARKUP[fleet.verdict])
    shown = sorted_pairs(comparison.pairs, everything=everything)
    listed = shown if everything else shown[:MOST_PAIRS]
    if listed:
        title, *rows = _table(listed, width, ratio_title(comparison))
        yield title, BOLD
        yield from ((row, _MARKUP[pair.decision.verdict]) for row, pair in zip(rows, listed, strict=True))
    if len(shown) > len(listed):
        yield f"and {len(shown) - len(listed)} more", PLAIN
    for text in (*ratio_notes(comparison), *threshold_notes(comparison.pairs), *health_notes(comparison)):
        yield from _wrapped(text, width, PLAIN)


def ratio_title(comparison: Comparison) -> str:
    """Return what the column of ratios is called."""
    return "paired ratio" if comparison.is_paired else "ratio"


def ratio_notes(comparison: Comparison) -> Iterator[str]:
    """Yield what is to be known of the ratios."""
    if comparison.is_paired and comparison.pairs:
        yield (
            "paired ratio compares turns measured side by side; base ms and current ms are typical times of each side "
            "alone, so they do not divide to it exactly"
        )


def sorted_pairs(pairs: Sequence[LatencyPair], *, everything: bool) -> list[LatencyPair]:
    """Return pairs by verdict, the largest change first; those that are SAME only if all are asked for."""
    shown = [pair for pair in pairs if everything or pair.decision.verdict != SAME]
    return sorted(shown, key=lambda pair: (VERDICTS.index(pair.decision.verdict), -abs(pair.evidence.log_ratio)))


def fleet_text(fleet: FleetShift) -> str:
    """Return the line of a fleet."""
    interval = "" if fleet.low is None or fleet.high is None else f" ({_change(fleet.low)} to {_change(fleet.high)})"
    note = f": {fleet.note}" if fleet.note else ""
    pairs = "1 pair" if fleet.pairs == 1 else f"{fleet.pairs} pairs"
    moved = f"{_change(fleet.ratio)}{interval}"
    return f"fleet {fleet.provider}, {fleet.timing}: {pairs}, {moved}, {fleet.verdict}{note}"


def _table(pairs: Sequence[LatencyPair], width: int, ratio: str) -> list[str]:
    columns = (
        TextColumn(title="case", cells=[_name(pair) for pair in pairs], to_left=True),
        TextColumn(title="timing", cells=[pair.timing for pair in pairs], to_left=True, keep=1),
        TextColumn(title="base ms", cells=[f"{pair.base_ns / 1e6:.4g}" for pair in pairs], keep=3),
        TextColumn(title="current ms", cells=[f"{pair.current_ns / 1e6:.4g}" for pair in pairs], keep=4),
        TextColumn(title=ratio, cells=[f"{pair.evidence.ratio:.3f}" for pair in pairs]),
        TextColumn(title="90 % interval", cells=[interval_text(pair) for pair in pairs], keep=5),
        TextColumn(title="delta %", cells=[f"{100 * pair.decision.delta:.3g}" for pair in pairs], keep=2),
        TextColumn(title="verdict", cells=[verdict_of(pair) for pair in pairs], to_left=True),
    )
    return table_lines(columns, width)


def _name(pair: LatencyPair) -> str:
    return case_name(pair.case_id) if pair.evidence.kind == PAIRS else pair.case_id


def verdict_of(pair: LatencyPair) -> str:
    """Return a verdict with the evidence class that decided, where it is not that of the evidence."""
    by = pair.decision.by
    return f"{pair.decision.verdict} by {_CLASSES.get(by, by)}" if by else pair.decision.verdict


def threshold_notes(pairs: Sequence[LatencyPair]) -> Iterator[str]:
    """Yield what stands behind verdicts that the user's threshold decided."""
    shares = sorted({pair.decision.delta for pair in pairs if pair.decision.by == THRESHOLD})
    if shares:
        listed = ", ".join(f"{100 * share:g} %" for share in shares)
        yield (
            f"by threshold: the values as measured were held against {listed}; no statistics stand behind these "
            f"verdicts"
        )


def _ways_out(comparison: Comparison, width: int, *, everything: bool) -> Iterator[Line]:
    """Yield why pairs are UNSURE and what settles it. Commands stay on one line, to be copied."""
    for each in ways_out(comparison):
        yield from _wrapped(f"UNSURE {len(each.cases)}: {each.reason}", width, YELLOW)
        names = names_text(each.cases, len(each.cases) if everything else MOST_CASES)
        yield from ((f"  {line}", PLAIN) for line, _ in _wrapped(names, width - 2, PLAIN))
        yield from _wrapped(f"  To settle it, {each.what}{':' if each.commands else '.'}", width, PLAIN)
        yield from ((f"    {command}", BOLD) for command in each.commands)


def names_text(names: Sequence[str], most: int) -> str:
    """Return whole names, at most so many, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _changes(comparison: Comparison, topic: str, width: int, *, everything: bool) -> Iterator[Line]:
    found = comparison.of_topic(topic)
    if not found:
        return
    counts = Counter(change.kind for change in found)
    yield f"{TITLES[topic]}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}", BOLD
    order = {WORSE: 0, BETTER: 1}
    listed = sorted(found, key=lambda change: order.get(change.direction, 2))
    for change in listed if everything else listed[:MOST_CHANGES]:
        text = change_text(change)
        whole = len(f"  {change.kind}  {change.case_id}: ")
        yield f"  {text if everything else cut(text, max(width - 2, whole))}", _DIRECTIONS.get(change.direction, PLAIN)
    if not everything and len(listed) > MOST_CHANGES:
        yield f"and {len(listed) - MOST_CHANGES} more", PLAIN


def change_text(change: Change) -> str:
    """Return a change in one line."""
    return f"{change.kind}  {change.case_id}: {change.text}"


def _still_failing(comparison: Comparison) -> Iterator[str]:
    count = len(comparison.still_failing)
    if count:
        yield f"{count} {'case fails' if count == 1 else 'cases fail'} on both sides, with the same kind of failure"


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _wrapped(text: str, width: int, markup: Markup) -> Iterator[Line]:
    lines = textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    yield from ((line, markup) for line in lines)
