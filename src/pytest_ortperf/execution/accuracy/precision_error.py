"""The error that a precision makes by itself: an output and a baseline, both against one golden output."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Tolerance
from pytest_ortperf.execution.accuracy.array_difference import Difference
from pytest_ortperf.execution.accuracy.references import NotAvailable, OnCpu, Reference, Width, cpu_outputs
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.model.fp16 import fp16_model
from pytest_ortperf.execution.model.precision import BY_OPTION, PreparedModel, cache_of
from pytest_ortperf.execution.session.creation import SessionHooks

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
