"""Many integers as one short text: what a million samples need in a results file.

A text is base64 of zlib of the numbers as 64-bit little-endian integers, all their lowest bytes first, then all
their second-lowest, and so on: neighbours then are alike. With numpy:
`np.frombuffer(zlib.decompress(base64.b64decode(text)), "u1").reshape(8, -1).T.copy().view("<i8").ravel()`.
"""

from __future__ import annotations

import base64
import sys
import zlib
from array import array
from collections.abc import Sequence
from typing import Annotated

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
