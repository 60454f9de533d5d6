from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from long_graphs import FAULTS, NODES, Fault, change_node, long_model, write_pair
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.find import Search, allowed_sessions, bisect
from pytest_ortperf.execution.case_settings import ExecutionSettings, GivenData
from pytest_ortperf.records.bisection import Bisection

QUICK_FAULTS = {"a bias dropped", "another branch of an If", "the sign of one weight", "two channels swapped"}


class NoHooks:
    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        pass

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        pass


def search(path: Path, *, against: Path | None = None, hooks: Any = None, **case: Any) -> Search:
    precision = case.pop("precision", None)
    model = Model(name="m", path=path, origin="models.json", **case)
    return Search(
        case=Case(model=model, mode="validate", provider=find_provider("cpu"), precision=precision),
        settings=ExecutionSettings(given=GivenData(reference_model=against), cache=path.parent / "cache"),
        hooks=hooks or NoHooks(),
        timeout_s=60,
        folder=path.parent / "smallest",
    )


def planted(folder: Path, fault: Fault) -> Bisection:
    sound, faulty = write_pair(folder, fault)
    return bisect(search(faulty, against=sound))


def outputs_of(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return what a model directory's model computes by itself, and what is stored as expected."""
    data = folder / "test_data_set_0"
    inputs = [onnx.load_tensor(data / f"input_{i}.pb") for i in range(len(list(data.glob("input_*"))))]
    expected = [onnx.load_tensor(data / f"output_{i}.pb") for i in range(len(list(data.glob("output_*"))))]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    computed = session.run(
        [tensor.name for tensor in expected], {tensor.name: numpy_helper.to_array(tensor) for tensor in inputs}
    )
    return computed, [numpy_helper.to_array(tensor) for tensor in expected]


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in QUICK_FAULTS else pytest.mark.slow) for what in FAULTS]
)
def test_the_node_of_a_planted_fault_is_named_and_fails_alone(tmp_path: Path, what: str) -> None:
    node, fault = FAULTS[what]
    found = planted(tmp_path, fault)
    assert found.nodes == NODES
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == (node, True)
    assert found.beside == ()
    assert [part.name for part in found.part] == [node]
    assert found.sessions <= found.sessions_allowed == allowed_sessions(NODES) == 21
    [computed], [expected] = outputs_of(tmp_path / "smallest")
    assert not np.allclose(computed, expected, rtol=1e-3, atol=1e-5)


def test_a_sound_model_has_nothing_to_search(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(long_model(), path)
    found = bisect(search(path))
    assert (found.suspect, found.part_folder, found.sessions) == (None, None, 2)
    assert found.conclusion == (
        "The outputs are within tolerance of the reference (CPU, graph optimisation off): there is nothing to search."
    )


def test_only_the_stored_outputs_may_be_wrong(tmp_path: Path) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "test_data_set_0"
    onnx.save_model(long_model(), path)
    data.mkdir()
    onnx.save_tensor(numpy_helper.from_array(np.ones((1, 24), np.float32), "x"), data / "input_0.pb")
    onnx.save_tensor(numpy_helper.from_array(np.zeros((1, 24), np.float32), "y"), data / "output_0.pb")
    found = bisect(search(path, test_data=tmp_path))
    assert (found.suspect, found.data_set) == (None, "test_data_set_0")
    assert found.conclusion.startswith(
        "CPUExecutionProvider computes what the reference computes (CPU, graph optimisation off), within tolerance: "
        "only the stored outputs differ ('y': percent mismatch 100 % (allowed 0 %), worst at"
    )
    assert found.conclusion.endswith("They belong to another model or other inputs, or both are wrong.")


def chain(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], shape: list[Any]) -> Path:
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_an_fp16_overflow_is_found_where_it_begins_against_the_fp32_model(tmp_path: Path) -> None:
    names = ["x", *(f"v{i}" for i in range(7)), "y"]
    # the CPU computes in float32 and drops casts in between: what overflowed shows at a float16 output alone
    operators = ["Sigmoid", "Abs", "MatMul", "Relu", "MatMul", "Neg", "Abs", "Relu"]
    nodes = [
        helper.make_node(
            operator, [names[i], *(["large"] if operator == "MatMul" else [])], [names[i + 1]], name=f"n{i}"
        )
        for i, operator in enumerate(operators)
    ]
    path = chain(tmp_path / "model.onnx", nodes, {"large": np.full((4, 4), 300, np.float32)}, ["batch", 4])
    asked = search(path, precision="fp16")
    found = bisect(dataclasses.replace(asked, settings=dataclasses.replace(asked.settings, fp16_io="cast")))
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("n4", True)
    assert [(value.name, value.dtype, value.not_finite) for value in found.outputs] == [("v4", "float16", 4)]
    assert found.outputs[0].reference_high == pytest.approx(3400 * 300, rel=0.1)
    assert found.sessions <= found.sessions_allowed


