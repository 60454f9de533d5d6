from __future__ import annotations

import os
from itertools import count

import pytest

from pytest_ortperf.execution.machine import canary
from pytest_ortperf.execution.machine.canary import judge_canary, run_canary, run_canary_in_child
from pytest_ortperf.records.environment.machine_checks import Canary, CanaryPart

PIECES = ["compute", "memory", "interpreter", "handoff"]


def of(**fast_ns: int) -> Canary:
    return Canary(parts={name: CanaryPart(fast_ns=ns, median_ns=ns, repeats=5) for name, ns in fast_ns.items()})


def test_each_piece_is_timed_at_least_five_times() -> None:
    ticks = count(step=100)
    result = run_canary(0.0, clock=lambda: next(ticks))
    found = {name: (part.fast_ns, part.median_ns, part.repeats) for name, part in result.parts.items()}
    assert found == dict.fromkeys(PIECES, (100, 100, 5))


def test_a_canary_in_a_child_comes_back() -> None:
    result = run_canary_in_child(0.01)
    assert isinstance(result, Canary)
    assert list(result.parts) == PIECES
    assert all(0 < part.fast_ns <= part.median_ns for part in result.parts.values())


def test_a_child_that_dies_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "run_canary", lambda _: os._exit(3))
    assert run_canary_in_child(0.01) == "its process died"


def test_drift_is_told_with_its_sign() -> None:
    same = judge_canary(of(compute=100, memory=1000), of(compute=104, memory=960))
    assert (same.level, same.seen) == ("ok", "compute +4.0 %, memory -4.0 % from the start to the end of the run")
    off = judge_canary(of(compute=100), of(compute=106))
    assert (off.level, off.seen) == ("warning", "compute +6.0 % from the start to the end of the run")


def test_without_two_canaries_drift_is_unknown() -> None:
    assert judge_canary("its process died", of(compute=1)).seen == "its process died"
    assert judge_canary(of(compute=1), "its process died").seen == "its process died"
    assert judge_canary(None, None).seen == "it was not run"
    assert judge_canary(None, None).level == "unknown"
