"""Values of every type as files of one folder, and back; a description of them that fits JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pytest_ortperf.execution.inputs.tensor_types import DTYPES, Array, Value, element_name

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
