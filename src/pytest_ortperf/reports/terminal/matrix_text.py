"""Runs of many variants: a matrix of models and providers; and how each provider stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.standings import Fastest, Standing, gain_text, interval_text, variant_name
from pytest_ortperf.reports.tables.columns import Measured, dims_text
from pytest_ortperf.reports.tables.rows import FAILED, Group, Rows, Subject, group_of, subject_of
from pytest_ortperf.reports.terminal.latency_text import LONGEST_DIMS, TimeFormat, covered_text, model_names
from pytest_ortperf.reports.terminal.notes import Notes, dims_legend, dims_lines
from pytest_ortperf.reports.terminal.text_table import GAP, TextColumn, short_names, shortened, table_lines

MOST_ROWS = 20
"""Measured variants that have a row each; more become a matrix."""

_SIGNIFICANT = 4
_LEAST_MODEL = 24
_WORDS = {"failed": "failed", "crashed": "crashed", "timed_out": "time-out", "skipped": "skipped", "xfailed": "xfailed"}
_KIND_WORDS = {"result accuracy issue": "wrong", "fallback": "fallback", "provider unavailable": "no provider"}

Cell = tuple[str, str]
"""A latency or a word, and the letters of its notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One row per model, size and timing mode, and one column per provider and precision."""

    title: str
    leading: tuple[tuple[str, Sequence[str]], ...]
    """Title and cells of what names a row: model, and where they differ size and timing."""

    columns: tuple[tuple[str, Sequence[Cell]], ...]
    fastest: Sequence[str]
    """Per row; empty where no two variants can be compared."""

    long_dims: Mapping[str, str]
    """Long lists of dimensions -> their short names."""


def matrix_of(rows: Rows, measured: Sequence[Measured], notes: Notes, best: Mapping[Subject, Fastest]) -> Matrix:
    """Return the matrix of a run that has measured anything."""
    unit = TimeFormat.of([row.summary.p50_ns for row in measured])
    labels = list(dict.fromkeys(row.latency.label for row in measured))
    keys = _keys(rows, measured)
    subjects = rows.subjects
    heads = [subjects[subject][0] for subject, _ in keys]
    long_dims = dims_legend(heads, LONGEST_DIMS)
    dims = [long_dims.get(text, text) for text in (dims_text(record.dims) or "" for record in heads)]
    timing = [label for _, label in keys] if len(labels) > 1 else []
    more = (("size", dims), ("timing", timing))
    cells = _cells(rows, measured, notes, unit)
    groups = [group for group in rows.groups if any((*key, group) in cells for key in keys)]
    winners = [_winner(best.get(subject), label) for subject, label in keys]
    covered = covered_text(list(dict.fromkeys(row.latency.timing for row in measured)))
    return Matrix(
        title=f"median latency in {unit.unit}, {covered}",
        leading=(("model", model_names(heads)), *((title, found) for title, found in more if any(found))),
        columns=tuple((variant_name(group), [cells.get((*key, group), ("", "")) for key in keys]) for group in groups),
        fastest=winners if any(winners) else (),
        long_dims=long_dims,
    )


def matrix_lines(matrix: Matrix, width: int) -> list[str]:
    """Return the matrix as text.

    Where the columns do not fit the width, the table goes on below with the next ones.
    """
    leading = [TextColumn(title=title, cells=cells, to_left=True) for title, cells in matrix.leading]
    columns = [_column(title, cells) for title, cells in matrix.columns]
    if matrix.fastest:
        columns.append(TextColumn(title="fastest", cells=matrix.fastest, to_left=True))
    title = wrap(matrix.title, width, subsequent_indent="  ")
    return [*title, *_blocks(leading, columns, width), *dims_lines(matrix.long_dims, width)]


def standing_lines(found: Sequence[Standing], width: int) -> list[str]:
    """Return one line per provider; nothing for a single one, of which the last line of the summary tells."""
    if len(found) < 2:  # noqa: PLR2004 - two can be told apart
        return []
    gains = [standing.gain for standing in found]
    references = {gain.reference for gain in gains if gain}
    against = f" vs {next(iter(references))}" if len(references) == 1 else ""
    columns = [
        TextColumn(title="provider", cells=[it.name for it in found], to_left=True),
        TextColumn(title="passed", cells=[str(it.passed) for it in found]),
        TextColumn(title="failed", cells=[str(it.failed) for it in found]),
        TextColumn(title="skipped", cells=[str(it.skipped) for it in found]),
        TextColumn(
            title=f"mean gain{against}",
            cells=[(gain_text(it.ratio) + ("" if against else f" vs {it.reference}")) if it else "" for it in gains],
        ),
        TextColumn(title="95 % interval", cells=[interval_text(it) if it else "" for it in gains], keep=3),
        TextColumn(title="benchmarks", cells=[str(it.cases) if it else "" for it in gains], keep=1),
        TextColumn(title="fastest for", cells=[str(it.fastest_for or "") for it in found], keep=2),
    ]
    return table_lines([column for column in columns if any(column.cells)], width)


def fastest_text(best: Mapping[Subject, Fastest]) -> str:
    """Return the fastest valid provider of each model, models with the same one together; nothing for none."""
    groups: dict[str, list[str]] = {}
    for subject, found in best.items():
        dims = dims_text(dict(subject[2]))
        groups.setdefault(found.text, []).append(f"{found.model} ({dims})" if dims else found.model)
    winners = "; ".join(f"{names} for {short_names(models, MOST_ROWS)}" for names, models in groups.items())
    return f"fastest valid provider: {winners}" if winners else ""


def significant_text(value: float) -> str:
    """Return a positive number with four significant digits: `0.03629`, `220.8`, `12346`."""
    decimals = _SIGNIFICANT - 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(decimals, 0)}f}"


def _keys(rows: Rows, measured: Sequence[Measured]) -> list[tuple[Subject, str]]:
    """Return the rows: each model at each size, with its timing modes; models that nothing was measured of too."""
    labels: dict[Subject, dict[str, None]] = {subject: {} for subject in rows.subjects}
    for row in measured:
        labels[subject_of(row.record)][row.latency.label] = None
    return [(subject, label) for subject, found in labels.items() for label in found or {"": None}]


def _cells(
    rows: Rows, measured: Sequence[Measured], notes: Notes, unit: TimeFormat
) -> dict[tuple[Subject, str, Group], Cell]:
    cells: dict[tuple[Subject, str, Group], Cell] = {}
    for row in measured:
        key = (subject_of(row.record), row.latency.label, group_of(row.record))
        cells[key] = significant_text(row.summary.p50_ns / unit.ns), notes.letters(row)
    words: dict[tuple[Subject, Group], str] = {}
    for record in sorted(rows.records, key=lambda record: record.outcome not in FAILED):
        word = _word(record)
        if word:
            words.setdefault((subject_of(record), group_of(record)), word)
    for subject, label in _keys(rows, measured):
        for group in rows.groups:
            if (subject, label, group) not in cells and (subject, group) in words:
                cells[subject, label, group] = words[subject, group], ""
    return cells


def _word(record: Record) -> str:
    if record.outcome in FAILED and record.failure is not None:
        return _KIND_WORDS.get(record.failure.kind, _WORDS[record.outcome])
    return _WORDS.get(record.outcome, "")


def _column(title: str, cells: Sequence[Cell]) -> TextColumn:
    """Return a column in which numbers stand below each other, whatever letters follow them."""
    numbers, letters = (max(len(cell[part]) for cell in cells) for part in (0, 1))
    texts = [f"{text:>{numbers}} {notes:<{letters}}" if letters else f"{text:>{numbers}}" for text, notes in cells]
    return TextColumn(title=title, cells=texts)


def _winner(found: Fastest | None, label: str) -> str:
    return found.text if found is not None and found.timing == label else ""


def _blocks(leading: Sequence[TextColumn], columns: Sequence[TextColumn], width: int) -> list[str]:
    """Return as many tables as the width needs, each with the leading columns."""
    model, *others = leading
    fixed = sum(column.width + len(GAP) for column in others)
    room = width - fixed - min(model.width, _LEAST_MODEL)
    blocks: list[list[TextColumn]] = []
    left = 0
    for column in columns:
        if left < column.width + len(GAP):
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= column.width + len(GAP)
    # names look the same in each table
    size = min(width - fixed - sum(column.width + len(GAP) for column in block) for block in blocks)
    name = TextColumn(title=model.title, cells=shortened(model.cells, max(size, len(model.title), 16)), to_left=True)
    tables = [table_lines([name, *others, *block], max(width, name.width)) for block in blocks]
    return [line for number, table in enumerate(tables) for line in ([""] if number else []) + table]
