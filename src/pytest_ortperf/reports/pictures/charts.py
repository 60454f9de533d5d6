"""How many elements have which error.

Where in an output the errors lie.

How errors grow along a graph.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from pytest_ortperf.records.bisection import Bisection, GrowthPoint
from pytest_ortperf.records.pictures import ErrorPicture, Heatmap, Histogram
from pytest_ortperf.reports.pictures.svg import Markup, element, picture, power, text, tip

_SIDE = 320
_LEFT, _TOP = 52, 26
_LEGEND = 96
_SHADES = ("#eef3f8", "#c9dceb", "#94bedb", "#5d9bc7", "#2f74a8", "#f3c6a5", "#e8935f", "#d1562f", "#a02217", "#5f0d12")
"""Five within the tolerance, pale to dark, then five beyond it."""

_NOT_FINITE = "#111111"
_EDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 3.0, 10.0, 100.0, 1e4)
"""Between the shades, in the picture's measure where that is a share of the allowed error."""


def heatmap_svg(shown: ErrorPicture) -> Markup:
    """Return the plane with the worst element, its cell framed."""
    heatmap = shown.heatmap
    edges = _EDGES if "allowed" in shown.measure else _spread(heatmap)
    across, down = len(heatmap.cells[0]), len(heatmap.cells)
    cell = min(_SIDE / across, _SIDE / down, 40.0)
    size = (int(_LEFT + max(cell * across, 120) + 24 + _LEGEND), int(_TOP + max(cell * down, 17 * 11) + 20))
    parts = [*_grid(heatmap, cell, edges), *_frame(heatmap, cell), *_legend(size[0] - _LEGEND, edges)]
    return picture(size, f"Heatmap of {shown.measure} of output {shown.output} at {heatmap.plane}", parts)


def _grid(heatmap: Heatmap, cell: float, edges: tuple[float, ...]) -> Iterator[Markup]:
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


def _frame(heatmap: Heatmap, cell: float) -> Iterator[Markup]:
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


def _legend(left: float, edges: tuple[float, ...]) -> Iterator[Markup]:
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


WIDTH, HEIGHT = 760, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 18, 26, 44


def growth_svg(found: Bisection) -> Markup:
    """Return the error at each cut that was computed over the place of the cut, the suspect marked."""
    known = [point for point in found.points if point.error]
    exponents = [math.log10(point.error) for point in known if point.error]
    low = math.floor(min(exponents, default=-8.0)) - 1
    high = max(math.ceil(max(exponents, default=0.0)), low + 2)
    drawn = _GrowthAxes(found, low, high)
    parts = [*drawn.axes(), *drawn.curve(known), *(mark for point in found.points for mark in drawn.mark(point))]
    parts += drawn.suspect()
    label = f"Error along the graph of {found.case_id}: {len(found.points)} cuts"
    return picture((WIDTH, HEIGHT), label, parts)


