"""Whether a value inside the graph is within tolerance, and how far off it is for its size.

The tolerance that the outputs of a case have, known without a session.

What is wrong at the end of the graph: the model as the case runs it, before anything is searched.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.output_accuracy import compare, effective
from pytest_ortperf.execution.accuracy.policy import choose_tolerance, tolerance_precision
from pytest_ortperf.execution.bisection.sessions import Broken, Sessions, WholeRun
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.inputs.tensor_types import Array, Value, element_name
from pytest_ortperf.execution.model.precision import PreparedModel
from pytest_ortperf.execution.session.creation import requested_providers
from pytest_ortperf.execution.session.resolved_options import lower_precisions
from pytest_ortperf.records.bisection import MISMATCH, ValueFact

_ROUNDING = {"fp16": 1e-3, "tf32": 1e-3, "mixed": 1e-3, "bf16": 8e-3, "int8": 1e-2}
_SINGLE = 1e-6


def case_tolerance(case: Case, settings: ExecutionSettings, prepared: PreparedModel) -> Callable[[str], Tolerance]:
    """Return what gives the tolerance of a value's name."""
    precision = _precision(case, settings, prepared)

    def tolerance(name: str) -> Tolerance:
        return choose_tolerance(
            case.model,
            precision=precision,
            provider=case.provider.name,
            output=name,
            command_line=settings.tolerance,
        )

    return tolerance


def case_rounding(case: Case, settings: ExecutionSettings, prepared: PreparedModel) -> float:
    """Return what rounding alone does to values at their own size: some roundings of the case's precision."""
    return _ROUNDING.get(_precision(case, settings, prepared) or "", _SINGLE)


def _precision(case: Case, settings: ExecutionSettings, prepared: PreparedModel) -> str | None:
    fact = prepared.fact
    options = dict(requested_providers(prepared.source, case, settings)).get(case.provider.full_name, {})
    lower = lower_precisions(case.provider, options, fact.precision, os.environ)
    compute = fact.compute_precision or (lower[-1] if lower else None)
    return tolerance_precision(case.precision or fact.precision, compute)


_SEARCHABLE = ("session error", "runtime error", "crash", "timeout")
"""Kinds of failure that a part of the graph can show too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One data set, and what came of it."""

    data: CaseData
    outputs: Mapping[str, Value] = field(default_factory=dict)
    broken: Broken | None = None
    leaves_stored: str | None = None
    """How the outputs leave the stored ones, if they do."""

    @property
    def symptom(self) -> str:
        """As in `Bisection`."""
        return MISMATCH if self.broken is None else self.broken.symptom


def ending_of(sessions: Sessions, source: Path, reference: Path, judge: Judge, data_set: str | None) -> Ending:
    """Return how the case ends on the first data set that breaks it or leaves its stored outputs, else on the first.

    Args:
        sessions: Makes the sessions.
        source: The model as the case runs it.
        reference: The model that says what is right.
        judge: Of outputs.
        data_set: The one to look at, instead.

    Raises:
        CaseError: If it fails before there is anything to search, or there is no such data set.
    """
    runs = sessions.data_sets(source)
    endings = [_ending(run, sessions, reference, judge) for run in _chosen(runs, data_set)]
    return next((it for it in endings if it.broken or it.leaves_stored), endings[0])


def stop_early(broken: Broken) -> None:
    """Raise what no part of the graph can show, such as a provider that is not there."""
    if broken.kind not in _SEARCHABLE or broken.stage in ("inputs", "settings"):
        raise CaseError(broken.text, stage=broken.stage or "session", kind=broken.kind)


def wrong_outputs(judged: Sequence[Judgement]) -> str | None:
    """Return what is wrong with values, for people; `None` if nothing."""
    return "; ".join(f"'{it.name}': {it.text}" for it in judged if not it.is_within) or None


def _chosen(runs: Sequence[WholeRun], data_set: str | None) -> Sequence[WholeRun]:
    named = [run for run in runs if data_set is None or run.data is None or run.data.name == data_set]
    if not named:
        known = ", ".join(run.data.name for run in runs if run.data is not None)
        raise CaseError(
            f"no data set is called '{data_set}'; this case has {known}", stage="inputs", kind="input error"
        )
    return named


def _ending(run: WholeRun, sessions: Sessions, reference: Path, judge: Judge) -> Ending:
    if isinstance(run.result, Broken):
        stop_early(run.result)
        data = run.data or sessions.reference_data(reference, run.result.data_set)
        return Ending(data=data, broken=run.result)
    outputs = run.result.outputs
    stored = (run.data.references if run.data else None) or {}
    judged = [judge.judge(name, outputs[name], value) for name, value in stored.items() if name in outputs]
    if run.data is None:
        raise RuntimeError("outputs without inputs")
    return Ending(data=run.data, outputs=outputs, leaves_stored=wrong_outputs(judged))


