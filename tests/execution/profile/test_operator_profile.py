"""Operators of real sessions on the CPU, and what becomes of a benchmark whose profile fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from ort_models import CPU, NoHooks, add_relu, case, folding

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.profile import operator_profile
from pytest_ortperf.execution.profile.operator_profile import MOST_RUNS, note_operators, profile_operators
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.operators import OperatorProfile
from pytest_ortperf.records.record import Placement, SessionFact

ROOT = Path(__file__).parents[3]
BUNDLED = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.onnx"))
QUICK = ExecutionSettings(iterations=5, warmup=2)


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    """Return the empty facts of a case."""
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model file of two nodes."""
    path = tmp_path / "m.onnx"
    path.write_bytes(add_relu())
    return path


def benchmark_of(path: Path | str) -> Case:
    """Return a benchmark on the CPU."""
    return dataclasses.replace(case(path), mode="benchmark")


def looping() -> bytes:
    """Return a model of a loop that adds and takes the tangent 20 times, and a sine behind it."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["sum", "x"], ["more"]),
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Tanh", ["more"], ["bounded"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 3]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("bounded", TensorProto.FLOAT, [1, 3]),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["times", "true", "x"], ["y"], body=body),
        helper.make_node("Sin", ["y"], ["z"]),
    ]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xz")
    constants = [
        numpy_helper.from_array(np.array(20), "times"),
        numpy_helper.from_array(np.array([True]).reshape(()), "true"),
    ]
    graph = helper.make_graph(nodes, "g", [x], [z], constants)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def nodes_of(profile: OperatorProfile) -> dict[str, int]:
    return {operator.op_type: operator.nodes for operator in profile.operators}


@pytest.mark.parametrize("name", BUNDLED)
def test_times_of_bundled_models_fit_their_runs(name: str) -> None:
    path = ROOT / "models" / name
    found = profile_operators(
        str(path / "model.onnx"), case(path / "model.onnx", test_data=path), ExecutionSettings(), NoHooks()
    )

    assert found.runs == MOST_RUNS
    assert {operator.provider for operator in found.operators} == {CPU}
    assert 0 < found.total_ns <= 1.2 * found.run_ns
    assert found.between_ns is not None
    assert sum(found.share(operator.time_ns) or 0 for operator in found.operators) == pytest.approx(1)
    assert list(found.operators) == sorted(found.operators, key=lambda it: -it.time_ns)


def test_nodes_are_those_the_session_ran() -> None:
    path = ROOT / "models" / "small_cnn"
    this = case(path / "model.onnx", test_data=path)
    as_given = profile_operators(this.model.path, this, ExecutionSettings(graph_optimization="disable"), NoHooks())
    fused = profile_operators(this.model.path, this, ExecutionSettings(), NoHooks())

    assert nodes_of(as_given)["Relu"] == 9
    assert "Relu" not in nodes_of(fused)
    assert nodes_of(as_given)["Conv"] == nodes_of(fused)["Conv"] == 11


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_loop_counts_without_its_body(mode: Any, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(looping())
    found = profile_operators(
        looping(), case(tmp_path / "m.onnx"), ExecutionSettings(execution_mode=mode, inter_op_threads=2), NoHooks()
    )

    assert nodes_of(found) == {"Loop": 1, "Add": 1, "Identity": 1, "Tanh": 1, "Sin": 1}
    assert found.overlapping == (mode == "parallel")
    assert found.total_ns <= found.run_ns
    assert (found.between_ns is None) == (mode == "parallel")


def test_nothing_is_left_behind(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    profile_operators(str(model), case(model), QUICK, NoHooks())

    assert list(tmp_path.iterdir()) == [model]


def test_a_long_run_is_profiled_once_after_warm_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_profile, "MAX_S", 0.0)

    assert profile_operators(str(model), case(model), QUICK, NoHooks()).runs == 1


def test_a_benchmark_knows_its_operators(model: Path, facts: RecordBuilder) -> None:
    execute(benchmark_of(model), QUICK, facts, NoHooks())

    assert facts.operators is not None
    assert nodes_of(facts.operators) == {"Add": 1, "Relu": 1}
    assert (facts.reason, facts.kept) == (None, {})
    assert [*facts.stage_ns][-2:] == ["timing", "profile"]


def test_a_validation_does_not_ask(model: Path, facts: RecordBuilder) -> None:
    execute(case(model), QUICK, facts, NoHooks())

    assert (facts.operators, "profile" in facts.stage_ns) == (None, False)


def test_switched_off_makes_no_session(model: Path, facts: RecordBuilder) -> None:
    execute(benchmark_of(model), dataclasses.replace(QUICK, operators="off"), facts, NoHooks())

    assert (facts.operators, facts.reason, "profile" in facts.stage_ns) == (None, None, False)
    assert len(facts.latencies[0].samples_ns) == 5


def test_the_profile_that_is_kept_is_that_of_the_operators(model: Path, tmp_path: Path, facts: RecordBuilder) -> None:
    settings = dataclasses.replace(QUICK, keep=frozenset({"profile", "graph"}), keep_folder=tmp_path / "kept")
    execute(benchmark_of(model), settings, facts, NoHooks())

    folder = tmp_path / "kept" / "m_benchmark_cpu"
    assert facts.kept == {"profile": str(folder / "profile.json"), "graph": str(folder / "optimized.onnx")}
    assert facts.operators is not None
    events = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    runs = sum(event["name"] == "model_run" for event in events)
    assert runs == facts.operators.runs + operator_profile.WARM_RUNS


def test_a_profile_is_kept_where_operators_are_off(model: Path, tmp_path: Path, facts: RecordBuilder) -> None:
    settings = dataclasses.replace(QUICK, operators="off", keep=frozenset({"profile"}), keep_folder=tmp_path / "kept")
    execute(benchmark_of(model), settings, facts, NoHooks())

    assert facts.kept == {"profile": str(tmp_path / "kept" / "m_benchmark_cpu" / "profile.json")}
    assert facts.operators is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CaseError("no session\nat all", stage="session", kind="session error"), "no session"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_profile_that_fails_leaves_the_measurement(
    error: Exception, told: str, model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(operator_profile, "inspect", fail)
    execute(benchmark_of(model), QUICK, facts, NoHooks())

    assert (facts.operators, facts.reason) == (None, f"operators not profiled: {told}")
    assert len(facts.latencies[0].samples_ns) == 5
    assert facts.stage is None


def test_a_profile_that_was_cut_off_gives_a_reason(
    model: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(source: Any, case: Case, settings: ExecutionSettings, hooks: Any, runs: Any) -> int:
        del source, case, settings
        hooks.profile.write_text("[\n", encoding="utf-8")
        return len(list(runs))

    monkeypatch.setattr(operator_profile, "inspect", cut)
    note_operators(str(model), benchmark_of(model), QUICK, NoHooks(), facts)

    assert facts.operators is None
    assert facts.reason == (
        "operators not profiled: ONNX Runtime's profile cannot be read: "
        "it is not JSON (Expecting value: line 2 column 1 (char 2))"
    )


def long_facts(facts: RecordBuilder, *, creation_s: float, run_s: float) -> RecordBuilder:
    """Return the facts of a benchmark that took that long."""
    facts.session = SessionFact(
        requested_providers=(CPU,),
        active_providers=(CPU,),
        provider_options={},
        graph_optimization="all",
        intra_op_threads=None,
        creation_ns=round(100e9),
        second_creation_ns=round(creation_s * 1e9),
    )
    facts.latencies = (Latency(timing="host", samples_ns=(round(run_s * 1e9),) * 3, warmup_iterations=1),)
    return facts


@pytest.mark.parametrize(
    ("creation_s", "run_s", "expected_s"), [(11, 0.001, 11), (1, 4, 13), (9.5, 0.1, 11), (600, 0.01, 600)]
)
def test_what_takes_long_is_left_to_who_asks(
    creation_s: float, run_s: float, expected_s: int, model: Path, facts: RecordBuilder
) -> None:
    long_facts(facts, creation_s=creation_s, run_s=run_s)
    note_operators(str(model), benchmark_of(model), QUICK, NoHooks(), facts)

    assert (facts.operators, facts.reason) == (
        None,
        (
            f"operators not profiled: another session and its runs would take about {expected_s} s, over 10 s; "
            "--ortperf-operators=on does it"
        ),
    )


@pytest.mark.parametrize(("creation_s", "operators"), [(8.0, "auto"), (600.0, "on")])
def test_what_is_short_or_asked_for_is_profiled(
    creation_s: float, operators: Any, model: Path, facts: RecordBuilder
) -> None:
    long_facts(facts, creation_s=creation_s, run_s=1e-6)
    settings = dataclasses.replace(QUICK, operators=operators)
    note_operators(str(model), benchmark_of(model), settings, NoHooks(), facts)

    assert facts.operators is not None
    factor = f"{facts.operators.run_ns / 1e3:.1f}"
    assert facts.operators.notes == (
        f"a run took {factor} times as long under the profile: short operators look longer than they are",
    )
    assert facts.reason is None


def test_a_run_that_the_profile_hardly_slows_has_no_note(model: Path, facts: RecordBuilder) -> None:
    long_facts(facts, creation_s=1, run_s=0.5)
    note_operators(str(model), benchmark_of(model), QUICK, NoHooks(), facts)

    assert facts.operators is not None
    assert facts.operators.notes == ()


def test_a_folded_graph_has_no_operators_and_needs_no_reason_for_it(facts: RecordBuilder) -> None:
    facts.placement = Placement(nodes_by_provider={}, op_types_by_provider={}, source="assignment info")
    note_operators(folding(), benchmark_of("m.onnx"), QUICK, NoHooks(), facts)

    assert (facts.operators, facts.reason) == (None, None)


def test_another_reason_stays(model: Path, facts: RecordBuilder) -> None:
    long_facts(facts, creation_s=100, run_s=1).reason = "mine"
    note_operators(str(model), benchmark_of(model), QUICK, NoHooks(), facts)

    assert facts.reason == "mine"
