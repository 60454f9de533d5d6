"""How far one array is from another, over all its elements.

Sums over two arrays from which come the cosine between them, and the ratio of signal to error.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_ortperf.execution.inputs.number_ranges import is_integer
from pytest_ortperf.execution.inputs.tensor_types import Array, element_name


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


CHUNK = 1 << 18
"""Elements that are looked at together: 2 MiB of each float64 array, which a core's cache about holds."""

_DIGITS, _ALL_DIGITS = 7, 17
"""Of a float32, and of a float64 that differs only after these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The element with the largest error beyond what is allowed."""

    index: tuple[int, ...]
    output: str
    reference: str
    label: str = ""
    """Where in a sequence or map its array stands: `[1]`."""

    def __str__(self) -> str:
        """For people: `at (0, 17): 0.021 instead of 0.5`."""
        place = f"{self.label} at" if self.label else "at"
        return f"{place} {self.index}: {self.output} instead of {self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What was found; a part of a sequence or map has one too."""

    elements: int = 0
    mismatches: int = 0
    nonfinite: int = 0
    """Elements where NaN or an infinity stands on one side alone, or another one."""

    max_abs_error: float | None = None
    """Over pairs of finite numbers; `None` if there are none."""

    max_rel_error: float | None = None
    """The same over pairs whose reference is not 0."""

    largest: float | None = None
    """Largest absolute reference value of such pairs."""

    needed_atol: float | None = None
    """Smallest with which each element lies within, `rtol` as it is; `None` where no tolerance does that."""

    needed_rtol: float | None = None
    """Likewise, `atol` as it is."""

    excess: float = -math.inf
    """Largest error beyond what is allowed; infinite where NaN, infinity or text differ."""

    worst: Worst | None = None
    """Where that is; `None` if all elements are the same."""

    moments: Moments = field(default_factory=Moments)
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
    moments: Moments


Compute = Callable[[Array, Array, float, float], _Errors]


