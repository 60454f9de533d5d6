"""Data for a script of a page: JSON, compressed, as text that ends no element."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ortperf.plain_text import plain

_GZIP = 31
"""Window bits of zlib that ask for gzip's header, which then holds no time."""


def packed(facts: Mapping[str, object], rows: Iterable[object]) -> str:
    """Return facts and rows as base64 of gzip of JSON: the same bytes for the same data.

    Args:
        facts: Keys beside `rows`.
        rows: Each is encoded as it comes, so that thousands take little memory.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    parts = [packer.compress(piece.encode("ascii")) for piece in _pieces(facts, rows)]
    return base64.b64encode(b"".join([*parts, packer.flush()])).decode("ascii")


def _pieces(facts: Mapping[str, object], rows: Iterable[object]) -> Iterator[str]:
    yield _json(facts)[:-1] + ',"rows":['
    for number, row in enumerate(rows):
        yield ("," if number else "") + _json(row)
    yield "]}"


def _json(data: object) -> str:
    return json.dumps(shown(data), allow_nan=False, separators=(",", ":"))


def shown(data: Any) -> Any:
    """Return data with visible texts, without numbers that JSON lacks, and without keys whose value is absent."""
    if data is None or isinstance(data, int):
        return data
    if isinstance(data, str):
        return data if data.isprintable() else plain(data)
    if isinstance(data, float):
        return float(f"{data:.6g}") if math.isfinite(data) else str(data)
    if isinstance(data, dict):
        return {shown(str(key)): shown(value) for key, value in data.items() if value is not None}
    return [shown(value) for value in data]
