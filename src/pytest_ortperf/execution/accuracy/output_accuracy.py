"""Outputs against reference outputs.

What is wrong with an output, in words; nothing if it is within its tolerance.

Rows that agree on what is largest in them: what a classifier's user looks at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.array_difference import Difference, Worst, array_difference, combined
from pytest_ortperf.execution.inputs.number_ranges import is_integer
from pytest_ortperf.execution.inputs.reference_facts import leaves, reference_facts
from pytest_ortperf.execution.inputs.tensor_types import FLOATS, Array, Value, element_name, shape_of, type_text
from pytest_ortperf.records.record import OutputAccuracy

_FREE = 1e-3
"""Of `atol`: errors up to there count as none."""


def failure_text(found: OutputAccuracy, difference: Difference, *, nan_exact: bool) -> str | None:
    """Return everything that breaks the policy, then every measure of the error; `None` if nothing does.

    Args:
        found: The output, with its limits and measures.
        difference: Where those are from.
        nan_exact: Whether NaN and infinities must stand where the reference has them.
    """
    if difference.structure is not None:
        return difference.structure
    broken = list(_broken(found, nan_exact=nan_exact))
    if not broken:
        return None
    where = f", worst {difference.worst}" if difference.worst else ""
    limits = f"{'; '.join(broken)}{where}, rtol={found.rtol:g}, atol={found.atol:g}"
    return "; ".join(text for text in (limits, measures_text(found)) if text)


def measures_text(found: OutputAccuracy) -> str:
    """Return the measures of an error: largest, overall, and the tolerance that would pass."""
    parts = [
        _measure("max abs error", found.max_abs_error),
        _measure("max rel error", found.max_rel_error),
        None if found.cosine is None else f"cosine {cosine_text(found.cosine)}",
        None if found.snr_db is None else f"SNR {snr_text(found.snr_db)}",
        _needed(found),
    ]
    return ", ".join(part for part in parts if part)


def snr_text(value: float) -> str:
    """Return decibels as text."""
    return "infinite" if math.isinf(value) else f"{value:.1f} dB"


def cosine_text(value: float) -> str:
    """Return a cosine with as many digits as tell it from 1."""
    digits = 4 if 1 - value <= 0 else min(12, max(4, 2 - math.floor(math.log10(1 - value))))
    return f"{value:.{digits}f}"


def _broken(found: OutputAccuracy, *, nan_exact: bool) -> Iterator[str]:
    percent, allowed = found.percent_mismatch or 0.0, found.percent_mismatch_allowed
    if percent > allowed:
        what = f"rows whose {found.top_k} largest differ" if found.top_k else "percent mismatch"
        yield f"{what} {percent:.4g} % (allowed {allowed:g} %)"
    if nan_exact and found.nonfinite_mismatches:
        yield f"NaN or infinity differs in {found.nonfinite_mismatches} elements"
    if found.cosine_least is not None and found.cosine is not None and found.cosine < found.cosine_least:
        yield f"cosine {cosine_text(found.cosine)} (at least {found.cosine_least:g})"
    if found.snr_db_least is not None and found.snr_db is not None and found.snr_db < found.snr_db_least:
        yield f"SNR {snr_text(found.snr_db)} (at least {found.snr_db_least:g} dB)"
    peak, most = found.peak_percent, found.peak_percent_allowed
    if peak is not None and most is not None and peak > most and (found.max_abs_error or 0.0) > _FREE * found.atol:
        yield f"largest error {peak:.3g} % of the largest reference (allowed {most:g} %)"
    if _beyond_zero(found):
        yield "the reference or the output is all zeros"


def _beyond_zero(found: OutputAccuracy) -> bool:
    """Whether there is no cosine to hold an output to, and an error beyond `atol` that nothing else bounds."""
    asked = found.cosine_least is not None or found.snr_db_least is not None
    unbounded = asked and found.percent_mismatch_allowed >= 100.0 and found.cosine is None  # noqa: PLR2004 - percent
    return unbounded and (found.max_abs_error or 0.0) > found.atol


def _measure(name: str, value: float | None) -> str | None:
    return None if value is None else f"{name} {value:.4g}"


def _needed(found: OutputAccuracy) -> str | None:
    if found.top_k is not None or found.max_abs_error is None:
        return None
    needed = [
        f"{name}={_up(value)}"
        for name, value in (("atol", found.needed_atol), ("rtol", found.needed_rtol))
        if value is not None
    ]
    return f"all within with {' or '.join(needed)}" if needed else "no tolerance would pass"


def _up(value: float) -> str:
    """Return a number of three digits that is no less, but for the last bits of a float64."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    exponent = max(math.floor(math.log10(value)) - 2, -300)  # below, powers of ten are 0
    return f"{float(f'{math.ceil(value / 10.0**exponent * (1 - 1e-9))}e{exponent}'):g}"


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


