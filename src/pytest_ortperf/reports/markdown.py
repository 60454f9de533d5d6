"""A run as Markdown, for a comment on a pull request or a CI system's summary; within the size these take."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ortperf.plain_text import markdown_code, plain_line
from pytest_ortperf.records.record import OUTCOMES
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.causes import Cause, failure_causes, models_by_label, outcome_word, remark_causes
from pytest_ortperf.reports.comparison.run_comparison import Comparison, verdict_text
from pytest_ortperf.reports.comparison.verdicts import SLOWER
from pytest_ortperf.reports.standings import Standing, fastest, gain_text, interval_text, standings
from pytest_ortperf.reports.tables.columns import runtime_version
from pytest_ortperf.reports.tables.machine_text import machine_lines
from pytest_ortperf.reports.tables.rows import FAILED, Rows, sorted_rows
from pytest_ortperf.reports.terminal.matrix_text import matrix_of
from pytest_ortperf.reports.terminal.notes import Notes
from pytest_ortperf.reports.terminal.summary import plain_run
from pytest_ortperf.reports.terminal.text_table import cut

MOST_COMMENT = 65_000
"""Bytes of a comment: GitHub takes 65,536 characters."""

_MOST_MESSAGE = 400
_MOST_MODELS = 10
_RESERVED = 400
"""Bytes for the lines that say what was left out."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with its table or list, of which rows may be left out."""

    head: Sequence[str]
    rows: Sequence[str]
    tail: Sequence[str] = ()


def run_markdown(run: StoredRun, comparison: Comparison | None = None, *, most: int = MOST_COMMENT) -> str:
    """Return a run: what failed and why, how each provider stands, and the latencies as a matrix.

    Args:
        run: Which.
        comparison: With its baseline.
        most: Bytes that the text may have, at least 2,000; rows that do not fit are counted.
    """
    rows = sorted_rows(plain_run(run))
    lines: list[str] = []
    left = most
    for section in _sections(rows, comparison):
        added = _fitting(section, left - _RESERVED)
        left -= sum(len(line.encode()) + 1 for line in added)
        lines += added
    return "\n".join([*lines, ""])


def headline(run: StoredRun) -> str:
    """Return `ortperf: 2 failed, 30 passed of 32 cases`; what is bad comes first."""
    counts = Counter(record.outcome for record in run.records)
    order = [*FAILED, *(name for name in OUTCOMES if name not in FAILED)]
    outcomes = ", ".join(f"{counts[name]} {outcome_word(name)}" for name in order if counts[name])
    cases = "1 case" if len(run.records) == 1 else f"{len(run.records)} cases"
    unfinished = "" if run.end else "; the run did not come to its end"
    return f"ortperf: {f'{outcomes} of ' if outcomes else ''}{cases}{unfinished}"


def _fitting(section: _Section, room: int) -> list[str]:
    """Return the lines of a section that fit, with how many rows do not; nothing if not even its head does."""
    fixed = sum(len(line.encode()) + 1 for line in (*section.head, *section.tail))
    if fixed > room:
        return []
    sizes = itertools.accumulate((len(row.encode()) + 1 for row in section.rows), initial=fixed)
    count = sum(size <= room for size in sizes) - 1
    more = len(section.rows) - count
    left_out = ["", f"{more} more rows do not fit here: see the report of the run."] if more else []
    return [*section.head, *section.rows[:count], *left_out, *section.tail, ""]


