"""What counts as a change of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from history.dashboard.examples import make_run, make_series
from pytest_ortperf.history.dashboard.changes import (
    EarlierRuns,
    Level,
    levels,
    newest_runs,
    ranked,
    rule_text,
)

QUIET = (10.0, 10.1, 9.9, 10.0, 10.05)


def level_of(value: float, earlier: Sequence[float], **changes: Any) -> Level:
    series = make_series(**changes)
    found, _ = levels({1: value}, [{1: each} for each in earlier], {1: series})
    return found[1]


@pytest.mark.parametrize(
    ("value", "earlier", "is_change", "better", "word"),
    [
        (10.7, QUIET, True, -1, "slower"),
        (9.2, QUIET, True, 1, "faster"),
        (10.4, QUIET, False, 0, "slower"),  # 4 % is below the relative floor
        (10.7, (10.0, 11.0, 9.0, 10.5, 9.5), False, 0, "slower"),  # within the scatter
        (14.0, (10.0, 14.5, 9.9, 10.1, 10.05), False, 0, "slower"),  # one of five was as far away
        (14.0, (14.5, *QUIET, *QUIET[1:]), True, -1, "slower"),  # one of ten
        (14.0, (14.5, 14.0, *QUIET, *QUIET[2:]), False, 0, "slower"),  # two of ten
        (14.0, (*QUIET, 14.5, 14.0), True, -1, "slower"),  # the new level
        (0.030, (0.025,) * 5, False, 0, "slower"),  # 20 %, but 5 microseconds
        (0.036, (0.025,) * 5, True, -1, "slower"),
        (1.0, (0.0,) * 5, True, -1, "slower"),
        (0.0, (0.0,) * 5, False, 0, "faster"),
    ],
)
def test_a_change_clears_both_floors_and_the_scatter(
    value: float, earlier: Sequence[float], *, is_change: bool, better: int, word: str
) -> None:
    level = level_of(value, earlier)
    assert (level.is_change, level.better, level.word) == (is_change, better, word)


def test_more_throughput_is_better_and_memory_grows() -> None:
    assert level_of(120, (100,) * 5, unit="per s", more_is_better=True, is_time=False, floors=(0.05, 0)).better == 1
    memory = level_of(120, (100,) * 5, unit="MiB", is_time=False, floors=(0.02, 8.0))
    assert (memory.better, memory.word) == (-1, "more")


def test_two_earlier_runs_say_nothing() -> None:
    assert levels({1: 20.0}, [{1: 10.0}, {1: 10.0}, {2: 10.0}], {1: make_series()}) == ({}, [])


def test_what_all_cases_share_is_taken_out() -> None:
    series = {number: make_series(number) for number in range(10)}
    earlier = [dict.fromkeys(series, 10.0) for _ in range(5)]
    now = dict.fromkeys(series, 12.0) | {3: 15.0}
    found, (fleet,) = levels(now, earlier, series)
    assert (fleet.ratio, fleet.count) == (1.2, 10)
    assert [level.series.id for level in ranked(found.values())] == [3]
    assert found[3].median == 12.0
    assert found[3].change == pytest.approx(0.25)
    few = {number: now[number] for number in range(7)}
    found, fleets = levels(few, earlier, series)
    assert fleets == []
    assert len(ranked(found.values())) == 7


def test_the_largest_change_for_the_worse_comes_first() -> None:
    earlier = [dict.fromkeys(range(4), 10.0)] * 5
    found, _ = levels({0: 11.0, 1: 5.0, 2: 20.0, 3: 10.0}, earlier, {it: make_series(it) for it in range(4)})
    assert [level.series.id for level in ranked(found.values())] == [2, 0, 1]


def test_a_run_is_held_against_its_branch_and_machine() -> None:
    runs = [make_run(number) for number in range(15)] + [make_run(15, machine="other"), make_run(16)]
    earlier = EarlierRuns(runs)
    assert [run.id for run in earlier.of(runs[-1])] == list(range(5, 15))
    assert earlier.of(runs[-2]) == []
    assert earlier.of(runs[0]) == []


def test_a_new_branch_is_held_against_the_main_one() -> None:
    runs = [make_run(number) for number in range(6)]
    runs += [make_run(number, branch="pr-7") for number in range(6, 11)]
    earlier = EarlierRuns(runs)
    assert [run.id for run in earlier.of(runs[7])] == list(range(6))
    assert [run.id for run in earlier.of(runs[9])] == [6, 7, 8]
    assert [run.id for run in newest_runs(runs)] == [10, 5]


def test_the_rule_names_its_numbers() -> None:
    assert "5 % and 0.01 ms for the median latency, 2 % and 8 MiB for peak memory" in rule_text()
