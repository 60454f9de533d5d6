from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.execution.inputs.assumed_sizes import LADDER, propose_sizes, sizes_of_weights
from pytest_ortperf.execution.model.model_dimensions import FreeInput, dimension_key

ZOO = Path(__file__).parents[2] / "data" / "zoo_dynamic_inputs.json"
"""The inputs with dynamic dimensions that the models of the ONNX Model Zoo declare."""


def assumed(*inputs: FreeInput, model: onnx.ModelProto | None = None, **given: int) -> dict[str, int]:
    return next(propose_sizes(model or onnx.ModelProto(), inputs, given).attempts())


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (("batch", 3, "height", "width"), {"batch": 1, "height": 224, "width": 224}),
        ((None, 3, None, None), {"x.0": 1, "x.2": 224, "x.3": 224}),
        ((None, None, None, None), {"x.0": 1, "x.1": 3, "x.2": 224, "x.3": 224}),
        ((None, None, None, 3), {"x.0": 1, "x.1": 224, "x.2": 224}),
        (("n", "h", "w", "c"), {"n": 1, "h": 224, "w": 224, "c": 3}),
        (("d0", "d1", "d2", "channels"), {"d0": 1, "d1": 224, "d2": 224, "channels": 3}),
        (("?", 3, 48, "?"), {"x.0": 1, "x.3": 224}),
        (("N", 3, "D1", "D2"), {"N": 1, "D1": 224, "D2": 224}),
        ((3, "height", "width"), {"height": 224, "width": 224}),
        (("b", 3, "frames", "h", "w"), {"b": 1, "frames": 16, "h": 224, "w": 224}),
        (("batch", "hidden"), {"batch": 1, "hidden": 1}),
        (("batch", "seq_len", 80), {"batch": 1, "seq_len": 128}),
        ((None, None, 80), {"x.0": 1, "x.1": 128}),
        ((2, None, 128), {"x.1": 1}),
        (("rows",), {"rows": 1}),
    ],
)
def test_floats_are_images_texts_or_rows(shape: tuple[Any, ...], sizes: dict[str, int]) -> None:
    assert assumed(FreeInput("x", shape)) == sizes


def test_a_cache_is_empty_and_a_total_is_a_sum() -> None:
    past = FreeInput("past_key_values.0.key", ("batch", 12, "past_sequence_length", 64))
    ids = FreeInput("input_ids", ("batch", "sequence_length"), is_integer=True)
    mask = FreeInput("attention_mask", ("batch", "past_sequence_length + sequence_length"), is_integer=True)
    total = FreeInput("position_ids", ("batch", "total_sequence_length"), is_integer=True)

    sizes = {"batch": 1, "past_sequence_length": 0, "sequence_length": 128}
    sums = {"past_sequence_length + sequence_length": 128, "total_sequence_length": 128}
    assert assumed(past, ids, mask, total) == sizes | sums
    given = assumed(past, ids, mask, total, past_sequence_length=16, sequence_length=1)
    assert given == {"batch": 1} | dict.fromkeys(sums, 17)
    assert assumed(FreeInput("past.0", (None, 8, None, 64))) == {"past.0.0": 1, "past.0.2": 0}


def test_ids_are_sequences_and_sound_is_a_second() -> None:
    assert assumed(FreeInput("ids", (None, None), is_integer=True)) == {"ids.0": 1, "ids.1": 128}
    assert assumed(FreeInput("waveform", (None, None))) == {"waveform.0": 1, "waveform.1": 16_000}
    assert assumed(FreeInput("lengths", (None,), is_integer=True)) == {"lengths.0": 1}
    assert assumed(FreeInput("text", (None,), is_string=True)) == {"text.0": 1}


def test_a_size_that_several_inputs_have_is_what_says_most() -> None:
    image, box = FreeInput("image", (1, 3, "k", "k")), FreeInput("boxes", ("k", 4))
    assert assumed(box, image) == assumed(image, box) == {"k": 224}


def model_of(*nodes: onnx.NodeProto, shape: list[Any], weights: dict[str, Any]) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    tensors = [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, [], tensors))


