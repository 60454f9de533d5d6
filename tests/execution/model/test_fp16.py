from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from fp16_models import model_of, product, saved, value
from onnx import TensorProto, helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model import fp16
from pytest_ortperf.execution.model.artifact_cache import Artifact, ArtifactCache
from pytest_ortperf.execution.model.fp16 import fp16_model, node_in, precision_error

EYE = np.eye(4, dtype=np.float32)
WINDOW_ERROR = (
    "[ONNXRuntimeError] : 1 : FAIL : Load model from /a b/model.onnx failed:Type Error: Type (tensor(float16)) of "
    "output arg (w) of node (window) does not match expected type (tensor(float))."
)


def converted(model: onnx.ModelProto, tmp_path: Path, rule: Fp16Rule | None = None) -> Artifact:
    path = saved(model, tmp_path / "m.onnx")
    return fp16_model(path, rule or Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))


def types(model: onnx.ModelProto) -> dict[str, int]:
    values = (*model.graph.input, *model.graph.output)
    return {it.name: it.type.tensor_type.elem_type for it in values} | {
        it.name: it.data_type for it in model.graph.initializer
    }


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize(
    ("io", "outside"),
    [(None, TensorProto.FLOAT), ("keep", TensorProto.FLOAT), ("cast", TensorProto.FLOAT16)],
)
def test_weights_become_half_and_ends_stay_or_not(io: str | None, outside: int, tmp_path: Path) -> None:
    twin = converted(product(EYE * 3), tmp_path, Fp16Rule(io=io))
    model = onnx.load_model(twin.model)
    onnx.checker.check_model(model, full_check=True)
    assert twin.facts == {"how": "converted", "clipped": 0, "flushed": 0, "weights": []}
    assert types(model) == {"x": outside, "y": outside, "w": TensorProto.FLOAT16}
    x = np.array([[1, 2, 3, 4]], np.float16 if io == "cast" else np.float32)
    assert run(twin.model, x).tolist() == [[3, 6, 9, 12]]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.onnx"]


def test_other_choices_are_other_artifacts(tmp_path: Path) -> None:
    rules = [
        Fp16Rule(),
        Fp16Rule(io="cast"),
        Fp16Rule(op_block_list=("MatMul",)),
        Fp16Rule(node_block_list=("product",)),
    ]
    folders = [converted(product(EYE), tmp_path, rule).folder for rule in rules]
    assert len(set(folders)) == 4
    assert converted(product(EYE), tmp_path).folder == folders[0]


@pytest.mark.parametrize("rule", [Fp16Rule(op_block_list=("MatMul",)), Fp16Rule(node_block_list=("product",))])
def test_blocked_operators_and_nodes_stay_float32(rule: Fp16Rule, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["t"], name="product"),
        helper.make_node("Add", ["t", "b"], ["y"], name="sum"),
    ]
    model = onnx.load_model(converted(model_of(nodes, {"w": EYE, "b": EYE[0]}), tmp_path, rule).model)
    assert (types(model)["w"], types(model)["b"]) == (TensorProto.FLOAT, TensorProto.FLOAT16)


def test_an_unknown_node_in_the_block_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        converted(product(EYE), tmp_path, Fp16Rule(node_block_list=("product", "prodct")))
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")
    assert str(caught.value) == (
        "fp16.node_block_list names 'prodct', and the model has no such node; correct the model list. "
        "A node without a name is called by operator type and position, such as Conv_12"
    )


def test_a_node_without_a_name_can_be_blocked_by_position(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="MatMul_1"),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    model = model_of(nodes, {"w": EYE})
    twin = converted(model, tmp_path, Fp16Rule(node_block_list=("MatMul_1_1",)))
    assert types(onnx.load_model(twin.model))["w"] == TensorProto.FLOAT