def array_difference(output: Array, reference: Array, rtol: float, atol: float) -> Difference:
    """Return how an array differs from a reference of the same shape, in memory that does not grow with them.

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
    with np.errstate(all="ignore"):
        return _same(output, reference) or _numbers_difference(output, reference, rtol, atol)


def _same(output: Array, reference: Array) -> Difference | None:
    """Return the difference of arrays that are the same to the bit, finite and not large: the usual case, and short."""
    if output.size > CHUNK or output.dtype != reference.dtype or output.tobytes() != reference.tobytes():
        return None
    moments = moments_of_same(reference.reshape(-1))
    if moments is None:
        return None
    relative = 0.0 if moments.reference else None
    whole = is_integer(element_name(reference.dtype), reference.dtype)
    return Difference(
        elements=int(reference.size),
        max_abs_error=0.0,
        max_rel_error=relative,
        largest=math.sqrt(moments.reference),  # at least; there is no error to hold against it
        needed_atol=0.0,
        needed_rtol=None if whole else 0.0,
        moments=moments,
    )


def _numbers_difference(output: Array, reference: Array, rtol: float, atol: float) -> Difference:
    out, ref = output.reshape(-1), reference.reshape(-1)
    whole = is_integer(element_name(out.dtype), out.dtype) and is_integer(element_name(ref.dtype), ref.dtype)
    compute = _integer_errors if whole else _float_errors
    total, index = Difference(), None
    for start, part in _parts(out, ref, rtol, atol, compute):
        found, place = _tally(part, rtol, atol)
        if place is not None and (index is None or found.excess > total.excess):
            index = start + place
        total = combined(total, found)
    worst = None if index is None else _place(index, output, reference)
    return dataclasses.replace(total, worst=worst, needed_rtol=None if whole else total.needed_rtol)


def combined(one: Difference, other: Difference) -> Difference:
    """Return the difference of two parts together; `worst` is the one further outside."""
    if not one.elements or not other.elements:
        return one if one.elements else other
    return Difference(
        elements=one.elements + other.elements,
        mismatches=one.mismatches + other.mismatches,
        nonfinite=one.nonfinite + other.nonfinite,
        max_abs_error=_larger(one.max_abs_error, other.max_abs_error),
        max_rel_error=_larger(one.max_rel_error, other.max_rel_error),
        largest=_larger(one.largest, other.largest),
        needed_atol=_both(one.needed_atol, other.needed_atol),
        needed_rtol=_both(one.needed_rtol, other.needed_rtol),
        excess=max(one.excess, other.excess),
        worst=(other.worst or one.worst) if other.excess > one.excess else (one.worst or other.worst),
        moments=one.moments + other.moments,
    )


def _parts(out: Array, ref: Array, rtol: float, atol: float, compute: Compute) -> Iterator[tuple[int, _Errors]]:
    for start in range(0, ref.size, CHUNK):
        yield start, compute(out[start : start + CHUNK], ref[start : start + CHUNK], rtol, atol)


def _tally(part: _Errors, rtol: float, atol: float) -> tuple[Difference, int | None]:
    """Return what one chunk adds, and where in it the worst element is."""
    every = bool(part.finite.all())
    error = part.error if every else part.error[part.finite]
    size = part.size if every else part.size[part.finite]
    nonfinite = 0 if every else int(np.count_nonzero(part.outside & ~part.finite))
    largest = float(error.max()) if error.size else None
    place = int(np.where(part.error == 0, -np.inf, part.excess).argmax()) if largest or nonfinite else None
    found = Difference(
        elements=int(part.error.size),
        mismatches=int(np.count_nonzero(part.outside)),
        nonfinite=nonfinite,
        max_abs_error=largest,
        max_rel_error=_max_relative(error, size),
        largest=float(size.max()) if size.size else None,
        needed_atol=None if nonfinite else _needed_atol(error, size, rtol),
        needed_rtol=None if nonfinite else _needed_rtol(error, size, atol),
        excess=-math.inf if place is None else float(part.excess[place]),
        moments=part.moments,
    )
    return found, place


def _float_errors(out: Array, ref: Array, rtol: float, atol: float) -> _Errors:
    wide = np.complex128 if "c" in (out.dtype.kind, ref.dtype.kind) else np.float64
    o, r = out.astype(wide), ref.astype(wide)
    error, size = np.abs(o - r), np.abs(r)
    excess = error - (atol + rtol * size)
    finite = np.isfinite(o) & np.isfinite(r)
    if finite.all():
        return _Errors(error, size, finite, excess, excess > 0, moments_of(o, r, error))
    same = (o == r) | (np.isnan(o) & np.isnan(r))
    excess = np.where(finite, excess, np.where(same, -np.inf, np.inf))
    error = np.where(same, 0.0, error)
    moments = moments_of(o[finite], r[finite], error[finite])
    return _Errors(error, size, finite, excess, excess > 0, moments)


def _integer_errors(out: Array, ref: Array, _: float, atol: float) -> _Errors:
    wide = np.uint64 if np.uint64 in (out.dtype, ref.dtype) else np.int64
    o, r = out.astype(wide), ref.astype(wide)
    # Wraps around for int64, and is right again once seen as unsigned.
    error = np.where(o > r, o - r, r - o).view(np.uint64)
    outside = error > np.uint64(min(math.floor(atol), np.iinfo(np.uint64).max))
    finite = np.ones(error.shape, np.bool_)
    rounded, real = error.astype(np.float64), r.astype(np.float64)
    moments = moments_of(o.astype(np.float64), real, rounded)
    return _Errors(rounded, np.abs(real), finite, rounded - atol, outside, moments)


def _text_difference(output: Array, reference: Array) -> Difference:
    outside = np.asarray(output, object) != np.asarray(reference, object)
    mismatches = int(np.count_nonzero(outside))
    if mismatches == 0:
        return Difference(elements=int(reference.size))
    worst = _place(int(outside.reshape(-1).argmax()), output, reference)
    return Difference(elements=int(reference.size), mismatches=mismatches, excess=math.inf, worst=worst)


def _max_relative(error: Array, size: Array) -> float | None:
    usable = size > 0
    if not usable.all():
        error, size = error[usable], size[usable]
    return float((error / size).max()) if error.size else None


def _needed_atol(error: Array, size: Array, rtol: float) -> float:
    if not error.size:
        return 0.0
    needed = float(np.fmax.reduce(error - rtol * size))
    # as much more as rounding may take away again when it is used
    return needed + 2 * float(np.spacing(error.max())) if needed > 0 else 0.0


def _needed_rtol(error: Array, size: Array, atol: float) -> float | None:
    over = error > atol
    if not over.any():
        return 0.0
    if not size[over].all():
        return None
    return float(((error[over] - atol) / size[over]).max()) * (1 + 1e-12)


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _both(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _place(index: int, output: Array, reference: Array) -> Worst:
    where = tuple(int(i) for i in np.unravel_index(index, reference.shape))
    got, wanted = output[where], reference[where]
    texts = [_text(value, _DIGITS) for value in (got, wanted)]
    if texts[0] == texts[1]:
        texts = [_text(value, _ALL_DIGITS) for value in (got, wanted)]
    return Worst(index=where, output=texts[0], reference=texts[1])


def _text(value: Any, digits: int) -> str:
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    return f"{complex(value):.{digits}g}" if np.iscomplexobj(value) else f"{float(value):.{digits}g}"
