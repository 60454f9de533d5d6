"""What every page has around its content: style, script, and a policy that lets it load and send nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

STYLES = ("page.css",)
RUN_STYLES = (*STYLES, "run.css")
RUN_SCRIPTS = ("dom.js", "theme.js", "data.js", "address.js", "state.js", "views.js", "detail.js", "main.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """For the template `page.html`."""

    style: Markup
    script: Markup | None
    policy: str


@functools.cache
def frame(styles: Sequence[str] = STYLES, scripts: Sequence[str] = ()) -> Frame:
    """Return the frame of a page with these files of the folder `assets`, in this order."""
    style = joined(styles)
    script = joined_script(scripts) if scripts else ""
    rules = [
        "default-src 'none'",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}" if script else "script-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    return Frame(
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script) if script else None,  # noqa: S704 - likewise
        policy="; ".join(rules),
    )


def joined(files: Sequence[str | Path]) -> str:
    """Return the text of files one after the other; a name is of the folder `assets`."""
    folder = Path(__file__).with_name("assets")
    return "\n".join((folder / file).read_text(encoding="utf-8") for file in files)


def joined_script(files: Sequence[str | Path]) -> str:
    """Return scripts as one strict script."""
    return f'"use strict";\n{joined(files)}'


def _hash(text: str) -> str:
    """Return what a Content-Security-Policy allows an inline script or style by."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
