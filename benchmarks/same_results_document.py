"""The results of runs and commands as one document of paths and values, with volatile values masked."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

MASK = "(volatile)"
FEW_ITEMS = 3
"""Up to this number, items are named; more are only counted, with a digest."""

FEW_VALUES, FEW_MESSAGES = 12, 40
"""Up to this number, the values of a path are stored; of more, only a digest."""

MESSAGES = re.compile(r"record/.*(message|reason)")
"""Paths of messages. The same texts in other files are stored as digests."""

ROW_NAMES = (
    "spec",
    "topic",
    "case_id",
    "model",
    "dims",
    "provider",
    "precision",
    "mode",
    "data_set",
    "output",
    "check",
    "op_type",
    "timing",
    "statistic",
)
"""Columns that identify a row."""

Values = dict[str, Any]
"""By path: the lines of a text, or the items of each value, or a summary."""


@dataclass(frozen=True, slots=True)
class Volatile:
    """Paths whose values are not compared."""

    pattern: str
    """For paths, as in `fnmatch`; `#` stands for a list index. The first matching rule wins."""

    reason: str
    how: Literal["value", "any", "tree", "order"] = "value"
    """What may change: `value` a number or a text, but not whether there is one; `any` that too; `tree` even whether
    the path exists; `order` only the order of values."""

    items: str = "*"
    """For items, as in `fnmatch`. Items of runs start with the name of the run."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is replaced in every text, names of items included."""

    pattern: str
    by: str
    reason: str


@dataclass
class Document:
    """Collects values by path and item.

    Args:
        volatile: What is not compared.
        replacements: What is replaced in texts.
        words: More replacements, of fixed strings; the longest come first.
    """

    volatile: Sequence[Volatile]
    replacements: Sequence[Replacement]
    words: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    long_texts: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, list[Volatile]] = field(default_factory=dict)
    cells: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def hidden(self, text: str) -> str:
        """Return a text with all replacements made."""
        for word in sorted(self.words, key=len, reverse=True):
            text = text.replace(word, self.words[word])
        for each in self.replacements:
            text = re.sub(each.pattern, each.by, text)
        return text

    def add_text(self, path: str, text: str, *, is_long: bool = False) -> None:
        """Add a text; of a long one, the baseline holds only a digest."""
        lines = [line.rstrip() for line in self.hidden(text).splitlines()]
        (self.long_texts if is_long else self.texts)[path] = lines

    def add_file(self, path: str, file: Path, *, is_long: bool = False) -> None:
        """Add a text file."""
        self.add_text(path, file.read_text(encoding="utf-8"), is_long=is_long)

    def add(self, path: str, item: str, value: Any) -> None:
        """Add one value of an item; a path can have several, which keep their order."""
        rule = self._rule(path, item)
        if rule is not None and rule.how == "tree":
            return
        item = self.hidden(item)
        if rule is not None and rule.how in ("value", "any"):
            self.cells[path][item] = [MASK if rule.how == "any" else masked(value)]
            return
        found = self.cells[path][item]
        found.append(self._value_text(value))
        if rule is not None:
            found.sort()

    def _value_text(self, value: Any) -> str:
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, list):
            value = [self.hidden(each) if isinstance(each, str) else each for each in value]
        return json.dumps(value, ensure_ascii=False)

    def add_tree(self, path: str, item: str, value: Any) -> None:
        """Add all values of a JSON document."""
        for where, leaf in leaves(value, path):
            self.add(where, item, leaf)

    def add_table(self, path: str, source: str, file: Path) -> None:
        """Add a CSV file: the order of columns and rows, and every cell."""
        with file.open(encoding="utf-8", newline="") as opened:
            read = csv.DictReader(opened)
            columns, rows = list(read.fieldnames or ()), list(read)
        names = unique(row_name(row) for row in rows)
        self.add(f"{path}/columns in order", source, ",".join(columns))
        self.add(f"{path}/rows in order", source, digest(map(self.hidden, names)))
        for name, row in zip(names, rows, strict=True):
            for column, cell in row.items():
                self.add(f"{path}/{column}", f"{source}: {name}", cell)

    def add_junit(self, path: str, source: str, file: Path) -> None:
        """Add a JUnit file: the order of test cases, and all attributes, properties and texts."""
        root = ET.parse(file).getroot()  # noqa: S314 - the file is our own
        names = [case.get("name", "") for case in root.iter("testcase")]
        self.add(f"{path}/test cases in order", source, digest(map(self.hidden, names)))
        for element in root.iter():
            if element.tag in ("testsuites", "testsuite"):
                self._add_attributes(f"{path}/{element.tag}", source, element)
        for found in root.findall("testsuite/properties/property"):
            self.add(f"{path}/suite property/{found.get('name')}", source, found.get("value"))
        for case in root.iter("testcase"):
            self._add_case(path, f"{source}: {case.get('name')}", case)

    def _add_case(self, path: str, item: str, case: ET.Element) -> None:
        for found in case.iter():
            if found.tag == "property":
                self.add(f"{path}/property/{found.get('name')}", item, found.get("value"))
            elif found.tag == "system-out":
                # under pytest's default family these lines are the properties
                for line in (found.text or "").splitlines():
                    name, _, value = line.partition("=")
                    self.add(f"{path}/property/{name}", item, value)
            elif found.tag != "properties":
                self._add_attributes(f"{path}/{found.tag}", item, found)
                self.add(f"{path}/{found.tag}/text", item, (found.text or "").strip())

    def _add_attributes(self, path: str, item: str, element: ET.Element) -> None:
        for attribute, value in element.attrib.items():
            self.add(f"{path}@{attribute}", item, value)

    def _rule(self, path: str, item: str) -> Volatile | None:
        if path not in self.rules:
            self.rules[path] = [rule for rule in self.volatile if fnmatchcase(path, rule.pattern)]
        return next((rule for rule in self.rules[path] if fnmatchcase(item, rule.items)), None)

    def values(self, *, full: bool = False) -> Values:
        """Return everything, sorted by path, with the items of each value grouped.

        Args:
            full: Keep all values and the names of all items, whatever the size.
        """
        found: Values = dict(self.texts)
        found |= {
            path: lines if full else f"{len(lines)} lines {digest(lines)}" for path, lines in self.long_texts.items()
        }
        for path, cells in self.cells.items():
            found[path] = grouped(cells, few=_few(path, full=full))
        return dict(sorted(found.items()))