_EIGHT_BITS = ("int8", "uint8")
_STEPS_8_BIT = 127
"""Of a quantised tensor, from 0 to its largest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One value against its reference."""

    name: str
    is_within: bool
    error: float | None
    """Largest absolute error over the root mean square of the reference; `None` if not finite or not a number."""

    max_abs_error: float | None
    text: str | None
    """What is wrong; `None` if within tolerance."""

    rtol: float
    atol: float

    @property
    def size(self) -> float:
        """For finding the worst of several."""
        if self.error is None:
            return 0.0 if self.is_within else np.inf
        return self.error


class Judge:
    """Judges values by the tolerances of a case.

    Outputs of the model have theirs as in a validation. Inside the graph numbers have other sizes than at its end:
    there `atol` is taken times the root mean square of the reference, and quantised values may be one step off.
    """

    def __init__(
        self, tolerance: Callable[[str], Tolerance], outputs: frozenset[str], *, is_quantised: bool = False
    ) -> None:
        """Keep the rules.

        Args:
            tolerance: Of an output's name.
            outputs: Names of the model's outputs.
            is_quantised: Whether the model computes with 8-bit integers.
        """
        self._tolerance = tolerance
        self._outputs = outputs
        self._is_quantised = is_quantised

    def inside(self, outside: Mapping[str, str]) -> Judge:
        """Return what judges the values of a subgraph.

        Args:
            outside: Output of the subgraph -> the value that it is or is part of: it is judged as that.
        """
        return Judge(
            lambda name: self._tolerance(outside.get(name, name)),
            frozenset(name for name, other in outside.items() if other in self._outputs),
            is_quantised=self._is_quantised,
        )

    def judge(self, name: str, output: Value, reference: Value) -> Judgement:
        """Return how a value stands to its reference.

        Floats may have another precision than their reference: what overflowed in float16 is infinite, and its
        reference is not.
        """
        tolerance = self._chosen(name, reference)
        [found] = compare({name: output}, {name: reference}, lambda _: tolerance, any_float=True)
        return Judgement(
            name=name,
            is_within=found.within_tolerance,
            error=_relative_to_size(output, reference),
            max_abs_error=found.max_abs_error,
            text=found.message,
            rtol=found.rtol,
            atol=found.atol,
        )

    def limits(self, name: str, reference: Value) -> Tolerance:
        """Return all that a value is held to."""
        return effective(self._chosen(name, reference), reference)

    def _chosen(self, name: str, reference: Value) -> Tolerance:
        tolerance = self._tolerance(name)
        return tolerance if name in self._outputs else self._scaled(tolerance, reference)

    def _scaled(self, tolerance: Tolerance, reference: Value) -> Tolerance:
        tolerance = dataclasses.replace(tolerance, top_k=None)
        if not isinstance(reference, np.ndarray) or reference.dtype.kind in "OSU":
            return tolerance
        if self._is_quantised and element_name(reference.dtype) in _EIGHT_BITS:
            return dataclasses.replace(tolerance, atol=1.0)
        size = root_mean_square(reference)
        atol = (tolerance.atol or 0.0) * (size or 1.0)
        if self._is_quantised:
            atol = max(atol, _largest(reference) / _STEPS_8_BIT)
        return dataclasses.replace(tolerance, atol=atol)


def root_mean_square(values: Array) -> float:
    """Return the root mean square of the finite elements; 0 if there are none."""
    wide = _finite(values)
    return float(np.sqrt(np.mean(wide * wide))) if wide.size else 0.0


def value_fact(name: str, value: Value, origin: str, reference: Value = None) -> ValueFact:
    """Return the range of a value, and that of its reference."""
    if not isinstance(value, np.ndarray):
        return ValueFact(name=name, dtype=type(value).__name__, shape=None, origin=origin)
    low, high = _range(value)
    reference_low, reference_high = _range(reference) if isinstance(reference, np.ndarray) else (None, None)
    return ValueFact(
        name=name,
        dtype=element_name(value.dtype),
        shape=tuple(int(size) for size in value.shape),
        origin=origin,
        low=low,
        high=high,
        not_finite=0 if value.dtype.kind in "OSU" else int(value.size - _finite(value).size),
        reference_low=reference_low,
        reference_high=reference_high,
    )


def _relative_to_size(output: Value, reference: Value) -> float | None:
    if not isinstance(output, np.ndarray) or not isinstance(reference, np.ndarray) or output.shape != reference.shape:
        return None
    if reference.dtype.kind in "OSUc" or output.dtype.kind in "OSUc" or not reference.size:
        return None
    out, ref = output.astype(np.float64), reference.astype(np.float64)
    if bool(np.any(np.isfinite(out) != np.isfinite(ref))):
        return None
    both = np.isfinite(out) & np.isfinite(ref)
    largest = float(np.max(np.abs(out[both] - ref[both]), initial=0.0))
    return largest / (root_mean_square(reference) or 1.0)


def _finite(values: Array) -> Array:
    if values.dtype.kind in "OSUc":
        return np.zeros(0)
    wide = values.astype(np.float64).reshape(-1)
    return wide[np.isfinite(wide)]


def _largest(values: Array) -> float:
    return float(np.max(np.abs(_finite(values)), initial=0.0))


def _range(values: Array) -> tuple[float | None, float | None]:
    finite = _finite(values)
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)
