"""Timing modes of a case on the CPU, whose memory can be bound too; CUDA's are tests/gpu's."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from onnx import TensorProto, helper
from ort_models import NoHooks, add_relu

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import PROVIDERS, Provider, find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution import measure
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.timing.io_binding import HOST, CannotBind, Memory
from pytest_ortperf.execution.timing.timing_modes import graph_session, memory_of, modes_of

QUICK = ExecutionSettings(iterations=10, warmup=1, operators="off", environment="off", track_memory=False)
NO_GRAPH = "CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have"


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., Case]:
    """Return a maker of benchmarks of a serialised model on the CPU."""

    def make(model: bytes, **entry: Any) -> Case:
        (tmp_path / "m.onnx").write_bytes(model)
        listed = Model(name="m", path=tmp_path / "m.onnx", origin="models.json", **entry)
        return Case(model=listed, mode="benchmark", provider=find_provider("cpu"), precision=None)

    return make


def words() -> bytes:
    """Return a model with strings in and out."""
    values = [helper.make_tensor_value_info(name, TensorProto.STRING, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("provider", "asked", "modes"),
    [
        ("cpu", (), ("host",)),
        ("openvino", (), ("host",)),
        ("dml", (), ("host",)),
        ("cuda", (), ("bound", "host")),
        ("tensorrt", (), ("bound", "host")),
        ("cpu", ("bound",), ("bound",)),
        ("cpu", ("host", "bound"), ("host", "bound")),
        ("cuda", ("graph",), ("graph", "host")),
        ("cuda", ("host", "bound+copies"), ("host", "bound+copies")),
    ],
)
def test_devices_are_measured_bound_first_and_always_as_every_other_provider_is(
    provider: str, asked: tuple[str, ...], modes: tuple[str, ...]
) -> None:
    assert modes_of(find_provider(provider), asked) == modes


def test_memory_is_the_hosts_unless_the_provider_has_its_own() -> None:
    session = onnxruntime.InferenceSession(add_relu(), providers=["CPUExecutionProvider"])
    assert memory_of(find_provider("cpu"), session) == Memory(HOST)
    assert memory_of(find_provider("openvino"), session) == Memory(HOST)
    assert memory_of(find_provider("cuda"), session) == Memory("cuda", 0)
    with pytest.raises(CannotBind) as caught:
        memory_of(find_provider("webgpu"), session)
    assert str(caught.value) == (
        "how inputs are bound to the memory of WebGpuExecutionProvider was never tried by this project; bound to the "
        "host's memory, copies would hide in the time"
    )


def test_each_provider_with_graphs_has_memory_to_bind() -> None:
    def wrong(row: Provider) -> bool:
        return row.memory is None and row.graph_option is not None

    assert [row.name for row in PROVIDERS if wrong(row)] == []


def test_modes_are_measured_in_one_item_in_the_order_asked_for(
    case_of: Callable[..., Case], facts: RecordBuilder
) -> None:
    settings = dataclasses.replace(QUICK, timing=("bound+copies", "host", "bound"))
    execute(case_of(add_relu()), settings, facts, NoHooks())
    assert [latency.timing for latency in facts.latencies] == ["bound+copies", "host", "bound"]
    assert [len(latency.samples_ns) for latency in facts.latencies] == [10, 10, 10]
    assert facts.refused_timings == {}
    assert facts.timing_notes == {}
    assert facts.copies is None
    assert facts.concurrent is None


def test_a_mode_that_cannot_be_had_is_refused_with_the_reason_and_others_are_measured(
    case_of: Callable[..., Case], facts: RecordBuilder
) -> None:
    settings = dataclasses.replace(QUICK, timing=("graph", "bound", "host"))
    execute(case_of(words()), settings, facts, NoHooks())
    assert [latency.timing for latency in facts.latencies] == ["host"]
    assert facts.refused_timings == {
        "bound": "input 'x' holds strings, which IO binding does not take",
        "graph": NO_GRAPH,
    }


def test_a_case_none_of_whose_modes_can_be_had_fails(case_of: Callable[..., Case], facts: RecordBuilder) -> None:
    with pytest.raises(CaseError) as caught:
        execute(case_of(add_relu()), dataclasses.replace(QUICK, timing=("graph",)), facts, NoHooks())
    assert str(caught.value) == f"--ortperf-timing=graph cannot be measured: {NO_GRAPH}"
    assert (caught.value.stage, caught.value.kind) == ("timing", "timing unavailable")
    assert facts.latencies == ()


def test_a_graph_that_onnx_runtime_refuses_is_told_in_its_words(case_of: Callable[..., Case]) -> None:
    case = case_of(add_relu())
    on_cuda = dataclasses.replace(case, provider=find_provider("cuda"))
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(CannotBind, match="CUDAExecutionProvider") as caught:
        graph_session(add_relu(), on_cuda, QUICK, NoHooks())
    assert isinstance(caught.value.__cause__, CaseError)


@pytest.mark.parametrize(("timing", "expected"), [((), "host"), (("host", "bound"), "bound")])
def test_threads_on_one_session_are_measured_apart(
    case_of: Callable[..., Case], facts: RecordBuilder, timing: tuple[str, ...], expected: str
) -> None:
    settings = dataclasses.replace(QUICK, timing=timing, concurrency=3, min_time_s=0.05)
    execute(case_of(add_relu()), settings, facts, NoHooks())
    assert facts.concurrent is not None
    assert facts.concurrent.timing == expected
    assert len(facts.concurrent.iterations) == 3
    assert min(facts.concurrent.iterations) > 10
    assert facts.concurrent.batch == 1
    assert {latency.timing for latency in facts.latencies} == set(timing or ("host",))
    assert "concurrency" in facts.stage_ns


def test_inputs_rotate_where_the_user_asks_and_the_record_says_so(
    case_of: Callable[..., Case], facts: RecordBuilder
) -> None:
    settings = dataclasses.replace(QUICK, timing=("host", "bound+copies"), rotate_inputs=4)
    execute(case_of(add_relu()), settings, facts, NoHooks())
    assert facts.timing_notes == {
        "host": "inputs rotate over 4 buffers",
        "bound+copies": "inputs rotate over 4 buffers",
    }


@pytest.mark.slow
def test_the_session_that_was_measured_is_gone_before_the_one_of_the_graph_is_made(
    case_of: Callable[..., Case], facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[weakref.ref[Any]] = []

    class Seeing(NoHooks):
        def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
            seen.append(weakref.ref(session))

    def no_graph(*_: Any) -> None:
        raise CannotBind(f"{len(seen)} sessions seen, alive: {sum(ref() is not None for ref in seen)}")

    monkeypatch.setattr(measure, "graph_session", no_graph)
    settings = dataclasses.replace(QUICK, timing=("graph", "bound", "bound+copies", "host"), concurrency=2)
    execute(case_of(add_relu()), settings, facts, Seeing())
    assert facts.refused_timings == {"graph": "1 sessions seen, alive: 0"}
    assert [latency.timing for latency in facts.latencies] == ["bound", "bound+copies", "host"]
