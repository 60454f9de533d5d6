"""Numbers for generated inputs: what range, and how it is filled."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.execution.inputs.tensor_types import BITS, Array

_UNSIGNED_SCALE = "float8e8m0"
"""Holds powers of two only: no zero, no sign."""


class RangeError(ValueError):
    """A rule that the type of its input cannot meet; the text needs the input's name in front."""


def is_integer(element: str, dtype: np.dtype[Any]) -> bool:
    """Whether a type counts in whole numbers, bool included."""
    return dtype.kind in "iub" or (element in BITS and not element.startswith("float"))


def integers(element: str, dtype: np.dtype[Any], count: int, rule: InputRule, rng: np.random.Generator) -> Array:
    """Return whole numbers from `rule.low` to `rule.high`, both included; 0 to 1 by itself.

    Returns:
        Shape (count,), dtype as given.

    Raises:
        RangeError: If the range is empty or the type does not reach that far.
    """
    low = 0 if rule.low is None else math.ceil(rule.low)
    high = max(1, low) if rule.high is None else math.floor(rule.high)
    lowest, highest = _limits(element, dtype)
    if not lowest <= low <= high <= highest:
        raise RangeError(f"no {element} from {low} to {high}; low and high must lie in {lowest} to {highest}")
    if rule.fill == "ramp":
        return (low + np.arange(count) * (high - low + 1) // max(count, 1)).astype(dtype)
    wide = np.uint64 if highest > np.iinfo(np.int64).max else np.int64
    return rng.integers(low, high, count, dtype=wide, endpoint=True).astype(dtype)


def given_values(element: str, dtype: np.dtype[Any], values: Sequence[Any]) -> Array:
    """Return values that a rule gives, as a type has them.

    Args:
        element: Of the input.
        dtype: Of the input.
        values: Numbers, texts and flags.

    Returns:
        Shape (number of values,), dtype as given.

    Raises:
        RangeError: If one is none of the type.
    """
    for value in values:
        if not _is_of(value, element, dtype):
            raise RangeError(f"no {element} is {json.dumps(value)}; give {_expected(element, dtype)}")
    found = np.empty(len(values), dtype)
    with np.errstate(over="ignore"):
        for place, value in enumerate(values):
            found[place] = value
    if dtype.kind not in "Ob" and not is_integer(element, dtype) and not np.isfinite(found.astype(np.complex128)).all():
        raise RangeError(f"no {element} is as large as {max(values, key=abs):g}; give smaller numbers")
    return found


def _is_of(value: Any, element: str, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "O" or isinstance(value, str):
        return dtype.kind == "O" and isinstance(value, str)
    if not is_integer(element, dtype):
        return True
    lowest, highest = _limits(element, dtype)
    return bool(value == int(value)) and lowest <= value <= highest


def _expected(element: str, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "O":
        return "texts"
    if not is_integer(element, dtype):
        return "numbers"
    lowest, highest = _limits(element, dtype)
    return "true or false" if dtype.kind == "b" else f"whole numbers from {lowest} to {highest}"


def floats(element: str, dtype: np.dtype[Any], count: int, rule: InputRule, rng: np.random.Generator) -> Array:
    """Return numbers from `rule.low`, included, to `rule.high`, excluded; -1 to 1 by itself.

    Both parts of complex numbers come from that range. A ramp goes from 0 to 1, and float8e8m0, which has no
    negative numbers, from 0.5 to 2.

    Returns:
        Shape (count,), dtype as given.

    Raises:
        RangeError: If the range is empty.
    """
    if dtype.kind == "c":
        real, imaginary = (floats("double", np.dtype(np.float64), count, rule, rng) for _ in range(2))
        return (real + 1j * imaginary).astype(dtype)
    low, high = _float_defaults(element, rule)
    low, high = low if rule.low is None else rule.low, high if rule.high is None else rule.high
    if not low < high:
        raise RangeError(f"no {element} from {low} up to {high}; low must be below high: give both")
    unit = np.arange(count) / max(count, 1) if rule.fill == "ramp" else rng.random(count)
    values = (low + (high - low) * unit).astype(dtype)
    # Rounding to fewer digits can reach the upper end, which is excluded.
    values[values.astype(np.float64) >= high] = low
    return values


def _float_defaults(element: str, rule: InputRule) -> tuple[float, float]:
    if element == _UNSIGNED_SCALE:
        return 0.5, 2.0
    return (0.0, 1.0) if rule.fill == "ramp" else (-1.0, 1.0)


def _limits(element: str, dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    bits = BITS[element]
    return (0, (1 << bits) - 1) if element.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
