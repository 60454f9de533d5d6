"""One case that is measured turn by turn: what is ready before the first, what a turn holds, and where one fails."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest

from execution.ort_models import NoHooks, add_relu, case
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.interleaved import WARM_S, InterleavedWorker, _settled
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal(captures=False)
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture(autouse=True)
def garbage_collection() -> Iterator[None]:
    """The collector is switched off for good by what lives for one pair alone."""
    yield
    gc.enable()


def benchmark(folder: Path, provider: str = "cpu") -> Case:
    path = folder / "m.onnx"
    path.write_bytes(add_relu())
    return dataclasses.replace(case(path, provider), mode="benchmark")


def worker_of(
    folder: Path, facts: RecordBuilder, *, provider: str = "cpu", timing: tuple[str, ...] = ("host",)
) -> InterleavedWorker:
    return InterleavedWorker(benchmark(folder, provider), ExecutionSettings(timing=timing), facts, NoHooks())


@pytest.mark.parametrize("timing", ["host", "bound", "bound+copies"])
def test_a_case_is_open_warm_and_takes_turns(tmp_path: Path, facts: RecordBuilder, timing: str) -> None:
    worker = worker_of(tmp_path, facts, timing=(timing,))
    opened = worker.open()
    assert opened.timing == timing
    assert 0 < opened.run_ns < 1e9 * WARM_S
    assert facts.session is not None
    assert (opened.session_creation_ns, opened.first_run_ns) == (facts.session.creation_ns, facts.session.first_run_ns)
    assert opened.first_run_ns is not None
    assert not gc.isenabled()
    for runs, lead_in in ((5, 0), (1, 3)):
        turn = worker.turn(runs, lead_in)
        assert turn["sm_clock_mhz"] is None
        assert len(turn["ns"]) == runs
        assert min(turn["ns"]) > 0
    assert facts.placement is not None
    assert facts.latencies == ()


def test_runs_of_the_lead_in_are_made_and_not_timed(
    tmp_path: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    run = onnxruntime.InferenceSession.run

    def counted(*args: object) -> object:
        calls.append(1)
        return run(*args)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counted)
    worker = worker_of(tmp_path, facts)
    worker.open()
    calls.clear()
    assert len(worker.turn(7, 3)["ns"]) == 7
    assert len(calls) == 10


def test_a_run_that_fails_in_a_turn_fails_the_case_in_stage_timing(
    tmp_path: Path, facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = onnxruntime.InferenceSession.run
    broken = []

    def run_or_fail(*args: object) -> object:
        if broken:
            raise RuntimeError("no more")
        return run(*args)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run_or_fail)
    worker = worker_of(tmp_path, facts)
    worker.open()
    broken.append(1)
    with pytest.raises(CaseError, match=r"^the run failed: RuntimeError: no more\nThese sizes were assumed") as caught:
        worker.turn(1, 0)
    assert (caught.value.stage, caught.value.kind) == ("timing", "runtime error")
    assert facts.journal.latest("stage") == "timing"


def test_a_turn_before_the_case_is_open_is_a_mistake_of_ours(tmp_path: Path, facts: RecordBuilder) -> None:
    with pytest.raises(RuntimeError, match=r"^the case is not open$"):
        worker_of(tmp_path, facts).turn(1, 0)


def test_a_timing_mode_that_the_provider_has_not_is_told(tmp_path: Path, facts: RecordBuilder) -> None:
    with pytest.raises(CaseError) as caught:
        worker_of(tmp_path, facts, timing=("graph",)).open()
    assert str(caught.value) == (
        "graph cannot be measured: CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have. Try "
        "--ortperf-timing=host"
    )
    assert (caught.value.stage, caught.value.kind) == ("timing", "timing unavailable")


def test_a_program_of_its_own_cannot_be_stopped_between_iterations(tmp_path: Path, facts: RecordBuilder) -> None:
    with pytest.raises(CaseError) as caught:
        worker_of(tmp_path, facts, provider="trtexec").open()
    assert str(caught.value) == (
        "trtexec runs a program of its own, which cannot be stopped between two iterations; pairs are of ONNX "
        "Runtime's providers"
    )
    assert (caught.value.stage, caught.value.kind) == ("settings", "timing unavailable")


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [
        ([None], True),
        ([1980], False),
        ([1200, 1980], False),
        ([1200, 1600, 1980], False),
        ([1200, 1980, 1970, 1950], True),
        ([1980, 1980, None], True),
        ([1000, 1980, 1980, 1980], True),
    ],
)
def test_a_clock_is_settled_once_three_readings_are_alike(clocks: list[int | None], *, expected: bool) -> None:
    assert _settled(clocks) is expected
