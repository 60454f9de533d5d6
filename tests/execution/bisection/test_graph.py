from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from long_graphs import NODES, long_model
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.graph import Graph, remove, save, value_info


@pytest.fixture
def diamond(tmp_path: Path) -> Graph:
    """Return x -> a -> (b, c) -> y, with an unused output and a constant."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2, np.float32))),
        helper.make_node("Mul", ["a", "two"], ["b"], name="left"),
        helper.make_node("Split", ["a", "sizes"], ["c", "unused"], axis=1, name="right"),
        helper.make_node("Concat", ["b", "c"], ["y"], axis=1, name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "diamond",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 3]), "sizes")],
    )
    path = tmp_path / "m.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Graph(path)


def test_a_cut_holds_what_later_nodes_and_the_caller_read(diamond: Graph) -> None:
    assert [diamond.cut(position) for position in range(len(diamond))] == [
        ("a",),
        ("a", "two"),
        ("a", "b"),
        ("b", "c"),
        ("y",),
    ]


def test_ancestors_end_at_values_that_are_given(diamond: Graph) -> None:
    assert diamond.ancestors(["y"]) == [0, 1, 2, 3, 4]
    assert diamond.ancestors(["c"]) == [0, 3]
    assert diamond.ancestors(["y"], stop=frozenset({"b", "a"})) == [3, 4]


def test_a_node_without_a_name_is_called_by_operator_and_position(diamond: Graph) -> None:
    assert [diamond.fact(position).name for position in range(5)] == ["first", "Constant_1", "left", "right", "last"]


def test_a_part_is_fed_what_it_does_not_make_and_runs(diamond: Graph, tmp_path: Path) -> None:
    assert diamond.fed_names([3, 4]) == ("a", "b")
    assert (diamond.is_constant("two"), diamond.is_constant("sizes"), diamond.is_constant("a")) == (True, True, False)
    fed = {"a": np.ones((2, 4), np.float32), "b": np.zeros((2, 4), np.float32)}
    save(diamond.part([3, 4], ["y"], fed), tmp_path / "part.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "part.onnx", providers=["CPUExecutionProvider"])
    assert [(meta.name, meta.type, meta.shape) for meta in session.get_inputs()] == [
        ("a", "tensor(float)", [2, 4]),
        ("b", "tensor(float)", [2, 4]),
    ]
    [computed] = session.run(None, fed)
    assert computed.tolist() == [[0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]


def test_inputs_of_the_model_keep_their_symbolic_dimensions_in_a_part(diamond: Graph) -> None:
    part = diamond.part([0], ["a"], {"x": np.ones((2, 4), np.float32)})
    assert part.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_node_with_subgraphs_is_one_and_its_outer_values_cross_the_cut(tmp_path: Path) -> None:
    onnx.save_model(long_model(), tmp_path / "m.onnx")
    graph = Graph(tmp_path / "m.onnx")
    position = graph.made_by["b4_active"]
    assert len(graph) == NODES
    assert graph.reads[position] == ("always", "b4_product", "b4_sum")
    assert set(graph.cut(position - 1)) == {"b3_out", "b4_norm", "b4_product", "b4_sum"}


def test_external_data_goes_into_the_part(tmp_path: Path) -> None:
    onnx.save_model(
        long_model(), tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    graph = Graph(tmp_path / "m.onnx")
    (tmp_path / "elsewhere").mkdir()
    save(graph.part([1], ["b0_product"], {"b0_norm": np.ones((1, 24), np.float32)}), tmp_path / "elsewhere/p.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "elsewhere/p.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"b0_norm": np.ones((1, 24), np.float32)})[0].shape == (1, 24)
    assert np.array_equal(graph.constant("b0_gain"), np.ones(24, np.float32))


def test_dtypes_are_those_of_inference(diamond: Graph) -> None:
    assert (diamond.dtype("b"), diamond.dtype("nothing")) == (np.dtype(np.float32), None)


def test_sequences_are_declared_by_their_first_element() -> None:
    declared = value_info("s", [np.ones((2, 3), np.int64)])
    assert declared.type.sequence_type.elem_type.tensor_type.elem_type == TensorProto.INT64
    assert value_info("m", {"a": 1.0}) == onnx.ValueInfoProto(name="m")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(CaseError, match="is no ONNX model, or is cut short"):
        Graph(tmp_path / "m.onnx")


def test_a_part_for_two_files_leaves_none_of_them_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ortperf.execution.bisection.graph.LARGEST_BYTE", 0)
    folder = tmp_path / "parts"
    folder.mkdir()
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    sizes = []
    for _ in range(2):
        again = onnx.ModelProto()
        again.CopyFrom(model)
        save(again, folder / "p.onnx")
        sizes.append((folder / "p.onnx.data").stat().st_size)

    assert sizes[0] == sizes[1] >= 64 * 64 * 4
    remove(folder / "p.onnx")
    assert list(folder.iterdir()) == []