def looping_model(folder: Path, change: str | None = None) -> Path:
    """Write a model with external data, a `Loop` that reads an outer weight, and a node of two outputs."""
    random = np.random.default_rng(0)
    weights = {name: random.normal(0, 0.3, (16, 16)).astype(np.float32) for name in ("first", "inner", "last")}
    weights |= {"times": np.array(3), "always": np.array(True), "sizes": np.array([4, 12])}  # noqa: FBT003 - a tensor
    if change == "loop":
        weights["inner"][3, 3] *= -3
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_out"]),
            helper.make_node("MatMul", ["state", "inner"], ["product"]),
            helper.make_node("Tanh", ["product"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (
                ("i", TensorProto.INT64, []),
                ("goes_on", TensorProto.BOOL, []),
                ("state", TensorProto.FLOAT, None),
            )
        ],
        [
            helper.make_tensor_value_info("goes_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["p"], name="before"),
        helper.make_node("Loop", ["times", "always", "p"], ["l"], name="loop", body=body),
        helper.make_node("Split", ["l", "sizes"], ["a", "b"], axis=1, name="split"),
        helper.make_node("Tanh", ["a"], ["c"], name="tanh"),
        helper.make_node("Concat", ["b", "c"], ["d"], axis=1, name="joined"),
        helper.make_node("MatMul", ["d", "last"], ["y"], name="after"),
    ]
    if change == "split":
        nodes[2].input[1] = "other"
        weights["other"] = np.array([12, 4])
    path = chain(folder / "model.onnx", nodes, weights, ["batch", 16])
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize("node", ["loop", "split"])
def test_a_loop_and_a_node_of_several_outputs_are_found_in_a_model_with_external_data(
    tmp_path: Path, node: str
) -> None:
    folders = [tmp_path / "sound", tmp_path / "faulty"]
    for folder in folders:
        folder.mkdir()
    sound, faulty = looping_model(folders[0]), looping_model(folders[1], node)
    found = bisect(search(faulty, against=sound))
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == (node, True)
    assert [part.name for part in found.part] == [node]
    assert found.sessions <= found.sessions_allowed


def test_a_fault_within_tolerance_is_followed_back_from_where_it_leaves_it(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Abs", ["x"], ["p"], name="positive"),
        helper.make_node("Add", ["p", "shift"], ["a"], name="shifted"),
        helper.make_node("Neg", ["a"], ["n"], name="turned"),
        helper.make_node("Add", ["n", "one"], ["b"], name="back"),
        helper.make_node("Mul", ["b", "scale"], ["y"], name="scaled"),
    ]
    values = {"one": 1.0, "shift": 1.0, "scale": 1000.0}
    weights = {name: np.array(value, np.float32) for name, value in values.items()}
    sound = chain(tmp_path / "sound.onnx", nodes, weights, [1, 4])
    weights["shift"] = np.array(1.0004, np.float32)
    faulty = chain(tmp_path / "model.onnx", nodes, weights, [1, 4])
    asked = search(faulty, against=sound)
    data = dataclasses.replace(asked.settings.given, inputs={"x": np.full((1, 4), 0.01, np.float32)})
    found = bisect(dataclasses.replace(asked, settings=dataclasses.replace(asked.settings, given=data)))
    within = {it.node.name: it.is_within for it in found.points}
    assert (within["shifted"], within["back"]) == (True, False)
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("shifted", False)
    assert [node.name for node in found.part] == ["shifted", "turned", "back"]
    assert found.part_complaint is not None
    assert found.sessions <= found.sessions_allowed
    assert found.conclusion == (
        "What crosses the cut before it is right, or off by little of the later error. By itself, on the reference's "
        "inputs, it makes an error of 0.0004, still within tolerance. The error leaves tolerance at back (Add, node 3)"
        ", which is right by itself."
    )
    assert [value.name for value in found.outputs] == ["a"]


class DiesAt:
    """Ends the process of each session that gives a value of one of these names, or all of the model."""

    def __init__(self, values: frozenset[str]) -> None:
        self._values = values

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        if {meta.name for meta in session.get_outputs()} & self._values:
            os.abort()


def test_the_node_where_it_crashes_is_found_and_crashes_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = long_model()
    onnx.save_model(model, path)
    order = [node.output[0] for node in model.graph.node]
    after = frozenset(order[order.index("b17_gate") :])

    class Hooks(DiesAt):
        def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
            if (
                session.get_session_options().graph_optimization_level
                != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            ):
                super().before_first_run(session)

    found = bisect(search(path, hooks=Hooks(after)))
    assert (found.symptom, found.complaint) == ("crash", "crashed with signal 6 (SIGABRT)")
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("b17_gate", True)
    assert [node.name for node in found.part] == ["b17_gate"]
    assert found.sessions <= found.sessions_allowed
    assert found.conclusion == (
        "The graph up to the node before it runs; with this node it crashes. By itself, on the reference's inputs, it "
        "crashes too."
    )


def test_a_run_that_fails_is_searched_like_a_crash(tmp_path: Path) -> None:
    def beyond(node: onnx.NodeProto) -> None:
        node.op_type = "Gather"
        node.input[1] = "far"
        node.attribute.append(helper.make_attribute("axis", 1))

    sound, faulty = tmp_path / "sound.onnx", tmp_path / "model.onnx"
    model = long_model()
    model.graph.initializer.append(numpy_helper.from_array(np.full(24, 99, np.int64), "far"))
    onnx.save_model(model, sound)
    change_node("b20_sum", beyond)(model)
    onnx.save_model(model, faulty)
    found = bisect(search(faulty, against=sound))
    assert found.symptom == "error"
    assert found.complaint.startswith("the run failed: InvalidArgument: ")
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("b20_sum", True)


def test_a_program_of_its_own_cannot_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    asked = search(path)
    trtexec = dataclasses.replace(asked.case, provider=find_provider("trtexec"))
    with pytest.raises(CaseError) as error:
        bisect(dataclasses.replace(asked, case=trtexec))
    assert str(error.value) == (
        "m::validate[trtexec]: trtexec is a program of its own, which gives no values from inside the graph; take the "
        "case of a provider of ONNX Runtime, such as tensorrt"
    )


def test_a_data_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(long_model(), path)
    with pytest.raises(CaseError) as error:
        bisect(dataclasses.replace(search(path), data_set="third"))
    assert str(error.value) == "no data set is called 'third'; this case has generated (seed 0)"


def test_a_node_that_the_cpu_cannot_compute_either_is_named_without_a_part(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Gather", ["a", "far"], ["b"], name="second"),
        helper.make_node("Relu", ["b"], ["y"], name="third"),
    ]
    found = bisect(search(chain(tmp_path / "model.onnx", nodes, {"far": np.array([7])}, [2, 2])))
    assert (found.suspect.name if found.suspect else None, found.part_folder) == ("second", None)
    assert found.conclusion.startswith(
        "The graph up to the node before it runs; with this node it fails. The CPU cannot compute it either, so the "
        "model or its inputs may be wrong: no reference: the CPU provider cannot run this part"
    )


BUNDLED = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("detector_head", None),
        ("dynamic_mlp", None),
        ("external_weights", None),
        ("int8_qdq_cnn", "stem/bias_scale"),
        ("multi_io", None),
        ("small_cnn", None),
        ("tiny_bert", None),
    ],
)
def test_a_weight_of_a_bundled_model_that_is_half_as_large_again_is_found(
    tmp_path: Path, name: str, weight: str | None
) -> None:
    sound = BUNDLED / name / "model.onnx"
    model = onnx.load(sound)
    floats = [it for it in model.graph.initializer if it.data_type == TensorProto.FLOAT and np.prod(it.dims) > 16]
    tensor = next(it for it in model.graph.initializer if it.name == (weight or floats[len(floats) // 2].name))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))
    node = next(node for node in model.graph.node if tensor.name in node.input)
    onnx.save_model(model, tmp_path / "model.onnx")
    found = bisect(search(tmp_path / "model.onnx", against=sound, test_data=BUNDLED / name))
    assert (found.suspect.outputs if found.suspect else None) == tuple(node.output)
    assert found.part_complaint
    assert found.sessions <= found.sessions_allowed
