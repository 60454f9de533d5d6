"""Records to and from plain builtins: what JSON, xdist and pytest-forked's marshal can carry.

Many integers as one short text: what a million samples need in a results file.

A text is base64 of zlib of the numbers as 64-bit little-endian integers, all their lowest bytes first, then all
their second-lowest, and so on: neighbours then are alike. With numpy:
`np.frombuffer(zlib.decompress(base64.b64decode(text)), "u1").reshape(8, -1).T.copy().view("<i8").ravel()`.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import sys
import types
import typing
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

PACK_FROM = 64
"""Fewer numbers stay a list: as short, and readable."""

_SIZE = 8
_PACKED = "packed"

PackedInts = Annotated[tuple[int, ...], _PACKED]
"""Of a field: a text in files where there are many, a list where there are few."""


def pack(numbers: Sequence[int]) -> list[int] | str:
    """Return the numbers as a text, or as a list if they are fewer than `PACK_FROM`.

    Raises:
        OverflowError: If one has more than 64 bits.
    """
    if len(numbers) < PACK_FROM:
        return list(numbers)
    values = array("q", numbers)
    if sys.byteorder == "big":
        values.byteswap()
    plain = values.tobytes()
    planes = b"".join(plain[place::_SIZE] for place in range(_SIZE))
    return base64.b64encode(zlib.compress(planes)).decode("ascii")


def unpack(packed: Sequence[int] | str) -> tuple[int, ...]:
    """Return the numbers again; a list, as older files have it, of any length.

    Raises:
        ValueError: If the text is none that `pack` makes.
    """
    if not isinstance(packed, str):
        return tuple(packed)
    try:
        planes = zlib.decompress(base64.b64decode(packed, validate=True))
    except zlib.error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error
    count, rest = divmod(len(planes), _SIZE)
    if rest:
        raise ValueError(f"packed numbers are damaged: {len(planes)} bytes are no whole number of 64-bit integers")
    plain = bytearray(len(planes))
    for place in range(_SIZE):
        plain[place::_SIZE] = planes[place * count : (place + 1) * count]
    values = array("q", bytes(plain))
    if sys.byteorder == "big":
        values.byteswap()
    return tuple(values)


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
