from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.provider_options import PROFILE_KEYS
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.cases.rules import DimRange, InputRule
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.model_file import is_ep_context
from pytest_ortperf.execution.model.precision import fp16_by_option
from pytest_ortperf.execution.session.tensorrt import GraphInput, graph_inputs, precision_options, profile_options

IMAGE = GraphInput("image", ("batch", 3, "size", "size"))
MASK = GraphInput("mask", ("batch", "tokens"))
FIXED = GraphInput("fixed", (1, 4))
UNNAMED = GraphInput("unnamed", (None, 4))
SCALAR = GraphInput("scalar", ())


def make_case(*, provider: str = "tensorrt", precision: str | None = None, dims: Any = (), **model: Any) -> Case:
    return Case(
        model=Model(**{"name": "m", "path": Path("m.onnx"), "origin": "here", **model}),
        mode="benchmark",
        provider=find_provider(provider),
        precision=precision,
        dims=dims,
    )


def profiles(minimum: str, best: str, maximum: str) -> dict[str, str]:
    return dict(zip(PROFILE_KEYS, (minimum, best, maximum), strict=True))


def make_model(*nodes: onnx.NodeProto, **inputs: Any) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "g", values, outputs)
    return helper.make_model(graph)


def test_plain_values_are_one_profile_over_several_inputs() -> None:
    case = make_case(dims=(("batch", 8), ("size", 224), ("tokens", 128)))

    assert profile_options([IMAGE, MASK, FIXED, SCALAR], case, ExecutionSettings()) == profiles(
        *["image:8x3x224x224,mask:8x128"] * 3
    )


def test_range_of_the_model_list_is_the_profile_of_its_dimension_alone() -> None:
    ranges = {"batch": DimRange(min=1, opt=8, max=32)}
    case = make_case(dims=(("batch", 8), ("size", 224), ("tokens", 128)), dim_ranges=ranges)

    assert profile_options([IMAGE, MASK], case, ExecutionSettings()) == profiles(
        "image:1x3x224x224,mask:1x128", "image:8x3x224x224,mask:8x128", "image:32x3x224x224,mask:32x128"
    )


def test_value_outside_the_range_stands_alone() -> None:
    case = make_case(dims=(("batch", 64),), dim_ranges={"batch": DimRange(min=1, opt=8, max=32)})

    assert profile_options([GraphInput("x", ("batch", 3))], case, ExecutionSettings()) == profiles(*["x:64x3"] * 3)


def test_dimensions_without_a_value_are_1_where_inputs_are_generated() -> None:
    assert profile_options([MASK, UNNAMED], make_case(), ExecutionSettings()) == profiles(*["mask:1x1,unnamed:1x4"] * 3)


def test_stored_data_of_unknown_sizes_gets_no_profile() -> None:
    case = make_case(test_data=Path("data"))

    assert profile_options([MASK], case, ExecutionSettings()) == {}
    assert profile_options([MASK], case, ExecutionSettings(input_source="random")) == profiles(*["mask:1x1"] * 3)


def test_stored_data_with_every_dimension_given_gets_one() -> None:
    case = make_case(dims=(("batch", 2), ("tokens", 7)), test_data=Path("data"))

    assert profile_options([MASK], case, ExecutionSettings(input_source="zoo")) == profiles(*["mask:2x7"] * 3)
    assert profile_options([MASK, UNNAMED], case, ExecutionSettings(input_source="zoo")) == {}


def test_shape_of_an_input_rule_counts_where_inputs_are_generated() -> None:
    case = make_case(inputs={"ma*": InputRule(shape=(2, 9))})

    assert profile_options([MASK], case, ExecutionSettings()) == profiles(*["mask:2x9"] * 3)


@pytest.mark.parametrize("settings", [ExecutionSettings(), ExecutionSettings(fix_dims=True)])
def test_static_models_and_dimensions_made_static_need_no_profile(settings: ExecutionSettings) -> None:
    case = make_case(dims=(("batch", 2), ("tokens", 7)), fix_dims=True)

    assert profile_options([FIXED, MASK, SCALAR], case, settings) == {}


@pytest.mark.parametrize("name", ["input:0", "a,b"])
def test_names_that_a_profile_cannot_hold_get_none_at_all(name: str) -> None:
    assert profile_options([MASK, GraphInput(name, ("batch",))], make_case(), ExecutionSettings()) == {}


def test_inputs_that_are_not_known_get_none() -> None:
    assert profile_options(None, make_case(dims=(("batch", 2),)), ExecutionSettings()) == {}


def test_inputs_of_a_model_are_those_that_must_be_fed() -> None:
    model = make_model(helper.make_node("Add", ["x", "w"], ["y"]), x=["batch", None, 3], w=[3])
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [3], [1, 2, 3]))

    assert graph_inputs(model) == (GraphInput("x", ("batch", None, 3)),)


def test_inputs_of_unknown_rank_are_not_known() -> None:
    assert graph_inputs(make_model(helper.make_node("Relu", ["x"], ["y"]), x=None)) is None


def test_sequences_are_not_known() -> None:
    value = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("SequenceLength", ["x"], ["y"])], "g", [value], [])

    assert graph_inputs(helper.make_model(graph)) is None


@pytest.mark.parametrize(
    ("op_type", "domain", "expected"),
    [("EPContext", "com.microsoft", True), ("EPContext", "elsewhere", False), ("Relu", "", False)],
)
def test_compiled_models_are_recognised(op_type: str, domain: str, expected: bool) -> None:  # noqa: FBT001
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node(op_type, ["h"], ["y"], domain=domain)]

    assert is_ep_context(make_model(*nodes, x=[1])) is expected


@pytest.mark.parametrize(
    ("case", "version", "expected"),
    [
        (make_case(precision="fp16"), None, True),
        (make_case(precision="fp16"), "10.16.1", True),
        (make_case(precision="fp16"), "11.0.0", False),
        (make_case(precision="fp16", fp16_path=Path("half.onnx")), None, False),
        (make_case(), None, False),
        (make_case(provider="cuda", precision="fp16"), None, False),
    ],
)
def test_half_precision_is_asked_for_by_option(case: Case, version: str | None, expected: bool) -> None:  # noqa: FBT001
    assert fp16_by_option(case, version) is expected


def test_precision_is_always_said() -> None:
    assert precision_options(make_case(precision="fp16")) == {"trt_fp16_enable": "True"}
    assert precision_options(make_case()) == {"trt_fp16_enable": "False"}
