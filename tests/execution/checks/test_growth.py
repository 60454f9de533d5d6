"""Verdicts on growth, from readings that a test makes up."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from pytest_ortperf.execution.checks.growth import Reading, growth_of, watch
from pytest_ortperf.records.checks import LEAK, NO_LEAK, UNSURE


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long in the process of the tests alone."""
    monkeypatch.setattr("gc.collect", int)


CALLS = [10, 20, 30, 40, 50, 60]


def reading(read: Callable[[], int] = int, per_call: float = 16, per_round: float = 100) -> Reading:
    return Reading(name="heap", unit="B", read=read, noise_per_call=per_call, noise_per_round=per_round)


def values(grown: Sequence[int]) -> list[int]:
    found = [1_000_000]
    for each in grown:
        found.append(found[-1] + each)
    return found


@pytest.mark.parametrize(
    ("grown", "verdict"),
    [
        ([n * 1000 for n in CALLS], LEAK),
        ([n * 1000 + 300 for n in CALLS], LEAK),
        ([0, 0, 0, 0, 0, 0], NO_LEAK),
        ([n * 15 for n in CALLS], NO_LEAK),
        ([90, 90, 90, 90, 90, 90], NO_LEAK),
        ([4096, 8192, 16384, 0, 0, 0], NO_LEAK),
        ([2**20, 0, 2**20, 0, 0, 2**21], NO_LEAK),
        ([-5000, 0, 3000, 0, 0, 0], NO_LEAK),
        ([n * 1000 for n in CALLS[:5]] + [0], UNSURE),
        ([50_000, 50_000, 50_000, 50_000, 0, 0], UNSURE),
    ],
    ids=["leak", "with a constant", "nothing", "little a call", "little a round", "arena", "jumps", "back", "5", "4"],
)
def test_a_leak_grows_in_every_round(grown: list[int], verdict: str) -> None:
    assert growth_of(reading(), "runs", CALLS, values(grown), 0).verdict == verdict


def test_slope_and_interval_are_per_call_and_the_smallest_that_shows_is_told() -> None:
    grown = [10 * 1000, 20 * 1010, 30 * 990, 40 * 1000, 50 * 1020, 60 * 1000]
    found = growth_of(reading(), "runs", CALLS, values(grown), 0)
    assert (found.per_call, found.low, found.high, found.least) == (1000, 990, 1020, 16)
    assert growth_of(reading(per_round=3500), "runs", CALLS, values(grown), 0).least == 100
    assert (found.calls, found.grown) == (tuple(CALLS), tuple(grown))


def test_what_a_run_leaks_is_taken_off_a_session_that_has_one() -> None:
    grown = [n * 1024 for n in CALLS]
    assert growth_of(reading(), "sessions", CALLS, values(grown), 1024).verdict == NO_LEAK
    assert growth_of(reading(), "sessions", CALLS, values([n * 5120 for n in CALLS]), 1024).per_call == 4096


def test_fewer_than_six_rounds_tell_nothing() -> None:
    found = growth_of(reading(), "runs", CALLS[:5], values([n * 1000 for n in CALLS[:5]]), 0)
    assert (found.verdict, found.per_call) == (UNSURE, 1000)


def test_with_twelve_rounds_two_may_be_off() -> None:
    calls = list(range(10, 130, 10))
    leak = [n * 1000 for n in calls]
    assert growth_of(reading(), "runs", calls, values([0, 0, *leak[2:]]), 0).verdict == LEAK
    assert growth_of(reading(), "runs", calls, values([0, 0, 0, *leak[3:]]), 0).verdict == UNSURE
    assert growth_of(reading(), "runs", calls, values([0] * 6 + leak[6:]), 0).verdict == NO_LEAK


def test_random_growth_that_is_no_leak_is_seldom_accused() -> None:
    draw = random.Random(1)  # noqa: S311 - no secret
    accused = 0
    for _ in range(1000):
        grown = [draw.choice([0, 0, draw.randint(-(2**20), 2**20), 2**16]) for _ in CALLS]
        accused += growth_of(reading(), "runs", CALLS, values(grown), 0).verdict == LEAK
    assert accused <= 25


def test_calls_escalate_until_it_is_clear() -> None:
    held: list[int] = []
    rounds = watch(lambda: held.append(0), [reading(lambda: 1000 * len(held))], most_first=4, seconds=5)
    assert rounds.calls == [4, 8, 12, 16, 20, 24]
    assert [growth.verdict for growth in rounds.growths()] == [LEAK]


def test_what_is_in_doubt_gets_more_rounds() -> None:
    held: list[int] = []
    steps = iter([0, 0, 0, 10**6, 2 * 10**6, 3 * 10**6, 4 * 10**6, *[4 * 10**6] * 6])
    rounds = watch(lambda: held.append(0), [reading(lambda: next(steps))], most_first=1, seconds=5)
    assert len(rounds.calls) == 12
    assert [growth.verdict for growth in rounds.growths()] == [NO_LEAK]


def test_slow_calls_make_short_rounds_and_the_time_is_kept() -> None:
    import time

    began = time.monotonic()
    rounds = watch(lambda: time.sleep(0.005), [reading()], most_first=200, seconds=0.4)
    assert time.monotonic() - began < 0.6
    assert rounds.calls[0] < 10
    assert len(rounds.calls) >= 4
