"""A detection head: the shapes of its outputs depend on the data."""

from __future__ import annotations

import numpy as np

from builders.graph import Array, BundledModel, Graph

CELLS = 8
ANCHOR_SIZES = (6.0, 12.0, 20.0)
ANCHORS = CELLS * CELLS * len(ANCHOR_SIZES)
CELL_SIZE = 8.0
CHANNELS = 16
CLASSES = 4
CANDIDATES = 40


def detector_head() -> BundledModel:
    """Return a head for one image: two 1x1 convolutions, box decoding, TopK, suppression, NonZero."""
    graph = Graph("detector_head", seed=871)
    graph.input("features", np.float32, (1, CHANNELS, CELLS, CELLS))
    graph.output("boxes", np.float32, ("detections", 4))
    graph.output("scores", np.float32, ("detections",))
    graph.output("class_ids", np.int64, ("detections",))
    graph.output("anchor_ids", np.int64, ("detections",))
    graph.output("confident", np.int64, ("confident_scores", 2))
    logits = _head(graph, "classes", CLASSES, std=1.2)
    scores = graph.node("Sigmoid", "classes/sigmoid", logits)
    boxes = _decode(graph, _head(graph, "deltas", 4, std=0.25))
    _confident(graph, scores)
    _detections(graph, boxes, scores)
    data_sets = tuple({"features": graph.normal((1, CHANNELS, CELLS, CELLS))} for _ in range(2))
    return BundledModel(name="detector_head", model=graph.build(), data_sets=data_sets)


def _head(graph: Graph, name: str, width: int, *, std: float) -> str:
    """Add a 1x1 convolution whose output is (1, ANCHORS, width); `std` is that of its values."""
    outputs = len(ANCHOR_SIZES) * width
    weight = graph.weight(f"{name}/weight", (outputs, CHANNELS, 1, 1), std=std * CHANNELS**-0.5)
    bias = graph.weight(f"{name}/bias", (outputs,), std=0.2 * std)
    value = graph.node("Conv", f"{name}/conv", "features", weight, bias, kernel_shape=[1, 1])
    value = graph.node("Transpose", f"{name}/channels_last", value, perm=[0, 2, 3, 1])
    shape = graph.constant(f"{name}/shape", [1, ANCHORS, width], np.int64)
    return graph.node("Reshape", f"{name}/rows", value, shape)


def _anchors() -> tuple[Array, Array]:
    """Return centres and sizes, each (ANCHORS, 2) as (y, x), in pixels."""
    middle = (np.arange(CELLS) + 0.5) * CELL_SIZE
    y, x, size = np.meshgrid(middle, middle, np.array(ANCHOR_SIZES), indexing="ij")
    centers = np.stack([y.ravel(), x.ravel()], axis=1)
    aspect = np.array([1.0, 1.25])
    return centers, size.reshape(-1, 1) * aspect


def _decode(graph: Graph, deltas: str) -> str:
    """Add the decoding of (shift, log scale) against the anchors to corners y1, x1, y2, x2 in pixels."""
    centers, sizes = _anchors()
    size = graph.constant("anchors/size", sizes)
    parts = graph.constant("deltas/parts", [2, 2], np.int64)
    shift, log_scale = "deltas/shift", "deltas/log_scale"
    graph.node("Split", "deltas/split", deltas, parts, outputs=[shift, log_scale], axis=2)
    moved = graph.node("Mul", "boxes/shift", shift, size)
    center = graph.node("Add", "boxes/center", moved, graph.constant("anchors/center", centers))
    scale = graph.node("Exp", "boxes/scale", log_scale)
    extent = graph.node("Mul", "boxes/size", scale, size)
    half = graph.node("Mul", "boxes/half_size", extent, graph.constant("boxes/half", 0.5))
    low = graph.node("Sub", "boxes/low", center, half)
    high = graph.node("Add", "boxes/high", center, half)
    return graph.node("Concat", "boxes/corners", low, high, axis=2)


def _confident(graph: Graph, scores: str) -> None:
    """Add the (anchor, class) pairs of all scores above a threshold."""
    rows = graph.node("Squeeze", "confident/rows", scores, graph.constant("confident/image_axis", [0], np.int64))
    above = graph.node("Greater", "confident/above", rows, graph.constant("confident/threshold", 0.85))
    found = graph.node("NonZero", "confident/nonzero", above)
    graph.node("Transpose", "confident/pairs", found, outputs=["confident"], perm=[1, 0])


def _detections(graph: Graph, boxes: str, scores: str) -> None:
    best = graph.node("ReduceMax", "candidates/best_class", scores, axes=[0, 2], keepdims=0)
    count = graph.constant("candidates/count", [CANDIDATES], np.int64)
    ids = "candidates/ids"
    graph.node("TopK", "candidates/topk", best, count, outputs=["candidates/values", ids], axis=0)
    boxes = graph.node("Gather", "candidates/boxes", boxes, ids, axis=1)
    scores = graph.node("Gather", "candidates/scores", scores, ids, axis=1)
    by_class = graph.node("Transpose", "candidates/by_class", scores, perm=[0, 2, 1])
    selected = graph.node(
        "NonMaxSuppression",
        "suppression",
        boxes,
        by_class,
        graph.constant("suppression/most_per_class", [16], np.int64),
        graph.constant("suppression/iou_threshold", [0.2]),
        graph.constant("suppression/score_threshold", [0.75]),
    )
    graph.node("GatherND", "detections/scores", by_class, selected, outputs=["scores"])
    _column(graph, "detections/class", selected, 1, "class_ids")
    candidate = _column(graph, "detections/candidate", selected, 2, "")
    graph.node("Gather", "detections/anchors", ids, candidate, outputs=["anchor_ids"])
    rows = graph.node("Squeeze", "detections/rows", boxes, graph.constant("detections/image_axis", [0], np.int64))
    graph.node("Gather", "detections/boxes", rows, candidate, outputs=["boxes"])


def _column(graph: Graph, name: str, selected: str, column: int, output: str) -> str:
    index = graph.constant(f"{name}_column", column, np.int64)
    return graph.node("Gather", name, selected, index, outputs=[output] if output else [], axis=1)