def _sections(rows: Rows, comparison: Comparison | None) -> Iterator[_Section]:
    run = rows.run
    yield _Section([f"### {headline(run)}", "", _where(run)], [])
    failed = failure_causes(rows)
    if failed:
        yield _Section(["#### Failures", "", "| cases | cause | where |", "|---:|---|---|"], list(map(_cause, failed)))
    if comparison is not None:
        yield _slower(comparison)
    measured = rows.measured
    best = fastest(rows, measured)
    yield _providers(standings(rows, best))
    if measured:
        notes = Notes(rows, measured)
        matrix = matrix_of(rows, measured, notes, best)
        titles = [*(title for title, _ in matrix.leading), *(title for title, _ in matrix.columns)]
        cells = [[markdown_code(cell) for cell in column] for _, column in matrix.leading]
        cells += [
            [f"{text} {markdown_code(letters)}".rstrip() for text, letters in column] for _, column in matrix.columns
        ]
        if matrix.fastest:
            titles.append("fastest")
            cells.append(list(matrix.fastest))
        numbers = {title for title, _ in matrix.columns}
        align = "|".join("---:" if title in numbers else "---" for title in titles)
        head = [f"#### {matrix.title.capitalize()}", "", f"| {' | '.join(titles)} |", f"|{align}|"]
        legend = [
            f"- {markdown_code(name)} {markdown_code(text, in_table=False)}" for text, name in matrix.long_dims.items()
        ]
        legend += [f"- {markdown_code(line[0])} {_escaped(line[1:].strip())}" for line in notes.legend()]
        yield _Section(head, [f"| {' | '.join(row)} |" for row in zip(*cells, strict=True)], ["", *legend])
    remarks = remark_causes(rows)
    if remarks:
        head = ["#### Skipped, and other remarks", "", "| cases | reason | where |", "|---:|---|---|"]
        yield _Section(head, list(map(_cause, remarks)))
    machine = [f"- {_escaped(plain_line(line.text).strip())}" for line in machine_lines(run)]
    if machine:
        yield _Section(["#### Machine", ""], machine)


def _slower(comparison: Comparison) -> _Section:
    """Return what became slower since the baseline."""
    head = [f"#### Against {markdown_code(comparison.base.name)}: {verdict_text(comparison)}", ""]
    slower = [pair for pair in comparison.pairs if pair.decision.verdict == SLOWER]
    return _Section(
        head,
        [
            f"- {SLOWER} {markdown_code(it.case_id, in_table=False)}, {it.timing}: ratio {it.evidence.ratio:.3f}"
            for it in slower
        ],
    )


def _providers(found: Sequence[Standing]) -> _Section:
    head = [
        "#### Providers",
        "",
        "| provider | passed | failed | skipped | mean gain | 95 % interval | fastest for |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    texts = []
    for it in found:
        gain = f"{gain_text(it.gain.ratio)} vs {it.gain.reference}" if it.gain else ""
        interval = interval_text(it.gain) if it.gain else ""
        cells = (markdown_code(it.name), it.passed, it.failed, it.skipped, gain, interval, it.fastest_for or "")
        texts.append(f"| {' | '.join(map(str, cells))} |")
    return _Section(head, texts)


def _cause(cause: Cause) -> str:
    where = []
    for label, models in models_by_label(cause.records).items():
        more = f" and {len(models) - _MOST_MODELS} more" if len(models) > _MOST_MODELS else ""
        where.append(f"{markdown_code(label)}: {', '.join(map(markdown_code, models[:_MOST_MODELS]))}{more}")
    text = markdown_code(cut(cause.text, _MOST_MESSAGE))
    similar = "" if cause.is_common else " (or similar)"
    consequence = f"<br>{cause.consequence}" if cause.skipped else ""
    count = f"{len(cause.records)} {outcome_word(cause.outcome)}"
    return f"| {count} | {text}{similar}{consequence} | {'<br>'.join(where)} |"


def _where(run: StoredRun) -> str:
    environment = run.header.environment
    version = runtime_version(environment)
    gpus = dict.fromkeys(gpu.name for gpu in environment.gpus)
    labels = [f"{name} {value}" for name, value in run.header.labels.items()]
    parts = (f"run {run.header.run}", f"ONNX Runtime {version}" if version else "", environment.cpu or "", *gpus)
    return ", ".join(markdown_code(part) for part in (*parts, *labels) if part)


def _escaped(text: str) -> str:
    """Return a text of this package, in which only what others wrote could be Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|#@~$])", r"\\\1", text)
