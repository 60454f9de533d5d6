from __future__ import annotations

import dataclasses
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
from pytest_ortperf.execution.accuracy.references import (
    NotAvailable,
    OnCpu,
    Reference,
    _processor,
    cpu_outputs,
    cpu_reference,
)
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData


class Hooks:
    """Notes the graph optimisation level of each session."""

    changes_sessions = True

    def __init__(self) -> None:
        self.levels: list[Any] = []

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        self.levels.append(session_options.graph_optimization_level)

    def before_first_run(self, session: Any) -> None:
        raise AssertionError(f"a reference is nobody's first run: {session}")


def case_of(path: Path, **entry: Any) -> Case:
    model = Model(name="m", path=path, origin="models.json: models[0] 'm'", **entry)
    return Case(model=model, mode="validate", provider=find_provider("cuda"), precision="fp16")


def arrays_of(found: Reference) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in found.outputs.items()}


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
    found = cpu_reference(case_of(path, outputs=("z",)), ExecutionSettings(), hooks, data_of(x=half))
    assert (found.name, found.artifact) == ("CPU, graph optimisation off", None)
    assert {name: (str(array.dtype), array.tolist()) for name, array in arrays_of(found).items()} == {
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


class PlainHooks(Hooks):
    """Leaves sessions as they are."""

    changes_sessions = False


def model_file(folder: Path, op_type: str = "Mul", factor: float = 2.0) -> Path:
    """Write a model of one operator with one weight."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph([helper.make_node(op_type, ["x", "w"], ["y"])], "g", [x], [y], [weight])
    path = folder / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path


def test_references_are_computed_once_per_model_and_inputs(tmp_path: Path) -> None:
    hooks, settings = PlainHooks(), ExecutionSettings(cache=tmp_path / "cache")
    path = model_file(tmp_path)
    one, other = data_of(x=np.array([1.0, 3.0], np.float32)), data_of(x=np.array([1.0, 4.0], np.float32))

    found = [arrays_of(cpu_reference(case_of(path), settings, hooks, data))["y"].tolist() for data in (one, one, other)]
    assert (found, len(hooks.levels)) == ([[2.0, 6.0], [2.0, 6.0], [2.0, 8.0]], 2)

    model_file(tmp_path, factor=3.0)
    assert arrays_of(cpu_reference(case_of(path), settings, hooks, one))["y"].tolist() == [3.0, 9.0]
    assert len(hooks.levels) == 3


def test_float64_shows_what_float32_cannot(tmp_path: Path) -> None:
    asked = OnCpu(
        path=model_file(tmp_path, "Add", factor=1.0),
        case=case_of(tmp_path / "m.onnx"),
        settings=ExecutionSettings(cache=tmp_path / "cache"),
        hooks=PlainHooks(),
        data=data_of(x=np.array([2.0**-30], np.float32)),
    )

    single = arrays_of(cpu_outputs(asked))["y"]
    double = arrays_of(cpu_outputs(dataclasses.replace(asked, width="fp64")))["y"]

    assert (single.dtype, single.tolist()) == (np.float32, [1.0])
    assert (double.dtype, double.tolist()) == (np.float64, [1.0 + 2.0**-30])


def without_fp64(folder: Path, node: Any, shapes: dict[str, list[int]]) -> OnCpu:
    """Return a request for float64 of one operator, whose last value is its output."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    path = folder / "m.onnx"
    graph = helper.make_graph([node], "g", values[:-1], values[-1:])
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return OnCpu(
        path=path,
        case=case_of(path),
        settings=ExecutionSettings(cache=folder / "cache"),
        hooks=PlainHooks(),
        data=data_of(**{name: np.ones(shape, np.float32) for name, shape in list(shapes.items())[:-1]}),
        width="fp64",
    )


def test_an_operator_without_a_float64_kernel_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    asked = without_fp64(tmp_path, node, {"x": [1, 1, 3], "w": [1, 1, 1], "y": [1, 1, 3]})

    with pytest.raises(NotAvailable, match=r"Could not find an implementation for Conv"):
        cpu_outputs(asked)


def test_so_is_one_that_refuses_float64_only_when_it_runs(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=1)
    asked = without_fp64(tmp_path, node, {"x": [1, 1, 1], "w": [1, 4, 1], "r": [1, 4, 1], "y": [1, 1, 1, 1]})

    with pytest.raises(NotAvailable, match=r"LSTM operator does not support double yet"):
        cpu_outputs(asked)
    assert arrays_of(cpu_outputs(dataclasses.replace(asked, width="own")))["y"].shape == (1, 1, 1, 1)


def test_another_processor_has_references_of_its_own(tmp_path: Path) -> None:
    def told(name: str, flags: str) -> tuple[str, ...]:
        root = tmp_path / f"{name} {flags}"
        (root / "proc").mkdir(parents=True)
        one = f"processor : 0\nmodel name\t: {name}\ncpu MHz : 2000\nflags\t\t: {flags}\n"
        (root / "proc/cpuinfo").write_text(one + one.replace("2000", "2100"), encoding="utf-8")
        return _processor(root)

    assert told("AMD EPYC", "sse avx2") == ("AMD EPYC", "sse avx2")
    assert len({told("AMD EPYC", "avx2 avx512"), told("AMD EPYC", "avx2"), told("other", "avx2")}) == 3
    assert _processor(tmp_path) == ()
