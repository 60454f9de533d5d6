"""A comparison as HTML: a section for other pages, or a page of its own without scripts and without other files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
from pytest_ortperf.reports.comparison.run_comparison import Comparison, health_notes, interval_text, verdict_text
from pytest_ortperf.reports.comparison.ways_out import ways_out
from pytest_ortperf.reports.pictures.svg import Markup, element, picture, text, tip
from pytest_ortperf.reports.rendering import render

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 36
_COLOURS = {"base": "#4878a8", "current": "#d9803a"}


def section(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> Markup:
    """Return a `<section>` that stands by itself; its styles are under its own class."""
    return render(
        "comparison_section.html",
        comparison=comparison,
        pairs=sorted_pairs(comparison.pairs, everything=True),
        topics=[(title, comparison.of_topic(topic)) for topic, title in TITLES.items()],
        classes={WORSE: "slower", BETTER: "faster"},
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
        verdict_text=verdict_text,
    )


def page(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> Markup:
    """Return a whole page with that section."""
    title = f"{comparison.base.name} and {comparison.current.name}"
    return render("comparison_page.html", title=title, section=section(comparison, explanations))


def overlay_svg(overlay: Overlay) -> Markup:
    """Return both distributions over each other, as an SVG that needs no script."""
    most = max(*overlay.base, *overlay.current)
    bins = len(overlay.base)
    parts = []
    for name, shares in (("base", overlay.base), ("current", overlay.current)):
        outline, colour = _outline(shares, overlay, most), _COLOURS[name]
        parts.append(
            element("path", tip(name), d=outline, fill=colour, fill_opacity=0.35, stroke=colour, stroke_width=1.5)
        )
    for number in range(0, bins + 1, max(1, bins // 4)):
        words = f"{overlay.edges_ms[number]:.4g} ms"
        parts.append(text(words, _x(number, overlay), _HEIGHT - 6, font_size=11, text_anchor="middle"))
    for number, (name, colour) in enumerate(_COLOURS.items()):
        parts.append(text(name, _WIDTH - _MARGIN, 14 + 15 * number, font_size=12, text_anchor="end", fill=colour))
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
