"""Scalable vector graphics as markup: elements and texts; whatever is no markup already is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from pytest_ortperf.plain_text import plain

__all__ = ["Markup", "element", "picture", "power", "text", "tip"]


def element(tag: str, *content: str, **attributes: object) -> Markup:
    """Return an element; `_` in names of attributes stands for `-`, a trailing one for nothing.

    Args:
        tag: Its name.
        *content: Elements and texts.
        **attributes: Their values as text; numbers with at most two decimals.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(plain(_text(value)))}"' for name, value in attributes.items()
    )
    inside = "".join(each if isinstance(each, Markup) else escape(plain(each)) for each in content)
    return Markup(f"<{tag}{written}>{inside}</{tag}>")  # noqa: S704 - content and values are escaped just above


def text(words: str, x: float, y: float, **attributes: object) -> Markup:
    """Return a text at a place."""
    return element("text", words, x=x, y=y, **attributes)


def tip(words: str) -> Markup:
    """Return what a browser shows where the pointer rests."""
    return element("title", words)


def picture(size: tuple[int, int], label: str, parts: Iterable[Markup]) -> Markup:
    """Return the whole drawing.

    Args:
        size: Width and height.
        label: Says what it shows, to those who do not see it.
        parts: Elements.
    """
    width, height = size
    return element(
        "svg",
        tip(label),
        *parts,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def power(exponent: float) -> str:
    """Return a power of ten as people read it: `1e-06`, `100`."""
    return f"{10.0**exponent:g}"


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
