"""An output outside its tolerance, and the error that its precision makes by itself: two errors against one golden.

The rule is that of `torch._dynamo.utils.same`: in half precision an output passes if its root-mean-square error is at
most three times that of the same model in the same precision on a trusted device. Around it stand bounds of our own,
so that neither one wrong element nor a model that is wrong on both devices passes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.accuracy.accuracy_text import cosine_text
from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.execution.accuracy.output_accuracy import difference_of
from pytest_ortperf.execution.accuracy.policy import RELATIVE, SINGLE
from pytest_ortperf.execution.accuracy.precision_error import (
    FP64,
    Compared,
    Outputs,
    given_path,
    golden_outputs,
    half_baseline,
    number_text,
    on_cpu,
    same_precision,
)
from pytest_ortperf.records.record import OutputAccuracy, RelativeError

FACTOR = 3.0
"""Of the baseline's root-mean-square error: that of `same` for half precision."""

LARGEST_FACTOR = 10.0
"""Of the baseline's largest error: that of `same` for tensors of very few elements, of which each counts alone."""

LEAST_COSINE = 0.99
"""Of baseline and output: below it the error is not one of rounding."""

_SHARE_OF_TOLERANCE = 0.1


def with_second_chance(accuracies: Sequence[OutputAccuracy], compared: Compared) -> tuple[OutputAccuracy, ...]:
    """Return the accuracies; those outside their tolerance with how they stand to their precision's own error.

    Outputs in half precision may pass by it. Of others it is told, where the CPU can compute the model in float64:
    how far off the reference itself is.
    """
    open_ones = [each for each in accuracies if _is_open(each)]
    if not open_ones:
        return tuple(accuracies)
    half = compared.precision in RELATIVE
    found = _half_errors(open_ones, compared) if half else _single_errors(open_ones, compared)
    return tuple(_with(each, found.get(each.name)) for each in accuracies)


def _is_open(accuracy: OutputAccuracy) -> bool:
    """Whether an output is wrong by a number, not by its type, shape, NaN or text."""
    return (
        not accuracy.within_tolerance
        and accuracy.percent_mismatch is not None
        and not accuracy.nonfinite_mismatches
        and accuracy.cosine is not None
        and accuracy.top_k is None
    )


def _with(accuracy: OutputAccuracy, relative: RelativeError | None) -> OutputAccuracy:
    if relative is None:
        return accuracy
    message = f"{accuracy.message}; {relative.note}"
    return dataclasses.replace(accuracy, relative=relative, message=message)


def _single_errors(accuracies: Sequence[OutputAccuracy], compared: Compared) -> dict[str, RelativeError]:
    try:
        golden = on_cpu(given_path(compared), compared, "fp64")
    except Exception:  # noqa: BLE001 - an explanation more or less: the failure itself stands
        return {}
    found = {}
    for each in accuracies:
        pair = _pair(each, compared.references, golden.outputs, compared, (FP64, "the reference"))
        errors = (
            f"the root-mean-square error is {number_text(pair.own)}, that of the reference {number_text(pair.theirs)}"
        )
        found[each.name] = pair.relative(f"against {FP64} {errors}")
    return found


def _half_errors(accuracies: Sequence[OutputAccuracy], compared: Compared) -> dict[str, RelativeError]:
    asked = [each for each in accuracies if compared.tolerances(each.name).second_chance]
    if not asked:
        return {}
    label = half_baseline(compared)
    try:
        golden, golden_name = golden_outputs(compared)
        baseline = on_cpu(same_precision(compared), compared, "own")
    except Exception as error:  # noqa: BLE001 - no second chance then, and the reason is told
        why = str(error).strip().partition("\n")[0]
        note = f"no second chance: {why}"
        none = RelativeError(golden=FP64, baseline=label, is_explained=False, note=note)
        return {each.name: none for each in asked}
    return {
        each.name: _judged(each, golden.outputs, baseline.outputs, compared, (golden_name, label)) for each in asked
    }


@dataclass(frozen=True, slots=True)
class ErrorPair:
    """Two errors against the golden output."""

    own: Difference
    """Of the case."""

    theirs: Difference
    """Of the baseline."""

    golden: str
    """Name of the golden output."""

    baseline: str

    def relative(self, note: str, *, limit: float | None = None, is_explained: bool = False) -> RelativeError:
        """Return both errors as a record has them."""
        return RelativeError(
            golden=self.golden,
            baseline=self.baseline,
            rmse=self.own.moments.rmse,
            baseline_rmse=self.theirs.moments.rmse,
            limit=limit,
            max_abs_error=self.own.max_abs_error,
            baseline_max_abs_error=self.theirs.max_abs_error,
            is_explained=is_explained,
            note=note,
        )


