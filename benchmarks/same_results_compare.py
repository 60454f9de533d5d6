"""Finds the differences between two documents of results."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from same_results_document import MASK, Values

CONTEXT = 40
"""Number of characters shown before the first change in a long value."""

KINDS = {
    "record": "^(header|record|end)/",
    "CSV": "^(.*/)?csv/.*(?<! in order)$",
    "JUnit": "^junit/.*(?<! in order)$",
}


def differences(base: Values, current: Values, ignored: Sequence[str] = ()) -> list[str]:
    """Return one line for each added or removed path, and for each changed value."""
    found: list[str] = []
    for path in sorted({*base, *current}):
        if any(fnmatchcase(path, pattern) for pattern in ignored):
            continue
        if path not in current:
            found.append(f"removed: {path}")
        elif path not in base:
            found.append(f"added:   {path}")
        elif base[path] != current[path]:
            found += (f"changed: {path}: {line}" for line in _changes(base[path], current[path]))
    return found


def _changes(base: Any, current: Any) -> Iterator[str]:
    if isinstance(base, list) and isinstance(current, list):
        lines = difflib.unified_diff(base, current, lineterm="", n=0)
        yield from (f"{line[0]} {line[1:]}" for line in itertools.islice(lines, 2, None) if line[0] in "+-")
        return
    sides = [side if isinstance(side, dict) else {str(side): ""} for side in (base, current)]
    for sign, mine, other in zip("-+", sides, reversed(sides), strict=True):
        for value, items in mine.items():
            if other.get(value) != items:
                shown = value if len(mine) > 1 or len(other) > 1 else _from_change(value, next(iter(other)))
                yield f"{sign} {shown}{items and f' of {items}'}"


def _from_change(value: str, other: str) -> str:
    """Return a value without the start that it shares with the other one, if that is long."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(value, other, strict=False))
    start = sum(1 for _ in same) - CONTEXT
    return value if start < CONTEXT else f"...{value[start:]}"


def counts(values: Values) -> str:
    """Return how much is compared, as text."""
    kinds = Counter(next((kind for kind, pattern in KINDS.items() if re.search(pattern, path)), "") for path in values)
    single = sum(isinstance(found, str) and found != MASK for found in values.values())
    several = sum(len(found) for found in values.values() if isinstance(found, dict))
    lines = sum(len(found) for found in values.values() if isinstance(found, list))
    return (
        f"{kinds['record']} record keys, {kinds['CSV']} CSV columns, {kinds['JUnit']} JUnit names; "
        f"{single + several} values, {lines} lines of text"
    )
