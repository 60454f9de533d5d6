"""Issues of a model list or directory: gathered while reading, raised all at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import ModelListError
from pytest_ortperf.safe_files import shortened

_SHOWN_CHARACTERS = 60
_MOST_CHARACTERS = 2000
"""Of an issue: a name may have megabytes."""


@dataclass(slots=True)
class Issues:
    """What is wrong with one file or directory."""

    title: str
    """How messages name it, such as `models.json`."""

    lines: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.lines.append(shortened(text, _MOST_CHARACTERS))

    def error(self) -> ModelListError:
        return ModelListError("\n".join([f"{self.title}:", *(f"  - {line}" for line in self.lines)]))

    def check(self) -> None:
        """Raise what was gathered, if anything.

        Raises:
            ModelListError: With one line per issue, below the title.
        """
        if self.lines:
            raise self.error()


@dataclass(slots=True)
class Place:
    """Where a value stands in a model list; only an issue turns it into text."""

    issues: Issues
    entry: str
    """Such as `models[3] 'bert'`, or empty for the whole file."""

    key: str | int | None = None
    """Key or index in the value around, `None` for an entry itself."""

    around: Place | None = None

    def inside(self, key: str | int) -> Place:
        return Place(self.issues, self.entry, key, self)

    def report(self, text: str) -> None:
        where = ": ".join(part for part in (self.entry, self.path_text()) if part)
        self.issues.add(f"{where}: {text}" if where else text)

    def wrong(self, value: Any, allowed: str) -> None:
        """Report a value and what is allowed instead."""
        self.report(f"is {shown_value(value)}; it must be {allowed}")

    def path_text(self) -> str:
        """Return the keys from the entry to here, such as `tolerance[0].rtol`."""
        if self.key is None or self.around is None:
            return ""
        before = self.around.path_text()
        if isinstance(self.key, int):
            return f"{before}[{self.key}]"
        shown = self.key if self.key.isidentifier() else shown_value(self.key)
        return f"{before}.{shown}" if before else shown


def shown_value(value: Any) -> str:
    """Return a JSON value as it stands in the file, cut to one short line."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def shown_path(path: Path) -> str:
    """Return a path for messages: relative to the current folder when below it, else as given."""
    absolute, here = path.absolute(), Path.cwd()
    text = str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)
    if text == ".":
        text = absolute.name
    return text if text.isprintable() else repr(text)


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return the sentence for a word that is not one of `known`, with the nearest one if it is close."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return f"unknown {kind} {word!r}; {hint} {kind}s are {', '.join(names)}"
