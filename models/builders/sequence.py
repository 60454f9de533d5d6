"""Models over sequences of any length: an LSTM tagger and an MLP that reshapes by what it is fed."""

from __future__ import annotations

import numpy as np

from builders.graph import Array, BundledModel, Graph, linear

FEATURES = 24
LSTM_HIDDEN = 48
TAGS = 6
MLP_FEATURES = 32
MLP_HIDDEN = 96
MLP_OUTPUTS = 16


def lstm() -> BundledModel:
    """Return a tagger: a bidirectional LSTM, a forward LSTM on top, a linear head on every step."""
    graph = Graph("lstm", seed=303)
    graph.input("features", np.float32, ("batch", "sequence", FEATURES))
    graph.output("tags", np.float32, ("batch", "sequence", TAGS))
    graph.output("final_state", np.float32, (1, "batch", LSTM_HIDDEN))
    steps = graph.node("Transpose", "time_major", "features", perm=[1, 0, 2])
    both = graph.node(
        "LSTM",
        "lower/lstm",
        steps,
        *_lstm_weights(graph, "lower", FEATURES, 2),
        outputs=["lower/states"],
        hidden_size=LSTM_HIDDEN,
        direction="bidirectional",
    )
    both = graph.node("Transpose", "lower/directions_last", both, perm=[0, 2, 1, 3])
    shape = graph.constant("lower/joined_shape", [0, 0, 2 * LSTM_HIDDEN], np.int64)
    both = graph.node("Reshape", "lower/join", both, shape)
    upper = graph.node(
        "LSTM",
        "upper/lstm",
        both,
        *_lstm_weights(graph, "upper", 2 * LSTM_HIDDEN, 1),
        outputs=["upper/states", "final_state"],
        hidden_size=LSTM_HIDDEN,
    )
    direction = graph.constant("upper/direction_axis", [1], np.int64)
    upper = graph.node("Squeeze", "upper/squeeze", upper, direction)
    upper = graph.node("Transpose", "batch_major", upper, perm=[1, 0, 2])
    scores = linear(graph, "head", upper, (LSTM_HIDDEN, TAGS))
    scale = graph.constant("head/scale", 4.0)
    graph.node("Mul", "head/mul", scores, scale, outputs=["tags"])
    data_sets = tuple({"features": graph.normal((*shape, FEATURES))} for shape in ((2, 20), (1, 33)))
    return BundledModel(name="lstm", model=graph.build(), data_sets=data_sets)


def dynamic_mlp() -> BundledModel:
    """Return an MLP over (batch, length) rows, flattened and restored with shapes computed in the graph."""
    graph = Graph("dynamic_mlp", seed=404)
    graph.input("rows", np.float32, ("batch", "length", MLP_FEATURES))
    graph.output("row_outputs", np.float32, ("batch", "length", MLP_OUTPUTS))
    graph.output("batch_means", np.float32, ("batch", MLP_OUTPUTS))
    shape = graph.node("Shape", "shape", "rows")
    batch = graph.node("Gather", "batch", shape, graph.constant("batch_index", [0], np.int64))
    length = graph.node("Gather", "length", shape, graph.constant("length_index", [1], np.int64))
    flat_rows = graph.node("Mul", "row_count", batch, length)
    features = graph.constant("feature_count", [MLP_FEATURES], np.int64)
    flat_shape = graph.node("Concat", "flat_shape", flat_rows, features, axis=0)
    value = graph.node("Reshape", "flatten", "rows", flat_shape)
    value = _mlp(graph, value)
    outputs = graph.constant("output_count", [MLP_OUTPUTS], np.int64)
    full_shape = graph.node("Concat", "full_shape", batch, length, outputs, axis=0)
    value = graph.node("Reshape", "restore", value, full_shape)
    value = graph.node("Add", "add_position", value, _positions(graph, length), outputs=["row_outputs"])
    total = graph.node("ReduceSum", "sum", value, graph.constant("length_axis", [1], np.int64), keepdims=0)
    divisor = graph.node("Cast", "length_as_float", length, to=1)
    graph.node("Div", "mean", total, divisor, outputs=["batch_means"])
    data_sets = tuple({"rows": graph.normal((*sizes, MLP_FEATURES))} for sizes in ((2, 7), (3, 19), (1, 1)))
    return BundledModel(name="dynamic_mlp", model=graph.build(), data_sets=data_sets)


def _lstm_weights(graph: Graph, name: str, inputs: int, directions: int) -> tuple[str, str, str]:
    """Add W, R and B, gates in order i, o, f, c; the forget gate is open (Jozefowicz et al., 2015)."""
    gates = 4 * LSTM_HIDDEN
    bias: Array = graph.normal((directions, 2 * gates), std=0.2)
    bias[:, 2 * LSTM_HIDDEN : 3 * LSTM_HIDDEN] += 1
    return (
        graph.weight(f"{name}/input_weight", (directions, gates, inputs), std=inputs**-0.5),
        graph.weight(f"{name}/recurrent_weight", (directions, gates, LSTM_HIDDEN), std=LSTM_HIDDEN**-0.5),
        graph.constant(f"{name}/bias", bias),
    )


def _mlp(graph: Graph, value: str) -> str:
    for index, size in enumerate(((MLP_FEATURES, MLP_HIDDEN), (MLP_HIDDEN, MLP_HIDDEN))):
        value = linear(graph, f"hidden_{index}", value, size)
        value = graph.node("LeakyRelu", f"hidden_{index}/leaky_relu", value, alpha=0.1)
    return linear(graph, "final", value, (MLP_HIDDEN, MLP_OUTPUTS))


def _positions(graph: Graph, length: str) -> str:
    """Add a sine over the positions, (length, MLP_OUTPUTS), from a Range as long as the input."""
    scalar = graph.node("Squeeze", "length_scalar", length)
    first, step = graph.constant("range_start", 0, np.int64), graph.constant("range_step", 1, np.int64)
    index = graph.node("Cast", "index_as_float", graph.node("Range", "index", first, scalar, step), to=1)
    column = graph.node("Unsqueeze", "index_column", index, graph.constant("column_axis", [1], np.int64))
    frequency = graph.constant("frequency", graph.uniform((MLP_OUTPUTS,), 0.1, 1.0))
    phase = graph.weight("phase", (MLP_OUTPUTS,), std=1.0)
    angle = graph.node("Add", "angle", graph.node("Mul", "turn", column, frequency), phase)
    return graph.node("Sin", "sine", angle)
