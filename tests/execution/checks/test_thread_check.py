"""Races and hangs planted in a custom operator, and cases that have none, with a real ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from ort_models import NoHooks, add_relu, case
from planted_ops import HANG, RACE, needs_compiler, planted_case

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.checks.checked_case import CheckedCase
from pytest_ortperf.execution.checks.threads import ONE_SESSION, OWN_SESSIONS, check_threads
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.checks import SAME, STUCK, UNTOLD, WRONG, ThreadCheck


@pytest.fixture
def journal() -> Iterator[Journal]:
    with closing(Journal()) as opened:
        yield opened


def checked(of: Case, journal: Journal, *, threads: int = 3, seconds: float = 0.2, stuck_s: float = 10) -> ThreadCheck:
    work = CheckedCase(case=of, settings=ExecutionSettings(), hooks=NoHooks(), facts=RecordBuilder(journal=journal))
    return check_threads(work, threads, seconds=seconds, stuck_s=stuck_s, deadline_s=60)


def test_a_case_without_a_race_gives_the_same_bits_in_all_threads(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "m.onnx").write_bytes(add_relu())
    check = checked(case(tmp_path / "m.onnx"), journal)
    assert (check.verdict, check.threads, check.wrong) == (SAME, 3, 0)
    assert [(run.sessions, run.verdict, run.inputs) for run in check.runs] == [
        (ONE_SESSION, SAME, 3),
        (OWN_SESSIONS, SAME, 3),
    ]
    assert all(count >= 5 for run in check.runs for count in run.iterations)


@needs_compiler
def test_a_buffer_that_threads_share_makes_outputs_wrong(tmp_path: Path, journal: Journal) -> None:
    check = checked(planted_case(tmp_path, RACE), journal)
    assert check.verdict == WRONG
    assert [run.verdict for run in check.runs] == [WRONG, WRONG]
    first = check.runs[0]
    assert 0 < first.wrong <= first.differing <= sum(first.iterations)
    assert first.messages[0].startswith("thread ")
    assert "output 'y'" in first.messages[0]


@needs_compiler
def test_threads_that_hang_are_named_and_no_more_is_started(tmp_path: Path, journal: Journal) -> None:
    check = checked(planted_case(tmp_path, HANG), journal, threads=2, stuck_s=0.5)
    (run,) = check.runs
    assert (check.verdict, run.sessions, run.verdict) == (STUCK, ONE_SESSION, STUCK)
    assert all(f"thread {number} of 2 is stuck in iteration" in " ".join(run.messages) for number in (1, 2))


def test_outputs_that_one_thread_does_not_repeat_tell_nothing(tmp_path: Path, journal: Journal) -> None:
    node = helper.make_node("RandomNormalLike", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [8]) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    check = checked(case(path), journal, threads=2)
    assert [run.verdict for run in check.runs] == [UNTOLD]
