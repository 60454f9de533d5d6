"""Leaks planted in a custom operator, and cases that have none, with a real ONNX Runtime."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ort_models import NoHooks, add_relu, case
from planted_ops import CRASH, LEAK_RUN, LEAK_SESSION, needs_compiler, planted_case

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.checks.checked_case import CheckedCase, CheckEndedError
from pytest_ortperf.execution.checks.leaks import HEAP, MEMORY, check_leaks
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.checks import LEAK, NO_LEAK, RUNS, SESSIONS, Growth, LeakCheck


@pytest.fixture
def journal() -> Iterator[Journal]:
    with closing(Journal()) as opened:
        yield opened


def checked(of: Case, journal: Journal) -> CheckedCase:
    return CheckedCase(case=of, settings=ExecutionSettings(), hooks=NoHooks(), facts=RecordBuilder(journal=journal))


def growths(check: LeakCheck) -> dict[tuple[str, str], Growth]:
    return {(each.calls_of, each.name): each for each in check.growths}


@pytest.mark.slow
def test_a_clean_case_is_not_accused_and_all_readings_are_there(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "m.onnx").write_bytes(add_relu())
    work = checked(case(tmp_path / "m.onnx"), journal)
    check = check_leaks(work, 10, 60)
    assert (check.verdict, dict(check.absent), check.advice) == (NO_LEAK, {}, ())
    names = {name for _, name in growths(check)}
    assert names == {HEAP, MEMORY, "file descriptors", "threads"}
    assert all(len(growth.calls) >= 6 for growth in check.growths)
    assert work.facts.model_fact is not None
    assert work.facts.placement is not None


@pytest.mark.slow
@needs_compiler
def test_a_leak_of_each_run_is_found_and_the_sessions_are_not_blamed(tmp_path: Path, journal: Journal) -> None:
    check = check_leaks(checked(planted_case(tmp_path, LEAK_RUN), journal), 20, 60)
    found = growths(check)
    heap = found[RUNS, HEAP]
    assert (check.verdict, heap.verdict, heap.without_arena) == (LEAK, LEAK, LEAK)
    assert 1024 <= heap.low <= heap.per_call <= heap.high < 1100
    assert found[SESSIONS, HEAP].verdict == NO_LEAK
    assert (check.worst(RUNS) or 0) >= 1024
    assert check.worst(SESSIONS) == 0
    assert "with the arena off too" in check.advice[0]


@pytest.mark.slow
@needs_compiler
def test_a_leak_of_each_session_is_found_and_the_runs_are_not_blamed(tmp_path: Path, journal: Journal) -> None:
    check = check_leaks(checked(planted_case(tmp_path, LEAK_SESSION), journal), 20, 60)
    found = growths(check)
    assert found[RUNS, HEAP].verdict == NO_LEAK
    assert found[SESSIONS, HEAP].verdict == LEAK
    assert 4096 <= found[SESSIONS, HEAP].per_call < 4500
    assert {found[each, "file descriptors"].verdict for each in (RUNS, SESSIONS)} == {NO_LEAK}


class OneMoreFile(NoHooks):
    """Hooks that open a file before each session and never close it."""

    def configure_session(self, session_options: object) -> None:  # noqa: ARG002
        import os

        os.open("/dev/null", os.O_RDONLY)


@pytest.mark.slow
def test_file_descriptors_that_stay_open_are_found(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "m.onnx").write_bytes(add_relu())
    work = CheckedCase(
        case=case(tmp_path / "m.onnx"),
        settings=ExecutionSettings(),
        hooks=OneMoreFile(),
        facts=RecordBuilder(journal=journal),
    )
    found = growths(check_leaks(work, 10, 60))
    assert found[RUNS, "file descriptors"].verdict == NO_LEAK
    files = found[SESSIONS, "file descriptors"]
    assert (files.verdict, files.per_call, files.low, files.high) == (LEAK, 1, 1, 1)


def test_a_case_that_cannot_be_run_ends_the_check_with_its_failure(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(CheckEndedError) as caught:
        check_leaks(checked(case(tmp_path / "m.onnx"), journal), 10, 60)
    failure = caught.value.failure
    assert failure is not None
    assert (failure.kind, failure.stage) == ("model error", "model")


@needs_compiler
def test_a_crash_ends_the_check_and_not_its_caller(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(CheckEndedError) as caught:
        check_leaks(checked(planted_case(tmp_path, CRASH), journal), 10, 60)
    assert caught.value.end is not None
    assert caught.value.end.signal == signal.SIGABRT
    assert journal.latest("stage") == "leaks"


def test_a_program_has_no_session_to_check(journal: Journal) -> None:
    with pytest.raises(CaseError, match="trtexec is a program: it has no session"):
        check_leaks(checked(case(provider="trtexec"), journal), 10, 60)
