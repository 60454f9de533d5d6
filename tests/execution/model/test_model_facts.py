from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import model_examples as examples
from pytest_ortperf.execution.model.model_facts import describe_model
from pytest_ortperf.records.inspections import ModelDescription


def described(model: onnx.ModelProto, path: Path = Path("m.onnx")) -> ModelDescription:
    return describe_model(model, path, 100, {})


def node(op_type: str, inputs: str = "x", domain: str = "", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), ["y"], domain=domain, **attributes)


def test_types_shapes_and_versions_are_those_declared() -> None:
    model = examples.model_of([node("Relu")], {"x": ["batch", None, 3], "scalar": [], "any": None})
    model.graph.input.append(
        helper.make_value_info(
            "s",
            helper.make_optional_type_proto(helper.make_sequence_type_proto(helper.make_tensor_type_proto(7, None))),
        )
    )
    model.graph.input.append(
        helper.make_value_info("m", helper.make_map_type_proto(8, helper.make_tensor_type_proto(11, [1])))
    )
    model.producer_name, model.producer_version = "exporter", "2.1"
    found = described(model)
    assert [(value.name, value.type, value.shape) for value in found.inputs] == [
        ("x", "float32", ("batch", None, 3)),
        ("scalar", "float32", ()),
        ("any", "float32", None),
        ("s", "optional(sequence(int64))", None),
        ("m", "map(string, float64)", None),
    ]
    assert (found.ir_version, found.opsets, found.producer) == (8, {"ai.onnx": 17}, "exporter 2.1")
    assert found.warnings == (
        (
            "inputs or outputs that are not tensors of numbers, which few providers take: "
            "s (optional(sequence(int64))), m (map(string, float64))"
        ),
    )


def test_inner_nodes_count_among_the_operators() -> None:
    branches = {
        name: helper.make_graph(
            [helper.make_node("Neg", ["x"], [name])], name, [], [helper.make_tensor_value_info(name, 1, None)]
        )
        for name in ("then_branch", "else_branch")
    }
    found = described(examples.model_of([node("If", "c", **branches)], {"c": [1], "x": [1]}))
    assert (found.nodes, found.inner_nodes, found.operators) == (1, 2, {"Neg": 2, "If": 1})
    assert found.warnings == ("control flow, which many providers leave to the CPU: 1 If",)


@pytest.mark.parametrize(
    ("model", "warning"),
    [
        (
            examples.model_of([node("EPContext", domain="com.microsoft")], {"x": [1]}, domains=["com.microsoft"]),
            (
                "holds an engine (EPContext) that was compiled for one provider; it opens there alone, with the device "
                "and versions that it was compiled for"
            ),
        ),
        (
            examples.model_of([node("DequantizeLinear", "x scale")], {"x": [1]}, {"scale": np.float32(1)}),
            "quantised: validations compare it by cosine and signal to noise, not element by element",
        ),
        (
            examples.model_of([node("Fold", domain="com.acme")], {"x": [1]}, domains=["com.acme"]),
            (
                "custom operators, which need their library (--ortperf-custom-op-library): 1 com.acme.Fold; a provider "
                "may bring its own"
            ),
        ),
        (
            examples.model_of([node("Identity")], {"x": ["n"]}, kind=TensorProto.STRING),
            "inputs or outputs that are not tensors of numbers, which few providers take: x (string), y (string)",
        ),
        (
            examples.model_of([node("Add", "x w")], {"x": [1], "w": [1]}, {"w": np.ones(1, np.float32)}),
            "weights that are inputs too, so that ONNX Runtime cannot treat them as constants: 1",
        ),
    ],
    ids=["engine", "quantised", "custom", "strings", "weights as inputs"],
)
def test_what_is_worth_knowing_is_a_warning(model: onnx.ModelProto, warning: str) -> None:
    assert described(model).warnings == (warning,)


def test_a_newer_opset_is_a_warning() -> None:
    model = examples.model_of([node("Relu")], {"x": [1]})
    newest = onnx.defs.onnx_opset_version()
    model.opset_import[0].version = newest + 1
    assert described(model).warnings == (f"opset {newest + 1} is newer than the installed onnx knows ({newest})",)


def test_external_data_is_looked_for_and_measured(tmp_path: Path) -> None:
    path = examples.with_external_data(tmp_path / "m.onnx")
    model = onnx.load_model(path, load_external_data=False)
    whole = described(model, path)
    assert (whole.external, whole.missing, whole.total_byte, whole.warnings) == ({"weights.bin": 2048}, (), 2148, ())
    (tmp_path / "weights.bin").write_bytes(b"0" * 2000)
    assert described(model, path).warnings == (
        "external data weights.bin is cut short: it has 2000 bytes, and the model needs 2048",
    )
    (tmp_path / "weights.bin").unlink()
    gone = described(model, path)
    assert (gone.external, gone.missing, gone.total_byte) == ({"weights.bin": None}, ("weights.bin",), 100)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../weights.bin"
    assert described(model, path).warnings == (
        "external data ../weights.bin is not below the model's folder; ONNX Runtime refuses such paths",
    )
