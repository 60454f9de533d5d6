"""New failures and missing cases."""

from __future__ import annotations

from history.dashboard.examples import make_outcome, make_run
from pytest_ortperf.history.dashboard.lost_cases import by_run, lost_cases
from pytest_ortperf.history.dashboard.view import Outcome

RUNS = [make_run(number) for number in range(4)]


def lost(*outcomes: Outcome) -> list[tuple[str, str, str, str | None]]:
    found = lost_cases(RUNS[3], RUNS[:3], by_run(outcomes))
    return [(it.case.model, it.word, it.text, it.last_passed) for it in found]


def test_a_failure_is_new_unless_the_run_before_had_it() -> None:
    found = lost(
        make_outcome(0, "a"),
        make_outcome(1, "a"),
        make_outcome(2, "a"),
        make_outcome(3, "a", "failed", kind="session error", text="no session"),
        make_outcome(1, "b"),
        make_outcome(2, "b", "crashed"),
        make_outcome(3, "b", "failed"),
        make_outcome(3, "c", "timed_out", kind="timed out"),
        make_outcome(2, "d", "failed"),
        make_outcome(3, "d"),
    )
    assert found == [("a", "session error", "no session", RUNS[2].run), ("c", "timed out", "", None)]


def test_a_first_run_has_nothing_new() -> None:
    assert lost_cases(RUNS[0], [], by_run([make_outcome(0, "a", "failed")])) == []


def test_a_case_that_most_earlier_runs_had_is_missing() -> None:
    common = [make_outcome(number, "stays") for number in range(4)]
    found = lost(
        *common,
        make_outcome(0, "a"),
        make_outcome(2, "a", "failed"),
        make_outcome(0, "once"),
    )
    assert found == [("a", "missing", "", RUNS[0].run)]


def test_a_deselected_case_is_not_missing() -> None:
    earlier = [make_outcome(number, "a") for number in range(3)]
    run = make_run(3, deselected=frozenset({earlier[0].nodeid}))
    assert lost_cases(run, RUNS[:3], by_run(earlier)) == []
    unfinished = make_run(3, state="incomplete")
    (found,) = lost_cases(unfinished, RUNS[:3], by_run(earlier))
    assert found.text == "the run is incomplete"
