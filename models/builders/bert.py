"""A two-layer BERT encoder."""

from __future__ import annotations

import numpy as np

from builders.graph import Array, BundledModel, Graph, linear

LAYERS = 2
HIDDEN = 128
HEADS = 4
FEED_FORWARD = 512
VOCABULARY = 1000
MAX_SEQUENCE = 64


def tiny_bert() -> BundledModel:
    """Return the encoder of Devlin et al. (2018), post-norm, with padding mask and pooler."""
    graph = Graph("tiny_bert", seed=101)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        graph.input(name, np.int64, ("batch", "sequence"))
    graph.output("last_hidden_state", np.float32, ("batch", "sequence", HIDDEN))
    graph.output("pooler_output", np.float32, ("batch", HIDDEN))
    hidden = _embeddings(graph)
    bias = _attention_bias(graph)
    for layer in range(LAYERS):
        last = layer == LAYERS - 1
        hidden = _layer(graph, f"layer_{layer}", (hidden, bias), "last_hidden_state" if last else "")
    _pooler(graph, hidden)
    data_sets = (_inputs(graph, lengths=(32, 21)), _inputs(graph, lengths=(MAX_SEQUENCE,)))
    return BundledModel(name="tiny_bert", model=graph.build(), data_sets=data_sets)


def _embeddings(graph: Graph) -> str:
    word = graph.weight("embeddings/word", (VOCABULARY, HIDDEN), std=1.0)
    position = graph.weight("embeddings/position", (MAX_SEQUENCE, HIDDEN), std=0.5)
    token_type = graph.weight("embeddings/token_type", (2, HIDDEN), std=0.5)
    words = graph.node("Gather", "embeddings/word_gather", word, "input_ids")
    types = graph.node("Gather", "embeddings/token_type_gather", token_type, "token_type_ids")
    length = graph.node("Shape", "embeddings/sequence", "input_ids", start=1, end=2)
    start = graph.constant("embeddings/position_start", [0], np.int64)
    positions = graph.node("Slice", "embeddings/position_slice", position, start, length)
    total = graph.node("Add", "embeddings/add_token_type", words, types)
    total = graph.node("Add", "embeddings/add_position", total, positions)
    return _layer_norm(graph, "embeddings/norm", total)


def _attention_bias(graph: Graph) -> str:
    """Add 0 where a token may be attended to and -10000 at padding, (batch, 1, 1, sequence)."""
    axes = graph.constant("mask/axes", [1, 2], np.int64)
    mask = graph.node("Unsqueeze", "mask/unsqueeze", "attention_mask", axes)
    mask = graph.node("Cast", "mask/cast", mask, to=1)
    padding = graph.node("Sub", "mask/invert", graph.constant("mask/one", 1.0), mask)
    return graph.node("Mul", "mask/scale", padding, graph.constant("mask/lowest", -10000.0))


def _layer(graph: Graph, name: str, hidden_and_bias: tuple[str, str], output: str) -> str:
    hidden, bias = hidden_and_bias
    attended = _attention(graph, f"{name}/attention", hidden, bias)
    attended = graph.node("Add", f"{name}/attention/residual", attended, hidden)
    attended = _layer_norm(graph, f"{name}/attention/norm", attended)
    inner = _gelu(graph, f"{name}/gelu", linear(graph, f"{name}/up", attended, (HIDDEN, FEED_FORWARD)))
    outer = linear(graph, f"{name}/down", inner, (FEED_FORWARD, HIDDEN))
    outer = graph.node("Add", f"{name}/residual", outer, attended)
    return _layer_norm(graph, f"{name}/norm", outer, output)


def _attention(graph: Graph, name: str, hidden: str, bias: str) -> str:
    # No bias on the keys: softmax cancels it, so that no error in it could show.
    size = (HIDDEN, HIDDEN)
    query = _split_heads(graph, f"{name}/query", linear(graph, f"{name}/query", hidden, size), [0, 2, 1, 3])
    keys = linear(graph, f"{name}/key", hidden, size, bias=False)
    key = _split_heads(graph, f"{name}/key", keys, [0, 2, 3, 1])
    value = _split_heads(graph, f"{name}/value", linear(graph, f"{name}/value", hidden, size), [0, 2, 1, 3])
    scores = graph.node("MatMul", f"{name}/scores", query, key)
    root = graph.constant(f"{name}/root_of_head_size", (HIDDEN / HEADS) ** 0.5)
    scores = graph.node("Div", f"{name}/scale", scores, root)
    scores = graph.node("Add", f"{name}/mask", scores, bias)
    weights = graph.node("Softmax", f"{name}/softmax", scores, axis=-1)
    context = graph.node("MatMul", f"{name}/context", weights, value)
    context = graph.node("Transpose", f"{name}/merge_transpose", context, perm=[0, 2, 1, 3])
    shape = graph.constant(f"{name}/merge_shape", [0, 0, HIDDEN], np.int64)
    context = graph.node("Reshape", f"{name}/merge", context, shape)
    return linear(graph, f"{name}/output", context, size)


def _split_heads(graph: Graph, name: str, value: str, order: list[int]) -> str:
    shape = graph.constant(f"{name}/split_shape", [0, 0, HEADS, HIDDEN // HEADS], np.int64)
    split = graph.node("Reshape", f"{name}/split", value, shape)
    return graph.node("Transpose", f"{name}/transpose", split, perm=order)


def _gelu(graph: Graph, name: str, value: str) -> str:
    """Add the exact GELU, x / 2 * (1 + erf(x / sqrt(2)))."""
    scaled = graph.node("Div", f"{name}/div", value, graph.constant(f"{name}/root_of_two", 2**0.5))
    erf = graph.node("Erf", f"{name}/erf", scaled)
    shifted = graph.node("Add", f"{name}/add", erf, graph.constant(f"{name}/one", 1.0))
    gated = graph.node("Mul", f"{name}/mul", value, shifted)
    return graph.node("Mul", f"{name}/halve", gated, graph.constant(f"{name}/half", 0.5))


def _layer_norm(graph: Graph, name: str, value: str, output: str = "") -> str:
    scale = graph.weight(f"{name}/scale", (HIDDEN,), mean=1.0, std=0.2)
    bias = graph.weight(f"{name}/bias", (HIDDEN,), std=0.2)
    outputs = [output] if output else []
    return graph.node("LayerNormalization", name, value, scale, bias, outputs=outputs, epsilon=1e-5)


def _pooler(graph: Graph, hidden: str) -> None:
    first = graph.constant("pooler/first", 0, np.int64)
    token = graph.node("Gather", "pooler/first_token", hidden, first, axis=1)
    pooled = linear(graph, "pooler/dense", token, (HIDDEN, HIDDEN))
    graph.node("Tanh", "pooler/tanh", pooled, outputs=["pooler_output"])


def _inputs(graph: Graph, *, lengths: tuple[int, ...]) -> dict[str, Array]:
    """Return one padded batch; each row is two segments, the second a third of its length."""
    shape = (len(lengths), max(lengths))
    position = np.arange(shape[1])
    length = np.array(lengths)[:, None]
    mask = position < length
    return {
        "input_ids": np.where(mask, graph.integers(shape, 1, VOCABULARY), 0).astype(np.int64),
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": (mask & (position >= length * 2 // 3)).astype(np.int64),
    }
