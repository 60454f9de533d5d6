"""The outputs that trtexec exports: JSON of name, dimensions and values, with six significant digits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.tensor_types import Array, Value, parse_type
from pytest_ortperf.execution.trtexec.signature import TensorMeta

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
        raise _error(f"it is not whole ({type(error).__name__}: {error})") from error
    lacking = [meta.name for meta in metas if meta.name not in found]
    if lacking:
        raise _error(f"it lacks {', '.join(lacking)}; it has {', '.join(found) or 'none'}")
    return {meta.name: _array(found[meta.name], meta) for meta in metas}


def _as_json(match: re.Match[str]) -> str:
    return "NaN" if match[2].lower() == "nan" else f"{match[1]}Infinity"


def _array(entry: dict[str, Any], meta: TensorMeta) -> Array:
    try:
        shape = tuple(int(size) for size in str(entry["dimensions"]).split("x") if size.strip())
        values = list(entry["values"])
    except (KeyError, ValueError, TypeError) as error:
        raise _error(f"output '{meta.name}' has no dimensions or values: {error}") from error
    if math.prod(shape) != len(values):
        raise _error(f"output '{meta.name}' has dimensions {entry['dimensions']} and {len(values)} values")
    return np.asarray(values, dtype=np.float64 if _is_float(values) else None).astype(_dtype(meta)).reshape(shape)


def _is_float(values: Sequence[Any]) -> bool:
    return not values or any(isinstance(value, float) for value in values)


def _dtype(meta: TensorMeta) -> np.dtype[Any]:
    return np.dtype(parse_type(meta.type).dtype or np.float32)


def _error(what: str) -> CaseError:
    return CaseError(f"trtexec's file of outputs cannot be used: {what}", stage="first_run", kind="runtime error")
