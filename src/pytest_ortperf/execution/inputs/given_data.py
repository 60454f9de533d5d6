"""Arrays given by a user's own test, as the inputs and references of a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.tensor_types import Meta, TypeInfo, Value, as_floats, element_name, parse_type

NAME = "given"
"""Of the data set that such arrays make."""


def given_inputs(
    values: Mapping[str, Any], session: onnxruntime.InferenceSession, *, cast_floats: bool
) -> dict[str, Value]:
    """Return the arrays by input name, lists and numbers made arrays of the declared type.

    Args:
        values: By input name; overridable initialisers count as inputs that need not be given.
        session: Has the inputs.
        cast_floats: Turn float arrays of another precision into the model's instead of refusing them.

    Raises:
        CaseError: Stage `inputs`, if a name is unknown or missing, or a type or shape is not the declared one.
    """
    metas = session.get_inputs()
    known = {meta.name: meta for meta in (*metas, *session.get_overridable_initializers())}
    _require_names(values, metas, known)
    return {name: _checked(value, known[name], cast_floats=cast_floats) for name, value in values.items()}


def given_references(values: Mapping[str, Any], session: onnxruntime.InferenceSession) -> dict[str, Value]:
    """Return reference outputs by name.

    Raises:
        CaseError: Stage `reference`, if the model has no such output.
    """
    types = {meta.name: parse_type(meta.type) for meta in session.get_outputs()}
    unknown = [name for name in values if name not in types]
    if unknown:
        text = f"the reference has {_listed(unknown)}; the model's outputs are {_listed(types)}"
        raise CaseError(text, stage="reference", kind="input error")
    return {name: _as_value(value, types[name]) for name, value in values.items()}


def _require_names(values: Iterable[str], metas: Sequence[Meta], known: Mapping[str, Meta]) -> None:
    unknown = [name for name in values if name not in known]
    if unknown:
        _fail(f"inputs= has {_listed(unknown)}; the model's inputs are {_listed(meta.name for meta in metas)}")
    missing = [meta.name for meta in metas if meta.name not in values and parse_type(meta.type).kind != "optional"]
    if missing:
        _fail(f"inputs= lacks {_listed(missing)}; give one array for each input of the model")


def _checked(value: Any, meta: Meta, *, cast_floats: bool) -> Value:
    info = parse_type(meta.type)
    found = _as_value(value, info)
    if cast_floats:
        found = as_floats(found, info.dtype)
    if not isinstance(found, np.ndarray) or info.kind != "tensor":
        return found
    element = element_name(found.dtype)
    if element != info.element:
        _fail(f"input '{meta.name}' is tensor({element}); the model declares {info.text}, give {info.dtype}")
    _check_shape(found, meta)
    return found


def _as_value(value: Any, info: TypeInfo) -> Value:
    if value is not None and info.kind == "optional" and info.inner is not None:
        return _as_value(value, info.inner)
    if isinstance(value, list | tuple) and info.kind == "sequence" and info.inner is not None:
        return [_as_value(each, info.inner) for each in value]
    if value is None or isinstance(value, np.ndarray) or (info.kind != "tensor" and isinstance(value, list | dict)):
        found: Value = value
        return found
    # a framework's tensor brings its type along; numbers and lists have none
    has_type = info.kind != "tensor" or hasattr(value, "__array__")
    return np.asarray(value) if has_type else np.asarray(value, dtype=info.dtype)


def _check_shape(value: np.ndarray[Any, Any], meta: Meta) -> None:
    # ONNX Runtime says [] for scalars and for unknown ranks alike
    declared = list(meta.shape)
    fits = len(declared) == value.ndim and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(declared, value.shape, strict=True)
    )
    if declared and not fits:
        shape = ", ".join("?" if dim is None else str(dim) for dim in declared)
        _fail(f"input '{meta.name}' has shape {value.shape}; the model declares ({shape})")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _fail(text: str) -> None:
    raise CaseError(text, stage="inputs", kind="input error")
