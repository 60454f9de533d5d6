"""What runs left, as one document that can be compared: paths with values, volatile ones masked."""

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
"""So many are named; more are counted."""

FEW_VALUES, FEW_MESSAGES = 12, 40
"""So many values of a path are kept; of more a digest is."""

MESSAGES = re.compile(r"record/.*(message|reason)")
"""Paths of messages for people, which records hold once and other files again."""

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
"""Columns that together name a row."""

Values = dict[str, Any]
"""Path -> lines of a text; or value as text -> its items; or a word about them."""


@dataclass(frozen=True, slots=True)
class Volatile:
    """Paths whose values are not compared."""

    pattern: str
    """Of paths, as in `fnmatch`; `#` stands for an index of a list. The first rule that matches counts."""

    reason: str
    how: Literal["value", "tree", "order"] = "value"
    """`value`: the path must be there, with any value; `tree`: it may be missing too; `order`: values are sorted."""

    items: str = "*"
    """Items that it is about, as in `fnmatch`; those of runs begin with the name of the run."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is replaced in every text."""

    pattern: str
    by: str
    reason: str


@dataclass
class Document:
    """Values by path and item, as they are found.

    Args:
        volatile: What is not compared.
        replacements: What is replaced in texts.
        words: What else is replaced: word for word, the longest first.
    """

    volatile: Sequence[Volatile]
    replacements: Sequence[Replacement]
    words: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    long_texts: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, list[Volatile]] = field(default_factory=dict)
    cells: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def hidden(self, text: str) -> str:
        """Return a text without what is replaced."""
        for word in sorted(self.words, key=len, reverse=True):
            text = text.replace(word, self.words[word])
        for each in self.replacements:
            text = re.sub(each.pattern, each.by, text)
        return text

    def add_text(self, path: str, text: str, *, is_long: bool = False) -> None:
        """Add a text as its lines; of a long one only a digest is kept."""
        lines = [line.rstrip() for line in self.hidden(text).splitlines()]
        (self.long_texts if is_long else self.texts)[path] = lines

    def add(self, path: str, item: str, value: Any) -> None:
        """Add one value of one item."""
        rule = self._rule(path, item)
        if rule is not None and rule.how == "tree":
            return
        item = self.hidden(item)
        if rule is not None and rule.how == "value":
            self.cells[path][item] = [MASK]
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
        """Add what a JSON document holds."""
        for where, leaf in leaves(value, path):
            self.add(where, item, leaf)

    def add_table(self, path: str, source: str, file: Path) -> None:
        """Add a CSV file: its columns in order, its rows in order, each cell."""
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
        """Add a JUnit file: test cases in order; attributes, properties and texts of each."""
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
        """Return all of it, sorted; items with the same value share a line.

        Args:
            full: Keep every value and name every item, for a file that may be large.
        """
        found: Values = dict(self.texts)
        found |= {
            path: lines if full else f"{len(lines)} lines {digest(lines)}" for path, lines in self.long_texts.items()
        }
        for path, cells in self.cells.items():
            found[path] = grouped(cells, few=_few(path, full=full))
        return dict(sorted(found.items()))


def digest(lines: Iterable[str]) -> str:
    """Return what differs when a line does."""
    text = "\n".join(lines)
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _few(path: str, *, full: bool) -> float:
    if full:
        return math.inf
    return FEW_MESSAGES if MESSAGES.fullmatch(path) else FEW_VALUES


def grouped(cells: Mapping[str, Sequence[str]], *, few: float) -> Any:
    """Return the items of each value; only a digest of more values than `few`, and only a number of many items."""
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
    """Yield path and value of everything in a JSON document; lists of plain values are values."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}/{key}")
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for each in value:
            yield from leaves(each, f"{path}/#")
    else:
        yield path, value


def row_name(row: Mapping[str, str]) -> str:
    """Return what tells a row from others."""
    return " ".join(row[name] for name in ROW_NAMES if row.get(name)) or " ".join(row.values())


def unique(names: Iterable[str]) -> list[str]:
    """Return names with a number behind those that were there before."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
