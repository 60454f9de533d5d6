"""Tiny models and cases for tests with a real ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider

CPU = "CPUExecutionProvider"
AZURE = "AzureExecutionProvider"


class NoHooks:
    """Users' hooks that do nothing."""

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        pass

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        pass


def case(path: Path | str = "m.onnx", provider: str = "cpu", **model: Any) -> Case:
    """Return a validation of one model on one provider."""
    return Case(
        model=Model(name="m", path=Path(path), origin="models.json", **model),
        mode="validate",
        provider=find_provider(provider),
        precision=None,
    )


def add_relu() -> bytes:
    """Return `relu(x + w)` for x of shape (batch, 3)."""
    nodes = [helper.make_node("Add", ["x", "w"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    return _serialised(nodes, ["x"])


def folding() -> bytes:
    """Return a sum of constants."""
    return _serialised([helper.make_node("Add", ["w", "w"], ["y"])], [])


def _serialised(nodes: list[Any], inputs: list[str]) -> bytes:
    weight = numpy_helper.from_array(np.array([[1, -2, 3]], np.float32), "w")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
