"""Sums over two arrays from which come the cosine between them, and the ratio of signal to error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_ortperf.execution.inputs.tensor_types import Array


@dataclass(frozen=True, slots=True)
class Moments:
    """Over the elements where both are finite, all in float64; those of several arrays add up."""

    count: int = 0
    output: float = 0.0
    """Of squares."""

    reference: float = 0.0
    error: float = 0.0
    product: float = 0.0
    """Of output times reference."""

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both."""
        return Moments(
            self.count + other.count,
            self.output + other.output,
            self.reference + other.reference,
            self.error + other.error,
            self.product + other.product,
        )

    @property
    def cosine(self) -> float | None:
        """-1 to 1; `None` where an array is all zeros, so that it has no direction, or too large to be squared."""
        size = math.sqrt(self.output) * math.sqrt(self.reference)
        if not size or not math.isfinite(size):
            return None
        return min(1.0, max(-1.0, self.product / size))

    @property
    def snr_db(self) -> float | None:
        """Power of the reference to that of the error; infinite without an error; `None` as `cosine`."""
        if not self.reference or not math.isfinite(self.reference + self.error):
            return None
        return math.inf if not self.error else 10 * (math.log10(self.reference) - math.log10(self.error))

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error; `None` without a finite pair."""
        return math.sqrt(self.error / self.count) if self.count else None


def moments_of(output: Array, reference: Array, error: Array) -> Moments:
    """Return the moments of finite float64 or complex128 arrays in one dimension."""
    return Moments(
        output.size,
        _product(output, output),
        _product(reference, reference),
        _product(error, error),
        _product(reference, output),
    )


def moments_of_same(values: Array) -> Moments | None:
    """Return the moments of an array and itself; `None` if it is not finite, or too large to be squared."""
    wide = np.complex128 if values.dtype.kind == "c" else np.float64
    real = values.astype(wide)
    power = _product(real, real)
    return Moments(values.size, power, power, 0.0, power) if math.isfinite(power) else None


def _product(a: Array, b: Array) -> float:
    # numbers beyond 1e154 have no square; who calls this lets them overflow
    return float(np.vdot(a, b).real)
