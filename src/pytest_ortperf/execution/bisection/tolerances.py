"""The tolerance that the outputs of a case have, known without a session."""

from __future__ import annotations

import os
from collections.abc import Callable

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Tolerance
from pytest_ortperf.execution.accuracy.policy import choose_tolerance, tolerance_precision
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import PreparedModel
from pytest_ortperf.execution.session.creation import requested_providers
from pytest_ortperf.execution.session.resolved_options import lower_precisions

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
    lower = lower_precisions(case.provider.name, options, fact.precision, os.environ)
    compute = fact.compute_precision or (lower[-1] if lower else None)
    return tolerance_precision(case.precision or fact.precision, compute)
