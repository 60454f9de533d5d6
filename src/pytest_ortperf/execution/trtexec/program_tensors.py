"""What trtexec is fed: a file a tensor with the bytes of the engine's binding, and the shapes to build and run for.

Inputs and outputs of a model file, in the words of an ONNX Runtime session: no session is made of it here.

The outputs that trtexec exports: JSON of name, dimensions and values, with six significant digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.tensor_types import (
    DTYPES,
    Array,
    Value,
    element_name,
    element_of_number,
    parse_type,
)
from pytest_ortperf.execution.session.tensorrt import Sizes


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What `InferenceSession.get_inputs` returns is like it."""

    name: str
    type: str
    shape: list[Any]
    """Numbers, names of symbolic dimensions, `None` for one without a name."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Answers as an `InferenceSession` does where only the model is asked for."""

    inputs: tuple[TensorMeta, ...]
    outputs: tuple[TensorMeta, ...]
    overridable: tuple[TensorMeta, ...]

    def get_inputs(self) -> list[TensorMeta]:
        """Return what must be fed."""
        return list(self.inputs)

    def get_outputs(self) -> list[TensorMeta]:
        """Return what is computed."""
        return list(self.outputs)

    def get_overridable_initializers(self) -> list[TensorMeta]:
        """Return inputs that have a value already."""
        return list(self.overridable)


def read_signature(path: str, fixed: Mapping[str, int]) -> Signature:
    """Return the signature of a model file.

    Args:
        path: The model; its external data is not read.
        fixed: Sizes of symbolic dimensions that count as static.
    """
    graph = onnx.load_model(path, load_external_data=False).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_metas(graph.input, fixed))
    return Signature(
        inputs=tuple(meta for meta in inputs if meta.name not in given),
        outputs=tuple(_metas(graph.output, {})),
        overridable=tuple(meta for meta in inputs if meta.name in given),
    )


def _metas(values: Iterable[onnx.ValueInfoProto], fixed: Mapping[str, int]) -> Iterable[TensorMeta]:
    for value in values:
        kind = value.type.WhichOneof("value")
        tensor = value.type.tensor_type
        text = f"tensor({element_of_number(tensor.elem_type)})" if kind == "tensor_type" else str(kind)
        yield TensorMeta(value.name, text, [_dimension(dim, fixed) for dim in tensor.shape.dim])


def _dimension(dim: onnx.TensorShapeProto.Dimension, fixed: Mapping[str, int]) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return fixed.get(dim.dim_param, dim.dim_param) or None


_VALUES = re.compile(r'("values"\s*:\s*\[)([^\]]*)(\])')
_NO_NUMBER = re.compile(r"(-?)\b(nan|inf)\b(?:\(\w*\))?", re.IGNORECASE)


def parse_outputs(text: str, metas: Sequence[TensorMeta]) -> dict[str, Value]:
    """Return the outputs of a file of `--exportOutput` by name, in the types that the model declares.

    Args:
        text: The file.
        metas: The outputs that are wanted.

    Raises:
        CaseError: Stage `first_run`: the file is cut, lacks an output, or holds another number of values.
    """
    # C++ writes numbers that are none as nan and inf, which is not JSON
    text = _VALUES.sub(lambda match: match[1] + _NO_NUMBER.sub(_as_json, match[2]) + match[3], text)
    try:
        found = {entry["name"]: entry for entry in json.loads(text)}
    except (ValueError, TypeError, KeyError) as error:
        raise _output_error(f"it is not whole ({type(error).__name__}: {error})") from error
    lacking = [meta.name for meta in metas if meta.name not in found]
    if lacking:
        raise _output_error(f"it lacks {', '.join(lacking)}; it has {', '.join(found) or 'none'}")
    return {meta.name: _array(found[meta.name], meta) for meta in metas}


def _as_json(match: re.Match[str]) -> str:
    return "NaN" if match[2].lower() == "nan" else f"{match[1]}Infinity"


def _array(entry: dict[str, Any], meta: TensorMeta) -> Array:
    try:
        shape = tuple(int(size) for size in str(entry["dimensions"]).split("x") if size.strip())
        values = list(entry["values"])
    except (KeyError, ValueError, TypeError) as error:
        raise _output_error(f"output '{meta.name}' has no dimensions or values: {error}") from error
    if math.prod(shape) != len(values):
        raise _output_error(f"output '{meta.name}' has dimensions {entry['dimensions']} and {len(values)} values")
    return np.asarray(values, dtype=np.float64 if _is_float(values) else None).astype(_dtype(meta)).reshape(shape)


def _is_float(values: Sequence[Any]) -> bool:
    return not values or any(isinstance(value, float) for value in values)


def _dtype(meta: TensorMeta) -> np.dtype[Any]:
    return np.dtype(parse_type(meta.type).dtype or np.float32)


def _output_error(what: str) -> CaseError:
    return CaseError(f"trtexec's file of outputs cannot be used: {what}", stage="first_run", kind="runtime error")


Version = tuple[int, int, int]

