"""Models that differ in how they are stored or fed: weights beside the file, and inputs of many dtypes."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from builders.graph import BundledModel, Graph, linear

WIDTH = 64
GATED = 128
BLOCKS = 2
WEIGHTS_FILE = "weights.bin"
SMALLEST_EXTERNAL_BYTE = 1024
ALIGNMENT_BYTE = 4096
"""Offsets are multiples of it, so that a runtime may map the file."""

ITEMS = 200
EMBEDDING = 48
ALLOWED_SHARE = 0.7


def external_weights() -> BundledModel:
    """Return a gated MLP (Shazeer, 2020) with RMS normalisation; its matrices are in `weights.bin`."""
    graph = Graph("external_weights", seed=707)
    value = graph.input("tokens", np.float32, ("batch", WIDTH))
    graph.output("hidden", np.float32, ("batch", WIDTH))
    for block in range(BLOCKS):
        name = f"block_{block}"
        outputs = ["hidden"] if block == BLOCKS - 1 else []
        gated = _gated_mlp(graph, name, _rms_norm(graph, f"{name}/norm", value))
        value = graph.node("Add", f"{name}/residual", value, gated, outputs=outputs)
    data_sets = ({"tokens": graph.normal((5, WIDTH))},)
    model = graph.build()
    weights = _move_weights_out(model)
    return BundledModel(name="external_weights", model=model, data_sets=data_sets, side_files={WEIGHTS_FILE: weights})


def multi_io() -> BundledModel:
    """Return a ranking step with five inputs of four dtypes and five outputs of four dtypes.

    The stored files are in another order than the graph's inputs.
    """
    graph = Graph("multi_io", seed=808)
    graph.input("query", np.float32, ("batch", EMBEDDING))
    graph.input("item_ids", np.int64, ("batch", "items"))
    graph.input("allowed", np.bool_, ("batch", "items"))
    graph.input("history", np.int32, ("batch", "steps"))
    graph.input("temperature", np.float32, ())
    graph.output("scores", np.float32, ("batch", "items"))
    graph.output("best_item", np.int64, ("batch",))
    graph.output("relevant", np.bool_, ("batch", "items"))
    graph.output("allowed_count", np.int32, ("batch",))
    graph.output("probabilities", np.float32, ("batch", "items"))
    _rank(graph, _profile(graph))
    inputs = {
        "allowed": graph.uniform((3, 9), 0, 1) < ALLOWED_SHARE,
        "temperature": np.array(0.75, np.float32),
        "history": graph.integers((3, 4), 0, ITEMS, np.int32),
        "query": graph.normal((3, EMBEDDING)),
        "item_ids": graph.integers((3, 9), 0, ITEMS),
    }
    return BundledModel(name="multi_io", model=graph.build(), data_sets=(inputs,))


def _rms_norm(graph: Graph, name: str, value: str) -> str:
    square = graph.node("Mul", f"{name}/square", value, value)
    mean = graph.node("ReduceMean", f"{name}/mean", square, axes=[-1])
    safe = graph.node("Add", f"{name}/epsilon_add", mean, graph.constant(f"{name}/epsilon", 1e-2))
    unit = graph.node("Div", f"{name}/divide", value, graph.node("Sqrt", f"{name}/root", safe))
    scale = graph.weight(f"{name}/scale", (WIDTH,), mean=1.0, std=0.2)
    return graph.node("Mul", f"{name}/scaled", unit, scale)


def _gated_mlp(graph: Graph, name: str, value: str) -> str:
    gate = linear(graph, f"{name}/gate", value, (WIDTH, GATED), bias=False)
    gate = graph.node("Mul", f"{name}/silu", gate, graph.node("Sigmoid", f"{name}/sigmoid", gate))
    up = linear(graph, f"{name}/up", value, (WIDTH, GATED), bias=False)
    return linear(graph, f"{name}/down", graph.node("Mul", f"{name}/gated", gate, up), (GATED, WIDTH))


def _move_weights_out(model: ModelProto) -> bytes:
    """Point the large initialisers at `weights.bin` and return its bytes."""
    contents = b""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < SMALLEST_EXTERNAL_BYTE:
            continue
        contents += b"\0" * (-len(contents) % ALIGNMENT_BYTE)
        place = {"location": WEIGHTS_FILE, "offset": str(len(contents)), "length": str(len(tensor.raw_data))}
        for key, text in place.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, text
        contents += tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    return contents


def _profile(graph: Graph) -> str:
    """Add the query shifted by the mean embedding of the history, (batch, EMBEDDING)."""
    table = graph.weight("items/embedding", (ITEMS, EMBEDDING), std=EMBEDDING**-0.5)
    seen = graph.node("Gather", "profile/seen", table, "history")
    taste = graph.node("ReduceMean", "profile/taste", seen, axes=[1], keepdims=0)
    taste = linear(graph, "profile/projection", taste, (EMBEDDING, EMBEDDING))
    return graph.node("Add", "profile/add", "query", taste)


def _rank(graph: Graph, profile: str) -> None:
    items = graph.node("Gather", "rank/items", "items/embedding", "item_ids")
    raw = graph.node("Einsum", "rank/product", profile, items, equation="bd,bkd->bk")
    item_bias = graph.node("Gather", "rank/item_bias", graph.weight("items/bias", (ITEMS,), std=0.5), "item_ids")
    raw = graph.node("Add", "rank/biased", raw, item_bias)
    raw = graph.node("Div", "rank/temper", raw, "temperature")
    hidden = graph.constant("rank/hidden", -20.0)
    scores = graph.node("Where", "rank/mask", "allowed", raw, hidden, outputs=["scores"])
    place = graph.node("ArgMax", "rank/best_place", scores, axis=1, keepdims=1)
    best = graph.node("GatherElements", "rank/best_ids", "item_ids", place, axis=1)
    axis = graph.constant("rank/item_axis", [1], np.int64)
    graph.node("Squeeze", "rank/best", best, axis, outputs=["best_item"])
    above = graph.node("Greater", "rank/above", raw, graph.constant("rank/relevance", 0.2))
    graph.node("And", "rank/relevant", above, "allowed", outputs=["relevant"])
    counted = graph.node("Cast", "rank/allowed_as_int", "allowed", to=TensorProto.INT32)
    graph.node("ReduceSum", "rank/count", counted, axis, outputs=["allowed_count"], keepdims=0)
    graph.node("Softmax", "rank/softmax", scores, outputs=["probabilities"], axis=-1)
