"""What conversion to fp16 has broken in models of users: each is right, or says by name why it was not converted."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugin.project import Project, tensor

pytestmark = pytest.mark.slow

FLOAT = TensorProto.FLOAT
FP16 = ("--ortperf-ep=cpu", "--ortperf-fp16")
OPSET = helper.make_opsetid("", 17)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int] | None],
    function: onnx.FunctionProto | None = None,
    **weights: object,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        *(
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in ends.items()]
            for ends in (inputs, outputs)
        ),
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    domains = [helper.make_opsetid(function.domain, 1)] if function else []
    made = helper.make_model(
        graph, opset_imports=[OPSET, *domains], ir_version=8, functions=[function] if function else []
    )
    return bytes(made.SerializeToString())


def constant(name: str, values: object) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, np.float32), name))


def initializer_as_output() -> bytes:
    return model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3], "k": [2]}, k=[1, 2])


def input_as_output() -> bytes:
    return model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3], "x": [1, 3]})


def function_with_constant() -> bytes:
    body = [constant("k", 0.5), helper.make_node("Mul", ["a", "k"], ["b"])]
    function = helper.make_function("my.dom", "Scale", ["a"], ["b"], body, [OPSET])
    node = helper.make_node("Scale", ["x"], ["y"], domain="my.dom")
    return model([node], {"x": [1, 4]}, {"y": [1, 4]}, function)


def shape_arithmetic() -> bytes:
    """Return a model that computes 2051, which float16 rounds to 2052."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Cast", ["s"], ["sf"], to=FLOAT),
        helper.make_node("Mul", ["sf", "one"], ["sm"]),
        helper.make_node("Cast", ["sm"], ["si"], to=TensorProto.INT64),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Expand", ["r", "si"], ["y"]),
    ]
    return model(nodes, {"x": [1, 2051]}, {"y": [1, 2051]}, one=[1])


def sizes_of_resize() -> bytes:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Cast", ["s"], ["sf"], to=FLOAT),
        helper.make_node("Mul", ["sf", "k"], ["sm"]),
        helper.make_node("Cast", ["sm"], ["si"], to=TensorProto.INT64),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Resize", ["r", "", "", "si"], ["y"], mode="nearest"),
    ]
    return model(nodes, {"x": [1, 1, 2051, 2]}, {"y": None}, k=[1, 1, 1, 3])


BROKEN = (initializer_as_output, input_as_output, function_with_constant, shape_arithmetic, sizes_of_resize)


def test_models_that_conversion_made_invalid_are_right_in_fp16(project: Project) -> None:
    for make in BROKEN:
        project.write(f"zoo/{make.__name__}/model.onnx", make())
    result = project.run("--ortperf-models=zoo", *FP16)
    cases = [f"{make.__name__}::validate[cpu{suffix}]" for make in BROKEN for suffix in ("", "-fp16")]
    assert result.outcomes == dict.fromkeys(cases, "passed")
    compared = {it["model"]: it["accuracy"][0]["outputs"] for it in result.records if it["precision"] == "fp16"}
    assert {name: [output["name"] for output in outputs] for name, outputs in compared.items()} == {
        "initializer_as_output": ["y", "k"],
        "input_as_output": ["y", "x"],
        "function_with_constant": ["y"],
        "shape_arithmetic": ["y"],
        "sizes_of_resize": ["y"],
    }


def test_variances_in_constant_nodes_are_not_clipped(project: Project) -> None:
    """PP-OCR has 24 normalisations with variances of 1e7 to 1e8 in Constant nodes: clipped to 65504, all is wrong."""
    dice = np.random.default_rng(0)
    facts = {
        "scale": np.full(3, 1e4),
        "bias": dice.normal(size=3),
        "mean": 100 * dice.normal(size=3),
        "variance": [1e7, 5e7, 1e8],
    }
    nodes = [
        *(constant(name, values) for name, values in facts.items()),
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("BatchNormalization", ["a", *facts], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["y"]),
    ]
    project.write("ocr.onnx", model(nodes, {"x": [1, 3, 16, 16]}, {"y": None}, w=dice.normal(size=(3, 3, 3, 3))))
    project.models({"name": "ocr", "path": "ocr.onnx"})
    plain, half = project.run(*FP16).records
    assert (plain["outcome"], half["outcome"]) == ("passed", "passed")
    assert not half["model_fact"].get("fp16_clipped")
    (output,) = half["accuracy"][0]["outputs"]
    assert output["cosine"] > 0.99999


