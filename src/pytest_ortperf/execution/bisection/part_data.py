"""The data set of a part, in the files that a model directory has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from pytest_ortperf.execution.bisection.smallest import Part
from pytest_ortperf.execution.inputs.tensor_types import Value

DATA_SET = "test_data_set_0"


def write_data(part: Part) -> Path:
    """Write what a part is fed and what the reference gives; return the folder.

    A value that no file can hold, such as a map of strings, is left out.
    """
    folder = part.path.parent / DATA_SET
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*put_*.pb"):
        old.unlink()
    for kind, values in (("input", part.inputs), ("output", part.expected)):
        _write_all(folder, kind, values)
    return folder


def _write_all(folder: Path, kind: str, values: Mapping[str, Value]) -> None:
    protos = [proto for name, value in values.items() if (proto := _proto(name, value)) is not None]
    for number, proto in enumerate(protos):
        (folder / f"{kind}_{number}.pb").write_bytes(proto.SerializeToString())


def _proto(name: str, value: Value) -> Any:
    if isinstance(value, np.ndarray):
        return numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
    if isinstance(value, list) and all(isinstance(item, np.ndarray) for item in value):
        return numpy_helper.from_list(value, name)
    return onnx.OptionalProto(name=name, elem_type=onnx.OptionalProto.TENSOR) if value is None else None
