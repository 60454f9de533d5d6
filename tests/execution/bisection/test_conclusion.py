from __future__ import annotations

from pytest_ortperf.execution.bisection.answer import _steepest
from pytest_ortperf.records.bisection import GrowthPoint, NodeFact


def point(position: int, error: float | None) -> GrowthPoint:
    node = NodeFact(position=position, name=f"n{position}", op_type="Conv")
    return GrowthPoint(node=node, tensor="v", error=error, max_abs_error=error, is_within=True)


def test_a_jump_behind_the_suspect_is_named() -> None:
    points = [point(12, 2.5e-6), point(13, 3.3e-6), point(14, 8.1e-4), point(19, 9e-4)]
    assert _steepest(points, suspect=13) == "The error grows most elsewhere, 245 times: at n14 (Conv, node 14)."
    assert _steepest(points, suspect=14) == ""


def test_a_jump_over_several_nodes_is_between_two() -> None:
    points = [point(3, 0.0), point(9, 1e-4), point(10, 1.1e-4)]
    assert _steepest(points, suspect=10) == (
        "The error grows most elsewhere, 1000 times: between n3 and n9 (Conv, node 9)."
    )


def test_small_steps_and_unknown_errors_say_nothing() -> None:
    assert _steepest([point(1, 1e-3), point(2, 5e-3), point(3, None)], suspect=3) == ""
    assert _steepest([], suspect=0) == ""
