"""A case against itself: the same inputs twice, and a row of a batch as on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.inputs.tensor_types import Array, Meta, Value
from pytest_ortperf.records.record import ConsistencyCheck

ROWS = 3
"""Of the batch: the first, the last, and one between two others."""

ROWS_TOGETHER = (
    'if the rows of a batch belong together in this model, say so with "batch_dim": false in the model list, or leave '
    "the check out with --ortperf-checks=repeat"
)
"""What a failed check of a batch offers."""

Outputs = Mapping[str, Value]
Tolerances = Callable[[str], Tolerance]
Compute = Callable[[Outputs], Outputs]


def check_repeat(first: Outputs, second: Outputs, tolerances: Tolerances) -> ConsistencyCheck:
    """Return whether a second run with the same inputs gave the same outputs, to the bit or by the tolerance.

    An output breaks the check where its tolerance says so: `repeat` is `exact`, or `within` and it lies outside.
    """
    differing = [name for name in first if not same_bits(first[name], second[name])]
    if not differing:
        return ConsistencyCheck(name="repeat", outcome="same", max_abs_error=0.0, note="two runs gave the same bits")
    found = compare({name: second[name] for name in differing}, first, tolerances, subset=True)
    compared = [each for each in found if each.name in differing]
    broken = [each.name for each in compared if not _repeats(each.within_tolerance, tolerances(each.name).repeat)]
    inside = all(each.within_tolerance for each in compared)
    texts = [f"output '{each.name}' by up to {_number(each.max_abs_error)}" for each in compared]
    return ConsistencyCheck(
        name="repeat",
        outcome="broken" if broken or not inside else "within",
        fails=bool(broken),
        max_abs_error=_largest(each.max_abs_error for each in compared),
        note=f"a second run with the same inputs differs: {', '.join(texts)}",
    )


def _repeats(within: bool, asked: str | None) -> bool:  # noqa: FBT001 - a verdict, named by its caller
    return asked == "report" or (within and asked != "exact")


def batch_dimension(metas: Sequence[Meta], asked: str | None) -> str | None:
    """Return the symbolic dimension that all inputs begin with; `None` if it does not call itself a batch.

    Args:
        metas: Of the inputs.
        asked: Name that the model list gives it, whatever it is.
    """
    leading = {meta.shape[0] if meta.shape else None for meta in metas}
    name = leading.pop() if len(leading) == 1 else None
    if not isinstance(name, str):
        return None
    return name if name == asked or (asked is None and name.lower().startswith("batch")) else None


def check_batch(
    inputs: Outputs, output_metas: Sequence[Meta], dimension: str, compute: Compute, tolerances: Tolerances
) -> ConsistencyCheck:
    """Return whether each row of a batch gives what it gives on its own.

    The rows are those of the inputs; where there is one alone, it and two that are made of it by turning its last
    axis around, so that no new value comes in.

    Args:
        inputs: Arrays that begin with the batch dimension.
        output_metas: Computed outputs whose shape begins with it too are compared.
        dimension: Its name.
        compute: Runs the session.
        tolerances: By output name.
    """
    if not all(np.asarray(value).shape[0] for value in inputs.values()):
        return _not_made("the inputs have no row")
    rows = list(_rows({name: np.asarray(value) for name, value in inputs.items()}))
    batch = {name: np.concatenate([row[name] for row in rows]) for name in inputs}
    together = compute(batch)
    with_batch = (meta for meta in output_metas if meta.name in together and meta.shape)
    shapes = {meta.name: meta.shape for meta in with_batch if meta.shape[0] == dimension}
    if not shapes:
        return _not_made(f"no output begins with the dimension '{dimension}'")
    wrong, largest, is_same, unlike = [], 0.0, True, dict[str, None]()
    for number, row in enumerate(rows):
        alone = {name: np.asarray(value) for name, value in compute(row).items() if name in shapes}
        part = {name: np.asarray(together[name])[number : number + 1] for name in shapes}
        unlike |= {name: None for name in shapes if _has_open_size(shapes[name], part[name].shape, alone[name].shape)}
        names = [name for name in shapes if name not in unlike]
        found = compare({name: part[name] for name in names}, {name: alone[name] for name in names}, tolerances)
        wrong += [f"row {number} of output '{it.name}': {it.message}" for it in found if not it.within_tolerance]
        largest = max(largest, _largest(it.max_abs_error for it in found) or 0.0)
        is_same = is_same and all(same_bits(part[name], alone[name]) for name in names)
    if len(unlike) == len(shapes):
        return _not_made(f"the size of {_listed(unlike)} depends on the other rows")
    text = f"{len(rows)} rows of dimension '{dimension}', together and one by one"
    text += f" (without {_listed(unlike)}, whose size depends on the other rows)" if unlike else ""
    if wrong:
        note = f"{text}: {'; '.join(wrong)}; {ROWS_TOGETHER}"
        return ConsistencyCheck(name="batch", outcome="broken", fails=True, max_abs_error=largest, note=note)
    outcome = "same" if is_same else "within"
    note = f"{text}: {'the same bits' if is_same else f'differ by up to {largest:.4g}'}"
    return ConsistencyCheck(name="batch", outcome=outcome, max_abs_error=largest, note=note)


def _has_open_size(declared: Sequence[Any], one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two shapes differ behind the batch in a size that the model leaves open, as by padding."""
    if len(one) != len(other):
        return False
    sizes = zip(declared, one, other, strict=False)
    return any(size != twin and not isinstance(known, int) for known, size, twin in list(sizes)[1:])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def not_made(name: str, why: str) -> ConsistencyCheck:
    """Return a check that was not made, with the reason."""
    return ConsistencyCheck(name=name, outcome="not made", note=why)


def _not_made(why: str) -> ConsistencyCheck:
    return not_made("batch", why)


def _rows(inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    count = min(array.shape[0] for array in inputs.values())
    for number in range(ROWS):
        row = number % count
        cut = {name: array[row : row + 1] for name, array in inputs.items()}
        yield cut if number < count else {name: _turned(array, number) for name, array in cut.items()}


def _turned(array: Array, number: int) -> Array:
    if array.ndim < 2:  # noqa: PLR2004 - the batch alone
        return array
    return np.ascontiguousarray(np.roll(np.flip(array, -1), number - 1, -1))


def same_bits(one: Value, other: Value) -> bool:
    """Whether two values are the same in type, shape and every bit; equal texts and Python numbers count."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_bits, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one == other
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return bool(one is other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind in "OSU":
        return bool((one == other).all())
    return np.array_equal(_bytes(one), _bytes(other))


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _number(value: float | None) -> str:
    return "an unknown amount" if value is None else f"{value:.4g}"


def _largest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)