def masked(value: Any) -> str:
    """Return what kind of value it is, in place of the value."""
    if value is None or value == "":
        return "(nothing)"
    try:
        float(value)
    except (TypeError, ValueError):
        return "(text)" if isinstance(value, str) else "(list)"
    return "(number)"


def digest(lines: Iterable[str]) -> str:
    """Return a short hash of lines."""
    text = "\n".join(lines)
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _few(path: str, *, full: bool) -> float:
    if full:
        return math.inf
    return FEW_MESSAGES if MESSAGES.fullmatch(path) else FEW_VALUES


def grouped(cells: Mapping[str, Sequence[str]], *, few: float) -> Any:
    """Return the items of each value; a digest if there are more than `few` values."""
    groups: dict[str, list[str]] = defaultdict(list)
    for item, values in sorted(cells.items()):
        groups[values[0] if len(values) == 1 else json.dumps(values, ensure_ascii=False)].append(item)
    if list(groups) == [MASK]:
        return MASK
    if len(groups) > few:
        all_of_it = (f"{value} {items}" for value, items in sorted(groups.items()))
        return f"{len(groups)} values of {len(cells)} items {digest(all_of_it)}"
    named = {
        value: " | ".join(items)
        if few == math.inf or len(items) <= FEW_ITEMS
        else f"{len(items)} items {digest(items)}"
        for value, items in sorted(groups.items())
    }
    return "".join(f"{value} of {items}" for value, items in named.items()) if len(named) == 1 else named


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path of each value in a JSON document; a list of plain values counts as one value."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}/{key}")
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for each in value:
            yield from leaves(each, f"{path}/#")
    else:
        yield path, value


def row_name(row: Mapping[str, str]) -> str:
    """Return what identifies a row of a table."""
    return " ".join(row[name] for name in ROW_NAMES if row.get(name)) or " ".join(row.values())


def unique(names: Iterable[str]) -> list[str]:
    """Return the names, with a number after repeated ones."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
