"""Readers of the plain values of a model list: text, numbers, lists and objects.

Each takes a JSON value and its place, and returns it checked; what is wrong goes to the place's issues,
and the value returned then is only fit for finding more issues.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pytest_ortperf.cases.issues import Place, shown_value, unknown

Reader = Callable[[Any, Place], Any]


def read_text(value: Any, place: Place) -> str:
    """Return a text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    place.wrong(value, "a text that is not empty")
    return ""


def read_path(value: Any, place: Place) -> str:
    """Return a text that could be a path; whether something is there is not looked at."""
    text = read_text(value, place)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        place.wrong(value, "a path that can be encoded")
    if "\0" in text:
        place.wrong(value, "a path without NUL characters")
    return text


def read_texts(value: Any, place: Place) -> tuple[str, ...]:
    """Return the texts of a list, which are not empty and differ."""
    if not isinstance(value, list):
        place.wrong(value, "a list of texts")
        return ()
    texts = tuple(read_text(text, place.inside(index)) for index, text in enumerate(value))
    for index, text in enumerate(texts):
        if text and text in texts[:index]:
            place.inside(index).report(f"repeats {shown_value(text)}; remove one")
    return texts


def is_integer(value: Any, *, at_least: int) -> bool:
    """Return true for an integer that is not too small; `true` and `false` are none."""
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


def read_flag(value: Any, place: Place) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        place.wrong(value, "true or false")
    return value is True


def read_count(value: Any, place: Place) -> int:
    """Return an integer above 0."""
    if is_integer(value, at_least=1):
        return int(value)
    place.wrong(value, "an integer above 0")
    return 0


def read_number(value: Any, place: Place) -> float | None:
    """Return a finite number."""
    number = as_number(value)
    if number is None:
        place.wrong(value, "a finite number")
    return number


def read_above_zero(value: Any, place: Place) -> float | None:
    """Return a number above 0."""
    number = as_number(value)
    if number is None or number <= 0:
        place.wrong(value, "a number above 0")
    return number


def read_zero_or_more(value: Any, place: Place) -> float | None:
    """Return a number, 0 or more."""
    number = as_number(value)
    if number is None or number < 0:
        place.wrong(value, "a number, 0 or more")
    return number


def read_percent(value: Any, place: Place) -> float | None:
    """Return a number from 0 to 100."""
    number = as_number(value)
    if number is None or not 0 <= number <= 100:  # noqa: PLR2004
        place.wrong(value, "a number from 0 to 100")
    return number


def read_object(value: Any, place: Place, readers: Mapping[str, Reader], what: str) -> dict[str, Any]:
    """Return the values of an object, each read by its key's reader; unknown keys are issues.

    Args:
        value: What stands in the file.
        place: Where.
        readers: The known keys.
        what: What the object is, such as `an entry`, for a value of another type.
    """
    if not isinstance(value, dict):
        place.wrong(value, what)
        return {}
    found: dict[str, Any] = {}
    for key, item in value.items():
        reader = readers.get(key)
        if reader is None:
            place.report(unknown("key", key, readers))
        else:
            found[key] = reader(item, place.inside(key))
    return found


def choice_reader(kind: str, known: Collection[str]) -> Reader:
    """Return a reader of one word out of `known`."""

    def read_choice(value: Any, place: Place) -> str:
        if not isinstance(value, str):
            place.wrong(value, f"one of {', '.join(known)}")
            return ""
        if value not in known:
            place.report(unknown(kind, value, known))
        return value

    return read_choice


def list_reader(read_one: Reader, what: str) -> Reader:
    """Return a reader of lists that hold what `read_one` reads; an empty list is an issue."""

    def read_list(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            place.wrong(value, f"a list of {what}, at least one")
            return ()
        return tuple(read_one(item, place.inside(index)) for index, item in enumerate(value))

    return read_list


def one_or_more(value: Any) -> list[tuple[int | None, Any]]:
    """Return a value, or the items of a list, with the index to show: none for a single value."""
    return list(enumerate(value)) if isinstance(value, list) else [(None, value)]
