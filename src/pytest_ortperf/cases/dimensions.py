"""How a case says that its model lacks a dimension; the words are read again where a whole run is looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LACKING = re.compile(r"has no dimension ((?:'[^']*'(?:, )?)+)")


def lacking_text(lacking: Sequence[str], known: Sequence[str]) -> str:
    """Return the reason of a case that is left out, such as `has no dimension 'batch'; its inputs have 'rows'`."""
    has = f"have {listed(known)}" if known else "have no symbolic dimension"
    return f"has no dimension {listed(lacking)}; its inputs {has}"


def wrong_text(wrong: Sequence[str], known: Sequence[str]) -> str:
    """Return the error of a model whose list, or whose call in a test, names dimensions that it has not."""
    has = f"have {listed(known)}" if known else "have no symbolic dimension"
    return (
        f'dims: no input has the dimension {listed(wrong)}; the model\'s inputs {has}: correct "dims" of the model, '
        f'or give it "dims": {{}} where those of the defaults are not for it'
    )


def lacking_in(text: str) -> tuple[str, ...]:
    """Return the dimensions that a reason names as lacking."""
    match = _LACKING.search(text)
    return tuple(re.findall(r"'([^']*)'", match[1])) if match else ()


def listed(names: Sequence[str]) -> str:
    """Return names in quotes, with commas between."""
    return ", ".join(f"'{name}'" for name in names)
