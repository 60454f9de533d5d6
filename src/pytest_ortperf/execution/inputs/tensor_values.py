"""Tensors into ONNX Runtime and out again, for every type it has.

`InferenceSession.run` carries numpy's own types, strings, sequences, maps and optionals. The types of
ml_dtypes (bfloat16, float8, int4 ...) go in as `OrtValue`s and are read back from their memory, because
`run` refuses most of them and returns float8e4m3fn as uint8.

Values of every type as files of one folder, and back; a description of them that fits JSON.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.tensor_types import (
    BITS,
    DTYPES,
    ELEMENTS,
    ML_DTYPES,
    Array,
    Meta,
    TypeInfo,
    Value,
    element_name,
    onnx_element_type,
    pack,
    parse_type,
    shape_of,
    unpack,
)

MAPPED_BYTE = 1 << 24
"""Larger arrays stay on the disk until somebody looks at them."""

_CARRIERS = {1: np.uint8, 2: np.uint16}
"""What ml_dtypes arrays are written as: numpy's files do not know their types."""


class ValueWriter:
    """Writes values into a folder, an array a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def write(self, value: Value) -> Any:
        """Return what `read_value` finds the value again by."""
        if value is None:
            return None
        if isinstance(value, list):
            return {"list": [self.write(item) for item in value]}
        if isinstance(value, dict):
            return {"map": [[key, self.write(np.asarray(item))] for key, item in value.items()]}
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            return {"strings": [str(item) for item in array.reshape(-1)], "shape": list(array.shape)}
        name = f"{self._count}.npy"
        self._count += 1
        plain = array if array.dtype.kind in "biufc" else array.view(_CARRIERS[array.dtype.itemsize])
        np.save(self._folder / name, plain, allow_pickle=False)
        return {"file": name, "element": element_name(array.dtype)}


def read_value(described: Any, folder: Path) -> Value:
    """Return a value that a `ValueWriter` wrote."""
    if described is None:
        return None
    if "list" in described:
        return [read_value(item, folder) for item in described["list"]]
    if "map" in described:
        return {key: read_value(item, folder) for key, item in described["map"]}
    if "strings" in described:
        return np.array(described["strings"], object).reshape(described["shape"])
    path = folder / described["file"]
    mapped = path.stat().st_size > MAPPED_BYTE
    array: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    dtype = DTYPES.get(described["element"], array.dtype)
    return array if array.dtype == dtype else array.view(dtype)


def values_hash(values: Mapping[str, Value]) -> str:
    """Return the SHA-256 of named values: types, shapes and every element."""
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(f"{name}\n".encode())
        _update(digest, values[name])
    return digest.hexdigest()


def _update(digest: Any, value: Value) -> None:
    if isinstance(value, list | dict):
        items = value if isinstance(value, list) else [part for pair in value.items() for part in pair]
        digest.update(f"{type(value).__name__} {len(items)}\n".encode())
        for item in items:
            _update(digest, item if isinstance(item, list | dict) else np.asarray(item))
    elif isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
        digest.update(f"{value.dtype} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    else:
        shape = value.shape if isinstance(value, np.ndarray) else ()
        texts = [repr(item) for item in np.asarray(value, object).reshape(-1)]
        digest.update(f"{shape} {texts}\n".encode())


__all__ = [
    "Array",
    "Meta",
    "ModelRunner",
    "TypeInfo",
    "Value",
    "as_ort_value",
    "from_ort_value",
    "parse_type",
    "run",
]

_ML_BY_NUMBER = {onnx_element_type(element): element for element in ML_DTYPES}


class ModelRunner:
    """A session with its inputs, prepared once for any number of iterations.

    Attributes:
        call: One iteration and nothing else, for timing. Without ml_dtypes types among the outputs it is
            exactly `InferenceSession.run` and returns its values; otherwise `run_with_ort_values`, which
            returns `OrtValue`s.
        output_names: In the order of the values.
        takes_ort_values: Whether `call` is `run_with_ort_values`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, Value],
    ) -> None:
        """Prepare the inputs.

        Args:
            session: Used for every call.
            output_names: Outputs to compute; `None` is all of them.
            feeds: By input name. Arrays are not copied if they are contiguous: leave them alone meanwhile.

        Raises:
            CaseError: If an output needs an `OrtValue` and an input cannot be one.
        """
        types = {meta.name: parse_type(meta.type) for meta in session.get_outputs()}
        self.output_names = list(types) if output_names is None else list(output_names)
        self._session = session
        self._types = [types.get(name) for name in self.output_names]
        self._feeds = {name: _as_fed(value) for name, value in feeds.items()}
        self.takes_ort_values = any(info is not None and not info.carried_by_numpy for info in self._types)
        self.call: Callable[[], list[Any]] = functools.partial(session.run, self.output_names, self._feeds)
        if self.takes_ort_values:
            ort_feeds = _as_ort_feeds(self._feeds)
            self.call = functools.partial(session.run_with_ort_values, self.output_names, ort_feeds)

    def run(self) -> list[Value]:
        """Do one iteration; return the outputs in the order of `output_names`."""
        return self.read(self.call())

    def read(self, computed: list[Any]) -> list[Value]:
        """Return the values of what `call` returned."""
        return self._read(computed) if self.takes_ort_values else computed

    def shapes(self, computed: Sequence[Any]) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of what `call` returned, by output name; `None` for anything but a tensor."""
        return {name: _shape(value) for name, value in zip(self.output_names, computed, strict=True)}

    def _read(self, computed: list[onnxruntime.OrtValue]) -> list[Value]:
        values: list[Value] = []
        for name, info, value in zip(self.output_names, self._types, computed, strict=True):
            if value.has_value() and not value.is_tensor() and info is not None and info.carried_by_numpy:
                # An OrtValue does not give out the elements of a sequence or map; `run` does.
                values.extend(self._session.run([name], self._feeds))
            else:
                values.append(from_ort_value(value, name))
        return values


def run(
    session: onnxruntime.InferenceSession, output_names: Sequence[str] | None, feeds: Mapping[str, Value]
) -> list[Value]:
    """Return the outputs of one iteration; see `ModelRunner`."""
    return ModelRunner(session, output_names, feeds).run()


def _shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, onnxruntime.OrtValue):
        return tuple(value.shape()) if value.has_value() and value.is_tensor() else None
    return shape_of(value)


def as_ort_value(array: Array) -> onnxruntime.OrtValue:
    """Return an array of any numeric dtype as an `OrtValue` in host memory, which keeps the array alive.

    Raises:
        CaseError: If the dtype has no tensor type in ONNX.
    """
    element = ELEMENTS.get(array.dtype)
    if element is None:
        raise _input_error(f"ONNX has no tensor type for arrays of {array.dtype}; use one of {_known_dtypes()}")
    if element not in ML_DTYPES:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    if element in BITS:
        array = _packed_in_shape(array, element)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, onnx_element_type(element))


def from_ort_value(value: onnxruntime.OrtValue, name: str) -> Value:
    """Return a copy of what an `OrtValue` holds.

    Args:
        value: A tensor in host memory, or an optional.
        name: Of the output, for messages.

    Returns:
        An array, of an ml_dtypes dtype where numpy has none; `None` for an optional without a value.

    Raises:
        CaseError: If it is a sequence or map, or not in host memory.
    """
    # `data_type` and others read through a null pointer if there is no value.
    if not value.has_value():
        return None
    if not value.is_tensor():
        raise _output_error(f"output '{name}': {value.data_type()} cannot be read back; only tensors of this type can")
    element = _ML_BY_NUMBER.get(value.element_type())
    if element is None:
        array: Array = value.numpy()
        return array
    if value.device_name() != "cpu":
        raise _output_error(f"output '{name}': is in {value.device_name()} memory, not in the host's")
    return _read_memory(value, element)


def _read_memory(value: onnxruntime.OrtValue, element: str) -> Array:
    shape = tuple(value.shape())
    size = value.tensor_size_in_bytes()
    content = bytearray((ctypes.c_char * size).from_address(value.data_ptr())) if size else bytearray()
    if element in BITS:
        return unpack(np.frombuffer(content, np.uint8), element, shape)
    return np.frombuffer(content, ML_DTYPES[element]).reshape(shape)


def _packed_in_shape(array: Array, element: str) -> Array:
    """Return an array of the same shape whose first bytes are the packed elements, the rest unused.

    `ortvalue_from_numpy_with_onnx_type` takes the shape from the array and reads only as many bytes as the
    type needs.
    """
    carrier = np.zeros(array.shape, np.uint8)
    packed = pack(array, element)
    carrier.reshape(-1)[: packed.size] = packed
    return carrier


def _as_fed(value: Value) -> Any:
    if isinstance(value, np.ndarray):
        # ONNX Runtime reads foreign byte orders as if they were native, and copies what is not contiguous
        # each time.
        native = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
        array = np.asarray(native, order="C")
        return as_ort_value(array) if ELEMENTS.get(array.dtype) in ML_DTYPES else array
    return value


def _as_ort_feeds(feeds: Mapping[str, Any]) -> dict[str, onnxruntime.OrtValue]:
    """Return prepared inputs as `OrtValue`s; leaving an optional out means that it has no value."""
    return {name: _all_as_ort_value(name, value) for name, value in feeds.items() if value is not None}


def _all_as_ort_value(name: str, value: Any) -> onnxruntime.OrtValue:
    if isinstance(value, onnxruntime.OrtValue):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
        return as_ort_value(value)
    what = "strings" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise _input_error(
        f"input '{name}': {what} cannot be fed where an output has a type that numpy does not have; "
        'leave those outputs out with "outputs" in the model list'
    )


def _known_dtypes() -> str:
    return ", ".join(str(dtype) for dtype in ELEMENTS)


def _input_error(message: str) -> CaseError:
    return CaseError(message, stage="inputs", kind="input error")


def _output_error(message: str) -> CaseError:
    return CaseError(message, stage="first_run", kind="runtime error")
