"""Which inputs a case runs with, and what is said of them."""

import csv

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from .project import Project, tensor

QUICK = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-env=off", "--ortperf-operators=off")


def model(nodes: list, inputs: dict, outputs: dict, *initializers: object) -> bytes:
    def values(found: dict) -> list:
        return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in found.items()]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


RELU = model(
    [helper.make_node("Relu", ["x"], ["y"])],
    {"x": (TensorProto.FLOAT, ["n", 2])},
    {"y": (TensorProto.FLOAT, ["n", 2])},
)
GATHER = model(
    [helper.make_node("Gather", ["table", "ids"], ["y"])],
    {"ids": (TensorProto.INT64, [2])},
    {"y": (TensorProto.FLOAT, [2])},
    numpy_helper.from_array(np.array([3], np.float32), "table"),
)


@pytest.fixture
def two_sets(project: Project) -> Project:
    project.write("zoo/net/model.onnx", RELU)
    for number, rows in enumerate((1, 5)):
        stored = numpy_helper.from_array(np.ones((rows, 2), np.float32), "x").SerializeToString()
        project.write(f"zoo/net/test_data_set_{number}/input_0.pb", stored)
    return project


def rows_of(project: Project) -> list[dict[str, str]]:
    (path,) = (project.path / "result").glob("benchmark_success_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_benchmark_names_the_data_set_it_times(two_sets: Project) -> None:
    result = two_sets.run("--ortperf-models=zoo", *QUICK, mode="benchmark")
    (record,) = result.records
    assert [latency["data_set"] for latency in record["latencies"]] == ["test_data_set_0"]
    note = "timed on test_data_set_0, the first of 2 data sets; --ortperf-data-sets=each times each"
    assert record["reason"] == note
    assert f"1 passed: {note[:50]}" in result.out
    assert [(row["data_set"], row["batch"]) for row in rows_of(two_sets)] == [("test_data_set_0", "1")]


def test_each_data_set_is_a_row(two_sets: Project) -> None:
    result = two_sets.run("--ortperf-models=zoo", *QUICK, "--ortperf-data-sets=each", mode="benchmark")
    (record,) = result.records
    assert record["case_id"] == "net::benchmark[cpu]"
    assert record["reason"] is None
    found = [
        (latency["data_set"], latency["is_further"], len(latency["samples_ns"])) for latency in record["latencies"]
    ]
    assert found == [("test_data_set_0", False, 3), ("test_data_set_1", True, 3)]
    rows = rows_of(two_sets)
    assert [(row["data_set"], row["timing"], row["batch"]) for row in rows] == [
        ("test_data_set_0", "host", "1"),
        ("test_data_set_1", "host", "5"),
    ]
    assert "data set" in result.out


def test_a_run_that_fails_with_generated_inputs_says_so_and_a_value_mends_it(project: Project) -> None:
    project.write("gather.onnx", GATHER)
    project.models(
        {"name": "generated", "path": "gather.onnx"},
        {"name": "value", "path": "gather.onnx", "inputs": {"ids": {"value": 0}}},
        {"name": "choices", "path": "gather.onnx", "inputs": {"ids": {"choices": [0, -1]}}},
        {"name": "list", "path": "gather.onnx", "inputs": {"ids": {"value": [0, 0]}}},
    )
    records = project.run().by_model
    assert {name: record["outcome"] for name, record in records.items()} == {
        "generated": "failed",
        "value": "passed",
        "choices": "passed",
        "list": "passed",
    }
    assert records["generated"]["failure"]["message"].endswith(
        "\nThe input 'ids' was generated. If the model needs other values, give them in the model list: \"inputs\": "
        '{"ids": {"value": ...}}, or "choices", "low" and "high" or "shape" there; or stored ones with "test_data"'
    )


def test_test_data_that_is_not_read_is_named(two_sets: Project) -> None:
    np.savez(two_sets.path / "zoo" / "net" / "calibration.npz", x=1)
    for mode in ("validate", "benchmark"):
        (record,) = two_sets.run("--ortperf-models=zoo", *QUICK, mode=mode).records
        assert "test data passed over: calibration.npz" in record["reason"]


def test_test_data_of_the_zoo_in_numpys_form_is_compared_and_an_upper_case_name_is_found(project: Project) -> None:
    for name, file, stored in (("net", "model.onnx", 9), ("right", "model.onnx", 1), ("upper", "MODEL.ONNX", 9)):
        project.write(f"zoo/{name}/{file}", RELU)
        values = {"inputs": [np.ones((1, 2), np.float32)], "outputs": [np.full((1, 2), stored, np.float32)]}
        np.savez(project.path / "zoo" / name / "test_data_0.npz", **values)

    records = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu").by_model

    assert {name: it["outcome"] for name, it in records.items()} == {
        "net": "failed",
        "right": "passed",
        "upper": "failed",
    }
    assert records["net"]["failure"]["message"].startswith(
        "outputs differ from the reference: test_data_0, output 'y': percent mismatch 100 % (allowed 0 %), worst at "
        "(0, 0): 1 instead of 9,"
    )


@pytest.mark.parametrize("keys", [("a", "b"), (0, 1)])
def test_stored_maps_of_a_classifier_are_compared_by_key(project: Project, keys: tuple[str | int, str | int]) -> None:
    is_text = isinstance(keys[0], str)
    kind = TensorProto.STRING if is_text else TensorProto.INT64
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            coefficients=[1.0, 0, 0, 1.0],
            intercepts=[0.0, 0],
            post_transform="SOFTMAX",
            multi_class=0,
            **{"classlabels_strings" if is_text else "classlabels_ints": keys},
        ),
        helper.make_node(
            "ZipMap",
            ["scores"],
            ["probs"],
            domain="ai.onnx.ml",
            **{"classlabels_strings" if is_text else "classlabels_int64s": keys},
        ),
    ]
    maps = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [
            helper.make_tensor_value_info("label", kind, ["N"]),
            helper.make_value_info("probs", helper.make_sequence_type_proto(maps)),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    classifier = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    high = float(np.e / (1 + np.e))
    labels = numpy_helper.from_array(np.array(keys, object if is_text else np.int64), "label").SerializeToString()
    for name, last in (("right", (1 - high, high)), ("wrong", (0.5, 0.5))):
        rows = onnx.SequenceProto(name="probs", elem_type=onnx.SequenceProto.MAP)
        for values in ((high, 1 - high), last):
            row = rows.map_values.add(key_type=kind)
            row.values.CopyFrom(numpy_helper.from_list([np.array(value, np.float32) for value in values]))
            if is_text:
                row.string_keys.extend(str(key).encode() for key in keys)
            else:
                row.keys.extend(keys)
        folder = f"zoo/{name}/test_data_set_0"
        project.write(f"zoo/{name}/model.onnx", classifier)
        project.write(f"{folder}/input_0.pb", tensor(np.eye(2), "x"))
        project.write(f"{folder}/output_0.pb", labels)
        project.write(f"{folder}/output_1.pb", rows.SerializeToString())

    records = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu").by_model

    assert (records["right"]["outcome"], records["wrong"]["outcome"]) == ("passed", "failed")
    assert records["wrong"]["failure"]["message"].startswith(
        "outputs differ from the reference: test_data_set_0, output 'probs': percent mismatch 50 % (allowed 0 %), "
        f"worst [1] [{keys[1]!r}] at (): 0.7310586 instead of 0.5,"
    )


def test_a_failed_batch_check_says_how_to_leave_it_out(project: Project) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    ends = ({"x": (TensorProto.FLOAT, ["batch", 4])}, {"y": (TensorProto.FLOAT, ["batch", 4])})
    project.write("centred.onnx", model(nodes, *ends))
    project.models(
        {"name": "plain", "path": "centred.onnx"}, {"name": "told", "path": "centred.onnx", "batch_dim": False}
    )
    records = project.run().by_model
    assert records["plain"]["failure"]["message"].endswith(
        'if the rows of a batch belong together in this model, say so with "batch_dim": false in the model list, or '
        "leave the check out with --ortperf-checks=repeat"
    )
    assert records["told"]["outcome"] == "passed"
    assert project.run("--ortperf-checks=repeat").by_model["plain"]["outcome"] == "passed"


@pytest.mark.parametrize("mode", ["validate", "benchmark"])
def test_an_output_of_another_shape_than_declared_is_noted(project: Project, mode: str) -> None:
    nodes = [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)]
    ends = ({"x": (TensorProto.FLOAT, ["n", 2])}, {"y": (TensorProto.FLOAT, [1, 2])})
    project.write("m.onnx", model(nodes, *ends))
    project.models({"name": "m", "dims": {"n": 3}})
    (record,) = project.run(*QUICK, mode=mode).records
    assert record["outcome"] == "passed"
    assert "output 'y' has shape (6, 2); the model declares (1, 2)" in record["reason"]
