"""How many elements have which error."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ortperf.records.pictures import ErrorPicture, Histogram
from pytest_ortperf.reports.pictures.svg import element, picture, power, text, tip

WIDTH, HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 26, 44
_EXACT_ROOM = 46
"""For the bars of elements without error and of those that are not finite."""


def histogram_svg(shown: ErrorPicture) -> str:
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

    def bars(self, limit: float | None) -> Iterator[str]:
        histogram = self._histogram
        yield from self._bar(_LEFT + 6, "good", histogram.exact, "no error", _EXACT_ROOM - 16)
        for number, count in enumerate(histogram.counts):
            low = histogram.low + number * histogram.step
            outside = limit is None or low >= limit
            between = f"{power(low)} to {power(low + histogram.step)}"
            yield from self._bar(self._x(low) + 0.5, "bad" if outside else "good", count, between, self._step - 1)
        right = WIDTH - _RIGHT - _EXACT_ROOM + 8
        yield from self._bar(right, "bad", histogram.not_finite, "not finite", _EXACT_ROOM - 16)

    def axes(self, measure: str) -> Iterator[str]:
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

    def limit(self) -> list[str]:
        x = self._x(0.0)
        line = element("line", x1=x, x2=x, y1=_TOP - 4, y2=HEIGHT - _BOTTOM, class_="limit")
        return [line, text("tolerance", x, _TOP - 8, text_anchor="middle")]

    def _bar(self, x: float, colour: str, count: int, what: str, width: float) -> Iterator[str]:
        if count:
            # one element among millions still shows
            height = max(2.0, count / self._most * (HEIGHT - _TOP - _BOTTOM))
            inside = tip(f"{what}: {count}")
            yield element("rect", inside, x=x, y=HEIGHT - _BOTTOM - height, width=width, height=height, class_=colour)

    def _x(self, exponent: float) -> float:
        return _LEFT + _EXACT_ROOM + (exponent - self._histogram.low) / self._histogram.step * self._step
