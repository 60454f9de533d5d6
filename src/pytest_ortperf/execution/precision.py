"""The model of a case in the precision it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model_file import check_model_file, inspect_precision
from pytest_ortperf.records.record import ModelFact

FP16_ON_CPU = "fp16 storage, fp32 compute"
"""The CPU provider has no half-precision kernels for most operators: it casts around fp32 ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedModel:
    """What a session is made of."""

    source: str | bytes
    """Path or serialised model, as `onnxruntime.InferenceSession` takes it."""

    fact: ModelFact


def prepare_model(case: Case) -> PreparedModel:
    """Return the model as given, its stored fp16 twin, or one converted in memory.

    Raises:
        CaseError: Stage `model` or `precision`.
    """
    if case.precision == "fp16":
        return _fp16_model(case)
    path = case.model.path
    size = check_model_file(path, case.model)
    precision = inspect_precision(path, size)
    note = FP16_ON_CPU if precision == "fp16" and case.provider.name == "cpu" else None
    return PreparedModel(source=str(path), fact=ModelFact(path=str(path), byte=size, precision=precision, note=note))


def _fp16_model(case: Case) -> PreparedModel:
    note = FP16_ON_CPU if case.provider.name == "cpu" else None
    stored = case.model.fp16_path
    path = stored or case.model.path
    size = check_model_file(path, case.model)
    how = "stored" if stored else "converted"
    fact = ModelFact(path=str(path), byte=size, precision="fp16", fp16_from=how, note=note)
    return PreparedModel(source=str(path) if stored else convert_to_fp16(path), fact=fact)


def convert_to_fp16(path: Path) -> bytes:
    """Return the model with its float32 tensors as float16; inputs and outputs stay float32.

    Raises:
        CaseError: Stage `precision`, with the converter's own words.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        converted = convert_float_to_float16(onnx.load_model(path), keep_io_types=True)
        return bytes(converted.SerializeToString())
    except Exception as error:
        raise CaseError(
            f"{path} could not be converted to fp16 ({type(error).__name__}: {error}); "
            f"give a converted model as fp16_path in the model list",
            stage="precision",
            kind="precision error",
        ) from error
