"""How errors grow along a graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_ortperf.records.bisection import Bisection, GrowthPoint
from pytest_ortperf.reports.pictures.svg import element, picture, power, text, tip

WIDTH, HEIGHT = 760, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 18, 26, 44


def growth_svg(found: Bisection) -> str:
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

    def axes(self) -> Iterator[str]:
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

    def curve(self, known: Sequence[GrowthPoint]) -> Iterator[str]:
        if len(known) > 1:
            places = " ".join(f"{self._x(it.node.position):.1f},{self._height(it):.1f}" for it in known)
            yield element("polyline", points=places, class_="curve")

    def mark(self, point: GrowthPoint) -> Iterator[str]:
        x, y = self._x(point.node.position), self._height(point)
        words = tip(f"{point.node.name} ({point.node.op_type}, node {point.node.position}): {describe(point)}")
        if point.problem is not None:
            yield element("path", words, d=f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10", class_="mark")
        else:
            yield element("circle", words, cx=x, cy=y, r=4.5, class_="good" if point.is_within else "bad")

    def suspect(self) -> Iterator[str]:
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
