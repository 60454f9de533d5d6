"""A comparison as HTML: a section for other pages, or a page of its own without scripts and without other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from pytest_ortperf.reports.comparison.change import BETTER, WORSE, Change
from pytest_ortperf.reports.comparison.comparison_text import TITLES, fleet_text, side_text, sorted_pairs
from pytest_ortperf.reports.comparison.explain import Explanation, Overlay, explanation_lines
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import Comparison, health_notes, interval_text, verdict_text

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 36
_COLOURS = {"base": "#4878a8", "current": "#d9803a"}
_CLASSES = {WORSE: "slower", BETTER: "faster"}

STYLE = """\
.ortperf-comparison { font-family: system-ui, sans-serif; color: #222; background: #fff; }
.ortperf-comparison table { border-collapse: collapse; }
.ortperf-comparison :is(th, td) { padding: 0.2em 0.7em; border-bottom: 1px solid #ddd; text-align: left; }
.ortperf-comparison td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.ortperf-comparison .slower { color: #a01818; font-weight: 600; }
.ortperf-comparison .faster { color: #16602c; font-weight: 600; }
.ortperf-comparison .unsure { color: #7a5a00; }
.ortperf-comparison pre { overflow-x: auto; }
"""


def section(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> str:
    """Return a `<section>` that stands by itself; its styles are under its own class."""
    parts = [
        f"<h2>{escape(verdict_text(comparison))}</h2>",
        f"<p>Base: {escape(side_text(comparison.base))}<br>Current: {escape(side_text(comparison.current))}</p>",
        *(f"<p>{escape(fleet_text(fleet))}</p>" for fleet in comparison.fleets),
        _pairs(sorted_pairs(comparison.pairs, everything=True)),
        *(_changes(title, comparison.of_topic(topic)) for topic, title in TITLES.items()),
        *(f"<p>{escape(note)}</p>" for note in health_notes(comparison)),
        _differences(comparison),
        *(_explained(comparison, each) for each in explanations),
    ]
    body = "\n".join(part for part in parts if part)
    return f'<section class="ortperf-comparison">\n<style>\n{STYLE}</style>\n{body}\n</section>\n'


def page(comparison: Comparison, explanations: Iterable[Explanation] = ()) -> str:
    """Return a whole page with that section."""
    title = escape(f"{comparison.base.name} and {comparison.current.name}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n</head>\n<body>\n{section(comparison, explanations)}</body>\n</html>\n"
    )


def overlay_svg(overlay: Overlay) -> str:
    """Return both distributions over each other, as an SVG that needs no script."""
    most = max(*overlay.base, *overlay.current)
    title = f"samples of {overlay.timing}: base {overlay.base_count}, current {overlay.current_count}"
    labels = "".join(
        f'<text x="{_x(number, overlay):.1f}" y="{_HEIGHT - 6}" font-size="11" text-anchor="middle">'
        f"{overlay.edges_ms[number]:.4g} ms</text>"
        for number in _marks(overlay)
    )
    areas = "".join(
        f'<path d="{_outline(shares, overlay, most)}" fill="{_COLOURS[name]}" fill-opacity="0.35" '
        f'stroke="{_COLOURS[name]}" stroke-width="1.5"><title>{name}</title></path>'
        for name, shares in (("base", overlay.base), ("current", overlay.current))
    )
    legend = "".join(
        f'<text x="{_WIDTH - _MARGIN}" y="{14 + 15 * number}" font-size="12" text-anchor="end" '
        f'fill="{colour}">{name}</text>'
        for number, (name, colour) in enumerate(_COLOURS.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img"><title>{escape(title)}</title>{areas}{labels}{legend}</svg>'
    )


def _x(number: int, overlay: Overlay) -> float:
    return _MARGIN + (_WIDTH - 2 * _MARGIN) * number / len(overlay.base)


def _marks(overlay: Overlay) -> Sequence[int]:
    bins = len(overlay.base)
    return range(0, bins + 1, max(1, bins // 4))


def _outline(shares: Sequence[float], overlay: Overlay, most: float) -> str:
    floor = _HEIGHT - _MARGIN
    steps = []
    for number, share in enumerate(shares):
        y = floor - (floor - _MARGIN) * share / most
        steps.append(f"L{_x(number, overlay):.1f},{y:.1f} L{_x(number + 1, overlay):.1f},{y:.1f}")
    return f"M{_x(0, overlay):.1f},{floor} {' '.join(steps)} L{_x(len(shares), overlay):.1f},{floor} Z"


def _pairs(pairs: Sequence[LatencyPair]) -> str:
    if not pairs:
        return ""
    titles = ("case", "timing", "base ms", "current ms", "ratio", "90 % interval", "delta %", "verdict", "why")
    head = "".join(f"<th>{title}</th>" for title in titles)
    return f"<table>\n<tr>{head}</tr>\n{''.join(map(_pair, pairs))}</table>"


def _pair(pair: LatencyPair) -> str:
    numbers = (
        f"{pair.base_ns / 1e6:.4g}",
        f"{pair.current_ns / 1e6:.4g}",
        f"{pair.evidence.ratio:.3f}",
        interval_text(pair),
        f"{100 * pair.decision.delta:.3g}",
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    verdict = pair.decision.verdict
    why = escape("; ".join(pair.decision.reasons))
    return (
        f"<tr><td>{escape(pair.case_id)}</td><td>{escape(pair.timing)}</td>{cells}"
        f'<td class="{verdict.lower()}">{verdict}</td><td>{why}</td></tr>\n'
    )


def _changes(title: str, changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    return f"<h3>{title}</h3>\n<ul>\n{''.join(_items(changes))}</ul>"


def _items(changes: Sequence[Change]) -> Iterator[str]:
    for each in changes:
        kind = f'<span class="{_CLASSES.get(each.direction, "unsure")}">{escape(each.kind)}</span>'
        yield f"<li>{kind} {escape(each.case_id)}: {escape(each.text)}</li>\n"


def _differences(comparison: Comparison) -> str:
    if not comparison.differences:
        return ""
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{escape(each.base)}</td><td>{escape(each.current)}</td></tr>\n"
        for each in comparison.differences
    )
    return f"<h3>environments</h3>\n<table>\n<tr><th></th><th>base</th><th>current</th></tr>\n{rows}</table>"


def _explained(comparison: Comparison, explanation: Explanation) -> str:
    pictures = "\n".join(f"<p>{overlay_svg(each)}</p>" for each in explanation.overlays)
    text = escape("\n".join(explanation_lines(comparison, explanation)))
    return f"<h3>{escape(explanation.case_id)}</h3>\n{pictures}\n<pre>{text}</pre>"
