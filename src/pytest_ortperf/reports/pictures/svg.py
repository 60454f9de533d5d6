"""Scalable vector graphics as text: elements, axes and colours, with all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

STYLE = """\
.ortperf{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);--ink:#1d2430;--paper:#fff;
--faint:#5d6778;--line:#d5dae2;--good:#2a6f97;--bad:#b3261e;--box:#f4f6f9}
@media (prefers-color-scheme:dark){.ortperf{--ink:#e4e8ef;--paper:#14181f;--faint:#9aa5b6;--line:#39424f;
--good:#6cb6e0;--bad:#ff8a7d;--box:#1d232d}}
.ortperf svg{display:block;max-width:100%;height:auto}
.ortperf svg text{font:12px system-ui,sans-serif;fill:var(--faint)}
.ortperf svg text.ink{fill:var(--ink)}
.ortperf .axis{stroke:var(--line);stroke-width:1;fill:none}
.ortperf .good{fill:var(--good)}.ortperf .bad{fill:var(--bad)}
.ortperf .curve{stroke:var(--faint);stroke-width:1.2;fill:none}
.ortperf .limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:4 3}
.ortperf .mark{stroke:var(--ink);stroke-width:1.5;fill:none}
"""
"""Of every fragment; a page has it once."""


def element(tag: str, content: str = "", **attributes: object) -> str:
    """Return an element; `_` in names of attributes stands for `-`, a trailing one for nothing.

    Args:
        tag: Its name.
        content: Markup, already escaped.
        **attributes: Their values as text; numbers with at most two decimals.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def text(words: str, x: float, y: float, **attributes: object) -> str:
    """Return a text at a place."""
    return element("text", escape(words), x=x, y=y, **attributes)


def tip(words: str) -> str:
    """Return what a browser shows where the pointer rests."""
    return element("title", escape(words))


def picture(size: tuple[int, int], label: str, parts: Iterable[str]) -> str:
    """Return the whole drawing.

    Args:
        size: Width and height.
        label: Says what it shows, to those who do not see it.
        parts: Elements.
    """
    width, height = size
    return element(
        "svg",
        tip(label) + "".join(parts),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def table(titles: Iterable[str], rows: Iterable[Iterable[str]], marked: Mapping[int, str] | None = None) -> str:
    """Return an HTML table of texts; rows may have a class."""
    head = "".join(element("th", escape(title) or "&nbsp;") for title in titles)
    body = [
        element(
            "tr",
            "".join(element("td", escape(cell) or "&nbsp;") for cell in row),
            **({"class_": marked[number]} if marked and number in marked else {}),
        )
        for number, row in enumerate(rows)
    ]
    return element("table", element("thead", element("tr", head)) + element("tbody", "".join(body)))


def power(exponent: float) -> str:
    """Return a power of ten as people read it: `1e-06`, `100`."""
    return f"{10.0**exponent:g}"


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
