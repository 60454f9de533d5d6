"""Records to and from plain builtins: what JSON, xdist and pytest-forked's marshal can carry."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pytest_ortperf.records.packing import is_packed, pack, unpack

T = TypeVar("T")

_PLAIN = (type(None), bool, int, float, str)
"""Exactly these: an enum or a numpy scalar looks like one and is refused, or turned to bytes, on the way."""

_AS_THEY_ARE = frozenset((type(None), bool, int, str))
"""Most of a record: asked for in place, for a run has thousands of records with a hundred values each."""


def as_dict(value: Any) -> Any:
    """Return dataclasses as dicts, tuples as lists and mappings as dicts, all the way down.

    Fields of type `PackedInts` become a text where they are long, and floats that JSON has no number for one of
    `NaN`, `Infinity` and `-Infinity`.

    Raises:
        TypeError: If something in it is none of Python's own plain types.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value if kind is not float or math.isfinite(value) else _float_text(value)
    if kind in (tuple, list):
        return [item if type(item) in _AS_THEY_ARE else as_dict(item) for item in value]
    if dataclasses.is_dataclass(kind):
        packed = _packed(kind)
        fields = {name: getattr(value, name) for name in _hints(kind)}
        return {
            name: item if type(item) in _AS_THEY_ARE else pack(item) if name in packed else as_dict(item)
            for name, item in fields.items()
        }
    if isinstance(value, Mapping):
        return {key: as_dict(item) for key, item in value.items()}
    raise TypeError(f"a record holds {value!r} of {kind}; it must be one of Python's own plain types")


def _float_text(value: float) -> str:
    """Return what stands for a number that JSON lacks."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
    """Return the dataclass that `as_dict` took apart; unknown keys (of a newer version) are left out.

    Raises:
        TypeError: If a field without a default is missing.
    """
    whole: type = cls  # mypy takes no type[T] for hashable
    restorers = _restorers(whole)
    known = ((key, value, restorers[key]) for key, value in data.items() if key in restorers)
    return cls(**{key: value if restore is _as_is else restore(value) for key, value, restore in known})


Restorer = Callable[[Any], Any]


@functools.cache
def _restorers(cls: type) -> dict[str, Restorer]:
    return {name: _restorer(hint) for name, hint in _hints(cls).items()}


def _restorer(hint: Any) -> Restorer:
    """Return what makes a value of a type again; looked up once a class, for a run has thousands of records."""
    if is_packed(hint):
        return unpack
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _restorer(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        inner = _restorer(args[0])
        return tuple if inner is _as_is else lambda value: tuple([inner(item) for item in value])
    if origin is Mapping:
        inner = _restorer(args[1])
        return lambda value: {key: inner(item) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return functools.partial(from_dict, hint)
    return _as_float if hint is float else _as_is


def _as_is(value: Any) -> Any:
    return value


def _as_float(value: Any) -> Any:
    # NaN and Infinity come as strings: JSON has no number for them
    return float(value) if isinstance(value, str) else value


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@functools.cache
def _packed(cls: type) -> frozenset[str]:
    return frozenset(name for name, hint in _hints(cls).items() if is_packed(hint))
