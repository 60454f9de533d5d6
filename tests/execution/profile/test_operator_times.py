from __future__ import annotations

from pathlib import Path

import pytest
from profiles import CPU, CUDA, graph_call, kernel, node, run, text_of, whole

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.profile import operator_profile
from pytest_ortperf.execution.profile.operator_profile import operators_of, read_operators, type_name
from pytest_ortperf.execution.session.profile_events import Event, read_events
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime

PREFIX = "ONNX Runtime's profile cannot be read: "

DML = """[{"cat" : "Node","tid" :1,"dur" :378,"ts" :1260840,"ph" : "X","name" :"DmlFusedNode_0_41_kernel_time"},
{"cat" : "Session","pid" :2,"tid" :1,"dur" :10417,"ts" :1260828,"ph" : "X","name" :"SequentialExecutor::Execute"},
{"cat" : "Session","pid" :2,"tid" :1,"dur" :31038,"ts" :1253564,"ph" : "X","name" :"model_run"}]"""
"""Of a DirectML build that leaves the arguments out."""

CUDA_RUN = """[
{"cat" : "Session","pid" :3,"tid" :4,"dur" :698,"ts" :11,"ph" : "X","name" :"model_loading_array","args" : {}},
{"cat" : "Node","pid" :3,"tid" :4,"dur" :66055,"ts" :16800,"ph" : "X","name" :"Convolution28_kernel_time","args" : {"parameter_size" : "832","provider" : "CUDAExecutionProvider","op_name" : "Conv","input_type_shape" : [{"float":[1,1,28,28]}],"node_index" : "2"}},
{"cat" : "Session","pid" :3,"tid" :4,"dur" :109165,"ts" :16794,"ph" : "X","name" :"SequentialExecutor::Execute","args" : {}},
{"cat" : "Session","pid" :3,"tid" :4,"dur" :109600,"ts" :16433,"ph" : "X","name" :"model_run","args" : {}},
{"cat" : "Node","pid" :3,"tid" :4,"dur" :87,"ts" :126313,"ph" : "X","name" :"Convolution28_kernel_time","args" : {"parameter_size" : "832","provider" : "CUDAExecutionProvider","op_name" : "Conv","input_type_shape" : [{"float":[1,1,28,28]}],"node_index" : "2"}},
{"cat" : "Node","pid" :3,"tid" :4,"dur" :23,"ts" :126403,"ph" : "X","name" :"Flatten_kernel_time","args" : {"parameter_size" : "0","provider" : "CPUExecutionProvider","op_name" : "Flatten","node_index" : "3"}},
{"cat" : "Session","pid" :3,"tid" :4,"dur" :300,"ts" :126300,"ph" : "X","name" :"SequentialExecutor::Execute","args" : {}},
{"cat" : "Session","pid" :3,"tid" :4,"dur" :320,"ts" :126290,"ph" : "X","name" :"model_run","args" : {}}
]
"""  # noqa: E501 - lines as ONNX Runtime writes them
"""A CUDA session's: the first run chooses algorithms."""


def refused(events: list[Event], *, warm: int, runs: int) -> str:
    with pytest.raises(CaseError) as raised:
        operators_of(events, warm=warm, runs=runs)
    return str(raised.value).removeprefix(PREFIX)


def test_time_is_that_of_steady_runs() -> None:
    assert operators_of(whole(), warm=1, runs=4) == OperatorProfile(
        runs=3,
        run_ns=80_000,
        operators=(
            OperatorTime(provider=CPU, op_type="Conv", nodes=1, time_ns=30_000),
            OperatorTime(provider=CPU, op_type="Relu", nodes=1, time_ns=20_000),
        ),
    )


