"""The symbolic dimensions of a model: which it has, and those that a session makes static."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from pytest_ortperf.cases.dimensions import lacking_text, wrong_text
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings


def fixes_dims(case: Case, settings: ExecutionSettings) -> bool:
    """Whether the session of a case gets static dimensions."""
    return bool(case.dims) and (settings.fix_dims or case.model.fix_dims)


def fix_dimensions(options: onnxruntime.SessionOptions, case: Case, settings: ExecutionSettings) -> None:
    """Make the dimensions of a case static in its session, if that is asked for."""
    if fixes_dims(case, settings):
        for name, size in case.dims:
            options.add_free_dimension_override_by_name(name, size)


def symbolic_dims(path: Path) -> tuple[str, ...]:
    """Return the names of the symbolic dimensions of a model's inputs, each once."""
    graph = onnx.load_model(path, load_external_data=False).graph
    optional = {tensor.name for tensor in graph.initializer}
    names = (
        dim.dim_param
        for value in graph.input
        if value.name not in optional
        for dim in value.type.tensor_type.shape.dim
        if dim.dim_param
    )
    return tuple(dict.fromkeys(names))


def require_dimensions(case: Case, path: Path) -> None:
    """Refuse a case whose model lacks one of its dimensions.

    Raises:
        CaseSkipped: If the command line gives it, which is for all models.
        CaseError: If the model's own entry gives it.
    """
    if not case.dims:
        return
    known = symbolic_dims(path)
    lacking = [name for name, _ in case.dims if name not in known]
    wrong = [name for name in lacking if name in case.model.dims]
    if wrong:
        raise CaseError(wrong_text(wrong, known), stage="inputs", kind="input error")
    if lacking:
        raise CaseSkipped(lacking_text(lacking, known))
