"""Verdicts that compared nothing: other inputs are tried, and what stays empty is never called validated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugin.project import Project

QUICK = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-env=off", "--ortperf-operators=off")
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    **constants: object,
) -> None:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def top_k(path: Path) -> None:
    outputs = [helper.make_tensor_value_info("v", FLOAT, [1, None]), helper.make_tensor_value_info("i", INT64, None)]
    inputs = [helper.make_tensor_value_info("x", FLOAT, [1, 6]), helper.make_tensor_value_info("k", INT64, [1])]
    save(path, [helper.make_node("TopK", ["x", "k"], ["v", "i"], axis=1)], inputs, outputs)


def counted(path: Path) -> None:
    inputs = [helper.make_tensor_value_info(name, INT64, []) for name in "abc"]
    outputs = [helper.make_tensor_value_info("y", INT64, [None])]
    save(path, [helper.make_node("Range", ["a", "b", "c"], ["y"])], inputs, outputs)


def detector(path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("b", FLOAT, [1, 6, 4]),
        helper.make_tensor_value_info("s", FLOAT, [1, 1, 6]),
    ]
    outputs = [helper.make_tensor_value_info("y", INT64, ["n", 3])]
    node = helper.make_node("NonMaxSuppression", ["b", "s", "most", "overlap", "score"], ["y"])
    constants = {"most": np.array([3]), "overlap": np.array([0.5], np.float32), "score": np.array([2.0], np.float32)}
    save(path, [node], inputs, outputs, **constants)


def unreal(path: Path) -> None:
    """Save the root of a negative number, whatever comes in."""
    ends = [helper.make_tensor_value_info(name, FLOAT, [8]) for name in "xy"]
    nodes = [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("Sub", ["minus", "a"], ["b"])]
    save(path, [*nodes, helper.make_node("Sqrt", ["b"], ["y"])], ends[:1], ends[1:], minus=np.array(-1, np.float32))


def roots(path: Path) -> None:
    """Save a model whose every path ends in the root or logarithm of a negative number."""
    ends = [helper.make_tensor_value_info(name, FLOAT, [8]) for name in "xy"]
    names = ["x", "a", "b", "c", "d", "e", "y"]
    steps = zip(("Log", "Neg", "Log", "Sqrt", "Neg", "Sqrt"), names, names[1:], strict=False)
    save(path, [helper.make_node(op, [source], [target]) for op, source, target in steps], ends[:1], ends[1:])


@pytest.mark.parametrize("make", [top_k, *(pytest.param(each, marks=pytest.mark.slow) for each in (counted, detector))])
def test_other_inputs_are_tried_where_the_first_give_empty_outputs(project: Project, make: object) -> None:
    assert callable(make)
    make(project.path / "zoo" / "net" / "model.onnx")
    result = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu", *QUICK, mode="both")
    assert list(result.outcomes.values()) == ["passed", "passed"]
    (run,) = next(record["accuracy"] for record in result.records if record["mode"] == "validate")
    assert run["data_set"].startswith("generated (seed 0, variation ")
    assert all(output["elements"] > 0 for output in run["outputs"])


@pytest.mark.parametrize("make", [unreal, pytest.param(roots, marks=pytest.mark.slow)])
def test_outputs_that_are_never_numbers_are_not_validated_and_the_latency_says_so(
    project: Project, make: Callable[[Path], None]
) -> None:
    make(project.path / "zoo" / "net" / "model.onnx")
    result = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu", *QUICK, mode="both")
    assert result.outcomes == {"net::validate[cpu]": "skipped", "net::benchmark[cpu]": "passed"}
    reasons = {record["mode"]: record["reason"] for record in result.records}
    assert reasons["validate"] == (
        "not validated: nothing compared, because output 'y' has no finite reference value among 8; other generated "
        'inputs were tried too. Give real inputs with "test_data", or ranges and shapes with "inputs" in the model list'
    )
    assert reasons["benchmark"].startswith("latency of empty work: all outputs are empty or not finite")
    (run,) = next(record["accuracy"] for record in result.records if record["mode"] == "validate")
    assert [output["nonfinite_references"] for output in run["outputs"]] == [8]
    assert "v  never validated: nothing has compared its outputs" in result.out.splitlines()
    assert (
        "\n1 skipped: not validated: nothing compared, because output 'y' has no finite\n"
        "    reference value among 8; other generated inputs were tried too. Give real\n"
        '    inputs with "test_data", or ranges and shapes with "inputs" in the model\n'
        "    list\n  validate[cpu]: net\n"
    ) in result.out


def test_an_output_that_is_partly_not_finite_says_how_much_was_not_compared(project: Project) -> None:
    ends = [helper.make_tensor_value_info(name, FLOAT, [6, 8]) for name in "xy"]
    nodes = [helper.make_node("Sub", ["x", "half"], ["a"]), helper.make_node("Log", ["a"], ["y"])]
    save(project.path / "zoo/net/model.onnx", nodes, ends[:1], ends[1:], half=np.array(0.5, np.float32))
    (record,) = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu").records
    (output,) = record["accuracy"][0]["outputs"]
    assert 0 < output["nonfinite_references"] < output["elements"] == 48
    told = f"{output['nonfinite_references']} of 48 reference values not finite"
    assert (record["outcome"], record["reason"]) == ("passed", f"net::validate[cpu]: output 'y' shows little: {told}")


def test_generated_inputs_that_never_give_an_element_are_not_validated(project: Project) -> None:
    x = helper.make_tensor_value_info("x", FLOAT, [8])
    y = helper.make_tensor_value_info("y", INT64, [1, None])
    nodes = [helper.make_node("Greater", ["x", "most"], ["b"]), helper.make_node("NonZero", ["b"], ["y"])]
    save(project.path / "zoo/net/model.onnx", nodes, [x], [y], most=np.array(1e30, np.float32))
    (record,) = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu").records
    assert record["outcome"] == "skipped"
    assert record["reason"].startswith("not validated: nothing compared, because output 'y' has no elements; other ")


def test_the_first_step_of_a_decoder_runs_with_an_empty_cache(project: Project) -> None:
    inputs = [
        helper.make_tensor_value_info("past_key", FLOAT, ["batch", "past_sequence_length", 4]),
        helper.make_tensor_value_info("x", FLOAT, ["batch", "sequence_length", 4]),
    ]
    outputs = [helper.make_tensor_value_info("y", FLOAT, ["batch", "total_sequence_length", 4])]
    node = helper.make_node("Concat", ["past_key", "x"], ["y"], axis=1)
    save(project.path / "zoo" / "decoder" / "model.onnx", [node], inputs, outputs)
    result = project.run("--ortperf-models=zoo", "--ortperf-ep=cpu", "--ortperf-dim=past_sequence_length=0", *QUICK)
    assert result.outcomes == {"decoder::validate[cpu-past_sequence_length=0]": "passed"}
    assert [value["shape"] for value in result.records[0]["inputs"]] == [[1, 0, 4], [1, 128, 4]]
    assert result.records[0]["assumed_dims"] == {"batch": 1, "sequence_length": 128}
