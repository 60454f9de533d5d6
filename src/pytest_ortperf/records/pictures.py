"""What pictures of errors are drawn from: counts and cells, small enough for a record, never whole tensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many elements have which error, in bins of equal width on a logarithmic axis."""

    low: float
    """Decimal exponent at which the first bin begins: -8 is 1e-8."""

    step: float
    """Width of a bin, in decimal exponents."""

    counts: tuple[int, ...]
    """Per bin. What is below the first or beyond the last is counted in it."""

    exact: int
    """Elements without any error."""

    not_finite: int
    """Elements where only one side is finite, or both are not and differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """The plane of two axes that holds the worst element, in cells of the largest error."""

    plane: str
    """Which plane of the tensor: `[0, 3, :, :]`."""

    rows: int
    """Of the plane, not of the cells."""

    columns: int
    cells: tuple[tuple[float | None, ...], ...]
    """Rows of cells, each the largest error in it; `None` where an element is not finite and should be."""

    worst_cell: tuple[int, ...]
    """Row and column of the cell that holds the worst element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstElement:
    """One element far off."""

    index: tuple[int, ...]
    output: str
    """As text: numbers of every type, and NaN."""

    reference: str
    error: float | None
    """In the picture's measure; `None` if not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPicture:
    """The errors of one output that left its tolerance."""

    data_set: str
    output: str
    dtype: str
    shape: tuple[int, ...]
    measure: str
    """Of all errors here: `error / allowed error`, above 1 outside the tolerance; or `absolute error`."""

    rtol: float
    atol: float
    elements: int
    outside: int
    """Elements outside the tolerance."""

    histogram: Histogram
    heatmap: Heatmap
    worst: tuple[WorstElement, ...]
    """The worst first."""
