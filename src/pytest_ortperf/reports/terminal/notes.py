"""The notes of measured rows: fixed letters, the same in every run, and one legend.

How far a latency can be trusted, in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pytest_ortperf.records.latency import FIXED, UNSTABLE, Latency, Summary
from pytest_ortperf.records.record import NEVER_VALIDATED, OTHERWISE_VALIDATED, Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.reports.standings import failed_validations, variant_name
from pytest_ortperf.reports.tables.columns import Measured, dims_text
from pytest_ortperf.reports.tables.gains import Gains, counts
from pytest_ortperf.reports.tables.machine_text import off_text
from pytest_ortperf.reports.tables.rows import Rows, group_of, subject_of
from pytest_ortperf.reports.terminal.text_table import short_names

NOT_PRECISE = "unstable: the 95 % interval of the median stayed wider than asked for"
NOT_LASTING = "unstable: sampling ended before the interval had stayed narrow enough"
WIDE = "wide: the 95 % interval is wider than --ortperf-precision-target; more iterations narrow it"
NOT_STEADY = "not steady: the warm-up ended early; times may still fall or rise"
SEVERAL_MODES = "several modes: samples gather around more than one value"

LETTERS: Mapping[str, str] = {
    "f": "the outputs are wrong: validation failed in this run",
    "l": "a limit of the model list was not kept",
    "v": "never validated: nothing has compared its outputs",
    "o": "validated with another model file than the one that was measured",
    "u": NOT_PRECISE,
    "e": NOT_LASTING,
    "i": WIDE,
    "w": NOT_STEADY,
    "m": SEVERAL_MODES,
    "h": "the machine was not quiet meanwhile: see the lines that begin with machine",
    "s": "no gain: its reference was measured at other shapes",
    "a": "sizes were assumed: nothing gives them",
    "p": "the precision that was stored and computed in, where it is not the one that was asked for",
}
"""Letter -> what it means, in the order of the column and the legend. Changing one misleads readers of old logs."""

WORDS: Mapping[str, str] = {
    "f": "wrong outputs",
    "l": "limit not kept",
    "v": "never validated",
    "o": "other model validated",
    "u": "unstable",
    "e": "unstable",
    "i": "wide",
    "w": "not steady",
    "m": "several modes",
    "h": "machine",
    "s": "other shapes",
    "a": "assumed sizes",
    "p": "precision",
}
"""Letter -> a word for it, where there is room for words."""

MOST_NAMES = 3


def latency_notes(latency: Latency, summary: Summary) -> list[str]:
    """Return the letters of what a reader of the median must know."""
    half_width, target = summary.half_width, latency.precision_target
    # `None` where nothing is known of the precision
    narrow = None if half_width is None or target is None else half_width <= target
    found = {
        "u": latency.status == UNSTABLE and not narrow,
        "e": latency.status == UNSTABLE and narrow,
        "i": latency.status == FIXED and narrow is False,
        "w": latency.steady is False,
        "m": (summary.modes or 1) > 1,
    }
    return [letter for letter, holds in found.items() if holds]


class Notes:
    """The notes of the measured rows of a run."""

    def __init__(self, rows: Rows, measured: Iterable[Measured]) -> None:
        self._wrong = failed_validations(rows.records)
        self._other_shapes = {id(record) for record, _, _ in Gains(rows.run.header, rows.records).not_comparable()}
        self._texts: dict[tuple[str, str], dict[str, None]] = {}
        """Letter and its text -> names of the rows that it is about."""

        self._letters = {_key(row): self._note(row) for row in measured}

    def letters(self, row: Measured) -> str:
        """Return the letters of a row, such as `um`; nothing for none."""
        return self._letters[_key(row)]

    @property
    def used(self) -> frozenset[str]:
        """Letters that any row has."""
        return frozenset(letter for letter, _ in self._texts)

    def legend(self) -> list[str]:
        """Return a text for each letter in use; where a letter means several things, with the rows that it is about."""
        order = list(LETTERS)
        lines = []
        for letter, text in sorted(self._texts, key=lambda note: order.index(note[0])):
            is_one = sum(other == letter for other, _ in self._texts) == 1
            names = list(self._texts[letter, text])
            lines.append(f"{letter}  {text}" if is_one else f"{letter}  {text}: {short_names(names, MOST_NAMES)}")
        return lines

    def of(self, record: Record) -> list[tuple[str, str]]:
        """Return letter and text of each note of a record and its headline, in the order of the legend."""
        latency = record.latencies[0] if record.latencies and counts(record) else None
        return self._sorted(record, latency_notes(latency, summarize(latency)) if latency else ())

    def _note(self, row: Measured) -> str:
        letters = ""
        for letter, text in self._sorted(row.record, latency_notes(row.latency, row.summary)):
            self._texts.setdefault((letter, text), {})[row_name(row.record)] = None
            letters += letter if letter not in letters else ""
        return letters

    def _sorted(self, record: Record, of_latency: Iterable[str]) -> list[tuple[str, str]]:
        order = list(LETTERS)
        return sorted(self._found(record, of_latency), key=lambda note: order.index(note[0]))

    def _found(self, record: Record, of_latency: Iterable[str]) -> Iterator[tuple[str, str]]:
        label = record.validation or ""
        holds = {
            "f": (subject_of(record), group_of(record)) in self._wrong,
            "l": record.failure is not None and record.failure.kind == "limit",
            "v": label == NEVER_VALIDATED,
            "h": off_text(record.machine) is not None,
            "s": id(record) in self._other_shapes,
            "a": bool(record.assumed_dims),
        }
        letters = [*(letter for letter, it in holds.items() if it), *of_latency]
        yield from ((letter, LETTERS[letter]) for letter in letters)
        if label.startswith(OTHERWISE_VALIDATED):
            yield "o", label
        if record.model_fact is not None and record.model_fact.note:
            yield "p", record.model_fact.note


def _key(row: Measured) -> tuple[int, str]:
    return id(row.record), row.latency.label


def row_name(record: Record) -> str:
    """Return `bert cpu-fp16-batch=8`."""
    dims = dims_text(record.dims)
    return f"{record.model} {'-'.join(part for part in (variant_name(group_of(record)), dims) if part)}"


def dims_legend(records: Iterable[Record], longest: int) -> dict[str, str]:
    """Return a short name, such as `dims1`, for each list of dimensions that is too long for a column."""
    texts = dict.fromkeys(text for record in records if len(text := dims_text(record.dims) or "") > longest)
    return {text: f"dims{number}" for number, text in enumerate(texts, start=1)}


def dims_lines(short: Mapping[str, str], width: int) -> list[str]:
    """Return what the short names of `dims_legend` stand for."""
    legend = [f"{name}  {text.replace(',', ', ')}" for text, name in short.items()]
    return [
        line
        for text in legend
        for line in textwrap.wrap(text, width, subsequent_indent="       ", break_on_hyphens=False)
    ]
