"""The dimensions of a model without a size: what they are called, and those that a session makes static."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
        for name, size in case.dims:  # one without a name of its own is known to nobody, and does no harm
            options.add_free_dimension_override_by_name(name, size)


@dataclass(frozen=True, slots=True)
class FreeInput:
    """An input that has to be fed, and the shape it declares."""

    name: str
    shape: tuple[int | str | None, ...]
    """A symbolic dimension by its name, one without a name as `None`."""

    is_integer: bool = False
    is_string: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What its dimensions without a size are called."""
        found = (dimension_key(self.name, axis, dim) for axis, dim in enumerate(self.shape))
        return tuple(key for key in found if key is not None)


_NAMELESS = re.compile(r"\W*|none|unk(?:nown)?|-1", re.IGNORECASE)
"""What exporters write where a dimension has no name, such as `?`: two of them need not be equal."""


def dimension_key(name: str, axis: int, dim: object) -> str | None:
    """Return what a dimension is called in `--ortperf-dim`: its name, or `INPUT.AXIS`; `None` if it has a size."""
    if isinstance(dim, int) and dim >= 0:
        return None
    return dim if isinstance(dim, str) and not _NAMELESS.fullmatch(dim) else f"{name}.{axis}"


def free_inputs(model: onnx.ModelProto) -> tuple[FreeInput, ...]:
    """Return the tensors that a model must be fed; those of unknown rank have an empty shape."""
    optional = {tensor.name for tensor in model.graph.initializer}
    return tuple(
        FreeInput(
            value.name,
            tuple(_size_or_name(dim) for dim in value.type.tensor_type.shape.dim),
            is_integer=value.type.tensor_type.elem_type in _INTEGERS,
            is_string=value.type.tensor_type.elem_type == onnx.TensorProto.STRING,
        )
        for value in model.graph.input
        if value.name not in optional and value.type.HasField("tensor_type")
    )


_INTEGERS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32})


def _size_or_name(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return dim.dim_value
    return dim.dim_param or None


def free_dims(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return what the dimensions without a size of a model's inputs are called, each once."""
    return tuple(dict.fromkeys(key for item in free_inputs(model) for key in item.keys))


def require_dimensions(case: Case, known: Sequence[str]) -> None:
    """Refuse a case whose model lacks one of its dimensions.

    Args:
        case: The case.
        known: The dimensions that the model has.

    Raises:
        CaseSkipped: If the command line gives it, which is for all models.
        CaseError: If the model's own entry gives it.
    """
    lacking = [name for name, _ in case.dims if name not in known]
    wrong = [name for name in lacking if name in case.model.dims]
    if wrong:
        raise CaseError(wrong_text(wrong, known), stage="inputs", kind="input error")
    if lacking:
        raise CaseSkipped(lacking_text(lacking, known))
