"""Types of less than a byte: an array has one element a byte, ONNX Runtime several."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_ortperf.execution.inputs.tensor_types import DTYPES, Array

BITS = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2}
"""Width of the elements that are stored packed, the first in the lowest bits (ONNX IR, `raw_data`)."""


def pack(array: Array, element: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the elements of an array, packed.

    Args:
        array: Any shape, one element a byte, of the dtype that belongs to `element`.
        element: One of `BITS`.

    Returns:
        Bytes, shape (ceil(size / elements per byte),); unused bits are 0.
    """
    bits = BITS[element]
    per_byte = 8 // bits
    codes = array.reshape(-1).view(np.uint8) & np.uint8((1 << bits) - 1)
    padded = np.zeros(-(-codes.size // per_byte) * per_byte, np.uint8)
    padded[: codes.size] = codes
    shifts = (np.arange(per_byte) * bits).astype(np.uint8)
    packed: np.ndarray[tuple[int], np.dtype[np.uint8]] = np.bitwise_or.reduce(
        padded.reshape(-1, per_byte) << shifts, axis=1
    )
    return packed


def unpack(packed: Array, element: str, shape: tuple[int, ...]) -> Array:
    """Return the array that `pack` packed.

    Args:
        packed: Bytes, shape (n,).
        element: One of `BITS`.
        shape: Of the result.

    Returns:
        One element a byte, of the dtype that belongs to `element`.
    """
    bits = BITS[element]
    shifts = (np.arange(8 // bits) * bits).astype(np.uint8)
    codes = (packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    flat = codes.reshape(-1)[: int(np.prod(shape, dtype=np.int64))]
    return _from_codes(flat, element, bits).reshape(shape)


def _from_codes(codes: Array, element: str, bits: int) -> Array:
    dtype: np.dtype[Any] = DTYPES[element]
    if element.startswith("float"):
        return codes.view(dtype)
    if element.startswith("int"):
        sign = np.int8(1 << (bits - 1))
        return ((codes.astype(np.int8) ^ sign) - sign).astype(dtype)
    return codes.astype(dtype)
