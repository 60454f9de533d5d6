"""Text in columns that fits a width: numbers are kept whole, the first column gives way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
_SHORTEST = 16


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
    its cells are shortened in the middle, but never so that two become the same. A line is longer than `width` only if
    even that is not enough.
    """
    left = list(columns)
    need = _least(left[0])
    while _room(left, width) < need and any(column.keep for column in left):
        left.remove(min((column for column in left if column.keep), key=lambda column: column.keep))
    size = min(left[0].width, max(need, _room(left, width)))
    first = TextColumn(title=left[0].title, cells=_shortened(left[0].cells, size) or left[0].cells, to_left=True)
    rows = zip(*(_aligned(column) for column in (first, *left[1:])), strict=True)
    return [GAP.join(row).rstrip() for row in rows]


def shorten(text: str, width: int, later: int = 0) -> str:
    """Return the text, with `...` in its middle if it is longer than `width`; `later` moves them to the right."""
    if len(text) <= width:
        return text
    head = (width - 3 + 1) // 2 + later
    tail = width - 3 - head
    return f"{text[:head]}...{text[len(text) - tail :]}"


def _least(column: TextColumn) -> int:
    """Return the least width at which cells that differ still do."""
    return next(
        (size for size in range(min(column.width, _SHORTEST), column.width) if _shortened(column.cells, size)),
        column.width,
    )


def _shortened(cells: Sequence[str], width: int) -> list[str] | None:
    """Return the cells, shortened where that keeps them apart, as near to their middle as possible; else `None`."""
    most = (width - 3) // 2
    for later in sorted(range(-most, most + 1), key=abs):
        short = [shorten(cell, width, later) for cell in cells]
        if len(set(short)) == len(set(cells)):
            return short
    return None


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
