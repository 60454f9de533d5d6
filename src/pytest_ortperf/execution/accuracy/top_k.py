"""Rows that agree on what is largest in them: what a classifier's user looks at."""

from __future__ import annotations

import dataclasses

import numpy as np

from pytest_ortperf.execution.accuracy.array_difference import Difference, Worst
from pytest_ortperf.execution.inputs.number_ranges import is_integer
from pytest_ortperf.execution.inputs.tensor_types import Array, element_name


def top_k_difference(found: Difference, output: Array, reference: Array, k: int) -> Difference:
    """Return a difference that counts rows along the last axis instead of elements.

    Numbers: a row agrees if the output's k largest stand where the reference is at least as large as its k-th
    largest; so equal references may swap. Integers and bools are taken for what such a choice gave, and agree
    if the first k are the same in any order.

    Args:
        found: What elements gave; its errors stay.
        output: At least one element.
        reference: The same shape.
        k: At least 1; a shorter row is taken whole.
    """
    out, ref = (array.reshape(-1, array.shape[-1] if array.ndim else 1) for array in (output, reference))
    k = min(k, ref.shape[1])
    whole = is_integer(element_name(ref.dtype), ref.dtype)
    agree = _same_first(out, ref, k) if whole else _same_largest(out, ref, k)
    wrong = int(np.count_nonzero(~agree))
    worst = _worst(out, ref, int(np.argmin(agree)), k, whole=whole) if wrong else found.worst
    return dataclasses.replace(found, elements=int(agree.size), mismatches=wrong, worst=worst)


def _same_first(out: Array, ref: Array, k: int) -> Array:
    first, wanted = (np.sort(array[:, :k], axis=1) for array in (out, ref))
    return _all_of_row(np.equal(first, wanted))


def _same_largest(out: Array, ref: Array, k: int) -> Array:
    columns = ref.shape[1]
    chosen = np.argpartition(_ordered(out), columns - k, axis=1)[:, columns - k :]
    least = np.partition(_ordered(ref), columns - k, axis=1)[:, columns - k]
    reached = np.take_along_axis(_ordered(ref), chosen, axis=1) >= least[:, None]
    return np.logical_and(_all_of_row(reached), _all_of_row(~np.isnan(_ordered(out))))


def _all_of_row(holds: Array) -> Array:
    return np.asarray(np.all(holds, axis=1))


def _ordered(array: Array) -> Array:
    return array.astype(np.float64)


def _worst(out: Array, ref: Array, row: int, k: int, *, whole: bool) -> Worst:
    def listed(values: Array) -> str:
        chosen = values[:k] if whole else np.argsort(-_ordered(values), kind="stable")[:k]
        return f"{'first' if whole else 'largest'} {', '.join(str(int(value)) for value in chosen)}"

    return Worst(index=(row,), output=listed(out[row]), reference=listed(ref[row]), label="row")
