"""Kinds of JSON values: how each is read, what messages say it must be, and how a JSON Schema describes it.

A reader takes a JSON value and its place, and returns it checked; what is wrong goes to the place's issues,
and the value returned then is only fit for finding more issues.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.cases.issues import Place, shown_value, unknown

Reader = Callable[[Any, Place], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What a value can be."""

    allowed: str
    """The end of *it must be ...*."""

    read: Reader
    schema: Mapping[str, Any]
    """As JSON Schema; other kinds may stand in it."""

    name: str = ""
    """Of its definition in the schema; without one, the schema is written out wherever it is used."""


def converted(
    allowed: str, schema: Mapping[str, Any], convert: Callable[[Any], Any], *, wrong: Any = None, name: str = ""
) -> Kind:
    """Return the kind of the values that `convert` takes.

    Args:
        allowed: What they are, for messages.
        schema: The same as JSON Schema.
        convert: Returns a value as it is kept, `None` for one of another kind.
        wrong: What a value of another kind is read as.
        name: Of the definition in the schema.
    """

    def read(value: Any, place: Place) -> Any:
        found = convert(value)
        if found is not None:
            return found
        place.wrong(value, allowed)
        return wrong

    return Kind(allowed, read, schema, name)


def is_integer(value: Any, *, at_least: int) -> bool:
    """Return true for an integer that is not too small; `true` and `false` are not integers."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def as_number(value: Any) -> float | None:
    """Return a finite number, or `None` for all else, `true` and `false` included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def as_text(value: Any) -> str | None:
    """Return a text that is not empty, or `None` for all else."""
    return value if isinstance(value, str) and value.strip() else None


TEXT = converted("a text that is not empty", {"type": "string", "pattern": r"\S"}, as_text, wrong="", name="text")
FLAG = converted("true or false", {"type": "boolean"}, lambda value: value if isinstance(value, bool) else None)
COUNT = converted(
    "an integer above 0",
    {"type": "integer", "minimum": 1},
    lambda value: value if is_integer(value, at_least=1) else None,
    wrong=0,
    name="count",
)
THREADS = converted(
    "an integer from 1 to 65536",
    {"type": "integer", "minimum": 1, "maximum": 65536},
    lambda value: value if is_integer(value, at_least=1) and value <= 65536 else None,  # noqa: PLR2004
    wrong=1,
    name="threads",
)
SIZE = converted(
    "an integer of 0 or more",
    {"type": "integer", "minimum": 0},
    lambda value: value if is_integer(value, at_least=0) else None,
    wrong=0,
    name="size",
)
"""Of a dimension: an empty cache has size 0."""


def _read_path(value: Any, place: Place) -> str:
    text: str = TEXT.read(value, place)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        place.wrong(value, "a path that can be encoded")
    if "\0" in text:
        place.wrong(value, "a path without NUL characters")
    return text


PATH = Kind("a path", _read_path, {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}, "path")
"""Whether something is there is not looked at."""


def number(*, low: float | None = None, high: float | None = None, above: float | None = None) -> Kind:
    """Return the kind of finite numbers from `low` to `high`, or greater than `above`."""
    if high is not None:
        begin = f"from {low:g} to" if above is None else f"above {above:g}, up to"
        allowed = f"a number {begin} {high:.10g}"
    elif low is not None:
        allowed = f"a number, {low:g} or more"
    else:
        allowed = "a finite number" if above is None else f"a number above {above:g}"

    def convert(value: Any) -> float | None:
        found = as_number(value)
        if found is None or (above is not None and found <= above):
            return None
        return None if (low is not None and found < low) or (high is not None and found > high) else found

    bounds = {"minimum": low, "maximum": high, "exclusiveMinimum": above}
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    return converted(allowed, {"type": "number", **given}, convert)


NUMBER = number()


def matching(allowed: str, pattern: str, *, examples: Sequence[str], name: str = "") -> Kind:
    """Return the kind of texts that match a regular expression as a whole."""
    compiled = re.compile(pattern)
    schema = {"type": "string", "pattern": f"^{pattern}$", "examples": list(examples)}
    return converted(
        allowed,
        schema,
        lambda value: value if isinstance(value, str) and compiled.fullmatch(value) else None,
        wrong="",
        name=name,
    )


def choice(word: str, known: Collection[str]) -> Kind:
    """Return the kind of a word out of `known`; `word` is what messages call it."""
    allowed = f"one of {', '.join(known)}"

    def read(value: Any, place: Place) -> str:
        if not isinstance(value, str):
            place.wrong(value, allowed)
            return ""
        if value not in known:
            place.report(unknown(word, value, known))
        return value

    return Kind(allowed, read, {"enum": list(known)})


def distinct(one: Kind, name: str = "") -> Kind:
    """Return the kind of lists of texts that differ."""
    allowed = "a list of texts"

    def read(value: Any, place: Place) -> tuple[str, ...]:
        if not isinstance(value, list):
            place.wrong(value, allowed)
            return ()
        texts = tuple(one.read(text, place.inside(index)) for index, text in enumerate(value))
        for index, text in enumerate(texts):
            if text and text in texts[:index]:
                place.inside(index).report(f"repeats {shown_value(text)}; remove one")
        return texts

    return Kind(allowed, read, {"type": "array", "items": one, "uniqueItems": True}, name)


TEXTS = distinct(TEXT, "texts")


def list_of(one: Kind, what: str) -> Kind:
    """Return the kind of lists that hold at least one value of a kind; `what` names the values."""
    allowed = f"a list of {what}, at least one"

    def read(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            place.wrong(value, allowed)
            return ()
        return tuple(one.read(item, place.inside(index)) for index, item in enumerate(value))

    return Kind(allowed, read, {"type": "array", "items": one, "minItems": 1})


def one_or_more(one: Kind) -> Kind:
    """Return the kind of a value, or a list of such values, which may be empty; what can be read becomes a tuple."""

    def read(value: Any, place: Place) -> tuple[Any, ...]:
        if isinstance(value, list):
            found = [one.read(item, place.inside(index)) for index, item in enumerate(value)]
        else:
            found = [one.read(value, place)]
        return tuple(item for item in found if item is not None)

    return Kind(one.allowed, read, {"anyOf": [one, {"type": "array", "items": one}]})


def by_name(one: Kind, allowed: str) -> Kind:
    """Return the kind of objects that hold a value of a kind under each name."""

    def read(value: Any, place: Place) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            place.wrong(value, allowed)
            return {}
        return {name: one.read(item, place.inside(name)) for name, item in value.items()}

    return Kind(allowed, read, {"type": "object", "additionalProperties": one})
