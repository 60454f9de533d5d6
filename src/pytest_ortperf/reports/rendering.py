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


def render(template: str, **values: object) -> Markup:
    """Return a page or a part of one.

    Args:
        template: Name of its file.
        **values: What the template names.
    """
    return Markup(_templates().get_template(template).render(values))  # noqa: S704 - escaped by the environment


@functools.cache
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(
        loader=loader,
        autoescape=True,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


def _seen(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