_BFLOAT16_RTOL = 2**-6
_BFLOAT16 = "bfloat16"
_INTEGERS = ("int", "uint", "bool")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What counts for the elements of one output."""

    rtol: float
    atol: float
    top_k: int | None
    any_float: bool


_Pair: TypeAlias = tuple[Any, Any]


def compare(
    outputs: Mapping[str, Value],
    references: Mapping[str, Value],
    tolerances: Callable[[str], Tolerance],
    *,
    subset: bool = False,
    any_float: bool = False,
) -> tuple[OutputAccuracy, ...]:
    """Return how each output compares with its reference.

    Type and shape must be the same. Numbers may differ by atol + rtol * abs(reference), for at most the
    allowed percentage of an output's elements; for bfloat16 outputs rtol is at least 2**-6, two units in
    the last place, as in the onnx project's backend test runner. Integers and bools may differ by atol
    alone, and are compared exactly. Sequences and maps count over all their elements. Where the tolerance
    asks for a cosine or a signal-to-noise ratio and not for a percentage, floats are held to such measures alone.
    NaN and infinities have to stand where the reference has them, whatever the percentage.

    Args:
        outputs: As computed, by name.
        references: As expected, by name.
        tolerances: Gives the tolerance of an output's name; fields not given are 0, or ask for nothing.
        subset: Outputs without a reference are left out, rather than not within tolerance.
        any_float: Floats of another precision than the reference's are the same type.

    Returns:
        One item for each output and each reference, in the order of `outputs`, then of `references`.
    """
    names = [name for name in outputs if name in references or not subset]
    names += [name for name in references if name not in outputs]
    return tuple(_compare_one(name, outputs, references, tolerances(name), any_float=any_float) for name in names)


def difference_of(
    name: str,
    outputs: Mapping[str, Value],
    references: Mapping[str, Value],
    tolerance: Tolerance,
    *,
    any_float: bool = False,
) -> Difference:
    """Return how one output differs from its reference; see `compare`."""
    value = outputs.get(name, references.get(name))
    if name not in outputs:
        return Difference(structure=f"not computed; the outputs are {_listed(outputs)}")
    if name not in references:
        return Difference(structure=f"has no reference; there are references for {_listed(references)}")
    limits = _limits(tolerance, value, references[name], any_float=any_float)
    return _difference(value, references[name], limits)


def effective(tolerance: Tolerance, value: Value, reference: Value) -> Tolerance:
    """Return what of a tolerance counts for a value: integers and bools have no rtol, floats alone a cosine.

    Args:
        tolerance: As chosen for an output.
        value: The output, or its reference.
        reference: Gives the size that a default atol counts in.

    Returns:
        With `percent_mismatch` given: 100 where elements are not bounded.
    """
    limits, is_float = _limits(tolerance, value, reference, any_float=False), compares_floats(value)
    return dataclasses.replace(
        tolerance,
        rtol=limits.rtol,
        atol=limits.atol,
        scales=None,
        steps=None,
        percent_mismatch=_allowed(tolerance, is_float=is_float),
        cosine=tolerance.cosine if is_float else None,
        snr_db=tolerance.snr_db if is_float else None,
        peak_percent=tolerance.peak_percent if is_float else None,
        top_k=limits.top_k,
        own_error=tolerance.own_error if is_float else None,
        nan_pattern="exact" if _nan_exact(tolerance) else "counted",
    )


def _compare_one(
    name: str, outputs: Mapping[str, Value], references: Mapping[str, Value], tolerance: Tolerance, *, any_float: bool
) -> OutputAccuracy:
    value = outputs.get(name, references.get(name))
    limits = effective(tolerance, value, references.get(name))
    facts = reference_facts(references.get(name, []))
    difference, is_float = (
        difference_of(name, outputs, references, tolerance, any_float=any_float),
        compares_floats(value),
    )
    worst, moments = difference.worst, difference.moments
    found = OutputAccuracy(
        name=name,
        dtype=type_text(value),
        shape=shape_of(value),
        within_tolerance=True,
        rtol=limits.rtol or 0.0,
        atol=limits.atol or 0.0,
        percent_mismatch_allowed=limits.percent_mismatch or 0.0,
        percent_mismatch=_percent(difference),
        max_abs_error=difference.max_abs_error,
        max_rel_error=difference.max_rel_error,
        cosine=moments.cosine,
        cosine_least=limits.cosine,
        snr_db=moments.snr_db,
        snr_db_least=limits.snr_db,
        peak_percent=_peak(difference),
        peak_percent_allowed=limits.peak_percent,
        nonfinite_mismatches=None if difference.structure else difference.nonfinite,
        worst_index=worst.index if worst else None,
        worst_output=worst.output if worst else None,
        worst_reference=worst.reference if worst else None,
        needed_atol=difference.needed_atol,
        needed_rtol=difference.needed_rtol,
        top_k=limits.top_k,
        elements=facts.elements,
        nonfinite_references=facts.nonfinite,
        is_constant=facts.is_constant,
        is_within_atol=bool(facts.comparable) and is_float and facts.largest <= (limits.atol or 0.0),
        unscaled_atol=tolerance.atol if tolerance.scales and is_float else None,
    )
    message = failure_text(found, difference, nan_exact=limits.nan_pattern == "exact")
    return found if message is None else dataclasses.replace(found, within_tolerance=False, message=message)


def _limits(tolerance: Tolerance, value: Value, reference: Value, *, any_float: bool) -> _Limits:
    rtol, atol = float(tolerance.rtol or 0.0), float(tolerance.atol or 0.0)
    element = _element(value)
    if tolerance.scales and not element.startswith((*_INTEGERS, "string")):
        size = reference_facts(reference).size or 1.0
        atol *= size if tolerance.scales == "both" else min(1.0, size)
    if tolerance.steps and element in ("int8", "uint8"):
        atol = max(atol, float(tolerance.steps))
    if element == _BFLOAT16:
        rtol = max(rtol, _BFLOAT16_RTOL)
    if element.startswith(_INTEGERS):
        rtol = 0.0
    top_k = tolerance.top_k if isinstance(value, np.ndarray) and element != "string" else None
    return _Limits(rtol=rtol, atol=atol, top_k=top_k, any_float=any_float)


def _allowed(tolerance: Tolerance, *, is_float: bool) -> float:
    if tolerance.percent_mismatch is not None:
        return float(tolerance.percent_mismatch)
    elsewise = is_float and (tolerance.cosine is not None or tolerance.snr_db is not None)
    return 100.0 if elsewise else 0.0


def _nan_exact(tolerance: Tolerance) -> bool:
    # where no share of elements is bounded, counting them would bound nothing
    return tolerance.nan_pattern != "counted" or tolerance.percent_mismatch is None


def compares_floats(value: Value) -> bool:
    """Whether an output holds floats, real or complex."""
    return not _element(value).startswith((*_INTEGERS, "string"))


def _element(value: Value) -> str:
    return next((element_name(leaf.dtype) for leaf in leaves(value)), "")


def _difference(output: Value, reference: Value, limits: _Limits) -> Difference:
    if output is None or reference is None:
        same = output is None and reference is None
        return Difference(structure=None if same else f"is {_described(output)} instead of {_described(reference)}")
    if isinstance(output, list) and isinstance(reference, list):
        return _list_difference(output, reference, limits)
    if isinstance(output, dict) and isinstance(reference, dict):
        return _dict_difference(output, reference, limits)
    if _described(output) != _described(reference) and not _other_float(output, reference, limits):
        return Difference(structure=f"is {_described(output)} instead of {_described(reference)}")
    found = array_difference(np.asarray(output), np.asarray(reference), limits.rtol, limits.atol)
    if limits.top_k is None or not found.elements:
        return found
    return top_k_difference(found, np.asarray(output), np.asarray(reference), limits.top_k)


def _other_float(output: Value, reference: Value, limits: _Limits) -> bool:
    types = {type_text(output), type_text(reference)}
    return limits.any_float and types <= {*FLOATS, _BFLOAT16} and shape_of(output) == shape_of(reference)


def _list_difference(output: Sequence[Any], reference: Sequence[Any], limits: _Limits) -> Difference:
    if len(output) != len(reference):
        return Difference(structure=f"has {len(output)} elements instead of {len(reference)}")
    pairs = zip(output, reference, strict=True)
    return _merged({f"[{i}]": _difference(out, ref, limits) for i, (out, ref) in enumerate(pairs)})


def _dict_difference(output: Mapping[Any, Any], reference: Mapping[Any, Any], limits: _Limits) -> Difference:
    if set(output) != set(reference):
        return Difference(structure=f"has the keys {_keys(output)} instead of {_keys(reference)}")
    # ONNX Runtime's maps hold Python floats where stored ones hold float32 arrays.
    pairs: dict[str, _Pair] = {f"[{key!r}]": (_plain(output[key]), _plain(reference[key])) for key in reference}
    return _merged({label: array_difference(*pair, limits.rtol, limits.atol) for label, pair in pairs.items()})


def _plain(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


def _merged(parts: Mapping[str, Difference]) -> Difference:
    for label, part in parts.items():
        if part.structure is not None:
            return Difference(structure=f"{label} {part.structure}")
    return reduce(combined, (_labelled(label, part) for label, part in parts.items()), Difference())


def _labelled(label: str, part: Difference) -> Difference:
    if part.worst is None:
        return part
    worst = dataclasses.replace(part.worst, label=f"{label} {part.worst.label}".strip())
    return dataclasses.replace(part, worst=worst)


def _percent(difference: Difference) -> float | None:
    if difference.structure is not None:
        return None
    return 100.0 * difference.mismatches / difference.elements if difference.elements else 0.0


def _peak(difference: Difference) -> float | None:
    if difference.max_abs_error is None or not difference.largest:
        return None
    return 100.0 * difference.max_abs_error / difference.largest


def _described(value: Value) -> str:
    text, shape = type_text(value), shape_of(value)
    return text if shape is None else f"{text} {shape}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _keys(values: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(repr(key) for key in values))
