"""How far one array is from another, element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_ortperf.execution.number_ranges import is_integer
from pytest_ortperf.execution.tensor_types import Array, element_name

_DIGITS, _ALL_DIGITS = 7, 17
"""Of a float32, and of a float64 that differs only after these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was found; a part of a sequence or map has one too."""

    elements: int = 0
    mismatches: int = 0
    max_abs_error: float | None = None
    """Over pairs of finite numbers; `None` if there are none."""

    max_rel_error: float | None = None
    """The same over pairs whose reference is not 0."""

    excess: float = -math.inf
    """Largest error beyond what is allowed; infinite where NaN, infinity or text differ."""

    worst: str | None = None
    """Where that is, for people: `at (0, 17): 0.021 instead of 0.5`."""

    structure: str | None = None
    """Why elements could not be compared: another type, shape, length or key."""


@dataclass(frozen=True, slots=True)
class _Errors:
    """Per element, flat; `error` and `size` (of the reference) count only where `finite`."""

    error: Array
    size: Array
    finite: Array
    excess: Array
    outside: Array


def array_difference(output: Array, reference: Array, rtol: float, atol: float) -> Difference:
    """Return how an array differs from a reference of the same shape.

    An element lies outside if abs(output - reference) > atol + rtol * abs(reference), computed in float64
    (complex128 for complex numbers); NaN is equal to NaN only, infinities to those of the same sign.
    Integers and bools are compared without rounding and with atol alone. Strings must be equal.

    Args:
        output: Any dtype, any shape.
        reference: The same shape.
        rtol: Times the absolute reference value.
        atol: Added to it.
    """
    if reference.size == 0:
        return Difference()
    if reference.dtype.kind in "OSU":
        return _text_difference(output, reference)
    out, ref = output.reshape(-1), reference.reshape(-1)
    whole = is_integer(element_name(out.dtype), out.dtype) and is_integer(element_name(ref.dtype), ref.dtype)
    errors = _integer_errors(out, ref, atol) if whole else _float_errors(out, ref, rtol, atol)
    mismatches = int(np.count_nonzero(errors.outside))
    index = int(np.where(errors.outside, errors.excess, -np.inf).argmax()) if mismatches else None
    return Difference(
        elements=int(reference.size),
        mismatches=mismatches,
        max_abs_error=_largest(errors.error[errors.finite]),
        max_rel_error=_max_relative(errors),
        excess=-math.inf if index is None else float(errors.excess[index]),
        worst=None if index is None else _place(index, output, reference),
    )


def _float_errors(out: Array, ref: Array, rtol: float, atol: float) -> _Errors:
    wide = np.complex128 if "c" in (out.dtype.kind, ref.dtype.kind) else np.float64
    o, r = out.astype(wide), ref.astype(wide)
    with np.errstate(all="ignore"):
        error, size = np.abs(o - r), np.abs(r)
        finite = np.isfinite(o) & np.isfinite(r)
        same = (o == r) | (np.isnan(o) & np.isnan(r))
        excess = np.where(finite, error - (atol + rtol * size), np.where(same, -np.inf, np.inf))
    return _Errors(error, size, finite, excess, excess > 0)


def _integer_errors(out: Array, ref: Array, atol: float) -> _Errors:
    wide = np.uint64 if np.uint64 in (out.dtype, ref.dtype) else np.int64
    o, r = out.astype(wide), ref.astype(wide)
    # Wraps around for int64, and is right again once seen as unsigned.
    error = np.where(o > r, o - r, r - o).view(np.uint64)
    outside = error > np.uint64(min(math.floor(atol), np.iinfo(np.uint64).max))
    finite = np.ones(error.shape, np.bool_)
    rounded = error.astype(np.float64)
    return _Errors(rounded, np.abs(r.astype(np.float64)), finite, rounded - atol, outside)


def _text_difference(output: Array, reference: Array) -> Difference:
    outside = np.asarray(output, object) != np.asarray(reference, object)
    mismatches = int(np.count_nonzero(outside))
    if mismatches == 0:
        return Difference(elements=int(reference.size))
    worst = _place(int(outside.reshape(-1).argmax()), output, reference)
    return Difference(elements=int(reference.size), mismatches=mismatches, excess=math.inf, worst=worst)


def _max_relative(errors: _Errors) -> float | None:
    usable = errors.finite & (errors.size > 0)
    with np.errstate(over="ignore"):
        return _largest(errors.error[usable] / errors.size[usable])


def _largest(values: Array) -> float | None:
    return float(values.max()) if values.size else None


def _place(index: int, output: Array, reference: Array) -> str:
    where = tuple(int(i) for i in np.unravel_index(index, reference.shape))
    got, wanted = output[where], reference[where]
    texts = [_text(value, _DIGITS) for value in (got, wanted)]
    if texts[0] == texts[1]:
        texts = [_text(value, _ALL_DIGITS) for value in (got, wanted)]
    return f"at {where}: {texts[0]} instead of {texts[1]}"


def _text(value: Any, digits: int) -> str:
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    return f"{complex(value):.{digits}g}" if np.iscomplexobj(value) else f"{float(value):.{digits}g}"