def test_a_node_that_reads_what_half_cannot_hold_stays_float32(tmp_path: Path) -> None:
    weight = EYE.copy()
    weight[0] = [1e30, -7e4, 65504.0, np.inf]
    nodes = [helper.make_node("Mul", ["x", "b"], ["t"]), helper.make_node("MatMul", ["t", "w"], ["y"])]
    twin = converted(model_of(nodes, {"w": weight, "b": EYE[0]}), tmp_path)
    assert twin.facts == {"how": "converted", "clipped": 0, "flushed": 0, "weights": ["w"]}
    stored = {it.name: onnx.numpy_helper.to_array(it) for it in onnx.load_model(twin.model).graph.initializer}
    assert (stored["w"].tolist(), stored["b"].dtype) == (weight.tolist(), np.float16)


def test_what_stays_float32_anyway_is_not_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Mul", ["x", "b"], ["t"]), helper.make_node("MatMul", ["t", "w"], ["y"])]
    rule = Fp16Rule(op_block_list=("MatMul",))
    twin = converted(model_of(nodes, {"w": EYE * 1e30, "b": EYE[0]}), tmp_path, rule)
    assert (twin.facts["clipped"], types(onnx.load_model(twin.model))["w"]) == (0, TensorProto.FLOAT)


def test_an_fp16_model_is_recognised(tmp_path: Path) -> None:
    twin = converted(product(EYE.astype(np.float16), dtype=TensorProto.FLOAT16), tmp_path)
    assert twin.facts == {"how": "already fp16", "clipped": 0}
    assert not twin.model.exists()


def test_a_model_without_float32_is_recognised(tmp_path: Path) -> None:
    twin = converted(product(EYE.astype(np.int64), dtype=TensorProto.INT64), tmp_path)
    assert twin.facts == {"how": "nothing to convert", "clipped": 0, "operators": [], "weights": []}


@pytest.mark.parametrize(
    ("dtype", "name"), [(TensorProto.DOUBLE, "fp64"), (TensorProto.BFLOAT16, "bf16")], ids=["fp64", "bf16"]
)
def test_a_model_of_another_precision_is_refused(dtype: int, name: str, tmp_path: Path) -> None:
    model = product(EYE, dtype=dtype)
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", dtype, [4, 4], EYE.ravel().tolist()))
    with pytest.raises(CaseError) as caught:
        converted(model, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'm.onnx'} could not be converted to fp16: its weights are {name}, and the converter takes fp32 "
        "ones; give a converted model as fp16_path in the model list"
    )


def test_initialisers_listed_as_inputs_become_half_and_stay_inputs(tmp_path: Path) -> None:
    model = product(EYE, opset=8, ir_version=3)
    model.graph.input.append(value("w", [4, 4]))
    twin = converted(model, tmp_path)
    result = onnx.load_model(twin.model)
    assert [it.name for it in result.graph.input] == ["x", "w"]
    assert types(result) == {"x": TensorProto.FLOAT, "y": TensorProto.FLOAT, "w": TensorProto.FLOAT16}
    assert run(twin.model, EYE).tolist() == EYE.tolist()


def test_numbers_stored_one_by_one_and_constants_are_converted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value_float=2.0),
        helper.make_node("Constant", [], ["d"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        helper.make_node("Constant", [], ["shape"], value_ints=[4]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("MatMul", ["x", "w"], ["t"]),
        helper.make_node("Mul", ["t", "c"], ["u"]),
        helper.make_node("Add", ["u", "zeros"], ["v"]),
        helper.make_node("Add", ["v", "d"], ["y"]),
    ]
    model = model_of(nodes, {})
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [4, 4], EYE.ravel().tolist()))
    twin = converted(model, tmp_path)
    assert run(twin.model, np.ones((1, 4), np.float32)).tolist() == [[3, 4, 5, 6]]
    attributes = [it for node in onnx.load_model(twin.model).graph.node for it in node.attribute]
    assert [it.name for it in attributes if it.HasField("t") and it.type != onnx.AttributeProto.TENSOR] == []


