"""Records to and from plain builtins: what JSON, xdist and pytest-forked's marshal can carry.

What comes from a file is checked: each value must be of its field's type. Long lists of integers are in
`packed_numbers`, which this module hands on.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pytest_ortperf.records.packed_numbers import pack, unpack
from pytest_ortperf.safe_files import shortened

_PACKED = "packed"
_MOST_SHOWN = 60

PackedInts = Annotated[Sequence[int], _PACKED]
"""Of a field: a text in files where there are many, a list where there are few."""


def is_packed(hint: object) -> bool:
    """Tell whether a field's type is `PackedInts`."""
    return _PACKED in getattr(hint, "__metadata__", ())


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
        TypeError: If a field without a default is missing, or a value is not of its field's type.
        ValueError: If packed numbers are damaged.
    """
    whole: type = cls  # mypy takes no type[T] for hashable
    restorers = _restorers(whole)
    if type(data) is not dict:
        raise TypeError(f"{_shown(data)} stands where {cls.__name__} belongs")
    found = {}
    for key, value in data.items():
        restore = restorers.get(key)
        if restore is not None:
            try:
                found[key] = restore(value)
            except _WrongValue as error:
                raise TypeError(f"{key}: {error}") from error
    return cls(**found)


class _WrongValue(Exception):  # noqa: N818 - becomes a TypeError that names the field
    """A value that is not of its field's type."""


Restorer = Callable[[Any], Any]


@functools.cache
def _restorers(cls: type) -> dict[str, Restorer]:
    return {name: _restorer(hint) for name, hint in _hints(cls).items()}


def _restorer(hint: Any) -> Restorer:
    """Return what makes a value of a type again; looked up once a class, for a run has thousands of records."""
    if is_packed(hint):
        return _numbers
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        choices = [arg for arg in args if arg is not type(None)]
        inner = _restorer(choices[0]) if len(choices) == 1 else _one_of(frozenset(choices))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple_of([_restorer(arg) for arg in args if arg is not ...], is_open=args[-1] is ...)
    if origin is Mapping:
        return _mapping_of(_restorer(args[1]))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return functools.partial(from_dict, hint)
    if hint is float:
        return _as_float
    return _one_of(frozenset({hint})) if hint in (bool, int, str) else _as_is


def _as_is(value: Any) -> Any:
    return value


def _one_of(kinds: frozenset[type]) -> Restorer:
    def restore(value: Any) -> Any:
        # not isinstance: true is no number
        if type(value) in kinds:
            return value
        raise _WrongValue(f"{_shown(value)} is no {' or '.join(sorted(kind.__name__ for kind in kinds))}")

    return restore


def _tuple_of(restorers: Sequence[Restorer], *, is_open: bool) -> Restorer:
    def restore(value: Any) -> Any:
        if type(value) not in (list, tuple):
            raise _WrongValue(f"{_shown(value)} is no list")
        if is_open:
            first = restorers[0]
            return tuple([first(item) for item in value])
        if len(value) != len(restorers):
            raise _WrongValue(f"{_shown(value)} has {len(value)} elements, not {len(restorers)}")
        return tuple([each(item) for each, item in zip(restorers, value, strict=True)])

    return restore


def _mapping_of(inner: Restorer) -> Restorer:
    def restore(value: Any) -> Any:
        if type(value) is not dict:
            raise _WrongValue(f"{_shown(value)} is no object")
        return {key: inner(item) for key, item in value.items()}

    return restore


def _numbers(value: Any) -> Any:
    if type(value) is str:
        return unpack(value)
    if type(value) in (list, tuple) and all(type(item) is int for item in value):
        return unpack(value)
    raise _WrongValue(f"{_shown(value)} is neither a list of integers nor a text that holds one")


def _as_float(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is int and abs(value) <= sys.float_info.max:
        return value
    # JSON has no number for them
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise _WrongValue(f"{_shown(value)} is no number")


def _shown(value: Any) -> str:
    return shortened(repr(value), _MOST_SHOWN)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@functools.cache
def _packed(cls: type) -> frozenset[str]:
    return frozenset(name for name, hint in _hints(cls).items() if is_packed(hint))
