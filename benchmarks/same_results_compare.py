"""Two documents of results side by side."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from same_results_document import MASK, Values

KINDS = {
    "record": "^(header|record|end)/",
    "CSV": "^(.*/)?csv/.*(?<! in order)$",
    "JUnit": "^junit/.*(?<! in order)$",
}


def differences(base: Values, current: Values, ignored: Sequence[str] = ()) -> list[str]:
    """Return a line for each path that was added or removed, and for each value that changed."""
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
        yield from (f"{line[0]} {line[1:]}" for line in islice(lines, 2, None) if line[0] in "+-")
        return
    sides = [side if isinstance(side, dict) else {str(side): ""} for side in (base, current)]
    for sign, mine, other in zip("-+", sides, reversed(sides), strict=True):
        yield from (
            f"{sign} {value}{items and f' of {items}'}" for value, items in mine.items() if other.get(value) != items
        )


def counts(values: Values) -> str:
    """Return in words how much is compared."""
    kinds = Counter(next((kind for kind, pattern in KINDS.items() if re.search(pattern, path)), "") for path in values)
    single = sum(isinstance(found, str) and found != MASK for found in values.values())
    several = sum(len(found) for found in values.values() if isinstance(found, dict))
    lines = sum(len(found) for found in values.values() if isinstance(found, list))
    return (
        f"{kinds['record']} record keys, {kinds['CSV']} CSV columns, {kinds['JUnit']} JUnit names; "
        f"{single + several} values, {lines} lines of text"
    )