def branches(name: str) -> onnx.NodeProto:
    graphs = [
        helper.make_graph([helper.make_node(op, ["x", "w"], [f"{op}_out"])], op, [], [value(f"{op}_out", ["batch", 4])])
        for op in ("Add", "Mul")
    ]
    return helper.make_node("If", ["positive"], ["y"], name=name, then_branch=graphs[0], else_branch=graphs[1])


def test_inner_graphs_are_converted_and_nodes_are_in_order(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        branches("choice"),
    ]
    twin = converted(model_of(nodes, {"w": EYE[0] * 3, "zero": np.float32(0)}), tmp_path)
    onnx.checker.check_model(onnx.load_model(twin.model), full_check=True)
    assert run(twin.model, np.ones((1, 4), np.float32)).tolist() == [[4, 1, 1, 1]]
    assert run(twin.model, -np.ones((1, 4), np.float32)).tolist() == [[-3, 0, 0, 0]]


@pytest.mark.parametrize("given", [True, False], ids=["given with external data", "large"])
def test_external_data(given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    weight = np.tile(EYE, (1, 256))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["t"]),
        helper.make_node("Slice", ["t", "from", "to", "axis"], ["y"]),
    ]
    ends = {"from": np.array([0]), "to": np.array([4]), "axis": np.array([1])}
    model = model_of(nodes, {"w": weight, **ends})
    path = tmp_path / "m.onnx"
    saved(model, path, **({"save_as_external_data": True, "location": "w.bin"} if given else {}))
    before = sorted((it.name, it.stat().st_mtime_ns) for it in tmp_path.iterdir())
    if not given:
        monkeypatch.setattr(fp16, "EXTERNAL_OVER_BYTE", 1024)
    twin = fp16_model(path, Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))
    assert sorted(it.name for it in twin.folder.iterdir()) == ["facts.json", "model.onnx", "model.onnx.data"]
    assert (twin.folder / "model.onnx.data").stat().st_size == weight.size * 2
    assert run(twin.model, EYE).tolist() == EYE.tolist()
    after = sorted((it.name, it.stat().st_mtime_ns) for it in tmp_path.iterdir() if it.name != "cache")
    assert after == before


def test_missing_external_data_is_a_precision_error(tmp_path: Path) -> None:
    saved(product(EYE), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(CaseError, match=r"m\.onnx could not be converted to fp16 .*w\.bin") as caught:
        fp16_model(tmp_path / "m.onnx", Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (WINDOW_ERROR, "window"),
        ("Type parameter (T) of Optype (Add) bound to different types (tensor(float) in node (/a/Add_1).", "/a/Add_1"),
        ('This is an invalid model. In Node, ("up", Upsample, "", -1) : ("x": tensor(float16))', "up"),
        ("Could not find an implementation for Det(11) node with name 'determinant'", "determinant"),
        ("[TypeInferenceError] (op_type:Add, node name: plus): B has inconsistent type tensor(float)", "plus"),
        ("no such file", None),
    ],
)
def test_nodes_are_found_in_messages(text: str, node: str | None) -> None:
    assert node_in(text) == node


def test_a_conversion_that_no_session_takes_has_a_way_out_with_and_without_a_node() -> None:
    message = (
        "/m.onnx could not be converted to fp16{} so that a session takes it, as it takes the model as given ({}); {}"
    )
    window = (
        "RuntimeError: [ONNXRuntimeError] : 1 : FAIL : Type Error: Type (tensor(float16)) of output arg (w) of node "
    )
    window += "(window) does not match expected type (tensor(float))."
    found = precision_error(Path("/m.onnx"), RuntimeError(WINDOW_ERROR), opens_as_given=True)
    assert (found.stage, found.kind) == ("precision", "precision error")
    assert str(found) == message.format(
        " at node 'window'",
        window,
        "keep it float32 with fp16.node_block_list, or give a converted model as fp16_path in the model list",
    )
    assert str(precision_error(Path("/m.onnx"), RuntimeError("no"), opens_as_given=True)) == message.format(
        "",
        "RuntimeError: no",
        "keep what it is about float32 with fp16.node_block_list or fp16.op_block_list, or give a converted model as "
        "fp16_path in the model list",
    )