def over_65504(*, convolution: bool) -> bytes:
    nodes = [helper.make_node("Mul", ["c", "k"], ["t"]), helper.make_node("Mul", ["t", "i"], ["y"])]
    return behind(nodes, convolution=convolution, k=[2e5], i=[5e-6])


def epsilon(*, convolution: bool) -> bytes:
    nodes = [helper.make_node("Add", ["c", "e"], ["t"]), helper.make_node("Log", ["t"], ["y"])]
    return behind(nodes, convolution=convolution, e=[1e-12])


def behind(nodes: list[onnx.NodeProto], *, convolution: bool, **weights: object) -> bytes:
    """Return a model whose nodes read `c`: its input, or a convolution that leaves the input as it is."""
    if not convolution:
        return model(nodes, {"c": [1, 2, 4, 4]}, {"y": [1, 2, 4, 4]}, **weights)
    first = helper.make_node("Conv", ["x", "w"], ["c"])
    unit = np.eye(2)[..., None, None]
    return model([first, *nodes], {"x": [1, 2, 4, 4]}, {"y": [1, 2, 4, 4]}, w=unit, **weights)


def test_weights_that_float16_cannot_hold_are_named_where_they_leave_nothing_to_convert(project: Project) -> None:
    project.write("zoo/large/model.onnx", over_65504(convolution=False))
    project.write("zoo/small/model.onnx", epsilon(convolution=False))
    values = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    project.write("zoo/small/test_data_set_0/input_0.pb", tensor(values, "c"))
    project.write("zoo/small/test_data_set_0/output_0.pb", tensor(np.log(values + np.float32(1e-12)), "y"))
    result = project.run("--ortperf-models=zoo", *FP16)
    reasons = {it["case_id"]: (it["outcome"], it["reason"]) for it in result.records}
    why = "nothing to convert to fp16: weights that float16 cannot hold keep all nodes float32:"
    assert reasons == {
        "large::validate[cpu]": ("passed", None),
        "large::validate[cpu-fp16]": ("skipped", f"{why} 'k' (Mul)"),
        "small::validate[cpu]": ("passed", None),
        "small::validate[cpu-fp16]": ("skipped", f"{why} 'e' (Add, Log)"),
    }
    assert "1 skipped: nothing to convert to fp16" in result.out


@pytest.mark.parametrize("make", [over_65504, epsilon])
def test_beside_nodes_that_are_converted_such_weights_are_computed_right(project: Project, make: object) -> None:
    assert callable(make)
    project.write("m.onnx", make(convolution=True))
    project.models("m")
    _, half = project.run(*FP16).records
    assert half["outcome"] == "passed"
    assert not half["model_fact"].get("fp16_clipped")
    (output,) = half["accuracy"][0]["outputs"]
    assert output["max_rel_error"] < 0.01


def test_a_stored_fp16_model_with_clipped_weights_fails(project: Project) -> None:
    half = onnx.load_model_from_string(over_65504(convolution=True))
    for weight in half.graph.initializer:
        values = np.clip(numpy_helper.to_array(weight), -65504, 65504).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    project.write("full.onnx", over_65504(convolution=True))
    project.write("half.onnx", half.SerializeToString())
    project.models({"name": "m", "path": "full.onnx", "fp16_path": "half.onnx"})
    plain, stored = project.run(*FP16).records
    assert (plain["outcome"], stored["outcome"]) == ("passed", "failed")
    assert stored["failure"]["kind"] == "result accuracy issue"
    assert stored["failure"]["message"].startswith(
        "outputs differ from the reference: generated (seed 0), output 'y': "
    )
