"""Inputs and outputs of a model file, in the words of an ONNX Runtime session: no session is made of it here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from pytest_ortperf.execution.inputs.tensor_types import element_of_number


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What `InferenceSession.get_inputs` returns is like it."""

    name: str
    type: str
    shape: list[Any]
    """Numbers, names of symbolic dimensions, `None` for one without a name."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Answers as an `InferenceSession` does where only the model is asked for."""

    inputs: tuple[TensorMeta, ...]
    outputs: tuple[TensorMeta, ...]
    overridable: tuple[TensorMeta, ...]

    def get_inputs(self) -> list[TensorMeta]:
        """Return what must be fed."""
        return list(self.inputs)

    def get_outputs(self) -> list[TensorMeta]:
        """Return what is computed."""
        return list(self.outputs)

    def get_overridable_initializers(self) -> list[TensorMeta]:
        """Return inputs that have a value already."""
        return list(self.overridable)


def read_signature(path: str, fixed: Mapping[str, int]) -> Signature:
    """Return the signature of a model file.

    Args:
        path: The model; its external data is not read.
        fixed: Sizes of symbolic dimensions that count as static.
    """
    graph = onnx.load_model(path, load_external_data=False).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_metas(graph.input, fixed))
    return Signature(
        inputs=tuple(meta for meta in inputs if meta.name not in given),
        outputs=tuple(_metas(graph.output, {})),
        overridable=tuple(meta for meta in inputs if meta.name in given),
    )


def _metas(values: Iterable[onnx.ValueInfoProto], fixed: Mapping[str, int]) -> Iterable[TensorMeta]:
    for value in values:
        kind = value.type.WhichOneof("value")
        tensor = value.type.tensor_type
        text = f"tensor({element_of_number(tensor.elem_type)})" if kind == "tensor_type" else str(kind)
        yield TensorMeta(value.name, text, [_dimension(dim, fixed) for dim in tensor.shape.dim])


def _dimension(dim: onnx.TensorShapeProto.Dimension, fixed: Mapping[str, int]) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return fixed.get(dim.dim_param, dim.dim_param) or None
