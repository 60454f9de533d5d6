"""Pages made from the templates beside this module: whatever is put into one can be seen, and is escaped.

Markup goes in as it is.

Imports jinja2; import this only where a page is written.
"""

from __future__ import annotations

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pytest_ortperf.plain_text import plain

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
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
