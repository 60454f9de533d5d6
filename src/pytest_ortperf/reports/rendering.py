"""Pages made from the templates beside this module: whatever is put into one can be seen, and is escaped.

Markup goes in as it is.

Imports jinja2; import this only where a page is written.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters but tab and line feed, characters that hide or turn round text, and half characters."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, folder: Path = _TEMPLATES, /, **values: object) -> Markup:
    """Return a page or a part of one.

    Args:
        template: Name of its file.
        folder: Where it is; what it extends or includes may be beside this module too.
        **values: What the template names.
    """
    page = _templates(folder).get_template(template).render(values)
    return Markup(page)  # noqa: S704 - escaped by the environment


@functools.cache
def _templates(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


def _seen(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def visible(text: str) -> str:
    """Return a text in which every character can be seen: a hidden one becomes its escape, a colour is dropped."""
    if text.isprintable():
        return text
    return _HIDDEN.sub(_escape, _COLOURS.sub("", text.replace("\r\n", "\n")))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - what two digits hold
