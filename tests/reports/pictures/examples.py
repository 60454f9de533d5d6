"""Answers and pictures for tests of what is drawn."""

from __future__ import annotations

from typing import Any

from pytest_ortperf.records.bisection import (
    Bisection,
    GrowthPoint,
    InnerNode,
    NodeFact,
    OtherSuspect,
    ValueFact,
)
from pytest_ortperf.records.pictures import ErrorPicture, Heatmap, Histogram, WorstElement

_ROWS = tuple(tuple(10.0 ** (row + column - 6) for column in range(5)) for row in range(4))


def make_picture(**changes: Any) -> ErrorPicture:
    """Return a picture of 1 % of a tensor's elements outside, one of them not finite."""
    counts = [0] * 32
    counts[10], counts[17] = 9_898, 100
    return ErrorPicture(
        **{
            "data_set": "test_data_set_0",
            "output": "logits <a&b>",
            "dtype": "float",
            "shape": (1, 100, 100),
            "measure": "error / allowed error",
            "rtol": 1e-3,
            "atol": 1e-5,
            "elements": 10_000,
            "outside": 101,
            "histogram": Histogram(low=-8.0, step=0.5, counts=tuple(counts), exact=1, not_finite=1),
            "heatmap": Heatmap(
                plane="[0, :, :]",
                rows=100,
                columns=100,
                cells=(*_ROWS, (None, 0.0, 0.0, 0.0, 0.0)),
                worst_cell=(4, 0),
            ),
            "worst": (
                WorstElement(index=(0, 99, 3), output="nan", reference="0.5", error=None),
                WorstElement(index=(0, 79, 99), output="7", reference="0.5", error=100.0),
            ),
            **changes,
        }
    )


def node(position: int, op_type: str = "Conv") -> NodeFact:
    """Return a node."""
    return NodeFact(position=position, name=f"n{position}", op_type=op_type, outputs=(f"v{position}",))


def point(position: int, error: float | None, *, within: bool, **changes: Any) -> GrowthPoint:
    """Return what was found at one cut."""
    tensor = {"tensor": f"v{position}", "max_abs_error": error}
    return GrowthPoint(**{"node": node(position), "error": error, "is_within": within, **tensor, **changes})


def make_inside(name: str = "b_mul") -> dict[str, Any]:
    """Return what a bisection says of a wrong node in a branch of an `If` in a loop, and of another suspect."""
    choice = InnerNode(subgraph="body", iteration=3, node=node(2, "If"), fails_alone=True)
    inner = NodeFact(position=1, name=name, op_type="Mul")
    return {
        "inside": (choice, InnerNode(subgraph="else_branch", node=inner, fails_alone=None)),
        "inside_folder": "result/bisect_bert/inside",
        "other": OtherSuspect(node=node(20), growth=31.4, fails_alone=True, part_folder="result/bisect_bert/elsewhere"),
    }


def make_bisection(**changes: Any) -> Bisection:
    """Return the answer of a search through 40 nodes."""
    return Bisection(
        **{
            "case_id": "bert::validate[cuda-fp16]",
            "provider_full_name": "CUDAExecutionProvider",
            "reference": "CPU, graph optimisation off",
            "model": "/models/bert.onnx",
            "data_set": "test_data_set_0",
            "symptom": "mismatch",
            "complaint": "'logits': percent mismatch 20 % (allowed 0 %), worst at (0, 1): 3 instead of 4",
            "nodes": 40,
            "sessions": 9,
            "sessions_allowed": 15,
            "points": (
                point(4, 0.0, within=True),
                point(11, 2e-7, within=True),
                point(12, 0.5, within=False),
                point(20, None, within=False),
                point(39, 0.03, within=False),
            ),
            "suspect": node(12),
            "beside": (node(11, "Cast"),),
            "inputs": (
                ValueFact(name="v11", dtype="float16", shape=(1, 8), origin="computed", low=-1.5, high=2.0),
                ValueFact(name="w", dtype="float16", shape=(8, 8), origin="constant", low=-0.25, high=0.25),
            ),
            "outputs": (
                ValueFact(
                    name="v12",
                    dtype="float16",
                    shape=(1, 8),
                    origin="computed",
                    low=-3.0,
                    high=4.0,
                    not_finite=1,
                    reference_low=-3.0,
                    reference_high=70000.0,
                ),
            ),
            "fails_alone": True,
            "part": (node(12),),
            "part_folder": "result/bisect_bert/smallest",
            "part_complaint": "'v12': 1 element is not finite",
            "conclusion": "What this node makes is not right. By itself it is wrong too.",
            "pictures": (make_picture(),),
            **changes,
        }
    )
