"""Tiny model files for commands: each with something to be found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Values = Mapping[str, Sequence[int | str | None] | None]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Values,
    weights: Mapping[str, Any] | None = None,
    *,
    domains: Sequence[str] = (),
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return a model with the output `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)
    return path


def relu(path: Path, shape: Sequence[int | str | None] = ("batch", 2), source: str = "x") -> Path:
    """Write a model whose dimensions have names."""
    return save(model_of([helper.make_node("Relu", [source], ["y"])], {source: shape}), path)


def unnamed(path: Path) -> Path:
    """Write a convolution whose image has dimensions without names."""
    node = helper.make_node("Conv", ["x", "k"], ["y"])
    return save(model_of([node], {"x": [None, 3, None, None]}, {"k": np.ones((2, 3, 3, 3), np.float32)}), path)


def with_cache(path: Path) -> Path:
    """Write a model whose first input is empty at the first step."""
    node = helper.make_node("Concat", ["past", "x"], ["y"], axis=1)
    return save(model_of([node], {"past": ["batch", "past_length", 4], "x": ["batch", "sequence", 4]}), path)


def refusing(path: Path) -> Path:
    """Write a model that no size of its input runs through."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    return save(model_of([node], {"x": ["rows", "columns"]}, {"shape": np.array([7, 11, 13])}), path)


def custom(path: Path) -> Path:
    """Write a model of an operator that nobody has."""
    node = helper.make_node("Fold", ["x"], ["y"], domain="com.acme")
    return save(model_of([node], {"x": [1]}, domains=["com.acme"]), path)


def with_external_data(path: Path) -> Path:
    """Write a model whose weights lie in the file `weights.bin` beside it."""
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": ["n", 512]}, {"w": np.ones(512, np.float32)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def store(folder: Path, **values: Any) -> None:
    """Write a data set of one input `x` and one output `y`."""
    folder.mkdir(parents=True)
    for name, file in (("x", "input_0.pb"), ("y", "output_0.pb")):
        tensor = numpy_helper.from_array(np.asarray(values[name], np.float32), name)
        (folder / file).write_bytes(tensor.SerializeToString())
