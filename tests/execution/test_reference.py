from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_data import CaseData
from pytest_ortperf.execution.reference import cpu_reference
from pytest_ortperf.execution.settings import ExecutionSettings


class Hooks:
    """Notes the graph optimisation level of each session."""

    def __init__(self) -> None:
        self.levels: list[Any] = []

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        self.levels.append(session_options.graph_optimization_level)

    def before_first_run(self, session: Any) -> None:
        raise AssertionError(f"a reference is nobody's first run: {session}")


def case_of(path: Path, **entry: Any) -> Case:
    model = Model(name="m", path=path, origin="models.json: models[0] 'm'", **entry)
    return Case(model=model, mode="validate", provider=find_provider("cuda"), precision="fp16")


def data_of(**inputs: Any) -> CaseData:
    return CaseData(name="generated (seed 0)", origin="generated", inputs=inputs, references=None)


def test_references_are_those_of_the_model_as_given_on_the_cpu_unoptimised(tmp_path: Path) -> None:
    x, y, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xyz")
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["y"], ["z"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y, z]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    hooks = Hooks()
    half = np.array([0.5, -2], np.float16)
    outputs, source = cpu_reference(case_of(path, outputs=("z",)), ExecutionSettings(), hooks, data_of(x=half))
    assert source == "CPU, graph optimisation off"
    assert {name: (str(value.dtype), value.tolist()) for name, value in outputs.items()} == {
        "z": ("float32", [0.5, 2.0])
    }
    assert hooks.levels == [onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL]


def test_a_model_that_the_cpu_cannot_run_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        cpu_reference(case_of(tmp_path / "gone.onnx"), ExecutionSettings(), Hooks(), data_of())
    text = str(caught.value)
    assert text.startswith("no reference outputs: the CPU provider cannot run the model with graph optimisation off: ")
    assert text.endswith("Give stored outputs with test_data in the model list")
    assert (caught.value.stage, caught.value.kind) == ("reference", "runtime error")
