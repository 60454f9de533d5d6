"""Text in columns that fits a width: numbers are kept whole, the first column gives way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GAP = "  "
_SHORTEST = 16
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """One column, already text; the first of a table is the one to be shortened."""

    title: str
    cells: Sequence[str]
    to_left: bool = False
    keep: int = 0
    """Where the table is too wide, the column with the lowest goes first; 0 never goes."""

    @property
    def width(self) -> int:
        """The widest cell or the title."""
        return max(map(len, (self.title, *self.cells)))


def table_lines(columns: Sequence[TextColumn], width: int) -> list[str]:
    """Return title line and rows.

    Columns with `keep` go, lowest first, until the first column has the room it needs, or 16 characters; then
    its cells are shortened in the middle, and stay different. A line is longer than `width` only if even that is not
    enough.
    """
    left = list(columns)
    need = min(left[0].width, _SHORTEST)
    while _room(left, width) < need and any(column.keep for column in left):
        left.remove(min((column for column in left if column.keep), key=lambda column: column.keep))
    size = min(left[0].width, max(need, _room(left, width)))
    first = TextColumn(title=left[0].title, cells=shortened(left[0].cells, size), to_left=True)
    rows = zip(*(_aligned(column) for column in (first, *left[1:])), strict=True)
    return [GAP.join(row).rstrip() for row in rows]


def shorten(text: str, width: int) -> str:
    """Return the text, with `...` in its middle if it is longer than `width`."""
    if len(text) <= width:
        return text
    head = (width - 3 + 1) // 2
    tail = width - 3 - head
    return f"{text[:head]}...{text[len(text) - tail :]}"


def shortened(texts: Sequence[str], width: int) -> list[str]:
    """Return the texts, those longer than `width` with `...` in them; different texts stay different.

    Where the middle is what tells some of them apart, they are cut at another place, all at the same one. Where no
    place will do, they get a number: `resnet50-opset...~2`.
    """
    groups: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        groups.setdefault(shorten(text, width), []).append(text)
    found = {group[0]: short for short, group in groups.items() if len(group) == 1}
    for group in groups.values():
        if len(group) > 1:
            taken = set(found.values())
            found |= next(found for found in _told_apart(group, width) if not taken.intersection(found.values()))
    return [found[text] for text in texts]


def short_names(names: Sequence[str], most: int) -> str:
    """Return `a, b and 7 more`, long names shortened; all of them if that is only one more than `most`."""
    short = shortened(names, _LONGEST_NAME)
    if len(short) <= most + 1:
        return ", ".join(short)
    return f"{', '.join(short[:most])} and {len(short) - most} more"


def _told_apart(texts: Sequence[str], width: int) -> Iterator[dict[str, str]]:
    """Yield ways to shorten texts that all differ, the one most like `shorten` first."""
    middle = width // 2 - 1
    first, last = min(texts), max(texts)
    common = next((place for place, letter in enumerate(first) if letter != last[place]), len(first))
    for head in sorted(range(width // 4, width - width // 4), key=lambda head: abs(head - middle)):
        tail = width - 3 - head
        yield from _if_different({text: f"{text[:head]}...{text[len(text) - tail :]}" for text in texts})
    start = max(common - 1, 0)
    for head in sorted(range(1, width - 7), key=lambda head: abs(head - middle)):
        size = width - 6 - head
        parts = {text: f"{text[:head]}...{text[start : start + size]}..." for text in texts}
        yield from _if_different(parts)
    number = 0
    while True:
        number += 1
        marks = {text: f"...~{place}" for place, text in enumerate(texts, start=number)}
        yield {text: f"{text[: max(width - len(mark), 1)]}{mark}" for text, mark in marks.items()}


def _if_different(found: dict[str, str]) -> Iterator[dict[str, str]]:
    if len(set(found.values())) == len(found):
        yield found


def cut(text: str, width: int) -> str:
    """Return the first line of a text, with `...` at its end if it goes on or is longer than `width`."""
    line, *more = text.strip().splitlines() or [""]
    if len(line) <= width and not any(rest.strip() for rest in more):
        return line
    return f"{line[: max(width - 3, 1)].rstrip()}..." if len(line) > width - 3 else f"{line}..."


def _room(columns: Sequence[TextColumn], width: int) -> int:
    """Return what is left for the first column."""
    return width - sum(column.width + len(GAP) for column in columns[1:])


def _aligned(column: TextColumn) -> list[str]:
    align = str.ljust if column.to_left else str.rjust
    return [align(text, column.width) for text in (column.title, *column.cells)]
