"""What the TensorRT provider needs to know of a model: precision, optimisation profiles, whether it is an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import onnx

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.provider_options import PROFILE_KEYS
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.generated_inputs import rule_for
from pytest_ortperf.execution.model.model_dimensions import dimension_key, fixes_dims
from pytest_ortperf.execution.model.precision import fp16_by_option

_UNSPEAKABLE = frozenset(":,")

Sizes = tuple[int, int, int]
"""Least, best and most."""


class InputShape(Protocol):
    """What `InferenceSession.get_inputs` returns is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> Sequence[object]:
        """Numbers, names of symbolic dimensions, and `None`."""


@dataclass(frozen=True, slots=True)
class GraphInput:
    """One input of a model that no session has been made of."""

    name: str
    shape: tuple[int | str | None, ...]
    """A symbolic dimension by its name, one without a name as `None`."""


def precision_options(case: Case) -> dict[str, str]:
    """Return the option of the case's precision; TensorRT 11 and later ignore it."""
    return {"trt_fp16_enable": "True" if fp16_by_option(case) else "False"}


def graph_inputs(model: onnx.ModelProto) -> tuple[GraphInput, ...] | None:
    """Return the tensors that a model must be fed; `None` if the rank of one is unknown, or one is no tensor."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in initializers]
    if not all(value.type.tensor_type.HasField("shape") for value in fed):
        return None
    return tuple(
        GraphInput(value.name, tuple(_dimension(dim) for dim in value.type.tensor_type.shape.dim)) for value in fed
    )


def _dimension(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dim.dim_param or None


def profile_options(inputs: Sequence[InputShape] | None, case: Case, settings: ExecutionSettings) -> dict[str, str]:
    """Return one explicit optimisation profile over all inputs with symbolic dimensions.

    Without one, TensorRT builds the engine in the first run, and again whenever a shape leaves the range seen so far.
    ONNX Runtime takes a profile of all dynamic inputs or of none, so there is none if the size of one dimension is
    unknown (stored data decides it), or if an input's name cannot be written: it ends at the first colon or comma.

    Args:
        inputs: Of the model; `None` if they are unknown.
        case: Its dimensions are the profile; one in a range of the model list has that range.
        settings: Whether inputs are generated, with 1 for what has no value.
    """
    if inputs is None:
        return {}
    profiles: list[tuple[str, list[Sizes]]] = []
    for item in inputs:
        if all(isinstance(dim, int) and dim >= 0 for dim in _free(item.shape, case, settings)):
            continue
        sizes = _profile(item, case, generated=inputs_are_generated(case, settings))
        if sizes is None or _UNSPEAKABLE & set(item.name):
            return {}
        profiles.append((item.name, sizes))
    return {key: _profile_text(profiles, which) for which, key in enumerate(PROFILE_KEYS)} if profiles else {}


def inputs_are_generated(case: Case, settings: ExecutionSettings) -> bool:
    """Whether the inputs will be made from the declared shapes, not read from stored data of other sizes."""
    stored = case.model.test_data is not None
    return not stored or settings.input_source == "random" or (settings.input_source == "auto" and bool(case.dims))


def _free(shape: Sequence[object], case: Case, settings: ExecutionSettings) -> Sequence[object]:
    """Return a shape with the dimensions that are made static in the session as numbers."""
    fixed: Mapping[str, int] = dict(case.dims) if fixes_dims(case, settings) else {}
    return [fixed.get(dim, dim) if isinstance(dim, str) else dim for dim in shape]


def _profile(item: InputShape, case: Case, *, generated: bool) -> list[Sizes] | None:
    rule = rule_for(case.model.inputs, item.name)
    if generated and rule.shape is not None:
        return [(size, size, size) for size in rule.shape]
    found = [_sizes(item.name, axis, dim, case, generated=generated) for axis, dim in enumerate(item.shape)]
    return None if None in found else [sizes for sizes in found if sizes is not None]


def _sizes(name: str, axis: int, dim: object, case: Case, *, generated: bool) -> Sizes | None:
    if isinstance(dim, int) and dim >= 0:
        return dim, dim, dim
    value = case.sizes.get(dimension_key(name, axis, dim) or "")
    if value is None:
        return (1, 1, 1) if generated else None
    around = case.model.dim_ranges.get(str(dim))
    if around is not None and around.min <= value <= around.max:
        return around.min, around.opt, around.max
    return value, value, value


def _profile_text(profiles: Sequence[tuple[str, list[Sizes]]], which: int) -> str:
    return ",".join(f"{name}:{'x'.join(str(size[which]) for size in sizes)}" for name, sizes in profiles)
