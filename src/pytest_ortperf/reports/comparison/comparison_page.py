"""A comparison as HTML: a section of the page of a run, or a page without scripts that needs no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from pytest_ortperf.reports.comparison.change import BETTER, WORSE
from pytest_ortperf.reports.comparison.comparison_text import (
    TITLES,
    fleet_text,
    ratio_notes,
    ratio_title,
    side_text,
    sorted_pairs,
    threshold_notes,
    verdict_of,
)
from pytest_ortperf.reports.comparison.explain import Explanation, Overlay, explanation_lines
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import Comparison, health_notes, interval_text
from pytest_ortperf.reports.comparison.verdicts import SAME, VERDICTS
from pytest_ortperf.reports.comparison.ways_out import ways_out
from pytest_ortperf.reports.frame import frame
from pytest_ortperf.reports.pictures.svg import Markup, element, picture, text, tip
from pytest_ortperf.reports.rendering import render

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 36
_SIDES = ("base", "current")
_CLASSES = {WORSE: "slower", BETTER: "faster"}


def section(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> Markup:
    """Return a `<section>` for a page of this package, which brings the styles."""
    pairs = sorted_pairs(comparison.pairs, everything=True)
    return render(
        "comparison_section.html",
        comparison=comparison,
        chart=ratios_svg(pairs) if any(pair.evidence.is_known for pair in pairs) else None,
        changed=[pair for pair in pairs if pair.decision.verdict != SAME],
        same=[pair for pair in pairs if pair.decision.verdict == SAME],
        counts=[(verdict, comparison.counts[verdict]) for verdict in VERDICTS],
        topics=[(title, comparison.of_topic(topic)) for topic, title in TITLES.items()],
        classes=_CLASSES,
        explanations=explanations,
        explanation_lines=explanation_lines,
        fleet_text=fleet_text,
        health_notes=health_notes,
        interval_text=interval_text,
        overlay_svg=overlay_svg,
        ratio_notes=ratio_notes,
        ratio_title=ratio_title,
        side_text=side_text,
        threshold_notes=threshold_notes,
        verdict_of=verdict_of,
        ways_out=ways_out,
    )


def page(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> Markup:
    """Return a whole page with that section."""
    title = f"{comparison.base.name} and {comparison.current.name}"
    section_text = section(comparison, explanations)
    return render("comparison_page.html", title=title, frame=frame(), section=section_text)


_MOST_RATIOS = 60
_ROW, _NAMES, _WIDE = 20, 330, 960


def ratios_svg(pairs: Sequence[LatencyPair]) -> Markup:
    """Return ratio and interval of each pair on a logarithmic axis, those first that the verdicts put first."""
    drawn = [pair for pair in pairs if pair.evidence.is_known][:_MOST_RATIOS]
    ends = [end for pair in drawn for end in (*pair.evidence.interval, pair.evidence.ratio) if 0 < end < math.inf]
    reach = min(max(0.06, *(abs(math.log(end)) for end in ends)), math.log(_FARTHEST)) * 1.05
    height = _ROW * len(drawn) + 46
    parts = [*_ratio_axis(reach, height)]
    for number, pair in enumerate(drawn):
        parts += _ratio_row(pair, 34 + _ROW * number, reach)
    return picture((_WIDE, height), "Ratio current / base of each case, with its 90 % interval", parts)


_LABEL = 40
"""Width of a label of the axis."""

_FARTHEST = 20.0
"""Ratio at which the axis ends."""


def _at(ratio: float, reach: float) -> float:
    inside = min(max(math.log(max(ratio, 1e-9)), -reach), reach)
    return _NAMES + 20 + (inside + reach) / (2 * reach) * (_WIDE - _NAMES - 50)


def _ratio_axis(reach: float, height: int) -> Iterator[Markup]:
    candidates = (
        0.05,
        0.1,
        0.2,
        0.5,
        0.67,
        0.8,
        0.9,
        0.95,
        0.98,
        1.0,
        1.02,
        1.05,
        1.1,
        1.25,
        1.5,
        2.0,
        5.0,
        10.0,
        20.0,
    )
    last = -math.inf
    for ratio in candidates:
        x = _at(ratio, reach)
        crowded = ratio != 1 and (x - last < _LABEL or abs(x - _at(1, reach)) < _LABEL)
        if abs(math.log(ratio)) > reach or crowded:
            continue
        last = x
        yield element("path", d=f"M{x:.1f} 24V{height - 8}", class_="curve" if ratio == 1 else "axis")
        yield text(f"{ratio:g}", x, 16, text_anchor="middle")
    yield text("ratio current / base", _NAMES, 16, text_anchor="end")


def _ratio_row(pair: LatencyPair, y: int, reach: float) -> Iterator[Markup]:
    name = pair.case_id if len(pair.case_id) <= _LONGEST else f"{pair.case_id[:24]}…{pair.case_id[-21:]}"
    kind = pair.decision.verdict.lower()
    low, high = pair.evidence.interval
    words = tip(
        f"{pair.case_id}, {pair.timing}: {pair.decision.verdict}, {pair.evidence.ratio:.3f} ({interval_text(pair)})"
    )
    yield text(name, _NAMES, y + 4, text_anchor="end", class_="ink")
    yield element("path", d=f"M{_at(low, reach):.1f} {y}H{_at(high, reach):.1f}", class_=kind, stroke_width=2)
    yield element("circle", words, cx=f"{_at(pair.evidence.ratio, reach):.1f}", cy=y, r=4.5, class_=kind)


_LONGEST = 46


def overlay_svg(overlay: Overlay) -> Markup:
    """Return both distributions over each other, as an SVG that needs no script."""
    most = max(*overlay.base, *overlay.current)
    bins = len(overlay.base)
    parts = []
    for name, shares in zip(_SIDES, (overlay.base, overlay.current), strict=True):
        parts.append(element("path", tip(name), d=_outline(shares, overlay, most), class_=name))
    for number in range(0, bins + 1, max(1, bins // 4)):
        words = f"{overlay.edges_ms[number]:.4g} ms"
        parts.append(text(words, _x(number, overlay), _HEIGHT - 6, text_anchor="middle"))
    for number, name in enumerate(_SIDES):
        parts.append(text(name, _WIDTH - _MARGIN, 14 + 15 * number, text_anchor="end", class_=name))
    label = f"samples of {overlay.timing}: base {overlay.base_count}, current {overlay.current_count}"
    return picture((_WIDTH, _HEIGHT), label, parts)


def _x(number: int, overlay: Overlay) -> float:
    return _MARGIN + (_WIDTH - 2 * _MARGIN) * number / len(overlay.base)


def _outline(shares: Sequence[float], overlay: Overlay, most: float) -> str:
    floor = _HEIGHT - _MARGIN
    steps = []
    for number, share in enumerate(shares):
        y = floor - (floor - _MARGIN) * share / most
        steps.append(f"L{_x(number, overlay):.1f},{y:.1f} L{_x(number + 1, overlay):.1f},{y:.1f}")
    return f"M{_x(0, overlay):.1f},{floor} {' '.join(steps)} L{_x(len(shares), overlay):.1f},{floor} Z"
