"""Extra nodes in a model that cost time, and leave its outputs as they are, bit for bit.

Two kinds of work end in one of the model's outputs, so that no optimisation can drop or fold them:

- `chain`: one element of the first input, spread over a vector, goes through a chain of Cos nodes. The largest of the
  results chooses by a Where between itself and the output; it never is above 1, so the output is always chosen.
- `maxima`: the output goes through a chain of Max nodes whose inputs are all the same. It costs less than the nodes
  that a chain needs around it, and an input more or less is a finer step than a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

CHAIN, MAXIMA = "chain", "maxima"
_ABOVE_EVERY_COSINE = 2.0
_SLICE_BY_INPUTS = 10
"""First version of the operator set whose Slice takes inputs instead of attributes."""

_PREFIX = "planted_"
FEWEST_INPUTS = 2


@dataclass(frozen=True, slots=True)
class Work:
    """What is planted."""

    kind: str
    nodes: int
    """Cos or Max nodes."""

    size: int
    """Elements of the chain's vector; inputs of all the Max nodes together."""


def plant(model: ModelProto, output: str, work: Work) -> ModelProto:
    """Return a copy of a model with work before one of its outputs, which is of type float.

    Raises:
        ValueError: If no node of the model makes that output, or the work cannot be made.
    """
    made = ModelProto()
    made.CopyFrom(model)
    plain = f"{_PREFIX}from"
    maker = next((node for node in made.graph.node if output in node.output), None)
    if maker is None:
        raise ValueError(f"no node makes the output {output!r}")
    names = [plain if name == output else name for name in maker.output]
    del maker.output[:]
    maker.output.extend(names)
    for node in made.graph.node:
        names = [plain if name == output else name for name in node.input]
        del node.input[:]
        node.input.extend(names)
    nodes = _chain(made, plain, output, work) if work.kind == CHAIN else _maxima(plain, output, work)
    made.graph.node.extend(nodes)
    return made


def planted_nodes(model: ModelProto) -> int:
    """Return how many nodes of a model were planted, constants left out."""
    return sum(node.name.startswith(_PREFIX) and node.op_type != "Constant" for node in model.graph.node)


def _chain(model: ModelProto, plain: str, output: str, work: Work) -> list[NodeProto]:
    if min(work.nodes, work.size) < 1:
        raise ValueError(f"a chain has at least one node and element: {work}")
    vector = np.linspace(0, 1, work.size, dtype=np.float32)
    nodes = [
        *_first_element(model, f"{_PREFIX}element"),
        _constant(f"{_PREFIX}vector", vector),
        _node("Add", [f"{_PREFIX}element", f"{_PREFIX}vector"], f"{_PREFIX}0"),
        *(_node("Cos", [f"{_PREFIX}{number}"], f"{_PREFIX}{number + 1}") for number in range(work.nodes)),
        _node("ReduceMax", [f"{_PREFIX}{work.nodes}"], f"{_PREFIX}largest", keepdims=0),
        _constant(f"{_PREFIX}limit", np.array(_ABOVE_EVERY_COSINE, dtype=np.float32)),
        _node("Greater", [f"{_PREFIX}largest", f"{_PREFIX}limit"], f"{_PREFIX}never"),
    ]
    last = _node("Where", [f"{_PREFIX}never", f"{_PREFIX}largest", plain], output)
    return [*nodes, last]


def _first_element(model: ModelProto, result: str) -> list[NodeProto]:
    """Return nodes that take the first element of the model's first input as a float vector of length 1."""
    weights = {tensor.name for tensor in model.graph.initializer}
    first = next(value for value in model.graph.input if value.name not in weights)
    rank = len(first.type.tensor_type.shape.dim)
    starts, ends = np.zeros(rank, dtype=np.int64), np.ones(rank, dtype=np.int64)
    cut, cast = f"{_PREFIX}cut", f"{_PREFIX}cast"
    nodes = [_constant(f"{_PREFIX}shape", np.array([1], dtype=np.int64))]
    if _opset(model) < _SLICE_BY_INPUTS:
        nodes.append(_node("Slice", [first.name], cut, starts=starts.tolist(), ends=ends.tolist()))
    else:
        nodes += [_constant(f"{_PREFIX}starts", starts), _constant(f"{_PREFIX}ends", ends)]
        nodes.append(_node("Slice", [first.name, f"{_PREFIX}starts", f"{_PREFIX}ends"], cut))
    if first.type.tensor_type.elem_type != TensorProto.FLOAT:
        nodes.append(_node("Cast", [cut], cast, to=TensorProto.FLOAT))
        cut = cast
    return [*nodes, _node("Reshape", [cut, f"{_PREFIX}shape"], result)]


def _maxima(plain: str, output: str, work: Work) -> list[NodeProto]:
    if work.nodes < 1 or work.size < FEWEST_INPUTS * work.nodes:
        raise ValueError(f"a Max of the same has at least {FEWEST_INPUTS} inputs: {work}")
    share, more = divmod(work.size, work.nodes)
    names = [plain, *(f"{_PREFIX}{number}" for number in range(1, work.nodes)), output]
    return [
        _node("Max", [names[number]] * (share + (number < more)), names[number + 1]) for number in range(work.nodes)
    ]


def _opset(model: ModelProto) -> int:
    return int(next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}))


def _constant(name: str, values: Array) -> NodeProto:
    return _node("Constant", [], name, value=numpy_helper.from_array(values, name))


def _node(operator: str, inputs: list[str], result: str, **attributes: object) -> NodeProto:
    return helper.make_node(operator, inputs, [result], name=f"{_PREFIX}{operator}_{result}", **attributes)


def checked(model: ModelProto) -> ModelProto:
    """Return a model after onnx has checked it."""
    onnx.checker.check_model(model)
    return model
