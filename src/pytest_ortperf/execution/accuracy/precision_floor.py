"""An output outside its tolerance, and the error that its precision makes by itself: two errors against one golden.

The rule is that of `torch._dynamo.utils.same`: in half precision an output passes if its root-mean-square error is at
most three times that of the same model in the same precision on a trusted device. Around it stand bounds of our own,
so that neither one wrong element nor a model that is wrong on both devices passes.

The error that a precision makes by itself: an output and a baseline, both against one golden output.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.execution.accuracy.output_accuracy import cosine_text, difference_of
from pytest_ortperf.execution.accuracy.policy import RELATIVE, SINGLE
from pytest_ortperf.execution.accuracy.references import NotAvailable, OnCpu, Reference, Width, cpu_outputs
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.model.fp16 import fp16_model
from pytest_ortperf.execution.model.precision import BY_OPTION, PreparedModel, cache_of, loss_text
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.records.record import OutputAccuracy, RelativeError

FP64 = "CPU fp64"
"""Name of a golden output."""

_FP32 = "fp32"
_TF32 = "tf32"

Outputs = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One data set that was compared."""

    case: Case
    settings: ExecutionSettings
    hooks: SessionHooks
    prepared: PreparedModel
    precision: str | None
    """That whose tolerance counted."""

    data: CaseData
    outputs: Outputs
    references: Outputs
    tolerances: Callable[[str], Tolerance]


def golden_outputs(compared: Compared) -> tuple[Reference, str]:
    """Return the model as given in float64, or else as it is if that is float32.

    Raises:
        NotAvailable: If it is in half precision itself and the CPU has no float64 kernels for it.
    """
    path = given_path(compared)
    try:
        return on_cpu(path, compared, "fp64"), FP64
    except NotAvailable as error:
        if compared.case.precision is None and compared.prepared.fact.precision != _FP32:
            raise NotAvailable(f"the CPU cannot compute the model in fp64 ({error})") from error
    return on_cpu(path, compared, "own"), "CPU fp32"


def given_path(compared: Compared) -> Path:
    """Return the model that references come from."""
    return compared.settings.given.reference_model or compared.case.model.path


def same_precision(compared: Compared) -> Path:
    """Return the model in the precision that counted: as it ran, or where the provider lowered it, converted.

    Raises:
        NotAvailable: If the provider computed in a precision that nothing converts to here.
    """
    prepared, case, settings = compared.prepared, compared.case, compared.settings
    lowered = prepared.fact.fp16_from == BY_OPTION or (
        case.precision is None and compared.precision != prepared.fact.precision
    )
    if not lowered:
        return Path(prepared.source)
    if compared.precision not in {"fp16", _TF32}:
        raise NotAvailable(f"there is no {compared.precision} variant of the model for the CPU")
    rule = dataclasses.replace(case.model.fp16, io=settings.fp16_io or case.model.fp16.io)
    twin = fp16_model(prepared.given, rule, cache_of(settings))
    return twin.model if twin.model.exists() else prepared.given


def half_baseline(compared: Compared) -> str:
    """Return the name of what shows the error of a half precision."""
    # float16 has the mantissa of TF32, which the CPU does not have
    stored_as = "fp16" if compared.precision == _TF32 else compared.precision
    return f"{stored_as} on the CPU, graph optimisation off"


def on_cpu(path: Path, compared: Compared, width: Width, *, optimized: bool = False) -> Reference:
    """Return what the CPU makes of a model and the inputs that were compared.

    Raises:
        NotAvailable: If it cannot be run in float64, and that is asked for.
    """
    it = compared
    return cpu_outputs(
        OnCpu(
            path=path,
            case=it.case,
            settings=it.settings,
            hooks=it.hooks,
            data=it.data,
            width=width,
            optimized=optimized,
        )
    )


def number_text(found: Difference) -> str:
    """Return a root-mean-square error for people."""
    rmse = found.moments.rmse
    return "unknown" if rmse is None else f"{rmse:.3g}"


FACTOR = 3.0
"""Of the baseline's root-mean-square error: that of `same` for half precision."""

LARGEST_FACTOR = 10.0
"""Of the baseline's largest error: that of `same` for tensors of very few elements, of which each counts alone."""

LEAST_COSINE = 0.99
"""Of baseline and output: below it the error is not one of rounding."""

LARGEST_RELATIVE = 0.1
"""Root-mean-square error of baseline and output to that of golden values: above it likewise, a wrong scale say."""

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
    except Exception as error:  # noqa: BLE001 - the failure itself stands, but for what only the scaled atol refuses
        why = str(error).strip().partition("\n")[0]
        return {each.name: _of_small_numbers(each, why) for each in accuracies if _is_small(each)}
    found = {}
    for each in accuracies:
        if _is_small(each):
            found[each.name] = _judged(each, golden.outputs, compared.references, compared, (FP64, "the reference"))
            continue
        pair = _pair(each, compared.references, golden.outputs, compared, (FP64, "the reference"))
        errors = (
            f"the root-mean-square error is {number_text(pair.own)}, that of the reference {number_text(pair.theirs)}"
        )
        found[each.name] = pair.relative(f"against {FP64} {errors}")
    return found


def _is_small(accuracy: OutputAccuracy) -> bool:
    """Whether an output is outside only because the absolute tolerance shrank with it: rounding may be all there is."""
    needed, unscaled = accuracy.needed_atol, accuracy.unscaled_atol
    return needed is not None and unscaled is not None and needed <= unscaled


def _of_small_numbers(accuracy: OutputAccuracy, why: str) -> RelativeError:
    note = f"pass-relative: within atol={accuracy.unscaled_atol:g}; smaller errors cannot be told from rounding: {why}"
    return RelativeError(golden=FP64, baseline="the reference", is_explained=True, note=note)


def _half_errors(accuracies: Sequence[OutputAccuracy], compared: Compared) -> dict[str, RelativeError]:
    asked = [each for each in accuracies if compared.tolerances(each.name).second_chance]
    if not asked:
        return {}
    label = half_baseline(compared)
    if compared.prepared.fact.fp16_clipped:
        note = f"no second chance: {loss_text(compared.prepared.fact)}"
        none = RelativeError(golden=FP64, baseline=label, is_explained=False, note=note)
        return {each.name: none for each in asked}
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
    """Return what shows that an error is not one of rounding: direction, else size."""
    cosine, reference = found.moments.cosine, found.moments.reference
    if cosine is None or not reference:
        return []
    if cosine < LEAST_COSINE:
        return [f"{whose} cosine {cosine_text(cosine)} is below {LEAST_COSINE:g}"]
    relative = math.sqrt(found.moments.error / reference)
    if relative > LARGEST_RELATIVE:
        return [f"{whose} relative root-mean-square error {relative:.3g} is over {LARGEST_RELATIVE:g}"]
    return []


def _difference(accuracy: OutputAccuracy, outputs: Outputs, references: Outputs, compared: Compared) -> Difference:
    return difference_of(accuracy.name, outputs, references, compared.tolerances(accuracy.name), any_float=True)
