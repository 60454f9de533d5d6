from __future__ import annotations

import random
from dataclasses import replace

import pytest
from fake_time import MS, FakeTime

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.warm_up import WarmUp, agree, warm_up, window_runs

THOROUGH = ExecutionSettings(precision_target=0.01, min_time_s=2.0, max_time_s=30.0)


def noise(mean_ms: float, count: int, share: float = 0.01) -> list[float]:
    source = random.Random(1)  # noqa: S311 - noise
    return [source.gauss(mean_ms, mean_ms * share) for _ in range(count)]


@pytest.mark.parametrize("wanted", [0, 1, 12])
def test_warm_up_is_as_long_as_asked_for(wanted: int) -> None:
    time = FakeTime(500)
    warm = warm_up(time.call, ExecutionSettings(warmup=wanted), clock=time.clock)
    assert warm.iterations == time.calls == wanted
    assert (warm.ns, warm.steady) == (wanted * 500 * MS, None)
    assert warm.run_ns == (500 * MS if wanted else None)


def test_runs_that_always_take_the_same_end_after_two_windows() -> None:
    time = FakeTime(20)
    assert warm_up(time.call, THOROUGH, clock=time.clock) == WarmUp(
        iterations=25 + 40, ns=65 * 20 * MS, steady=True, run_ns=20 * MS
    )


def test_quick_runs_have_windows_of_a_quarter_of_a_second() -> None:
    time = FakeTime(1)
    warm = warm_up(time.call, THOROUGH, clock=time.clock)
    assert warm.steady
    assert warm.ns / 1e9 == pytest.approx(1.0, abs=0.06)


def test_warm_up_lasts_until_runs_no_longer_become_faster() -> None:
    time = FakeTime(*(40 - min(number, 100) * 0.3 for number in range(120)))
    warm = warm_up(time.call, THOROUGH, clock=time.clock)
    assert warm.steady
    assert 120 < warm.iterations < 145


def test_what_never_agrees_ends_after_three_hundred_runs_and_says_so() -> None:
    time = FakeTime(*(15 * 1.01**number for number in range(400)))
    warm = warm_up(time.call, replace(THOROUGH, max_time_s=1e6), clock=time.clock)
    assert warm.steady is False
    assert 10 < warm.ns / 1e9 < 10.2


def test_what_never_agrees_ends_after_three_hundred_runs() -> None:
    time = FakeTime(*(15 + 15 * (number % 97) for number in range(20)), *(20 + number % 41 for number in range(800)))
    warm = warm_up(time.call, THOROUGH, lambda: False, time.clock)
    assert warm.steady is False
    assert warm.ns / 1e9 > 9 or warm.iterations >= 300


def test_what_else_must_hold_is_asked_until_it_does() -> None:
    time, answers = FakeTime(20), iter([False, False, True])
    warm = warm_up(time.call, THOROUGH, lambda: next(answers), time.clock)
    assert (warm.iterations, warm.steady) == (65 + 2, True)


def test_slow_runs_have_shorter_windows() -> None:
    time = FakeTime(*noise(1_000, 40))
    warm = warm_up(time.call, THOROUGH, clock=time.clock)
    assert (warm.iterations, warm.steady) == (3 + 8, True)


def test_of_runs_too_slow_for_windows_nothing_is_said() -> None:
    time = FakeTime(4_000)
    warm = warm_up(time.call, THOROUGH, clock=time.clock)
    assert (warm.iterations, warm.steady) == (3, None)


@pytest.mark.parametrize(
    ("run_ms", "runs"), [(0, 20), (0.01, 25_000), (12.5, 20), (100, 20), (500, 9), (1_500, 3), (1_600, None)]
)
def test_windows_fit_the_time_of_a_run(run_ms: float, runs: int | None) -> None:
    assert window_runs(run_ms * MS, 10_000 * MS) == runs


WINDOW = list(range(1000, 1020))


@pytest.mark.parametrize(
    ("later", "alike"),
    [
        (WINDOW, True),
        ([it + 40 for it in WINDOW], True),
        ([it + 60 for it in WINDOW], False),
        ([1010 + (it - 1010) * 2 for it in WINDOW], False),
    ],
)
def test_windows_agree_in_level_and_spread(later: list[int], *, alike: bool) -> None:
    assert agree(WINDOW, later) is alike


def test_first_run_of_the_window_is_no_outlier() -> None:
    assert agree([1025, *WINDOW[1:]], WINDOW)
    assert not agree([1100, *WINDOW[1:]], WINDOW)


def test_spread_of_a_few_runs_is_not_looked_at() -> None:
    assert agree([1000, 1001, 1010], [1000, 1001, 1002])
