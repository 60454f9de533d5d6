"""What a reference is like: how large, and whether a comparison with it can show anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pytest_ortperf.execution.inputs.tensor_types import Array, Value


@dataclass(frozen=True, slots=True)
class ReferenceFacts:
    """Of all elements of one output's reference, those of sequences and maps together."""

    elements: int
    nonfinite: int
    """NaN and infinities; text has none."""

    size: float
    """Root mean square of the finite numbers; 0 without one."""

    largest: float
    """Largest absolute finite number; 0 without one."""

    is_constant: bool
    """Whether all elements are the same, of two or more."""

    @property
    def comparable(self) -> int:
        """Elements that a comparison can say something about."""
        return self.elements - self.nonfinite


def leaves(value: Value) -> Iterable[Array]:
    """Yield the arrays of a tensor, a sequence or a map."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item if isinstance(item, np.ndarray | list | dict) else np.asarray(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)


def reference_facts(value: Value) -> ReferenceFacts:
    """Return what a reference is like."""
    arrays = [array.reshape(-1) for array in leaves(value)]
    elements = sum(array.size for array in arrays)
    nonfinite, power, largest = 0, 0.0, 0.0
    for array in arrays:
        if array.dtype.kind in "OSUb" or not array.size:
            continue
        with np.errstate(all="ignore"):
            size = np.abs(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64))
            finite = size[np.isfinite(size)]
            nonfinite += array.size - finite.size
            power += float(np.dot(finite, finite))
            largest = max(largest, float(finite.max(initial=0.0)))
    count = elements - nonfinite
    rms = math.sqrt(power / count) if count and math.isfinite(power) else largest
    return ReferenceFacts(elements, nonfinite, rms, largest, _is_constant(arrays))


def _is_constant(arrays: list[Array]) -> bool:
    filled = [array for array in arrays if array.size]
    if sum(array.size for array in filled) < 2:  # noqa: PLR2004 - one element is always like itself
        return False
    first = filled[0][0]
    return all(bool(np.all(array == first)) for array in filled)


def shows_nothing(outputs: Iterable[Value]) -> bool:
    """Whether outputs hold no text and no finite number."""
    return all(reference_facts(value).comparable == 0 for value in outputs)
