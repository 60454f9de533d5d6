"""A residual convolutional classifier."""

from __future__ import annotations

import numpy as np

from builders.graph import Array, BundledModel, Graph

CLASSES = 10
IMAGE = 64


def small_cnn() -> BundledModel:
    """Return a ResNet-like classifier (He et al., 2015) of 3x64x64 images with four residual blocks."""
    graph = Graph("small_cnn", seed=337)
    value = graph.input("image", np.float32, ("batch", 3, IMAGE, IMAGE))
    graph.output("logits", np.float32, ("batch", CLASSES))
    graph.output("probabilities", np.float32, ("batch", CLASSES))
    value = _conv_norm(graph, "stem", value, (3, 16, 3), stride=2)
    value = graph.node("Relu", "stem/relu", value)
    value = graph.node("MaxPool", "stem/pool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for index, (inputs, outputs) in enumerate(((16, 16), (16, 32), (32, 32), (32, 64))):
        value = _block(graph, f"block_{index}", value, (inputs, outputs))
    value = graph.node("GlobalAveragePool", "head/pool", value)
    value = graph.node("Flatten", "head/flatten", value)
    weight = graph.weight("head/weight", (CLASSES, 64), std=0.8)
    bias = graph.weight("head/bias", (CLASSES,), std=0.2)
    graph.node("Gemm", "head/gemm", value, weight, bias, outputs=["logits"], transB=1)
    graph.node("Softmax", "head/softmax", "logits", outputs=["probabilities"], axis=-1)
    data_sets = ({"image": image_batch(graph, 1, IMAGE)}, {"image": image_batch(graph, 3, IMAGE)})
    return BundledModel(name="small_cnn", model=graph.build(), data_sets=data_sets)


def image_batch(graph: Graph, batch: int, size: int) -> Array:
    """Return (batch, 3, size, size) images of noisy coloured patches; white noise would all look alike."""
    patches = graph.normal((batch, 3, 8, 8)).repeat(size // 8, axis=2).repeat(size // 8, axis=3)
    images: Array = patches + graph.normal((batch, 3, size, size), std=0.25)
    return images


def _block(graph: Graph, name: str, value: str, channels: tuple[int, int]) -> str:
    inputs, outputs = channels
    stride = 1 if inputs == outputs else 2
    main = _conv_norm(graph, f"{name}/first", value, (inputs, outputs, 3), stride=stride)
    main = graph.node("Relu", f"{name}/first/relu", main)
    main = _conv_norm(graph, f"{name}/second", main, (outputs, outputs, 3))
    if stride > 1:
        value = _conv_norm(graph, f"{name}/shortcut", value, (inputs, outputs, 1), stride=stride)
    return graph.node("Relu", f"{name}/relu", graph.node("Add", f"{name}/add", main, value))


def _conv_norm(graph: Graph, name: str, value: str, size: tuple[int, int, int], *, stride: int = 1) -> str:
    """Add a convolution without bias and its batch normalisation; `size` is (inputs, outputs, kernel)."""
    inputs, outputs, kernel = size
    filters = graph.filters((outputs, inputs, kernel, kernel), std=(inputs * kernel * kernel) ** -0.5)
    weight = graph.constant(f"{name}/weight", filters)
    value = graph.node(
        "Conv",
        f"{name}/conv",
        value,
        weight,
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=[kernel // 2] * 4,
    )
    statistics = (
        graph.weight(f"{name}/norm_scale", (outputs,), mean=1.0, std=0.1),
        graph.weight(f"{name}/norm_bias", (outputs,), mean=0.1, std=0.2),
        graph.weight(f"{name}/norm_mean", (outputs,), std=0.2),
        graph.constant(f"{name}/norm_variance", graph.uniform((outputs,), 0.6, 1.4)),
    )
    return graph.node("BatchNormalization", f"{name}/norm", value, *statistics, epsilon=1e-5)
