"""Whether a value inside the graph is within tolerance, and how far off it is for its size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_ortperf.cases.model import Tolerance
from pytest_ortperf.execution.accuracy.output_accuracy import compare, effective
from pytest_ortperf.execution.inputs.tensor_types import Array, Value, element_name
from pytest_ortperf.records.bisection import ValueFact

_EIGHT_BITS = ("int8", "uint8")
_STEPS_8_BIT = 127
"""Of a quantised tensor, from 0 to its largest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One value against its reference."""

    name: str
    is_within: bool
    error: float | None
    """Largest absolute error over the root mean square of the reference; `None` if not finite or not a number."""

    max_abs_error: float | None
    text: str | None
    """What is wrong; `None` if within tolerance."""

    rtol: float
    atol: float

    @property
    def size(self) -> float:
        """For finding the worst of several."""
        if self.error is None:
            return 0.0 if self.is_within else np.inf
        return self.error


class Judge:
    """Judges values by the tolerances of a case.

    Outputs of the model have theirs as in a validation. Inside the graph numbers have other sizes than at its end:
    there `atol` is taken times the root mean square of the reference, and quantised values may be one step off.
    """

    def __init__(
        self, tolerance: Callable[[str], Tolerance], outputs: frozenset[str], *, is_quantised: bool = False
    ) -> None:
        """Keep the rules.

        Args:
            tolerance: Of an output's name.
            outputs: Names of the model's outputs.
            is_quantised: Whether the model computes with 8-bit integers.
        """
        self._tolerance = tolerance
        self._outputs = outputs
        self._is_quantised = is_quantised

    def judge(self, name: str, output: Value, reference: Value) -> Judgement:
        """Return how a value stands to its reference.

        Floats may have another precision than their reference: what overflowed in float16 is infinite, and its
        reference is not.
        """
        tolerance = self._chosen(name, reference)
        [found] = compare({name: output}, {name: reference}, lambda _: tolerance, any_float=True)
        return Judgement(
            name=name,
            is_within=found.within_tolerance,
            error=_relative_to_size(output, reference),
            max_abs_error=found.max_abs_error,
            text=found.message,
            rtol=found.rtol,
            atol=found.atol,
        )

    def limits(self, name: str, reference: Value) -> Tolerance:
        """Return all that a value is held to."""
        return effective(self._chosen(name, reference), reference)

    def _chosen(self, name: str, reference: Value) -> Tolerance:
        tolerance = self._tolerance(name)
        return tolerance if name in self._outputs else self._scaled(tolerance, reference)

    def _scaled(self, tolerance: Tolerance, reference: Value) -> Tolerance:
        tolerance = dataclasses.replace(tolerance, top_k=None)
        if not isinstance(reference, np.ndarray) or reference.dtype.kind in "OSU":
            return tolerance
        if self._is_quantised and element_name(reference.dtype) in _EIGHT_BITS:
            return dataclasses.replace(tolerance, atol=1.0)
        size = root_mean_square(reference)
        atol = (tolerance.atol or 0.0) * (size or 1.0)
        if self._is_quantised:
            atol = max(atol, _largest(reference) / _STEPS_8_BIT)
        return dataclasses.replace(tolerance, atol=atol)


def root_mean_square(values: Array) -> float:
    """Return the root mean square of the finite elements; 0 if there are none."""
    wide = _finite(values)
    return float(np.sqrt(np.mean(wide * wide))) if wide.size else 0.0


def value_fact(name: str, value: Value, origin: str, reference: Value = None) -> ValueFact:
    """Return the range of a value, and that of its reference."""
    if not isinstance(value, np.ndarray):
        return ValueFact(name=name, dtype=type(value).__name__, shape=None, origin=origin)
    low, high = _range(value)
    reference_low, reference_high = _range(reference) if isinstance(reference, np.ndarray) else (None, None)
    return ValueFact(
        name=name,
        dtype=element_name(value.dtype),
        shape=tuple(int(size) for size in value.shape),
        origin=origin,
        low=low,
        high=high,
        not_finite=0 if value.dtype.kind in "OSU" else int(value.size - _finite(value).size),
        reference_low=reference_low,
        reference_high=reference_high,
    )


def _relative_to_size(output: Value, reference: Value) -> float | None:
    if not isinstance(output, np.ndarray) or not isinstance(reference, np.ndarray) or output.shape != reference.shape:
        return None
    if reference.dtype.kind in "OSUc" or output.dtype.kind in "OSUc" or not reference.size:
        return None
    out, ref = output.astype(np.float64), reference.astype(np.float64)
    if bool(np.any(np.isfinite(out) != np.isfinite(ref))):
        return None
    both = np.isfinite(out) & np.isfinite(ref)
    largest = float(np.max(np.abs(out[both] - ref[both]), initial=0.0))
    return largest / (root_mean_square(reference) or 1.0)


def _finite(values: Array) -> Array:
    if values.dtype.kind in "OSUc":
        return np.zeros(0)
    wide = values.astype(np.float64).reshape(-1)
    return wide[np.isfinite(wide)]


def _largest(values: Array) -> float:
    return float(np.max(np.abs(_finite(values)), initial=0.0))


def _range(values: Array) -> tuple[float | None, float | None]:
    finite = _finite(values)
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)