@pytest.mark.parametrize(
    ("op", "attributes", "shape", "weight", "expected"),
    [
        ("MatMul", {}, ["n", "k"], (512, 8), {("x", 1): 512}),
        ("MatMul", {}, ["a", "b", "k"], (512, 8), {("x", 2): 512}),
        ("Gemm", {"transB": 1}, ["n", "k"], (8, 512), {("x", 1): 512}),
        ("Gemm", {"transA": 1}, ["k", "n"], (512, 8), {("x", 0): 512}),
        ("Conv", {"group": 2}, ["n", "c", "h", "w"], (8, 5, 3, 3), {("x", 1): 10}),
        ("ConvTranspose", {}, ["n", "c", "h", "w"], (5, 8, 3, 3), {("x", 1): 5}),
        ("Add", {}, ["n", "k"], (512,), {("x", 1): 512}),
        ("Add", {}, ["n", "c", "h", "w"], (3, 1, 1), {}),
    ],
)
def test_weights_fix_a_size(
    op: str, attributes: dict[str, int], shape: list[Any], weight: tuple[int, ...], expected: dict[Any, int]
) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["c"], to=1), helper.make_node(op, ["c", "w"], ["y"], **attributes)]
    model = model_of(*nodes, shape=shape, weights={"w": weight})

    assert sizes_of_weights(model.graph) == expected
    sizes = assumed(FreeInput("x", tuple(shape)), model=model)
    assert all(sizes[shape[axis]] == size for (_, axis), size in expected.items())


def test_recurrent_weights_fix_features_and_states() -> None:
    node = helper.make_node("LSTM", ["x", "w", "r", "", "", "h"], ["y"], hidden_size=7)
    model = model_of(node, shape=["t", "b", "f"], weights={"w": (1, 28, 9), "r": (1, 28, 7)})
    model.graph.input.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, ["d", "b", "s"]))

    assert sizes_of_weights(model.graph) == {("x", 2): 9, ("h", 0): 1, ("h", 2): 7}


def test_the_ladder_changes_guesses_first_then_images_then_both() -> None:
    inputs = (FreeInput("x", ("batch", "hidden")), FreeInput("image", (1, None, "height", "width")))
    attempts = list(propose_sizes(onnx.ModelProto(), inputs, {}).attempts())

    first = {"batch": 1, "hidden": 1, "image.1": 3, "height": 224, "width": 224}
    assert attempts[0] == first
    assert attempts[1:7] == [first | {"hidden": size} for size in LADDER]
    assert attempts[7:13] == [first | {"height": size, "width": size} for size in LADDER]
    assert attempts[13:19] == [first | dict.fromkeys(("hidden", "height", "width"), size) for size in LADDER]
    assert attempts[19:] == [first | {"image.1": 1}]


def test_what_is_given_is_not_assumed() -> None:
    assert assumed(FreeInput("x", ("batch", 3, "height", None)), height=64, batch=2) == {"x.3": 224}


@pytest.mark.parametrize("entry", json.loads(ZOO.read_text("utf-8")), ids=lambda entry: entry["model"])
def test_no_image_of_the_zoo_has_one_pixel_and_no_text_one_token(entry: dict[str, Any]) -> None:
    inputs = [
        FreeInput(name, tuple(shape), is_integer="int64" in kind or "int32" in kind, is_string="string" in kind)
        for name, kind, shape in entry["inputs"]
    ]
    sizes = assumed(*inputs)
    for item in inputs:
        shape = [sizes.get(dimension_key(item.name, n, dim) or "", dim) for n, dim in enumerate(item.shape)]
        assert all(isinstance(size, int) and size > 0 for size in shape), (item, shape)
        if ("image" in item.name and len(shape) >= 3) or (len(shape) == 4 and not item.is_string):
            assert sorted(shape)[-2] >= 224, (item, shape)
        if item.name.endswith(("ids", "_word", "input_ids:0")) or item.name == "input1":
            assert max(shape) >= 128, (item, shape)
