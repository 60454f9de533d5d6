"""Outputs and their references -> what pictures of the errors are drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_ortperf.execution.inputs.tensor_types import Array, Value, element_name
from pytest_ortperf.records.pictures import ErrorPicture, Heatmap, Histogram, WorstElement
from pytest_ortperf.records.record import OutputAccuracy

OF_ALLOWED = "error / allowed error"
ABSOLUTE = "absolute error"

LOW, STEP, BINS = -8.0, 0.5, 32
CELLS = 32
"""Most cells along each side of a heatmap."""

WORST = 8
MOST = 4
"""Pictures of one case."""

_DIGITS = 7


@dataclass(frozen=True, slots=True)
class _PictureErrors:
    """In a picture's measure, per element in the output's shape; infinite where only one side is finite."""

    ratio: Array
    measure: str


def error_picture(
    data_set: str, name: str, output: Value, reference: Value, limits: tuple[float, float]
) -> ErrorPicture | None:
    """Return the picture of an output's errors.

    Args:
        data_set: Of the case.
        name: The output's.
        output: As computed.
        reference: As expected.
        limits: rtol and atol. The allowed error of an element is atol + rtol * abs(reference).

    Returns:
        `None` for what is no tensor of real numbers, is empty, or has another shape than its reference.
    """
    if not isinstance(output, np.ndarray) or not isinstance(reference, np.ndarray):
        return None
    odd = output.dtype.kind in "OSUc" or reference.dtype.kind in "OSUc"
    if odd or output.shape != reference.shape or not output.size:
        return None
    errors = _errors(output, reference, limits)
    order = _worst_first(errors.ratio)
    return ErrorPicture(
        data_set=data_set,
        output=name,
        dtype=element_name(output.dtype),
        shape=tuple(int(size) for size in output.shape),
        measure=errors.measure,
        rtol=limits[0],
        atol=limits[1],
        elements=int(output.size),
        outside=int(np.count_nonzero(errors.ratio > (1.0 if errors.measure == OF_ALLOWED else 0.0))),
        histogram=_histogram(errors.ratio),
        heatmap=_heatmap(errors.ratio, int(order[0])),
        worst=tuple(_worst_element(int(index), output, reference, errors.ratio) for index in order),
    )


def more_pictures(
    known: tuple[ErrorPicture, ...],
    data_set: str,
    accuracy: Iterable[OutputAccuracy],
    values: tuple[Mapping[str, Value], Mapping[str, Value]],
) -> tuple[ErrorPicture, ...]:
    """Return the pictures of a case with those of one more data set: of outputs that fail, up to a few.

    Args:
        known: Those so far.
        data_set: Its name.
        accuracy: What was found of its outputs.
        values: Its outputs, and their references.
    """
    outputs, references = values
    found = list(known)
    for it in accuracy:
        compared = it.name in outputs and it.name in references
        if len(found) < MOST and it.verdict == "fail" and compared:
            picture = error_picture(data_set, it.name, outputs[it.name], references[it.name], (it.rtol, it.atol))
            found += [picture] if picture is not None else []
    return tuple(found)


def _errors(output: Array, reference: Array, limits: tuple[float, float]) -> _PictureErrors:
    rtol, atol = limits
    out, ref = output.astype(np.float64), reference.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(out - ref)
        allowed = atol + rtol * np.abs(ref)
        same = (out == ref) | (np.isnan(out) & np.isnan(ref))
        if not rtol and not atol:
            measure, ratio = ABSOLUTE, error
        else:
            # where nothing is allowed, as for a reference of 0 without atol
            measure, ratio = OF_ALLOWED, error / np.where(allowed > 0, allowed, np.finfo(np.float64).tiny)
    finite = np.isfinite(out) & np.isfinite(ref)
    return _PictureErrors(np.where(same, 0.0, np.where(finite, ratio, np.inf)), measure)


def _worst_first(ratio: Array) -> Array:
    flat = ratio.reshape(-1)
    count = min(WORST, flat.size)
    found: Array = np.argpartition(-flat, count - 1)[:count]
    return found[np.argsort(-flat[found], kind="stable")]


def _histogram(ratio: Array) -> Histogram:
    flat = ratio.reshape(-1)
    usable = flat[np.isfinite(flat) & (flat > 0)]
    bins = np.clip(np.floor((np.log10(usable) - LOW) / STEP).astype(np.int64), 0, BINS - 1)
    return Histogram(
        low=LOW,
        step=STEP,
        counts=tuple(int(count) for count in np.bincount(bins, minlength=BINS)),
        exact=int(np.count_nonzero(flat == 0)),
        not_finite=int(np.count_nonzero(np.isinf(flat))),
    )


def _heatmap(ratio: Array, worst: int) -> Heatmap:
    plane, label, (row, column) = _plane(ratio, worst)
    rows, columns = plane.shape
    row_edges, column_edges = _edges(rows), _edges(columns)
    pooled = np.maximum.reduceat(np.maximum.reduceat(plane, row_edges, axis=0), column_edges, axis=1)
    cell = (
        int(np.searchsorted(row_edges, row, side="right")) - 1,
        int(np.searchsorted(column_edges, column, side="right")) - 1,
    )
    cells = tuple(tuple(_rounded(value) for value in line) for line in pooled)
    return Heatmap(plane=label, rows=rows, columns=columns, cells=cells, worst_cell=cell)


def _plane(ratio: Array, worst: int) -> tuple[Array, str, tuple[int, int]]:
    """Return the plane of the last two axes longer than 1 at the worst element, its name, and where that lies in it."""
    index = [int(i) for i in np.unravel_index(worst, ratio.shape)]
    long = [axis for axis, size in enumerate(ratio.shape) if size > 1][-2:]
    picked: tuple[Any, ...] = tuple(slice(None) if axis in long else at for axis, at in enumerate(index))
    plane = ratio[picked]
    label = "[" + ", ".join(":" if axis in long else str(at) for axis, at in enumerate(index)) + "]"
    if len(long) == 2:  # noqa: PLR2004 - rows and columns
        return plane, label, (index[long[0]], index[long[1]])
    # a line is folded into rows, so that it is seen whole
    line = plane.reshape(-1)
    width = max(1, math.ceil(math.sqrt(line.size)))
    folded = np.zeros(width * math.ceil(line.size / width))
    folded[: line.size] = line
    at = index[long[0]] if long else 0
    suffix = f" in rows of {width}" if line.size > 1 else ""
    return folded.reshape(-1, width), label + suffix, divmod(at, width)


def _edges(size: int) -> Array:
    """Return where each cell begins."""
    # rising and at least 1 apart; `np.unique` would import numpy.ma, in each child again
    return np.linspace(0, size, min(size, CELLS), endpoint=False).astype(np.int64)


def _rounded(value: float) -> float | None:
    # three digits are more than a colour shows
    return float(f"{value:.3g}") if np.isfinite(value) else None


def _worst_element(flat: int, output: Array, reference: Array, ratio: Array) -> WorstElement:
    index = tuple(int(i) for i in np.unravel_index(flat, output.shape))
    return WorstElement(
        index=index,
        output=_text(output[index]),
        reference=_text(reference[index]),
        error=_rounded(float(ratio[index])),
    )


def _text(value: Any) -> str:
    whole = isinstance(value, np.integer | np.bool_)
    return str(value) if whole else f"{float(value):.{_DIGITS}g}"
