from __future__ import annotations

import pytest
from profiles import CPU, CUDA, event, graph_call, kernel, node, run

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.profile.profiled_runs import ProfiledRun, profiled_runs
from pytest_ortperf.execution.session.profile_events import Event


def own_us(found: ProfiledRun) -> dict[str, int]:
    """Return the own time of each node by its name."""
    return {key.name.removesuffix("_kernel_time"): time.own_us for key, time in found.nodes.items()}


def only(events: list[Event]) -> ProfiledRun:
    (found,) = profiled_runs(events)
    return found


def refused(events: list[Event]) -> str:
    with pytest.raises(CaseError) as raised:
        profiled_runs(events)
    return str(raised.value).removeprefix("ONNX Runtime's profile cannot be read: ")


def loop(start: int) -> list[Event]:
    """Return a loop of two iterations over two nodes: 50 us, of which 13 are its own."""
    return [
        node("add", start + 5, 10),
        node("tanh", start + 16, 7, "Tanh", index=1),
        graph_call(start + 4, 20),
        node("add", start + 26, 12),
        node("tanh", start + 39, 8, "Tanh", index=1),
        graph_call(start + 25, 23),
        node("loop", start, 50, "Loop"),
    ]


@pytest.mark.parametrize("in_order", ["of the end", "of the start"])
def test_nodes_of_a_loop_s_body_do_not_count_in_the_loop_too(in_order: str) -> None:
    events = run(100, 80, *loop(110), node("sin", 160, 4, "Sin", index=1))
    if in_order == "of the start":
        events.sort(key=lambda it: it.start)

    found = only(events)

    assert own_us(found) == {"add": 22, "tanh": 15, "loop": 13, "sin": 4}
    assert {key.name: time.containers for key, time in found.nodes.items()} == {
        "add_kernel_time": {"loop_kernel_time"},
        "tanh_kernel_time": {"loop_kernel_time"},
        "loop_kernel_time": {None},
        "sin_kernel_time": {None},
    }


def test_a_branch_in_a_loop_counts_in_neither() -> None:
    inside = [node("mul", 122, 6, "Mul"), graph_call(121, 9), node("if", 118, 14, "If")]

    found = only(run(100, 60, *inside, graph_call(117, 20), node("loop", 112, 30, "Loop")))

    assert own_us(found) == {"mul": 6, "if": 8, "loop": 16}


def test_a_node_that_starts_in_the_us_in_which_another_ends_is_beside_it() -> None:
    found = only(run(100, 60, node("a", 110, 5), node("b", 115, 0, index=1), node("c", 115, 5, index=2)))

    assert own_us(found) == {"a": 5, "b": 0, "c": 5}
    assert {frozenset(time.containers) for time in found.nodes.values()} == {frozenset({None})}


def test_the_only_node_may_take_as_long_as_its_graph() -> None:
    assert own_us(only([node("a", 11, 8), graph_call(11, 8), event("Session", "model_run", 10, 10)])) == {"a": 8}


def test_a_branch_may_take_as_long_as_its_subgraph() -> None:
    inside = [node("mul", 20, 6, "Mul"), graph_call(20, 6), node("if", 20, 6, "If")]

    assert own_us(only(run(10, 30, *inside))) == {"mul": 6, "if": 0}


def test_rounding_puts_a_node_one_us_beyond_its_run() -> None:
    assert own_us(only([node("a", 11, 10), event("Session", "model_run", 10, 10)])) == {"a": 10}


def test_nodes_of_one_name_in_two_graphs_are_two() -> None:
    found = only(run(100, 80, *loop(110), node("add", 162, 4)))

    (time,) = (time for key, time in found.nodes.items() if key.name == "add_kernel_time")
    assert (time.own_us, time.containers) == (26, {None, "loop_kernel_time"})


def test_a_name_on_two_providers_is_two_nodes() -> None:
    found = only(run(100, 80, node("a", 110, 3), node("a", 120, 4, provider=CUDA)))

    assert {key.provider: time.own_us for key, time in found.nodes.items()} == {CPU: 3, CUDA: 4}


def test_operators_of_pool_threads_overlap() -> None:
    in_pool = [node("a", 110, 60, thread=7), node("b", 112, 50, thread=8, index=1)]

    found = only(run(100, 80, *in_pool))

    assert (found.overlapping, own_us(found), found.duration_us) == (True, {"a": 60, "b": 50}, 80)


def test_a_loop_in_a_pool_thread_is_told_from_what_runs_beside_it() -> None:
    moved = [it._replace(thread=7) for it in loop(110)]

    found = only(run(100, 80, *moved, node("beside", 115, 40, "Conv", thread=8, index=3)))

    assert own_us(found) == {"add": 22, "tanh": 15, "loop": 13, "beside": 40}


def test_waiting_and_the_device_s_kernels_are_no_time_of_a_node() -> None:
    fence = Event("Node", "a_fence_before", 1, 105, 3, None, "Conv")

    found = only(run(100, 80, fence, node("a", 110, 20, "Conv"), kernel(112, 50, "Conv"), kernel(163, 2, None)))

    assert (own_us(found), found.kernel_us) == ({"a": 20}, {"Conv": 50, None: 2})


def test_a_run_that_did_not_end_is_left_out() -> None:
    found = profiled_runs([*run(100, 80, node("a", 110, 3)), node("a", 200, 4), node("b", 210, 4, index=1)])

    assert [own_us(it) for it in found] == [{"a": 3}]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([node("a", 5, 3), *run(10, 20)], "node 'a_kernel_time' is in none of its runs"),
        (run(10, 20, node("a", 15, 30)), "node 'a_kernel_time' is in none of its runs"),
        ([*run(10, 20), node("a", 35, 1), *run(40, 20)], "node 'a_kernel_time' is in none of its runs"),
        ([*run(10, 20), *run(25, 20)], "its runs overlap"),
        (
            run(10, 20, Event("Node", "a_kernel_time", 1, 12, 3)),
            "node 'a_kernel_time' names no provider or operator",
        ),
        (
            run(10, 20, node("a", 11, 15), node("b", 12, 15, index=1)),
            "the nodes of a run took longer than the run",
        ),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(events: list[Event], why: str) -> None:
    assert refused(events) == why


def test_a_profile_without_runs_has_none() -> None:
    assert profiled_runs([event("Session", "session_initialization", 1, 2)]) == []
