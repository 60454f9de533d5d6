"""An int8 classifier in QDQ form whose reference is exact.

Activation scales are powers of two and weight scales have a mantissa of four bits. Every product and sum in
the convolutions then is a small integer times the scale, without rounding in float32, so that the float
reference and integer kernels meet the same rounding ties and decide them alike. Weights keep to 7 bits:
kernels for processors without VNNI add two products in 16 bits and would saturate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from builders.cnn import image_batch
from builders.graph import Array, BundledModel, Graph

CLASSES = 10
IMAGE = 32
WEIGHT_LIMIT = 63
SCALE = 2.0**-5
POOLED_SCALE = 2.0**-7
"""Finer, for a mean is smaller and one weight moves it little."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A dequantised tensor and its scale, which the next layer's bias needs."""

    name: str
    scale: float


def int8_qdq_cnn() -> BundledModel:
    """Return a classifier of 3x32x32 images: four convolutions with one residual, uint8 activations."""
    graph = Graph("int8_qdq_cnn", seed=657, opset=19)  # the oldest that onnx.reference quantises with
    graph.input("image", np.float32, (1, 3, IMAGE, IMAGE))
    graph.output("logits", np.float32, (1, CLASSES))
    graph.output("probabilities", np.float32, (1, CLASSES))
    value = _qdq(graph, "image_qdq", "image", 128)
    value = _conv(graph, "stem", value, (3, 16), stride=2)
    skip = value
    value = _conv(graph, "first", value, (16, 16))
    value = _qdq(graph, "second/qdq", _sums(graph, "second", value, (16, 16)), 128)
    total = graph.node("Relu", "residual/relu", graph.node("Add", "residual/add", value.name, skip.name))
    value = _qdq(graph, "residual/qdq", total, 0)
    value = _conv(graph, "last", value, (16, 32), stride=2)
    pooled = graph.node("GlobalAveragePool", "head/pool", value.name)
    value = _qdq(graph, "head/pool_qdq", pooled, 0, POOLED_SCALE)
    flat = graph.node("Flatten", "head/flatten", value.name)
    weight, bias = _weights(graph, "head", (CLASSES, 32), value.scale, gain=8.0)
    logits = graph.node("Gemm", "head/gemm", flat, weight, bias, outputs=["logits"], transB=1)
    graph.node("Softmax", "head/softmax", logits, outputs=["probabilities"], axis=-1)
    data_sets = tuple({"image": image_batch(graph, 1, IMAGE)} for _ in range(2))
    return BundledModel(name="int8_qdq_cnn", model=graph.build(), data_sets=data_sets)


def _qdq(graph: Graph, name: str, value: str, zero_point: int, scale: float = SCALE) -> _Scaled:
    """Add a quantisation to uint8 and back."""
    parameters = (
        graph.constant(f"{name}/scale", scale),
        graph.constant(f"{name}/zero_point", zero_point, np.uint8),
    )
    quantized = graph.node("QuantizeLinear", f"{name}/quantize", value, *parameters)
    return _Scaled(graph.node("DequantizeLinear", f"{name}/dequantize", quantized, *parameters), scale)


def _conv(graph: Graph, name: str, value: _Scaled, channels: tuple[int, int], *, stride: int = 1) -> _Scaled:
    """Add a 3x3 convolution, its ReLU and the quantisation of the result."""
    result = _sums(graph, name, value, channels, stride=stride)
    return _qdq(graph, f"{name}/qdq", graph.node("Relu", f"{name}/relu", result), 0)


def _sums(graph: Graph, name: str, value: _Scaled, channels: tuple[int, int], *, stride: int = 1) -> str:
    inputs, outputs = channels
    weight, bias = _weights(graph, name, (outputs, inputs, 3, 3), value.scale, gain=1.4)
    return graph.node(
        "Conv",
        f"{name}/conv",
        value.name,
        weight,
        bias,
        kernel_shape=[3, 3],
        strides=[stride, stride],
        pads=[1] * 4,
    )


def _weights(graph: Graph, name: str, shape: tuple[int, ...], input_scale: float, *, gain: float) -> tuple[str, str]:
    """Add int8 weights with one scale an output channel and the int32 bias; return both dequantised."""
    steps = np.clip(np.rint(graph.filters(shape, std=24.0)), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    fan_in = int(np.prod(shape[1:]))
    scales = _short_mantissa(graph.uniform((shape[0],), 0.7, 1.4) * gain / 24.0 * fan_in**-0.5)
    bias_scales = scales * np.float32(input_scale)
    bias = np.rint(np.abs(graph.normal((shape[0],), std=0.15)) / bias_scales)
    weight = graph.constant(f"{name}/weight", steps, np.int8)
    return (
        _dequantized(graph, f"{name}/weight", weight, scales),
        _dequantized(graph, f"{name}/bias", graph.constant(f"{name}/bias", bias, np.int32), bias_scales),
    )


def _short_mantissa(values: Array) -> Array:
    """Return the values rounded to four significant bits."""
    mantissa, exponent = np.frexp(values)
    rounded: Array = np.ldexp(np.rint(mantissa * 16) / 16, exponent).astype(np.float32)
    return rounded


def _dequantized(graph: Graph, name: str, values: str, scales: Array) -> str:
    scale = graph.constant(f"{name}_scale", scales)
    zero_point = graph.constant(f"{name}_zero_point", np.zeros(len(scales)), np.int32 if "bias" in name else np.int8)
    return graph.node("DequantizeLinear", f"{name}_dequantize", values, scale, zero_point, axis=0)