class _GrowthAxes:
    def __init__(self, found: Bisection, low: int, high: int) -> None:
        self._found = found
        self._low, self._high = low, high

    def axes(self) -> Iterator[Markup]:
        floor = HEIGHT - _BOTTOM
        yield element("path", d=f"M{_LEFT} {_TOP}V{floor}H{WIDTH - _RIGHT}", class_="axis")
        yield text("largest error / root mean square", 4, 14)
        step = max(1, (self._high - self._low) // 6)
        for exponent in range(self._low + 1, self._high + 1, step):
            y = self._y(float(exponent))
            yield element("path", d=f"M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}", class_="axis", stroke_dasharray="2 4")
            yield text(power(exponent), _LEFT - 6, y + 4, text_anchor="end")
        yield text("none", _LEFT - 6, floor + 4, text_anchor="end")
        for share in range(5):
            position = round((self._found.nodes - 1) * share / 4)
            yield text(str(position), self._x(position), floor + 16, text_anchor="middle")
        yield text("node, in the order of the graph", WIDTH / 2, HEIGHT - 6, text_anchor="middle")

    def curve(self, known: Sequence[GrowthPoint]) -> Iterator[Markup]:
        if len(known) > 1:
            places = " ".join(f"{self._x(it.node.position):.1f},{self._height(it):.1f}" for it in known)
            yield element("polyline", points=places, class_="curve")

    def mark(self, point: GrowthPoint) -> Iterator[Markup]:
        x, y = self._x(point.node.position), self._height(point)
        words = tip(f"{point.node.name} ({point.node.op_type}, node {point.node.position}): {describe(point)}")
        if point.problem is not None:
            yield element("path", words, d=f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10", class_="mark")
        else:
            yield element("circle", words, cx=x, cy=y, r=4.5, class_="good" if point.is_within else "bad")

    def suspect(self) -> Iterator[Markup]:
        suspect = self._found.suspect
        if suspect is None:
            return
        x = self._x(suspect.position)
        yield element("line", x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="limit")
        to_left = suspect.position > self._found.nodes / 2
        anchor, shift = ("end", -6) if to_left else ("start", 6)
        yield text(f"{suspect.name} ({suspect.op_type})", x + shift, _TOP + 4, text_anchor=anchor, class_="ink")

    def _x(self, position: int) -> float:
        return _LEFT + 8 + position / max(self._found.nodes - 1, 1) * (WIDTH - _LEFT - _RIGHT - 16)

    def _height(self, point: GrowthPoint) -> float:
        if point.error:
            return self._y(math.log10(point.error))
        # what could not be computed, or is not finite, stands at the top
        return HEIGHT - _BOTTOM if point.is_within else float(_TOP + 6)

    def _y(self, exponent: float) -> float:
        share = (exponent - self._low) / (self._high - self._low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM - 6)


def describe(point: GrowthPoint) -> str:
    """Return what was found at a cut, for people."""
    if point.problem is not None:
        return point.problem
    if point.tensor is None:
        return "runs"
    error = "not finite" if point.error is None else f"{point.error:.2g}"
    return f"{'good' if point.is_within else 'bad'}, error {error} in '{point.tensor}'"


WIDTH, HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 26, 44
_EXACT_ROOM = 46
"""For the bars of elements without error and of those that are not finite."""


def histogram_svg(shown: ErrorPicture) -> Markup:
    """Return the histogram of one output's errors, the tolerance drawn where the measure has one."""
    drawn = _HistogramAxes(shown.histogram)
    label = (
        f"Histogram of {shown.measure} of output {shown.output}: {shown.outside} of {shown.elements} elements outside"
    )
    has_limit = "allowed" in shown.measure
    parts = [*drawn.axes(shown.measure), *drawn.bars(limit=0.0 if has_limit else None)]
    if has_limit:
        parts += drawn.limit()
    return picture((WIDTH, HEIGHT), label, parts)


class _HistogramAxes:
    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._inner = WIDTH - _LEFT - _RIGHT - 2 * _EXACT_ROOM
        self._step = self._inner / len(histogram.counts)
        self._most = max(*histogram.counts, histogram.exact, histogram.not_finite, 1)

    def bars(self, limit: float | None) -> Iterator[Markup]:
        histogram = self._histogram
        yield from self._bar(_LEFT + 6, "good", histogram.exact, "no error", _EXACT_ROOM - 16)
        for number, count in enumerate(histogram.counts):
            low = histogram.low + number * histogram.step
            outside = limit is None or low >= limit
            between = f"{power(low)} to {power(low + histogram.step)}"
            yield from self._bar(self._x(low) + 0.5, "bad" if outside else "good", count, between, self._step - 1)
        right = WIDTH - _RIGHT - _EXACT_ROOM + 8
        yield from self._bar(right, "bad", histogram.not_finite, "not finite", _EXACT_ROOM - 16)

    def axes(self, measure: str) -> Iterator[Markup]:
        floor = HEIGHT - _BOTTOM
        yield element("path", d=f"M{_LEFT} {_TOP}V{floor}H{WIDTH - _RIGHT}", class_="axis")
        yield text("elements", 4, 16)
        yield text(str(self._most), _LEFT - 6, _TOP + 5, text_anchor="end")
        yield text("0", _LEFT - 6, floor + 4, text_anchor="end")
        yield text("exact", _LEFT + 21, floor + 16, text_anchor="middle")
        yield text("not finite", WIDTH - _RIGHT - 24, floor + 16, text_anchor="middle")
        last = self._histogram.low + self._histogram.step * len(self._histogram.counts)
        exponent = self._histogram.low + 2  # the first one would stand on the bar of the exact ones
        while exponent <= last - 2:
            yield text(power(exponent), self._x(exponent), floor + 16, text_anchor="middle")
            exponent += 2
        yield text(measure, WIDTH / 2, HEIGHT - 6, text_anchor="middle")

    def limit(self) -> list[Markup]:
        x = self._x(0.0)
        line = element("line", x1=x, x2=x, y1=_TOP - 4, y2=HEIGHT - _BOTTOM, class_="limit")
        return [line, text("tolerance", x, _TOP - 8, text_anchor="middle")]

    def _bar(self, x: float, colour: str, count: int, what: str, width: float) -> Iterator[Markup]:
        if count:
            # one element among millions still shows
            height = max(2.0, count / self._most * (HEIGHT - _TOP - _BOTTOM))
            inside = tip(f"{what}: {count}")
            yield element("rect", inside, x=x, y=HEIGHT - _BOTTOM - height, width=width, height=height, class_=colour)

    def _x(self, exponent: float) -> float:
        return _LEFT + _EXACT_ROOM + (exponent - self._histogram.low) / self._histogram.step * self._step
