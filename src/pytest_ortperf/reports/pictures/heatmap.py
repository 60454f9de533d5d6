"""Where in an output the errors lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from pytest_ortperf.records.pictures import ErrorPicture, Heatmap
from pytest_ortperf.reports.pictures.svg import element, picture, text, tip

_SIDE = 320
_LEFT, _TOP = 52, 26
_LEGEND = 96
_SHADES = ("#eef3f8", "#c9dceb", "#94bedb", "#5d9bc7", "#2f74a8", "#f3c6a5", "#e8935f", "#d1562f", "#a02217", "#5f0d12")
"""Five within the tolerance, pale to dark, then five beyond it."""

_NOT_FINITE = "#111111"
_EDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 3.0, 10.0, 100.0, 1e4)
"""Between the shades, in the picture's measure where that is a share of the allowed error."""


def heatmap_svg(shown: ErrorPicture) -> str:
    """Return the plane with the worst element, its cell framed."""
    heatmap = shown.heatmap
    edges = _EDGES if "allowed" in shown.measure else _spread(heatmap)
    across, down = len(heatmap.cells[0]), len(heatmap.cells)
    cell = min(_SIDE / across, _SIDE / down, 40.0)
    size = (int(_LEFT + max(cell * across, 120) + 24 + _LEGEND), int(_TOP + max(cell * down, 17 * 11) + 20))
    parts = [*_grid(heatmap, cell, edges), *_frame(heatmap, cell), *_legend(size[0] - _LEGEND, edges)]
    return picture(size, f"Heatmap of {shown.measure} of output {shown.output} at {heatmap.plane}", parts)


def _grid(heatmap: Heatmap, cell: float, edges: tuple[float, ...]) -> Iterator[str]:
    """Yield a path for each shade; an element for each cell would make a page large."""
    outlines: dict[str, list[str]] = {}
    for row, line in enumerate(heatmap.cells):
        column = 0
        for shade, same in itertools.groupby(_shade(value, edges) for value in line):
            count = len(list(same))
            width = f"{count * cell:g}"
            start = f"M{_LEFT + column * cell:g} {_TOP + row * cell:g}"
            outlines.setdefault(shade, []).append(f"{start}h{width}v{cell:g}h-{width}z")
            column += count
    words = dict(_meanings(edges))
    for shade, outline in outlines.items():
        yield element("path", tip(words[shade]), d="".join(outline), fill=shade)


def _frame(heatmap: Heatmap, cell: float) -> Iterator[str]:
    down, across = len(heatmap.cells), len(heatmap.cells[0])
    row, column = heatmap.worst_cell
    yield element("rect", x=_LEFT, y=_TOP, width=cell * across, height=cell * down, class_="axis")
    spot = {"x": _LEFT + column * cell, "y": _TOP + row * cell, "width": cell, "height": cell}
    yield element("rect", tip("the worst element"), class_="mark", **spot)
    yield text(heatmap.plane, _LEFT, _TOP - 9, class_="ink")
    yield text("0", _LEFT - 6, _TOP + 11, text_anchor="end")
    yield text(str(heatmap.rows - 1), _LEFT - 6, _TOP + cell * down, text_anchor="end")
    yield text("0", _LEFT, _TOP + cell * down + 15)
    yield text(str(heatmap.columns - 1), _LEFT + cell * across, _TOP + cell * down + 15, text_anchor="end")


def _legend(left: float, edges: tuple[float, ...]) -> Iterator[str]:
    for number, (shade, words) in enumerate(_meanings(edges)):
        y = _TOP + number * 17
        yield element("rect", x=left, y=y, width=16, height=16, fill=shade)
        yield text(words, left + 22, y + 12)


def _meanings(edges: tuple[float, ...]) -> list[tuple[str, str]]:
    words = [f"to {edges[0]:g}", *(f"> {edge:g}" for edge in edges), "not finite"]
    return list(zip((*_SHADES, _NOT_FINITE), words, strict=True))


def _shade(value: float | None, edges: tuple[float, ...]) -> str:
    if value is None:
        return _NOT_FINITE
    return _SHADES[sum(value > edge for edge in edges)]


def _spread(heatmap: Heatmap) -> tuple[float, ...]:
    """Return edges that divide the range of what there is, where nothing is allowed."""
    largest = max((value for line in heatmap.cells for value in line if value), default=1.0)
    top = math.ceil(math.log10(largest))
    return tuple(10.0 ** (top - len(_EDGES) + number) for number in range(len(_EDGES)))