def test_one_disturbed_run_does_not_count() -> None:
    durations = (900, 30, 34, 400, 32, 31)
    events = [
        it
        for number, us in enumerate(durations)
        for it in run(1000 * number, 950, node("a", 1000 * number + 5, us), node("b", 1000 * number + 940, 5, index=1))
    ]

    found = operators_of(events, warm=1, runs=6)

    assert [(it.op_type, it.nodes, it.time_ns) for it in found.operators] == [("Add", 2, 37_000)]
    assert (found.run_ns, found.total_ns, found.between_ns) == (950_000, 37_000, 913_000)


def test_times_of_nodes_are_medians_and_then_added() -> None:
    # a disturbs one run and b another: the median of their sums would hold one disturbance
    events = [
        *run(0, 90, node("a", 5, 50), node("b", 60, 10, index=1)),
        *run(100, 90, node("a", 105, 10), node("b", 160, 25, index=1)),
        *run(200, 90, node("a", 205, 11), node("b", 260, 12, index=1)),
    ]

    assert operators_of(events, warm=0, runs=3).total_ns == 23_000


def test_types_of_two_providers_are_apart_and_share_the_time() -> None:
    events = run(
        0, 100, node("a", 5, 60, "Conv", provider=CUDA), node("b", 70, 15, index=1), node("c", 90, 5, "Conv", index=2)
    )

    found = operators_of(events, warm=0, runs=1)

    assert [(it.provider, it.op_type, it.nodes, it.time_ns) for it in found.operators] == [
        (CUDA, "Conv", 1, 60_000),
        (CPU, "Add", 1, 15_000),
        (CPU, "Conv", 1, 5_000),
    ]
    assert (found.share_of(CUDA), found.share_of(CPU), found.share_of("other")) == (0.75, 0.25, 0.0)


def test_a_branch_taken_in_a_few_runs_takes_no_time_in_most() -> None:
    runs = [run(100 * number, 90, node("a", 100 * number + 5, 20)) for number in range(4)]
    runs.append(run(400, 90, node("a", 405, 20), node("b", 430, 50, "Conv", index=1)))

    found = operators_of([it for events in runs for it in events], warm=0, runs=5)

    assert [(it.op_type, it.nodes, it.time_ns) for it in found.operators] == [("Add", 1, 20_000), ("Conv", 1, 0)]


def test_nodes_of_one_name_in_a_graph_and_in_a_loop_are_two() -> None:
    body = [node("Add_0", 20, 5), graph_call(18, 10), node("loop", 15, 20, "Loop")]

    found = operators_of(run(0, 100, *body, node("Add_0", 50, 7)), warm=0, runs=1)

    assert [(it.op_type, it.nodes, it.time_ns) for it in found.operators] == [("Loop", 1, 15_000), ("Add", 2, 12_000)]


@pytest.mark.parametrize(
    ("op_type", "name"),
    [
        ("TRTKernel_graph_mxnet_converted_model_1163447892624144653_1_0", "TRTKernel_graph"),
        ("OpenVINO-EP-subgraph_12", "OpenVINO-EP-subgraph"),
        ("QNNExecutionProvider_3952030913023288507_1", "QNNExecutionProvider"),
        ("DmlFusedNode_0", "DmlFusedNode"),
        ("QNN_9876543210_1", "QNN"),
        ("MatMulNBits", "MatMulNBits"),
        ("My_Op_1", "My_Op_1"),
        ("QNNLike", "QNNLike"),
    ],
)
def test_a_compiled_subgraph_is_named_alike_in_each_process(op_type: str, name: str) -> None:
    assert type_name(op_type) == name


def test_compiled_subgraphs_count_as_one_node_each() -> None:
    subgraphs = [
        node("x", 5 + 20 * number, 10, f"TRTKernel_graph_g_123_{number}", provider="Trt", index=number)
        for number in range(3)
    ]

    found = operators_of(run(0, 100, *subgraphs), warm=0, runs=1)

    assert [(it.op_type, it.nodes, it.time_ns) for it in found.operators] == [("TRTKernel_graph", 3, 30_000)]


