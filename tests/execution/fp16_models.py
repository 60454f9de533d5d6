"""Small models for the tests of fp16, cache and shapes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider


def value(name: str, shape: Sequence[str | int] | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Any],
    *,
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """Return a model from `x` (batch, 4) to `y` (batch, 4)."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [value("x", ["batch", 4], dtype)],
        [value("y", ["batch", 4], dtype)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def product(weight: Any, **kwargs: Any) -> onnx.ModelProto:
    """Return `y = x @ w`."""
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], {"w": weight}, **kwargs)


def saved(model: onnx.ModelProto, path: Path, **kwargs: Any) -> Path:
    onnx.save_model(model, path, **kwargs)
    return path


def case_of(path: Path, *, precision: str | None = "fp16", provider: str = "cpu", **kwargs: Any) -> Case:
    dims = kwargs.pop("case_dims", ())
    model = Model(name=path.stem, path=path, origin="models.json: models[0]", **kwargs)
    return Case(model=model, mode="validate", provider=find_provider(provider), precision=precision, dims=dims)
