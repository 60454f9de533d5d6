"""What a node of control flow runs: the branch of an `If` that is taken, the body of a `Loop` or `Scan`, by steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from pytest_ortperf.execution.bisection.graph import Graph
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.sessions import Step, Steps
from pytest_ortperf.execution.inputs.tensor_types import Value

CONTROL_FLOW = ("If", "Loop", "Scan")

_SCAN_WITHOUT_BATCH = 9
"""The operator set from which on `Scan` has no batch dimension of its own."""


class NotSearchable(Exception):  # noqa: N818 - no error: a reason
    """Why what a node runs cannot be looked at, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a node runs, as models of the candidate and of the reference."""

    attribute: str
    """That holds it: `then_branch`, `else_branch`, `body`."""

    is_loop: bool
    candidate: onnx.ModelProto
    reference: onnx.ModelProto
    steps: Steps
    outside: Mapping[str, str]
    """Output of the subgraph -> the node's own, of which it is all or a piece."""


def is_control_flow(graph: Graph, position: int) -> bool:
    """Whether a node runs subgraphs that a search can go into."""
    node = graph.node(position)
    return node.op_type in CONTROL_FLOW and not node.domain


def run_of(values: GraphValues, position: int) -> Run:
    """Return what a node runs, on the reference's values.

    Raises:
        NotSearchable: If the reference has no such node, takes another branch, or lacks a value that is read.
        CaseError: Stage `reference`, if the CPU cannot compute what the node is fed.
    """
    candidate, reference = values.candidate, values.reference
    node = candidate.node(position)
    made = next((name for name in candidate.writes[position] if name in reference.made_by), None)
    other = reference.node(reference.made_by[made]) if made is not None else None
    if made is None or other is None or other.op_type != node.op_type:
        raise NotSearchable("the reference has no such node")
    known = _known(values, position, reference.made_by[made])
    attribute = "body"
    if node.op_type == "If":
        attribute = _branch(_value(reference, known, other.input[0]))
        if _branch(_value(candidate, known, node.input[0])) != attribute:
            raise NotSearchable(f"the reference takes its {attribute}, and it takes the other one")
    held, right = (_held(it, attribute) for it in (node, other))
    names = [it.name for it in held.output]
    if names != [it.name for it in right.output] or [it.name for it in held.input] != [it.name for it in right.input]:
        raise NotSearchable("inputs or outputs of its subgraph have other names in the reference")
    steps = _steps(reference, other, right, known)
    fed = {name: candidate.in_type(name, value) for name, value in steps.first.items()}
    return Run(
        attribute=attribute,
        is_loop=node.op_type != "If",
        candidate=candidate.subgraph(position, attribute, fed),
        reference=reference.subgraph(reference.made_by[made], attribute, steps.first),
        steps=steps,
        # a condition comes first in a Loop; outputs of the node that nobody reads may be left out
        outside=dict(zip(names[node.op_type == "Loop" :], node.output, strict=False)),
    )


def _known(values: GraphValues, position: int, right: int) -> Mapping[str, Value]:
    """Return the values that both nodes and their subgraphs read, but for constants."""
    names: dict[str, None] = {}
    for graph, place in ((values.candidate, position), (values.reference, right)):
        read = graph.reads[place]
        names |= dict.fromkeys(name for name in read if name in values.inputs or not graph.is_constant(name))
    lacking = [name for name in names if name not in values.inputs and name not in values.reference.made_by]
    if lacking:
        raise NotSearchable(f"the reference has no value '{lacking[0]}', which it reads")
    return values.references(names)


def _value(graph: Graph, known: Mapping[str, Value], name: str) -> Value:
    return known[name] if name in known else graph.constant(name)


def _branch(condition: Value) -> str:
    return "then_branch" if _flag(condition) else "else_branch"


def _flag(value: Value) -> bool:
    return bool(np.asarray(value).reshape(-1)[0])


def _held(node: onnx.NodeProto, attribute: str) -> onnx.GraphProto:
    held: onnx.GraphProto = next(it.g for it in node.attribute if it.name == attribute)
    return held


def _steps(graph: Graph, node: onnx.NodeProto, held: onnx.GraphProto, known: Mapping[str, Value]) -> Steps:
    if node.op_type == "If":
        return Steps(first=known, after=lambda _: None)
    inputs = [_value(graph, known, name) if name else None for name in node.input]
    make = _loop if node.op_type == "Loop" else _scan
    if node.op_type == "Scan" and graph.opset("") < _SCAN_WITHOUT_BATCH:
        raise NotSearchable("a Scan of operator set 8 is not looked into")
    return make(node, held, inputs, known)


def _loop(_: onnx.NodeProto, held: onnx.GraphProto, inputs: Sequence[Value], known: Mapping[str, Value]) -> Steps:
    trips = None if inputs[0] is None else int(np.asarray(inputs[0]).reshape(-1)[0])
    number, condition, *carried = held.input
    goes_on = len(inputs) < 2 or inputs[1] is None or _flag(inputs[1])  # noqa: PLR2004 - the second input
    if trips == 0 or not goes_on:
        raise NotSearchable("it makes no iteration")

    def fed(step: int, goes_on: Value, state: Iterable[Value]) -> Mapping[str, Value]:
        counters = {number.name: np.array(step), condition.name: np.asarray(goes_on)}
        shaped = {it.name: counters[it.name].reshape(_sizes(it)) for it in (number, condition)}
        return {**known, **shaped, **dict(zip((it.name for it in carried), state, strict=True))}

    def after(step: Step) -> Mapping[str, Value] | None:
        made = [_made(step, it.name) for it in held.output[: 1 + len(carried)]]
        ends = step.number + 1 == trips or not _flag(made[0])
        return None if ends else fed(step.number + 1, made[0], made[1:])

    return Steps(first=fed(0, np.array(True), inputs[2:]), after=after)  # noqa: FBT003 - a tensor


def _scan(node: onnx.NodeProto, held: onnx.GraphProto, inputs: Sequence[Value], known: Mapping[str, Value]) -> Steps:
    attributes = {it.name: onnx.helper.get_attribute_value(it) for it in node.attribute}
    count = attributes["num_scan_inputs"]
    states, scanned = inputs[: len(inputs) - count], [np.asarray(it) for it in inputs[len(inputs) - count :]]
    axes = attributes.get("scan_input_axes", [0] * count)
    backwards = attributes.get("scan_input_directions", [0] * count)
    length = scanned[0].shape[axes[0]]
    if length == 0:
        raise NotSearchable("it makes no iteration")
    names = [it.name for it in held.input]

    def fed(step: int, state: Iterable[Value]) -> Mapping[str, Value]:
        pieces = (
            np.take(it, length - 1 - step if turned else step, axis)
            for it, axis, turned in zip(scanned, axes, backwards, strict=True)
        )
        return {**known, **dict(zip(names, [*state, *map(np.asarray, pieces)], strict=True))}

    def after(step: Step) -> Mapping[str, Value] | None:
        state = [_made(step, it.name) for it in held.output[: len(states)]]
        return None if step.number + 1 == length else fed(step.number + 1, state)

    return Steps(first=fed(0, states), after=after)


def _sizes(declared: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of a counter: some exporters declare one dimension."""
    return (1,) * len(declared.type.tensor_type.shape.dim)


def _made(step: Step, name: str) -> Any:
    """Return an output of a body, which can be one of its inputs."""
    return step.right[name] if name in step.right else step.feeds[name]
