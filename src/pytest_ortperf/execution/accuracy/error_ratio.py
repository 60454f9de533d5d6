"""A bound in multiples of the error that the precision makes by itself, where somebody asks for it.

A tolerance has to leave room for every right kernel of a model nobody has seen. What float32 or float16 really do to
one output is often a thousandth of that, and a fault of a hundredth passes. So the unit is measured: the same model in
the same precision on the CPU, against what counts as exact.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.execution.accuracy.output_accuracy import compares_floats, difference_of
from pytest_ortperf.execution.accuracy.policy import RELATIVE
from pytest_ortperf.execution.accuracy.precision_floor import (
    FACTOR,
    FP64,
    LARGEST_FACTOR,
    Compared,
    Outputs,
    given_path,
    golden_outputs,
    half_baseline,
    number_text,
    on_cpu,
    same_precision,
)
from pytest_ortperf.execution.accuracy.references import NotAvailable
from pytest_ortperf.records.record import OutputAccuracy

_LARGEST_SHARE = LARGEST_FACTOR / FACTOR
"""A largest error varies more from kernel to kernel than a mean: the shares are those of the second chance."""

_ROUNDING = {"fp16": 2.0**-10, "tf32": 2.0**-10, "mixed": 2.0**-10, "bf16": 2.0**-7}
_SINGLE_ROUNDING = 2.0**-23

_PLAIN = "the CPU, graph optimisation off"
_OPTIMISED = "the CPU, graph optimisation on"


def with_own_error(accuracies: Sequence[OutputAccuracy], compared: Compared) -> tuple[OutputAccuracy, ...]:
    """Return the accuracies; of those within tolerance for which a bound is asked, how they stand to it.

    What is outside its tolerance is wrong already, or has had its second chance.
    """
    asked = {each.name: factor for each in accuracies if (factor := _factor(each, compared)) is not None}
    if not asked:
        return tuple(accuracies)
    try:
        golden, baseline, text = _measured(compared)
    except Exception as error:  # noqa: BLE001 - what was asked for cannot be checked, which is no pass
        why = str(error).strip().partition("\n")[0]
        return tuple(_unknown(each, asked[each.name], why) if each.name in asked else each for each in accuracies)
    units = {name: difference_of(name, baseline, golden, compared.tolerances(name), any_float=True) for name in asked}
    return tuple(
        _judged(each, asked[each.name], units[each.name], compared, text) if each.name in asked else each
        for each in accuracies
    )


def _factor(accuracy: OutputAccuracy, compared: Compared) -> float | None:
    """Return the bound on an output; `None` if there is none, or it is outside its tolerance or no floats."""
    if not accuracy.within_tolerance or accuracy.top_k is not None or accuracy.nonfinite_mismatches:
        return None
    return compared.tolerances(accuracy.name).own_error if compares_floats(compared.outputs[accuracy.name]) else None


def _measured(compared: Compared) -> tuple[Outputs, Outputs, str]:
    """Return golden outputs, the baseline's, and what both are called.

    Raises:
        NotAvailable: If there are none.
    """
    if compared.precision in RELATIVE:
        golden, name = golden_outputs(compared)
        baseline = on_cpu(same_precision(compared), compared, "own")
        return golden.outputs, baseline.outputs, f"{half_baseline(compared)}, against {name}"
    path = given_path(compared)
    plain = on_cpu(path, compared, "own")
    try:
        return on_cpu(path, compared, "fp64").outputs, plain.outputs, f"{_PLAIN}, against {FP64}"
    except NotAvailable:  # then what another order of the same operations changes
        optimised = on_cpu(path, compared, "own", optimized=True)
        return plain.outputs, optimised.outputs, f"{_OPTIMISED}, against off"


def _judged(accuracy: OutputAccuracy, factor: float, unit: Difference, compared: Compared, text: str) -> OutputAccuracy:
    if unit.structure or unit.nonfinite:
        return _unknown(accuracy, factor, f"{text}: {unit.structure or unit.worst}")
    tolerance = compared.tolerances(accuracy.name)
    own = difference_of(accuracy.name, compared.outputs, compared.references, tolerance, any_float=True)
    multiple = error_ratio(own, unit, compared.precision)
    found = dataclasses.replace(accuracy, own_error=multiple, own_error_allowed=factor)
    if multiple <= factor:
        return found
    message = (
        f"{multiple:.3g} times its precision's own error, more than {factor:g}: root mean square {number_text(own)}, "
        f"largest {own.max_abs_error:.3g}; of {text}: {number_text(unit)}, {unit.max_abs_error:.3g}"
    )
    return dataclasses.replace(found, within_tolerance=False, message=message)


def _unknown(accuracy: OutputAccuracy, factor: float, why: str) -> OutputAccuracy:
    message = f"its precision's own error cannot be measured: {why}; do without own_error for this output"
    return dataclasses.replace(accuracy, within_tolerance=False, message=message, own_error_allowed=factor)


def error_ratio(own: Difference, unit: Difference, precision: str | None) -> float:
    """Return an error in multiples of its precision's own.

    Args:
        own: Of the case, against its reference.
        unit: Of the baseline, against what counts as exact.
        precision: If the baseline makes no error, one rounding of the largest value is taken instead.

    Returns:
        The larger of two quotients: of the root-mean-square errors, and 0.3 times that of the largest errors.
    """
    rounding = _ROUNDING.get(precision or "", _SINGLE_ROUNDING) * (own.largest or 0.0)
    errors = (
        (own.moments.rmse or 0.0, unit.moments.rmse or rounding),
        (own.max_abs_error or 0.0, _LARGEST_SHARE * (unit.max_abs_error or rounding)),
    )
    return max(_quotient(error, one) for error, one in errors)


def _quotient(error: float, unit: float) -> float:
    return error / unit if unit else (math.inf if error else 0.0)
