"""Many integers as one short text: what a million samples need in a results file.

A text is base64 of zlib of the numbers as 64-bit little-endian integers, all their lowest bytes first, then all
their second-lowest, and so on: neighbours then are alike. With numpy:
`np.frombuffer(zlib.decompress(base64.b64decode(text)), "u1").reshape(8, -1).T.copy().view("<i8").ravel()`.

Whoever reads a run keeps the texts, or only where they stand in its file, and unpacks what is looked at: the numbers
of a run may take gigabytes.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import os
import sys
import zlib
from array import array
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.safe_files import open_regular

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PACK_FROM = 64
"""Fewer numbers stay a list: as short, and readable."""

MOST = 1 << 26
"""Numbers in one text; a larger one is refused, for a few bytes may claim to hold any number of zeros."""

IntArray: TypeAlias = "array[int]"
"""The class below has a method of that name."""

_SIZE = 8
_STEP_BYTE = 1 << 20


class PackedNumbers(Sequence[int]):
    """Integers that are unpacked each time they are asked for; equal to a tuple of the same ones."""

    __slots__ = ("_count", "_digest", "_place", "_text")

    def __init__(self, text: str) -> None:
        """Check a text, in steps that need little memory.

        Raises:
            ValueError: If the text is none that `pack` makes.
        """
        self._count = _count(_decoded(text))
        # what is equal must be told after the file of one of them has gone
        self._digest = hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()
        self._text: str | None = text
        self._place: tuple[Path, int, int] | None = None

    @property
    def text(self) -> str:
        """What stands for them in a file.

        Raises:
            ResultsFileError: If the file that holds it has gone or changed.
        """
        return self._read() if self._text is None else self._text

    def leave_in(self, path: Path, line: bytes, offset: int) -> None:
        """Forget the text, which stands in a line of a file, and read it there from now on.

        Args:
            path: The file.
            line: One of its lines.
            offset: Where in the file the line begins.
        """
        if self._text is None:
            return
        data = self._text.encode("ascii")
        found = line.find(data)
        if found >= 0:
            self._place = (path, offset + found, len(data))
            self._text = None

    def array(self) -> npt.NDArray[np.int64]:
        """Return them as an array."""
        import numpy as np

        planes = np.frombuffer(self._planes(), "u1")
        return planes.reshape(_SIZE, -1).T.copy().view("<i8").ravel()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(self._unpacked())

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        numbers = self._unpacked()
        return tuple(numbers[index]) if isinstance(index, slice) else numbers[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedNumbers):
            return self._digest == other._digest
        return isinstance(other, tuple) and len(self) == len(other) and tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{self._count} packed numbers>"

    def __reduce__(self) -> tuple[type[PackedNumbers], tuple[str]]:
        return PackedNumbers, (self.text,)

    def _unpacked(self) -> IntArray:
        planes = self._planes()
        plain = bytearray(len(planes))
        for place in range(_SIZE):
            plain[place::_SIZE] = planes[place * self._count : (place + 1) * self._count]
        values = array("q", bytes(plain))
        if sys.byteorder == "big":
            values.byteswap()
        return values

    def _planes(self) -> bytes:
        try:
            planes = zlib.decompress(_decoded(self.text))
        except (ValueError, zlib.error) as error:
            raise self._changed() from error
        if len(planes) != self._count * _SIZE:
            raise self._changed()
        return planes

    def _changed(self) -> ResultsFileError:
        where = self._place[0] if self._place else "packed numbers"
        return ResultsFileError(f"{where}: has changed since it was read. Start again when nothing writes to it.")

    def _read(self) -> str:
        assert self._place is not None  # noqa: S101 - else there is a text
        path, offset, size = self._place
        try:
            with open_regular(path) as file:
                return os.pread(file.fileno(), size, offset).decode("ascii")
        except OSError as error:
            raise ResultsFileError(f"{path}: the samples in it cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise self._changed() from error


def pack(numbers: Sequence[int]) -> list[int] | str:
    """Return the numbers as a text, or as a list if they are fewer than `PACK_FROM`.

    Raises:
        OverflowError: If one has more than 64 bits.
    """
    if isinstance(numbers, PackedNumbers):
        return numbers.text
    if len(numbers) < PACK_FROM:
        return list(numbers)
    values = array("q", numbers)
    if sys.byteorder == "big":
        values.byteswap()
    plain = values.tobytes()
    planes = b"".join(plain[place::_SIZE] for place in range(_SIZE))
    return b64encode(zlib.compress(planes)).decode("ascii")


def unpack(packed: Sequence[int] | str) -> Sequence[int]:
    """Return the numbers again; a list, as older files have it, of any length.

    Raises:
        ValueError: If the text is none that `pack` makes.
    """
    return PackedNumbers(packed) if isinstance(packed, str) else tuple(packed)


def in_order(numbers: Sequence[int]) -> Sequence[int]:
    """Return integers in ascending order; what it returns is fast to look at in places, and is no tuple."""
    found = as_array(numbers)
    found.sort()
    return cast("Sequence[int]", found)


def histogram(ordered: Sequence[int], low: float, high: float, bins: int) -> list[int]:
    """Return how many integers in ascending order lie in each part of a range; what is beyond counts in the last."""
    import numpy as np

    edges = low + (high - low) * np.arange(1, bins) / bins
    places = [0, *np.searchsorted(np.asarray(ordered), edges).tolist(), len(ordered)]
    return [after - before for before, after in itertools.pairwise(places)]


def as_array(numbers: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return integers as an array, the fastest way to look at very many."""
    import numpy as np

    return numbers.array() if isinstance(numbers, PackedNumbers) else np.array(numbers, np.int64)


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error


def _count(data: bytes) -> int:
    """Return how many numbers compressed data holds; all of it is looked at, little at a time."""
    inflater = zlib.decompressobj()
    total = 0
    try:
        piece: Any = inflater.decompress(data, _STEP_BYTE)
        while piece and total <= MOST * _SIZE:
            total += len(piece)
            piece = inflater.decompress(inflater.unconsumed_tail, _STEP_BYTE)
    except zlib.error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error
    if total > MOST * _SIZE:
        raise ValueError(f"packed numbers are damaged: they claim to be more than {MOST:,}")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("packed numbers are damaged: their end is missing, or something follows it")
    if total % _SIZE:
        raise ValueError(f"packed numbers are damaged: {total} bytes are no whole number of 64-bit integers")
    return total // _SIZE
