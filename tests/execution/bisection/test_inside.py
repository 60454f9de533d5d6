"""Wrong nodes in the subgraphs of `If`, `Loop` and `Scan`, and right ones there that must not be blamed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from long_graphs import FAULTS, write_pair
from onnx import TensorProto, helper, numpy_helper
from test_find import NoHooks, looping_model, outputs_of, search

from pytest_ortperf.execution.bisection.find import allowed_sessions, bisect
from pytest_ortperf.records.bisection import Bisection

FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Node = onnx.NodeProto


def node(op_type: str, name: str, inputs: Sequence[str], **attributes: Any) -> Node:
    """Return a node of one output, which has the node's name."""
    return helper.make_node(op_type, inputs, [name], name=name, **attributes)


def subgraph(nodes: Sequence[Node], outputs: Mapping[str, int], inputs: Mapping[str, int] | None = None) -> Any:
    def infos(kinds: Mapping[str, int]) -> list[Any]:
        # the counters of a Loop have to have a shape
        return [
            helper.make_tensor_value_info(name, kind, None if kind == FLOAT else []) for name, kind in kinds.items()
        ]

    return helper.make_graph(nodes, "inner", infos(inputs or {}), infos(outputs))


def write(path: Path, nodes: Sequence[Node], weights: Mapping[str, Any], shape: Sequence[int] = (2, 4)) -> Path:
    graph = helper.make_graph(
        nodes,
        "outer",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


WEIGHTS = {
    "gain": np.float32(1.5),
    "other": np.float32(-0.75),
    "three": np.int64(3),
    "five": np.int64(5),
    "yes": np.bool_(True),  # noqa: FBT003 - a tensor
    "no": np.bool_(False),  # noqa: FBT003 - a tensor
}


def branch(name: str, fault: str) -> Any:
    """Return a branch of three nodes that reads outer values; the second can be wrong, or what the first reads."""
    second = "Cos" if fault == name else "Sin"
    right, wrong = ("gain", "other") if name == "then" else ("other", "gain")
    read = wrong if fault == f"{name} reads another value" else right
    return subgraph(
        [
            node("Mul", f"{name}_mul", ["before", read]),
            node(second, f"{name}_wave", [f"{name}_mul"]),
            node("Add", f"{name}_add", [f"{name}_wave", "x"]),
        ],
        {f"{name}_add": FLOAT},
    )


def choice(folder: Path, fault: str, condition: str) -> Path:
    """Write before -> If -> after; the wrong node can stand before, in a branch, or after."""
    branches = {f"{name}_branch": branch(name, fault) for name in ("then", "else")}
    nodes = [
        node("Exp" if fault == "before" else "Tanh", "before", ["x"]),
        node("If", "choice", ["no" if fault == "condition" else condition], **branches),
        node("Sigmoid" if fault == "after" else "Tanh", "after", ["choice"]),
    ]
    return write(folder / f"{fault or 'sound'}.onnx", nodes, WEIGHTS)


def loop(folder: Path, fault: str, from_iteration: int = 0) -> Path:
    """Write before -> Loop of five iterations -> after, whose body has an `If`; a fault begins at an iteration."""
    inner = {
        "then_branch": subgraph(
            [
                node("Mul", "scaled", ["state", "gain"]),
                node("Cos" if fault == "inner" else "Sin", "wave", ["scaled"]),
                node("Add", "shifted", ["wave", "before"]),
            ],
            {"shifted": FLOAT},
        ),
        "else_branch": subgraph([node("Neg", "turned", ["state"])], {"turned": FLOAT}),
    }
    late = "Less" if fault == "late" else "Greater"
    body = subgraph(
        [
            node("Identity", "still", ["goes_on"]),
            node("Constant", "limit", [], value=numpy_helper.from_array(np.int64(from_iteration))),
            node("GreaterOrEqual", "is_late", ["i", "limit"]),
            node("If", "inner_choice", ["yes"], **inner),
            node("Neg", "opposite", ["inner_choice"]),
            node("Where", "picked", ["is_late", "opposite" if late == "Less" else "inner_choice", "inner_choice"]),
            node("Tanh", "next", ["picked"]),
            node("ReduceSum", "total", ["next"], keepdims=0),
        ],
        {"still": BOOL, "next": FLOAT, "total": FLOAT},
        {"i": INT, "goes_on": BOOL, "state": FLOAT},
    )
    nodes = [
        node("Tanh", "before", ["x"]),
        helper.make_node("Loop", ["five", "yes", "before"], ["looped", "totals"], name="loop", body=body),
        node("Tanh", "after", ["looped"]),
    ]
    return write(folder / f"{fault or 'sound'}.onnx", nodes, WEIGHTS)


def scan(folder: Path, fault: str) -> Path:
    """Write a Scan backwards over the rows of an input that it also sums up; one row can come out wrong."""
    body = subgraph(
        [
            node("Mul", "weighted", ["row", "gain"]),
            node("ReduceMax", "largest", ["weighted"], keepdims=0),
            node("GreaterOrEqual", "is_large", ["largest", "threshold"]),
            node("Neg", "opposite", ["weighted"]),
            node("Where", "chosen", ["is_large", "opposite" if fault else "weighted", "weighted"]),
            node("Add", "sum_out", ["sum_in", "chosen"]),
            node("Identity", "row_out", ["sum_out"]),
        ],
        {"sum_out": FLOAT, "row_out": FLOAT},
        {"sum_in": FLOAT, "row": FLOAT},
    )
    nodes = [
        node("Mul", "rows", ["x", "steps"]),
        helper.make_node(
            "Scan",
            ["start", "rows"],
            ["sum", "sums"],
            name="scan",
            body=body,
            num_scan_inputs=1,
            scan_input_directions=[1],
        ),
        node("Tanh", "after", ["sums"]),
    ]
    steps = np.array([[1], [1], [0], [0]], np.float32)
    weights = {"gain": np.float32(1.5), "threshold": np.float32(0.01), "start": np.zeros(4, np.float32), "steps": steps}
    return write(folder / f"{fault or 'sound'}.onnx", nodes, weights, (4, 4))


def found_in(sound: Path, faulty: Path, **asked: Any) -> Bisection:
    found = bisect(search(faulty, against=sound, **asked))
    assert found.sessions <= found.sessions_allowed
    return found


def names(found: Bisection) -> list[tuple[str, int | None, str, bool | None]]:
    return [(it.subgraph, it.iteration, it.node.name, it.fails_alone) for it in found.inside]


@pytest.mark.parametrize(("fault", "condition"), [("then", "yes"), ("else", "no")])
def test_the_wrong_node_of_a_branch_that_ran_is_named(tmp_path: Path, fault: str, condition: str) -> None:
    found = found_in(choice(tmp_path, "", condition), choice(tmp_path, fault, condition))
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("choice", True)
    assert names(found) == [(f"{fault}_branch", None, f"{fault}_wave", True)]
    assert found.path == f"node 'choice' > {fault}_branch > node '{fault}_wave'"
    assert f"Inside it, {found.path}: by itself, on the reference's inputs, that node is wrong too." in found.conclusion
    assert found.sessions_allowed == allowed_sessions(9)
    assert found.inside_folder == str(tmp_path / "inside")
    [computed], [expected] = outputs_of(tmp_path / "inside")
    assert not np.allclose(computed, expected, rtol=1e-3, atol=1e-5)
    assert [it.op_type for it in onnx.load(tmp_path / "inside/model.onnx").graph.node] == ["Cos"]


def test_an_outer_value_that_a_branch_reads_wrongly_is_found_at_its_node(tmp_path: Path) -> None:
    found = found_in(choice(tmp_path, "", "yes"), choice(tmp_path, "then reads another value", "yes"))
    assert names(found) == [("then_branch", None, "then_mul", True)]


@pytest.mark.parametrize(
    "constant",
    [
        {"value_float": 2.0},
        {"value_floats": [1.0, 2.0, 3.0, 4.0]},
        {"value": numpy_helper.from_array(np.array([2, 3, 4, 5], np.float32))},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_constant_that_a_branch_reads_from_outside_comes_with_it(tmp_path: Path, constant: Mapping[str, Any]) -> None:
    def reading(name: str, op_type: str) -> Path:
        inner = [node("Neg", "first", ["before"]), node(op_type, "second", ["first", "outer"])]
        held = subgraph(inner, {"second": FLOAT})
        nodes = [
            node("Constant", "outer", [], **constant),
            node("Abs", "before", ["x"]),
            node("If", "choice", ["yes"], then_branch=held, else_branch=held),
        ]
        return write(tmp_path / name, nodes, WEIGHTS)

    found = found_in(reading("sound.onnx", "Mul"), reading("faulty.onnx", "Sub"))
    assert names(found) == [("then_branch", None, "second", True)]
    [kept] = onnx.load(tmp_path / "inside/model.onnx").graph.initializer
    assert kept.name == "outer"


@pytest.mark.parametrize(("fault", "condition"), [("before", "yes"), ("after", "yes"), ("after", "no")])
def test_a_branch_is_not_blamed_for_what_stands_beside_it(tmp_path: Path, fault: str, condition: str) -> None:
    found = found_in(choice(tmp_path, "", condition), choice(tmp_path, fault, condition))
    assert (found.suspect.name if found.suspect else None, found.inside) == (fault, ())


def test_a_wrong_node_in_the_branch_that_did_not_run_is_no_fault(tmp_path: Path) -> None:
    found = bisect(search(choice(tmp_path, "else", "yes"), against=choice(tmp_path, "", "yes")))
    assert (found.suspect, found.inside) == (None, ())


def test_a_node_that_takes_the_other_branch_has_nothing_wrong_inside(tmp_path: Path) -> None:
    found = found_in(choice(tmp_path, "", "yes"), choice(tmp_path, "condition", "yes"))
    assert (found.suspect.name if found.suspect else None, found.fails_alone, found.inside) == ("choice", True, ())
    assert (
        "Inside it no node is named: the reference takes its then_branch, and it takes the other one."
        in found.conclusion
    )


@pytest.mark.parametrize("iteration", [0, 3])
def test_the_first_wrong_iteration_of_a_loop_is_searched(tmp_path: Path, iteration: int) -> None:
    found = found_in(loop(tmp_path, "", iteration), loop(tmp_path, "late", iteration))
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("loop", True)
    assert names(found) == [("body", iteration, "picked", True)]
    assert found.path == "node 'loop' > body > node 'picked'"
    assert (
        f"Inside it, {found.path}, in iteration {iteration} of the body that holds 'picked' (counted from 0, the first "
        "that goes wrong): by itself, on the reference's inputs, that node is wrong too."
    ) in found.conclusion


def test_an_if_inside_a_loop_is_searched_too(tmp_path: Path) -> None:
    found = found_in(loop(tmp_path, ""), loop(tmp_path, "inner"))
    assert names(found) == [("body", 0, "inner_choice", True), ("then_branch", None, "wave", True)]
    assert found.path == "node 'loop' > body > node 'inner_choice' > then_branch > node 'wave'"


def test_the_first_wrong_step_of_a_scan_backwards_is_searched(tmp_path: Path) -> None:
    found = found_in(scan(tmp_path, ""), scan(tmp_path, "turned"))
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("scan", True)
    # its first two steps see the rows of zeros at the end
    assert names(found) == [("body", 2, "chosen", True)]


def test_a_loop_whose_error_only_adds_up_has_no_wrong_node_inside(tmp_path: Path) -> None:
    def adding(name: str, step: float) -> Path:
        body = subgraph(
            [node("Identity", "still", ["goes_on"]), node("Add", "next", ["state", "step"])],
            {"still": BOOL, "next": FLOAT},
            {"i": INT, "goes_on": BOOL, "state": FLOAT},
        )
        nodes = [
            node("Abs", "before", ["x"]),
            helper.make_node("Loop", ["times", "yes", "before"], ["sum"], name="loop", body=body),
            # what was added is all that is left
            node("Sub", "after", ["sum", "before"]),
        ]
        return write(tmp_path / name, nodes, {"times": np.int64(500), "yes": WEIGHTS["yes"], "step": np.float32(step)})

    found = found_in(adding("sound.onnx", 1e-3), adding("faulty.onnx", 1.003e-3))
    assert (found.suspect.name if found.suspect else None, found.fails_alone, found.inside) == ("loop", True, ())
    assert (
        "Inside it no node is named: each iteration is right by itself, on the reference's values." in found.conclusion
    )


def test_outer_weights_in_an_external_file_come_with_the_body(tmp_path: Path) -> None:
    folders = [tmp_path / "sound", tmp_path / "faulty"]
    for folder in folders:
        folder.mkdir()
    found = found_in(looping_model(folders[0]), looping_model(folders[1], "loop"))
    assert names(found) == [("body", 0, "MatMul_1", True)]


def test_a_branch_deep_in_a_long_graph_is_searched_with_the_sessions_left(tmp_path: Path) -> None:
    found = found_in(*write_pair(tmp_path, FAULTS["another branch of an If"][1]))
    assert found.path == "node 'b14_active' > then_branch > node 'Min_0'"
    assert found.sessions_allowed == 21


@pytest.mark.parametrize("most_shown", [200, 0])
def test_a_long_branch_is_halved_where_its_values_cannot_be_shown_together(
    tmp_path: Path, most_shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_ortperf.execution.bisection.inside.MOST_SHOWN", most_shown)

    def long_branch(name: str, wrong: int | None) -> Path:
        inner = [node("Cos" if i == wrong else "Tanh", f"n{i}", [f"n{i - 1}" if i else "before"]) for i in range(40)]
        held = subgraph(inner, {"n39": FLOAT})
        nodes = [node("Abs", "before", ["x"]), node("If", "choice", ["yes"], then_branch=held, else_branch=held)]
        return write(tmp_path / name, nodes, WEIGHTS)

    found = found_in(long_branch("sound.onnx", None), long_branch("faulty.onnx", 27))
    assert names(found) == [("then_branch", None, "n27", True)]
    assert (found.sessions < 10) is (most_shown > 0)


def test_sessions_that_do_not_suffice_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_ortperf.execution.bisection.find.allowed_sessions", lambda _: 6)
    found = found_in(choice(tmp_path, "", "yes"), choice(tmp_path, "then", "yes"))
    assert (found.suspect.name if found.suspect else None, found.fails_alone, found.inside) == ("choice", True, ())
    assert "Inside it no node is named: too few sessions were left to look into it." in found.conclusion


class DiesInside(NoHooks):
    """Ends the process of each session of the case that gives a value of one of these names."""

    def __init__(self, values: set[str]) -> None:
        self._values = values

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        level = session.get_session_options().graph_optimization_level
        if level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL and self._values & {
            it.name for it in session.get_outputs()
        }:
            os.abort()


def test_a_crash_inside_a_branch_is_searched_too(tmp_path: Path) -> None:
    dies = DiesInside({"then_wave", "then_add", "choice", "after"})
    found = bisect(search(choice(tmp_path, "", "yes"), hooks=dies))
    assert (found.symptom, found.suspect.name if found.suspect else None) == ("crash", "choice")
    # to try it alone would take two sessions more, and one is left
    assert names(found) == [("then_branch", None, "then_wave", None)]
    assert found.conclusion.endswith(
        "Inside it, node 'choice' > then_branch > node 'then_wave': that node was not tried by itself."
    )


def test_a_run_that_fails_in_a_later_iteration_is_searched_too(tmp_path: Path) -> None:
    def taking(name: str, sizes: int) -> Path:
        body = subgraph(
            [
                node("Identity", "still", ["goes_on"]),
                node("Gather", "piece", ["table", "i"]),
                node("Add", "next", ["state", "piece"]),
            ],
            {"still": BOOL, "next": FLOAT},
            {"i": INT, "goes_on": BOOL, "state": FLOAT},
        )
        nodes = [
            node("Abs", "before", ["x"]),
            helper.make_node("Loop", ["five", "yes", "before"], ["after"], name="loop", body=body),
        ]
        return write(tmp_path / name, nodes, {**WEIGHTS, "table": np.arange(sizes, dtype=np.float32)})

    found = found_in(taking("sound.onnx", 5), taking("faulty.onnx", 3))
    # no session is left to try it alone
    assert (found.symptom, names(found)) == ("error", [("body", 3, "piece", None)])
