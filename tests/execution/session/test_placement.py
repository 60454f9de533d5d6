from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import pytest
from ort_models import CPU, case, folding
from profiles import node, text_of
from profiles import run as run_of

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import case_data
from pytest_ortperf.execution.inputs.tensor_values import run
from pytest_ortperf.execution.session.creation import session_options
from pytest_ortperf.execution.session.placement import (
    assignment_is_complete,
    completed,
    elsewhere_text,
    placement_of_profile,
    read_placement,
    refuse_unknown_placement,
    require_placement,
)
from pytest_ortperf.execution.session.profile_events import Event
from pytest_ortperf.execution.session.session_config import SessionConfig
from pytest_ortperf.records.record import Placement

CUDA = "CUDAExecutionProvider"
ROOT = Path(__file__).parents[3]
BUNDLED = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.onnx"))


def placed(**op_types: Mapping[str, int]) -> Placement:
    """Return a placement; `cpu` and `cuda` are the providers' names."""
    named = {{"cpu": CPU, "cuda": CUDA}[name]: types for name, types in op_types.items()}
    return Placement(
        nodes_by_provider={name: sum(types.values()) for name, types in named.items()},
        op_types_by_provider=named,
        source="assignment info",
    )


def both_ways(name: str, graph_optimization: str, folder: Path) -> tuple[Placement, Placement]:
    """Run a bundled model once; return its placement as a profile tells it, and as the session does."""
    path = ROOT / "models" / name
    options = session_options(SessionConfig(graph_optimization=graph_optimization))
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(path / "model.onnx", options, providers=[CPU])
    this = case(path / "model.onnx", test_data=path)
    run(session, None, next(iter(case_data(session, this, ExecutionSettings()))).inputs)
    profiled = placement_of_profile(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return profiled, read_placement(session)


@pytest.mark.parametrize("name", BUNDLED)
def test_profile_tells_what_the_session_tells(name: str, tmp_path: Path) -> None:
    profiled, told = both_ways(name, "disable", tmp_path)

    assert told.total_nodes > 0
    assert (profiled.source, told.source) == ("profile", "assignment info")
    assert profiled.op_types_by_provider == told.op_types_by_provider
    assert profiled.nodes_by_provider == told.nodes_by_provider


def test_session_tells_nodes_as_assigned_and_a_profile_after_the_provider_s_fusions(tmp_path: Path) -> None:
    profiled, told = both_ways("small_cnn", "all", tmp_path)

    assert told.op_types_by_provider[CPU]["Relu"] == 9
    assert "Relu" not in profiled.op_types_by_provider[CPU]
    assert (list(profiled.nodes_by_provider), list(told.nodes_by_provider)) == ([CPU], [CPU])


def test_node_that_ran_often_counts_once() -> None:
    events = run_of(
        0,
        80,
        Event("Node", "a_fence_before", 1, 2, 3, None, "Add"),
        node("a", 5, 7),
        node("a", 15, 7),
        node("b", 25, 7, "Conv", provider=CUDA),
    )

    assert placement_of_profile(text_of(events)) == Placement(
        nodes_by_provider={CPU: 1, CUDA: 1},
        op_types_by_provider={CPU: {"Add": 1}, CUDA: {"Conv": 1}},
        source="profile",
    )


def test_profile_that_was_cut_off_is_not_read() -> None:
    with pytest.raises(CaseError) as raised:
        placement_of_profile('[{"cat": "Node", "na')

    assert str(raised.value) == (
        "ONNX Runtime's profile cannot be read: "
        "it is not JSON (Unterminated string starting at: line 1 column 18 (char 17))"
    )


def test_folded_graph_has_no_nodes_and_passes() -> None:
    session = onnxruntime.InferenceSession(
        folding(), session_options(SessionConfig(graph_optimization="all")), providers=[CPU]
    )
    placement = read_placement(session)

    assert placement.total_nodes == 0
    require_placement(case(provider="cuda"), placement, 0)


@pytest.mark.parametrize(
    ("placement", "allowed", "message"),
    [
        (
            placed(cpu={"Add": 2, "Conv": 7}),
            100,
            f"asked for {CUDA}, 0 of 9 nodes ran there; {CPU} got 7 Conv, 2 Add",
        ),
        (
            placed(cpu={"Add": 1}, cuda={"Conv": 2}),
            33.3,
            (
                f"asked for {CUDA}, 2 of 3 nodes ran there: 33.3 % elsewhere, 33.3 % allowed by --ortperf-fallback; "
                f"{CPU} got 1 Add"
            ),
        ),
        (
            placed(cpu={"Add": 1}, cuda={"Conv": 2}),
            0,
            (
                f"asked for {CUDA}, 2 of 3 nodes ran there: 33.3 % elsewhere, 0 % allowed by --ortperf-fallback; "
                f"{CPU} got 1 Add"
            ),
        ),
    ],
)
def test_too_little_on_the_provider_is_a_failure(placement: Placement, allowed: float, message: str) -> None:
    with pytest.raises(CaseError) as raised:
        require_placement(case(provider="cuda"), placement, allowed)

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (message, "placement", "fallback")


def test_error_in_the_log_says_why_a_provider_took_nothing() -> None:
    log = ("[W:onnxruntime:, a.cc:1 F] slow", "[E:onnxruntime:, b.cc:2 G] no backend library")

    with pytest.raises(CaseError) as raised:
        require_placement(case(provider="cuda"), placed(cpu={"Add": 1}), 100, lambda: log)

    assert str(raised.value) == f"asked for {CUDA}, 0 of 1 nodes ran there; {CPU} got 1 Add; no backend library"


@pytest.mark.parametrize("allowed", [33.4, 100])
def test_allowed_share_elsewhere_passes(allowed: float) -> None:
    require_placement(case(provider="cuda"), placed(cpu={"Add": 1}, cuda={"Conv": 2}), allowed)


def test_operator_types_elsewhere_are_told_most_frequent_first_and_six_of_them() -> None:
    types = {name: count for count, name in enumerate("ABCDEFGH", 1)}

    assert elsewhere_text(placed(cpu=types, cuda={"Z": 1}), CUDA) == (
        f"{CPU} got 8 H, 7 G, 6 F, 5 E, 4 D, 3 C and 2 more types"
    )


@pytest.mark.parametrize(
    ("version", "complete"),
    [("1.24.4", False), ("1.26.0", False), ("1.27.0", True), ("1.32.0.dev20261101+cu130", True), ("2.0.0", True)],
)
def test_older_runtimes_leave_nodes_out(version: str, complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a parameter
    monkeypatch.setattr(onnxruntime, "__version__", version)

    assert assignment_is_complete() is complete


def test_nodes_that_ran_and_were_not_told_of_are_added() -> None:
    told = placed(cpu={"FusedConv": 1}, cuda={"Add": 2})
    unfused = placed(cpu={"Conv": 1, "Relu": 1}, cuda={"Add": 2})
    ran = dataclasses.replace(
        placed(cpu={"Conv": 1, "Relu": 1, "Det": 2}, cuda={"whole subgraph": 1}), source="profile"
    )

    assert completed(told, unfused, ran) == Placement(
        nodes_by_provider={CPU: 3, CUDA: 2},
        op_types_by_provider={CPU: {"FusedConv": 1, "Det": 2}, CUDA: {"Add": 2}},
        source="assignment info and profile",
    )
    nothing_more = dataclasses.replace(ran, op_types_by_provider={CPU: {"Conv": 1}, CUDA: {"subgraph": 1}})
    assert completed(told, unfused, nothing_more) is told


def test_casts_that_were_added_are_no_nodes_of_the_model() -> None:
    events = run_of(0, 80, node("InsertedPrecisionFreeCast_x", 5, 7, "Cast"), node("own", 15, 7, "Cast"))

    assert placement_of_profile(text_of(events)).op_types_by_provider == {CPU: {"Cast": 1}}


@pytest.mark.parametrize(
    ("told", "allowed", "message"),
    [
        (None, 100, f"asked for {CUDA}, and whether any node ran there is unknown: no profile"),
        (placed(cpu={"Add": 1}), 100, f"asked for {CUDA}, and whether any node ran there is unknown: no profile"),
        (
            placed(cuda={"Add": 1}),
            33.3,
            (
                f"asked for {CUDA}, and how many nodes ran elsewhere is unknown, while --ortperf-fallback allows 33.3 "
                "%: no profile"
            ),
        ),
    ],
)
def test_unknown_placement_is_a_failure_where_it_matters(told: Placement | None, allowed: float, message: str) -> None:
    with pytest.raises(CaseError) as raised:
        refuse_unknown_placement(case(provider="cuda"), told, [CUDA, CPU], allowed, "no profile")

    assert (str(raised.value), raised.value.stage, raised.value.kind) == (message, "placement", "fallback")


def test_unknown_placement_passes_where_all_is_allowed_or_there_is_one_provider() -> None:
    refuse_unknown_placement(case(provider="cuda"), placed(cuda={"Add": 1}), [CUDA, CPU], 100, "no profile")
    refuse_unknown_placement(case(), None, [CPU], 0, "no profile")