ALWAYS: Version = (0, 0, 0)
BINDINGS: Mapping[str, tuple[tuple[Version, str], ...]] = {
    "float": ((ALWAYS, "float"),),
    "double": ((ALWAYS, "float"),),
    "float16": ((ALWAYS, "float16"),),
    "bfloat16": (((10, 0, 0), "bfloat16"),),
    "int8": ((ALWAYS, "int8"),),
    "uint8": (((8, 5, 0), "uint8"),),
    "int32": ((ALWAYS, "int32"),),
    "int64": (((10, 0, 0), "int64"), (ALWAYS, "int32")),
    "bool": ((ALWAYS, "bool"),),
}
"""Element of the model's input -> from which version on the engine's input is of which element, the newest first.

TensorRT has no doubles, and no 64-bit integers before version 10: its ONNX parser makes narrower inputs of them.
"""

_UNSPEAKABLE = frozenset(",'")
"""Characters in a name that end it, whatever is around it."""


def write_inputs(inputs: Mapping[str, Value], folder: Path, version: Version) -> str:
    """Write each tensor to a file of its own in a folder; return the value of `--loadInputs`, for a run there.

    Args:
        inputs: By name; the values of the case.
        folder: Files are named by position, so that none has a character that would end its name.
        version: Of TensorRT.

    Raises:
        CaseError: Stage `inputs`, if a value is no tensor, or of a type, value or name that cannot be fed.
    """
    parts = []
    for number, (name, value) in enumerate(inputs.items()):
        file = f"input_{number}.bin"
        (folder / file).write_bytes(binding_bytes(name, value, version))
        parts.append(f"{quoted(name)}:{file}")
    return ",".join(parts)


def binding_bytes(name: str, value: Value, version: Version) -> bytes:
    """Return the raw bytes of a tensor as the engine's binding holds them, in C order.

    Raises:
        CaseError: As `write_inputs`.
    """
    if not isinstance(value, np.ndarray):
        raise _error(name, f"is a {type(value).__name__}; TensorRT takes tensors alone")
    element = element_name(value.dtype)
    binding = next((to for since, to in BINDINGS.get(element, ()) if version >= since), None)
    if binding is None:
        raise _error(name, f"is tensor({element}), of which TensorRT {version[0]}.{version[1]} takes none as input")
    return np.ascontiguousarray(_narrowed(name, value, binding)).tobytes()


def quoted(name: str) -> str:
    """Return a tensor's name as trtexec reads it before a colon.

    Raises:
        CaseError: Stage `inputs`, if it holds a comma or a quotation mark.
    """
    if _UNSPEAKABLE & set(name):
        raise _error(name, "has a comma or a quotation mark in its name, where trtexec ends it; rename it in the model")
    return f"'{name}'" if ":" in name else name


def profile_of(
    metas: Sequence[TensorMeta], data_sets: Sequence[Mapping[str, Value]], case: Case
) -> dict[str, list[Sizes]]:
    """Return least, best and most size of each dimension of the inputs that have a symbolic one.

    The best is that of the first data set; the others reach over all data sets and the model list's ranges.
    """
    found = {}
    for meta in metas:
        shapes = [value.shape for data in data_sets if isinstance(value := data.get(meta.name), np.ndarray)]
        if not shapes or all(isinstance(dim, int) for dim in meta.shape):
            continue
        found[meta.name] = [
            _widened((min(sizes), sizes[0], max(sizes)), meta, place, case)
            for place, sizes in enumerate(zip(*shapes, strict=True))
        ]
    return found


def shapes_text(profile: Mapping[str, Sequence[Sizes]], which: int) -> str:
    """Return one of the three shapes of all inputs of a profile: `ids:1x128,'mask:0':1x128`."""
    return ",".join(f"{quoted(name)}:{_joined([size[which] for size in sizes])}" for name, sizes in profile.items())


def fed_shapes_text(profile: Mapping[str, object], inputs: Mapping[str, Value]) -> str:
    """Return the shapes of the inputs of one data set that have a symbolic dimension."""
    fed = {name: value for name, value in inputs.items() if name in profile and isinstance(value, np.ndarray)}
    return ",".join(f"{quoted(name)}:{_joined(value.shape)}" for name, value in fed.items())


def _joined(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _widened(sizes: Sizes, meta: TensorMeta, place: int, case: Case) -> Sizes:
    dim = meta.shape[place] if place < len(meta.shape) else None
    around = case.model.dim_ranges.get(dim) if isinstance(dim, str) else None
    if around is None or not around.min <= sizes[1] <= around.max:
        return sizes
    return min(around.min, sizes[0]), around.opt, max(around.max, sizes[2])


def _narrowed(name: str, value: Array, binding: str) -> Array:
    dtype = DTYPES[binding]
    if value.dtype == dtype:
        return value
    if dtype.kind == "i" and value.size:
        limits = np.iinfo(dtype)
        if value.min() < limits.min or value.max() > limits.max:
            raise _error(
                name, f"has values from {value.min()} to {value.max()}, and this version of TensorRT has {dtype} alone"
            )
    return value.astype(dtype)


def _error(name: str, what: str) -> CaseError:
    return CaseError(f"trtexec cannot be fed: input '{name}' {what}", stage="inputs", kind="input error")
