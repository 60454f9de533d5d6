from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import CPU, CUDA, event, node, text_of, whole

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.profile.operator_profile import operators_of
from pytest_ortperf.execution.session.profile_events import Event, read_events

LINES = [
    {"cat": "Session", "pid": 1, "tid": 1, "dur": 30, "ts": 5, "ph": "X", "name": "model_run", "args": {}},
    {
        "cat": "Node",
        "pid": 1,
        "tid": 1,
        "dur": 0,
        "ts": 6,
        "ph": "X",
        "name": "a_fence_before",
        "args": {"op_name": "A"},
    },
    {
        "cat": "Node",
        "tid": 1,
        "dur": 7,
        "ts": 6,
        "name": "a_kernel_time",
        "args": {"provider": CPU, "op_name": "A", "node_index": "3", "input_type_shape": [{"float": [1, 2]}]},
    },
    {"cat": "Kernel", "pid": -1, "tid": -1, "dur": 4, "ts": -2, "name": "k", "args": {"op_name": "A", "stream": "13"}},
    {"cat": "Node", "tid": 1, "dur": 3, "ts": 14, "name": "b_kernel_time"},
]


def test_events_are_read_as_they_stand() -> None:
    assert read_events(json.dumps(LINES)) == [
        Event("Session", "model_run", 1, 5, 30),
        Event("Node", "a_fence_before", 1, 6, 0, None, "A"),
        Event("Node", "a_kernel_time", 1, 6, 7, CPU, "A", "3"),
        Event("Kernel", "k", -1, -2, 4, None, "A"),
        Event("Node", "b_kernel_time", 1, 14, 3),
    ]


def test_fences_kernels_and_sessions_are_told_from_calls_of_nodes() -> None:
    events = read_events(json.dumps(LINES))

    assert [it.name for it in events if it.is_node] == ["a_kernel_time", "b_kernel_time"]
    assert [it.name for it in events if it.is_run] == ["model_run"]
    assert [it.name for it in events if it.is_graph] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[{"cat": "Node", "na', "it is not JSON (Unterminated string starting at: line 1 column 18 (char 17))"),
        ("", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("{}", "it is not a list of events"),
        ("[1]", "'1' is not an event"),
        ('[{"name": "x"}]', "\"{'name': 'x'}\" is not an event"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": 1}]', "'dur' of an event is 'None'"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": 1, "dur": -1}]', "'dur' of an event is '-1'"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": 1, "dur": true}]', "'dur' of an event is 'True'"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": 1.5, "dur": 1}]', "'ts' of an event is '1.5'"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": -1, "dur": 1}]', "'ts' of an event is '-1'"),
        ('[{"cat": "Node", "name": 7, "tid": 1, "ts": 1, "dur": 1}]', "'name' of an event is '7'"),
        ('[{"cat": "Node", "name": "x", "tid": 1, "ts": 1, "dur": 1, "args": 1}]', "'args' of an event is '1'"),
        (
            '[{"cat": "Node", "name": "x", "tid": 1, "ts": 1, "dur": 1, "args": {"provider": 1}}]',
            "'provider' of an event is '1'",
        ),
    ],
)
def test_what_is_not_a_profile_is_refused(text: str, why: str) -> None:
    with pytest.raises(CaseError) as raised:
        read_events(text)

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (
        f"ONNX Runtime's profile cannot be read: {why}",
        "profile",
        "runtime error",
    )


def told(text: str) -> Any:
    """Return the operators of a garbled `whole()`; `None` if they are refused."""
    try:
        return operators_of(read_events(text), warm=1, runs=4)
    except CaseError as error:
        if error.stage != "profile":
            raise
        return None


@given(st.integers(0, len(text_of(whole())) - 1))
def test_a_profile_cut_anywhere_gives_no_number(length: int) -> None:
    text = text_of(whole()).rstrip()
    assert told(text[: min(length, len(text) - 1)]) is None


@given(st.data())
@settings(max_examples=300)
def test_a_garbled_profile_gives_no_number_or_the_whole_ones_shape(data: st.DataObject) -> None:
    text = text_of(whole())
    place = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text(alphabet='{}[],:"-.e0 \\x', max_size=3))
    found = told(text[:place] + put + text[place + length :])
    if found is not None:
        assert found.runs == 3
        # numbers cannot be told from other numbers; but none is more than the run it is in
        assert 0 <= found.total_ns <= sum(it.duration for it in read_events(text_of(whole())) if it.is_run) * 10_000_000
        assert all(operator.time_ns >= 0 and operator.nodes >= 1 for operator in found.operators)


@given(st.sets(st.integers(0, len(whole()) - 1), min_size=1))
def test_a_profile_that_lacks_runs_gives_no_number(lost: set[int]) -> None:
    events = whole()
    found = told(text_of([it for number, it in enumerate(events) if number not in lost]))
    if any(events[number].is_run for number in lost):
        assert found is None
    elif found is not None:
        whole_ns = operators_of(events, warm=1, runs=4).total_ns
        assert found.runs == 3
        assert found.total_ns <= whole_ns


@given(st.text(max_size=60))
def test_any_text_is_refused_or_empty(text: str) -> None:
    assert told(text) is None


@pytest.mark.parametrize("depth", [10_000, 200_000])
def test_brackets_without_end_are_refused(depth: int) -> None:
    assert told("[" * depth) is None
    assert told("[" * depth + "]" * depth) is None


def test_events_of_the_helper_are_what_a_profile_holds(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text_of([event("Session", "model_run", 1, 2), node("n", 1, 1, provider=CUDA)]), encoding="utf-8")

    assert read_events(path.read_text(encoding="utf-8")) == [
        Event("Session", "model_run", 1, 1, 2),
        Event("Node", "n_kernel_time", 1, 1, 1, CUDA, "Add", "0"),
    ]