def test_operators_of_several_threads_say_nothing_about_what_is_between() -> None:
    found = operators_of(run(0, 50, node("a", 5, 40, thread=2), node("b", 5, 41, thread=3, index=1)), warm=0, runs=1)

    assert (found.overlapping, found.total_ns, found.run_ns, found.between_ns) == (True, 81_000, 50_000, None)


def test_kernels_of_the_device_are_told_beside_the_host_s_time() -> None:
    events = run(
        0,
        100,
        node("a", 5, 4, "Conv", provider=CUDA),
        node("b", 10, 9, "Add", index=1),
        node("c", 20, 3, "Relu", provider=CUDA, index=2),
        *(kernel(9, 30, "Conv"), kernel(40, 8, "Conv"), kernel(50, 2, None), kernel(60, 1, "Add")),
    )
    warm = [it._replace(start=it.start - 1000) for it in events]
    events = [*[it._replace(start=it.start + 1000) for it in [*warm, *events]], kernel(-40, 9, "Conv")]

    found = operators_of(events, warm=1, runs=2)

    assert [(it.op_type, it.time_ns, it.kernel_ns) for it in found.operators] == [
        ("Add", 9_000, None),
        ("Conv", 4_000, 38_000),
        ("Relu", 3_000, None),
    ]
    assert found.notes == ("3 us of kernels belong to no operator",)


def test_kernels_by_a_clock_that_does_not_fit_are_no_times() -> None:
    events = run(0, 100, node("a", 5, 4, "Conv", provider=CUDA), kernel(9, 30, "Conv"), kernel(95, 30, "Conv"))

    found = operators_of(events, warm=0, runs=1)

    assert [(it.op_type, it.time_ns, it.kernel_ns) for it in found.operators] == [("Conv", 4_000, None)]


@pytest.mark.parametrize(
    ("events", "warm", "runs", "why"),
    [
        (whole(), 4, 4, "it holds 4 of 4 runs, 4 of them to warm up"),
        (whole(), 1, 5, "it holds 4 of 5 runs"),
        (whole(), 1, 3, "it holds 4 of 3 runs"),
        (run(0, 50), 0, 1, "it names no operator"),
        ([], 0, 1, "it holds 0 of 1 runs"),
    ],
)
def test_what_is_not_all_there_is_refused(events: list[Event], warm: int, runs: int, why: str) -> None:
    assert refused(events, warm=warm, runs=runs) == why


def test_runs_that_onnx_runtime_dropped_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [*whole(), node("a", 502, 30, "Conv")]
    monkeypatch.setattr(operator_profile, "EVENTS_KEPT", len(events))

    found = operators_of(events, warm=1, runs=9)

    assert (found.runs, found.total_ns) == (3, 50_000)
    assert found.notes == (f"4 of 9 runs are in the profile: ONNX Runtime keeps {len(events)} events",)


def test_a_profile_too_large_to_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text_of(whole()), encoding="utf-8")
    assert read_operators(path, warm=1, runs=4).runs == 3
    with path.open("ab") as file:
        file.truncate(300 * 2**20)

    with pytest.raises(CaseError) as raised:
        read_operators(path, warm=1, runs=4)

    assert str(raised.value) == f"{PREFIX}it has 300 MiB, 256 are read; one run has too many calls"


def test_a_cuda_session_s_first_run_is_left_out() -> None:
    found = operators_of(read_events(CUDA_RUN), warm=1, runs=2)

    assert [(it.provider, it.op_type, it.time_ns) for it in found.operators] == [
        (CUDA, "Conv", 87_000),
        (CPU, "Flatten", 23_000),
    ]
    assert (found.run_ns, found.between_ns) == (320_000, 210_000)


def test_a_profile_without_providers_is_refused() -> None:
    assert refused(read_events(DML), warm=0, runs=1) == (
        "node 'DmlFusedNode_0_41_kernel_time' names no provider or operator"
    )