def _pair(
    accuracy: OutputAccuracy, baseline: Outputs, golden: Outputs, compared: Compared, names: tuple[str, str]
) -> ErrorPair:
    """Return both errors of one output.

    Args:
        accuracy: Says which.
        baseline: Outputs in the same precision.
        golden: Outputs that count as exact.
        compared: Gives the outputs of the case.
        names: Of golden and baseline.
    """
    own = _difference(accuracy, compared.outputs, golden, compared)
    return ErrorPair(own, _difference(accuracy, baseline, golden, compared), *names)


def _judged(
    accuracy: OutputAccuracy, golden: Outputs, baseline: Outputs, compared: Compared, names: tuple[str, str]
) -> RelativeError:
    pair = _pair(accuracy, baseline, golden, compared, names)
    wrong = _incomparable(accuracy, pair, golden, compared)
    if wrong:
        return pair.relative(f"no second chance: {wrong}")
    return judged(pair, accuracy.rtol, accuracy.atol)


def _incomparable(accuracy: OutputAccuracy, pair: ErrorPair, golden: Outputs, compared: Compared) -> str | None:
    """Return why two errors say nothing about a precision; `None` if they do."""
    wrong = _not_reproduced(accuracy, golden, compared)
    if wrong:
        return f"{pair.golden} does not give the stored outputs: {wrong}"
    if pair.own.structure or pair.own.nonfinite:
        beside = pair.own.structure or f"has NaN or infinity elsewhere, {pair.own.worst}"
        return f"beside {pair.golden} it {beside}"
    if pair.theirs.structure or pair.theirs.nonfinite:
        return f"{pair.baseline} gives {pair.theirs.structure or pair.theirs.worst}"
    return None


def _not_reproduced(accuracy: OutputAccuracy, golden: Outputs, compared: Compared) -> str | None:
    """Return how the golden output differs from the stored one: then the model is wrong, not its precision."""
    if compared.data.references is None:
        return None
    tolerance = compared.tolerances(accuracy.name) if compared.case.precision is None else SINGLE
    found = difference_of(accuracy.name, golden, compared.references, tolerance, any_float=True)
    return found.structure or (str(found.worst) if found.mismatches else None)


def judged(pair: ErrorPair, rtol: float, atol: float) -> RelativeError:
    """Return whether the baseline's error explains that of the case.

    Args:
        pair: Both errors.
        rtol: Of the output's tolerance.
        atol: A tenth of it is left beside the factors, or of rtol times the largest golden value, if that is less.
    """
    allowance = _SHARE_OF_TOLERANCE * min(atol, rtol * (pair.own.largest or 0.0))
    own, theirs = pair.own, pair.theirs
    limit = FACTOR * (theirs.moments.rmse or 0.0) + allowance
    largest = LARGEST_FACTOR * (theirs.max_abs_error or 0.0) + allowance
    errors = (
        f"root-mean-square error {number_text(own)} against {pair.golden}, of {pair.baseline} {number_text(theirs)}"
    )
    reasons = [
        *([f"over {limit:.3g}"] if (own.moments.rmse or 0.0) > limit else []),
        *([f"largest error {own.max_abs_error:.3g} over {largest:.3g}"] if (own.max_abs_error or 0) > largest else []),
        *_far_off("its own", own),
        *_far_off("the baseline's", theirs),
    ]
    if reasons:
        return pair.relative(f"no second chance: {errors}: {', '.join(reasons)}", limit=limit)
    note = f"pass-relative: {errors}, so up to {limit:.3g} is its precision's own"
    return pair.relative(note, limit=limit, is_explained=True)


def _far_off(whose: str, found: Difference) -> list[str]:
    cosine = found.moments.cosine
    if cosine is None or cosine >= LEAST_COSINE:
        return []
    return [f"{whose} cosine {cosine_text(cosine)} is below {LEAST_COSINE:g}"]


def _difference(accuracy: OutputAccuracy, outputs: Outputs, references: Outputs, compared: Compared) -> Difference:
    return difference_of(accuracy.name, outputs, references, compared.tolerances(accuracy.name), any_float=True)
