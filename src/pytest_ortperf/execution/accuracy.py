"""Outputs against reference outputs, and the tolerance each output has."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from pytest_ortperf.cases.model import Model, Tolerance
from pytest_ortperf.execution.array_difference import Difference, array_difference
from pytest_ortperf.execution.tensor_types import Array, Value, element_name, shape_of, type_text
from pytest_ortperf.records.record import OutputAccuracy

_SINGLE = Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0)
_DEFAULTS = {
    "fp16": Tolerance(rtol=1e-2, atol=1e-3, percent_mismatch=0.0),
    "tf32": Tolerance(rtol=1e-2, atol=1e-3, percent_mismatch=0.0),
    "mixed": Tolerance(rtol=1e-2, atol=1e-3, percent_mismatch=0.0),
    "bf16": Tolerance(rtol=1.6e-2, atol=1e-2, percent_mismatch=0.0),
}
_BFLOAT16_RTOL = 2**-6
_BFLOAT16 = "bfloat16"
_INTEGERS = ("int", "uint", "bool")

_Limits: TypeAlias = tuple[float, float]
"""rtol, atol."""


def choose_tolerance(
    model: Model,
    *,
    precision: str | None,
    provider: str,
    output: str,
    command_line: Tolerance,
) -> Tolerance:
    """Return the tolerance of one output, each field from the first that gives it.

    In order: the command line; the model's rules that apply, as listed; the default of the precision. The
    defaults: fp32, int8 and unknown rtol 1e-3 (that of the onnx project's backend test runner), atol 1e-5;
    fp16 and mixed rtol 1e-2, about ten roundings of float16 (2**-10 each), atol 1e-3; bf16 rtol 1.6e-2, two
    roundings of bfloat16 (2**-7 each, and what `torch.testing.assert_close` takes for it), atol 1e-2; fp32
    where the provider may compute in TF32, which has float16's mantissa, as fp16. No element may lie outside.

    Args:
        model: Has the rules.
        precision: That of `tolerance_precision`: `fp32`, `tf32` (fp32 that may be computed so; rules for fp32
            apply), `fp16`, `bf16`, `int8`, `mixed`; `None` if unknown.
        provider: Short name, such as `cuda`.
        output: The output's name.
        command_line: What options give.

    Returns:
        With every field given.
    """
    matching = {None, precision, "fp32" if precision == "tf32" else precision}
    rules = (
        rule.tolerance
        for rule in model.tolerances
        if rule.precision in matching
        and rule.provider in (None, provider)
        and (rule.output is None or fnmatch.fnmatchcase(output, rule.output))
    )
    candidates = [command_line, *rules, _DEFAULTS.get(precision or "", _SINGLE)]
    return Tolerance(
        rtol=_first_given(candidate.rtol for candidate in candidates),
        atol=_first_given(candidate.atol for candidate in candidates),
        percent_mismatch=_first_given(candidate.percent_mismatch for candidate in candidates),
    )


def tolerance_precision(storage: str | None, compute: str | None) -> str | None:
    """Return the precision whose tolerance counts: the lower of what numbers are stored and computed in.

    Args:
        storage: As asked for, or else the model's own; `None` if unknown.
        compute: Lowest that the provider may compute in; `None` if that is `storage`.
    """
    return compute if compute is not None and storage == "fp32" else storage


def compare(
    outputs: Mapping[str, Value],
    references: Mapping[str, Value],
    tolerances: Callable[[str], Tolerance],
    *,
    subset: bool = False,
) -> tuple[OutputAccuracy, ...]:
    """Return how each output compares with its reference.

    Type and shape must be the same. Numbers may differ by atol + rtol * abs(reference), for at most the
    allowed percentage of an output's elements; for bfloat16 outputs rtol is at least 2**-6, two units in
    the last place, as in the onnx project's backend test runner. Integers and bools may differ by atol
    alone, and are compared exactly. Sequences and maps count over all their elements.

    Args:
        outputs: As computed, by name.
        references: As expected, by name.
        tolerances: Gives the tolerance of an output's name; fields not given are 0.
        subset: Outputs without a reference are left out, rather than not within tolerance.

    Returns:
        One item for each output and each reference, in the order of `outputs`, then of `references`.
    """
    names = [name for name in outputs if name in references or not subset]
    names += [name for name in references if name not in outputs]
    return tuple(_compare_one(name, outputs, references, tolerances(name)) for name in names)


def _compare_one(
    name: str, outputs: Mapping[str, Value], references: Mapping[str, Value], tolerance: Tolerance
) -> OutputAccuracy:
    value = outputs.get(name, references.get(name))
    limits = _limits(tolerance, value)
    if name not in outputs:
        difference = Difference(structure=f"not computed; the outputs are {_listed(outputs)}")
    elif name not in references:
        difference = Difference(structure=f"has no reference; there are references for {_listed(references)}")
    else:
        difference = _difference(value, references[name], limits)
    allowed = float(tolerance.percent_mismatch or 0.0)
    percent = _percent(difference)
    within = percent is not None and percent <= allowed
    return OutputAccuracy(
        name=name,
        dtype=type_text(value),
        shape=shape_of(value),
        within_tolerance=within,
        rtol=limits[0],
        atol=limits[1],
        percent_mismatch_allowed=allowed,
        percent_mismatch=percent,
        max_abs_error=difference.max_abs_error,
        max_rel_error=difference.max_rel_error,
        message=None if within else _message(difference, percent, allowed, limits),
    )


def _limits(tolerance: Tolerance, value: Value) -> _Limits:
    rtol, atol = float(tolerance.rtol or 0.0), float(tolerance.atol or 0.0)
    element = next((element_name(leaf.dtype) for leaf in _leaves(value)), "")
    if element == _BFLOAT16:
        return max(rtol, _BFLOAT16_RTOL), atol
    return (0.0, atol) if element.startswith(_INTEGERS) else (rtol, atol)


def _leaves(value: Value) -> Iterable[Array]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


def _difference(output: Value, reference: Value, limits: _Limits) -> Difference:
    if output is None or reference is None:
        same = output is None and reference is None
        return Difference(structure=None if same else f"is {_described(output)} instead of {_described(reference)}")
    if isinstance(output, list) and isinstance(reference, list):
        return _list_difference(output, reference, limits)
    if isinstance(output, dict) and isinstance(reference, dict):
        return _dict_difference(output, reference, limits)
    if _described(output) != _described(reference):
        return Difference(structure=f"is {_described(output)} instead of {_described(reference)}")
    return array_difference(np.asarray(output), np.asarray(reference), *limits)


def _list_difference(output: Sequence[Any], reference: Sequence[Any], limits: _Limits) -> Difference:
    if len(output) != len(reference):
        return Difference(structure=f"has {len(output)} elements instead of {len(reference)}")
    pairs = zip(output, reference, strict=True)
    return _merged({f"[{i}]": _difference(out, ref, limits) for i, (out, ref) in enumerate(pairs)})


def _dict_difference(output: Mapping[Any, Any], reference: Mapping[Any, Any], limits: _Limits) -> Difference:
    if set(output) != set(reference):
        return Difference(structure=f"has the keys {_keys(output)} instead of {_keys(reference)}")
    # ONNX Runtime's maps hold Python floats where stored ones hold float32 arrays.
    return _merged({f"[{k!r}]": array_difference(_plain(output[k]), _plain(reference[k]), *limits) for k in reference})


def _plain(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


def _merged(parts: Mapping[str, Difference]) -> Difference:
    for label, part in parts.items():
        if part.structure is not None:
            return Difference(structure=f"{label} {part.structure}")
    label, worst = max(parts.items(), key=lambda item: item[1].excess, default=("", Difference()))
    return Difference(
        elements=sum(part.elements for part in parts.values()),
        mismatches=sum(part.mismatches for part in parts.values()),
        max_abs_error=max((p.max_abs_error for p in parts.values() if p.max_abs_error is not None), default=None),
        max_rel_error=max((p.max_rel_error for p in parts.values() if p.max_rel_error is not None), default=None),
        excess=worst.excess,
        worst=None if worst.worst is None else f"{label} {worst.worst}",
    )


def _percent(difference: Difference) -> float | None:
    if difference.structure is not None:
        return None
    return 100.0 * difference.mismatches / difference.elements if difference.elements else 0.0


def _message(difference: Difference, percent: float | None, allowed: float, limits: _Limits) -> str:
    if percent is None:
        return str(difference.structure)
    rtol, atol = limits
    return (
        f"percent mismatch {percent:.4g} % (allowed {allowed:g} %), worst {difference.worst}, "
        f"rtol={rtol:g}, atol={atol:g}"
    )


def _described(value: Value) -> str:
    text, shape = type_text(value), shape_of(value)
    return text if shape is None else f"{text} {shape}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _keys(values: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(repr(key) for key in values))


def _first_given(values: Iterable[float | None]) -> float:
    return next((float(value) for value in values if value is not None), 0.0)
