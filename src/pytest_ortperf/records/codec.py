"""Records to and from plain builtins: what JSON, xdist and pytest-forked's marshal can carry."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_PLAIN = (type(None), bool, int, float, str)
"""Exactly these: an enum or a numpy scalar looks like one and is refused, or turned to bytes, on the way."""


def as_dict(value: Any) -> Any:
    """Return dataclasses as dicts, tuples as lists and mappings as dicts, all the way down.

    Raises:
        TypeError: If something in it is none of Python's own plain types.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: as_dict(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, Mapping):
        return {key: as_dict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        plain = all(type(item) in _PLAIN for item in value)  # samples are many
        return list(value) if plain else [as_dict(item) for item in value]
    if type(value) not in _PLAIN:
        raise TypeError(f"a record holds {value!r} of {type(value)}; it must be one of Python's own plain types")
    return value


def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
    """Return the dataclass that `as_dict` took apart; unknown keys (of a newer version) are left out.

    Raises:
        TypeError: If a field without a default is missing.
    """
    whole: type = cls  # mypy takes no type[T] for hashable
    hints = _hints(whole)
    return cls(**{key: _restore(hints[key], value) for key, value in data.items() if key in hints})


def _restore(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _restore(next(arg for arg in args if arg is not type(None)), value)
    if origin is tuple:
        return tuple(_restore(args[0], item) for item in value)
    if origin is Mapping:
        return {key: _restore(args[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    # NaN and Infinity come as strings: JSON has no number for them
    return float(value) if hint is float and isinstance(value, str) else value


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}
