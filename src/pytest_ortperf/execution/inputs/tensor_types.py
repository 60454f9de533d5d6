"""What ONNX Runtime calls a type, what numpy calls it, and the types numpy itself does not have.

Types of less than a byte: an array has one element a byte, ONNX Runtime several.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

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


Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = Array | list[Any] | dict[Any, Any] | None
"""A tensor, a sequence, a map, or an optional without a value."""

TensorKind = Literal["tensor", "sequence", "optional", "map", "other"]

_PREFIXES: dict[str, TensorKind] = {
    "tensor": "tensor",
    "seq": "sequence",
    "optional": "optional",
    "map": "map",
}

_NUMPY_NAMES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "bool": "bool",
    "string": "object",
    "complex64": "complex64",
    "complex128": "complex128",
}

_ML_NAMES = {
    "bfloat16": "bfloat16",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}

NUMPY_DTYPES = {element: np.dtype(name) for element, name in _NUMPY_NAMES.items()}
"""Element name -> dtype, of the types numpy has."""

ML_DTYPES = {
    element: np.dtype(getattr(ml_dtypes, name)) for element, name in _ML_NAMES.items() if hasattr(ml_dtypes, name)
}
"""Element name -> dtype, of the types that `InferenceSession.run` does not take as arrays."""

# Not asked of the onnx package, as its older versions lack the last names.
_BY_NUMBER = (
    *("float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double"),
    *("uint32", "uint64", "complex64", "complex128", "bfloat16"),
    *("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"),
    *("uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2"),
)

DTYPES = NUMPY_DTYPES | ML_DTYPES
ELEMENTS = {dtype: element for element, dtype in DTYPES.items()}
"""dtype -> element name."""

FLOATS = ("float", "double", "float16", "bfloat16")
"""Elements that hold the same numbers with more or fewer digits."""


class Meta(Protocol):
    """An input or output as `InferenceSession.get_inputs` describes it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def shape(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeInfo:
    """A type text of ONNX Runtime, taken apart."""

    text: str
    """As ONNX Runtime writes it: `seq(tensor(float))`."""

    kind: TensorKind
    element: str | None = None
    """Of tensors, and of what holds only one type of tensor: `float`, `bfloat16`."""

    dtype: np.dtype[Any] | None = None
    """Of `element`; `None` if there is no element or no such dtype."""

    inner: TypeInfo | None = None
    """What a sequence or optional holds."""

    @property
    def carried_by_numpy(self) -> bool:
        """Whether `InferenceSession.run` takes and returns it without an `OrtValue`."""
        return self.element not in _ML_NAMES


@functools.cache
def parse_type(text: str) -> TypeInfo:
    """Return a type text taken apart.

    Args:
        text: Such as `tensor(float)`, `seq(tensor(int64))`, `optional(seq(tensor(float)))`,
            `map(int64,tensor(float))`.

    Returns:
        What it says; kind `other` for types without values here, such as `sparse_tensor(float)`.
    """
    prefix, _, rest = text.partition("(")
    inside = rest.removesuffix(")")
    kind = _PREFIXES.get(prefix, "other")
    if kind == "tensor":
        return TypeInfo(text=text, kind=kind, element=inside, dtype=DTYPES.get(inside))
    if kind in {"sequence", "optional"}:
        inner = parse_type(inside)
        return TypeInfo(text=text, kind=kind, element=inner.element, dtype=inner.dtype, inner=inner)
    return TypeInfo(text=text, kind=kind)


def element_name(dtype: np.dtype[Any]) -> str:
    """Return what ONNX Runtime writes inside `tensor(...)` for a dtype; numpy's own name if it has none."""
    if dtype.kind in "OSU":
        return "string"
    return ELEMENTS.get(dtype.newbyteorder("=")) or str(dtype)


def as_floats(value: Value, dtype: np.dtype[Any] | None) -> Value:
    """Return float tensors, those of a sequence too, with the elements of another float type; others as they are."""
    if isinstance(value, list):
        return [as_floats(each, dtype) for each in value]
    if not isinstance(value, np.ndarray) or dtype is None:
        return value
    both_floats = {element_name(value.dtype), element_name(dtype)} <= set(FLOATS)
    return value.astype(dtype, copy=False) if both_floats else value


def onnx_element_type(element: str) -> int:
    """Return the number of an element name in `TensorProto.DataType`: 1 for `float`."""
    return _BY_NUMBER.index(element) + 1


def element_of_number(number: int) -> str:
    """Return the element name of a number of `TensorProto.DataType`: `float` for 1; the number itself of a new one."""
    return _BY_NUMBER[number - 1] if 0 < number <= len(_BY_NUMBER) else str(number)


def type_text(value: Value) -> str:
    """Return the type of a value as a record names it: `float` of a tensor, all of any other type."""
    if isinstance(value, list):
        return f"seq({_nested_text(value[0])})" if value else "seq()"
    if isinstance(value, dict):
        return "map"
    return "none" if value is None else element_name(np.asarray(value).dtype)


def shape_of(value: Value) -> tuple[int, ...] | None:
    """Return the shape of a tensor in builtin integers; `None` for anything else."""
    return tuple(int(dim) for dim in value.shape) if isinstance(value, np.ndarray) else None


def _nested_text(value: Value) -> str:
    text = type_text(value)
    return f"tensor({text})" if isinstance(value, np.ndarray) else text
