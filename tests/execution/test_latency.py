from __future__ import annotations

import gc

import pytest

from pytest_ortperf.execution.latency import sample, warm_up
from pytest_ortperf.execution.settings import ExecutionSettings

MS = 1_000_000


class FakeTime:
    """A clock that only calls move: the n-th call takes `costs_ms[n]`, the last cost again and again."""

    def __init__(self, *costs_ms: float) -> None:
        self.now = 5 * MS
        self.calls = 0
        self._costs = costs_ms

    def clock(self) -> int:
        return self.now

    def call(self) -> None:
        self.now += int(self._costs[min(self.calls, len(self._costs) - 1)] * MS)
        self.calls += 1


def nothing(new: list[int]) -> None:
    del new


def test_samples_are_the_times_of_the_calls_in_order() -> None:
    time = FakeTime(3, 1, 2)
    assert sample(time.call, ExecutionSettings(iterations=3), nothing, time.clock) == (3 * MS, 1 * MS, 2 * MS)


def test_a_number_of_iterations_is_kept_however_long_they_take() -> None:
    time = FakeTime(10_000)
    assert len(sample(time.call, ExecutionSettings(iterations=4, max_time_s=0.1), nothing, time.clock)) == 4


def test_without_a_number_iterations_fill_the_time() -> None:
    time = FakeTime(5)
    assert len(sample(time.call, ExecutionSettings(max_time_s=0.1), nothing, time.clock)) == 20


def test_at_least_ten_iterations_are_timed() -> None:
    time = FakeTime(700)
    assert len(sample(time.call, ExecutionSettings(max_time_s=2), nothing, time.clock)) == 10


def test_samples_are_noted_along_the_way_each_once() -> None:
    time, noted = FakeTime(100), []
    samples = sample(time.call, ExecutionSettings(iterations=7), noted.append, time.clock)
    assert [len(chunk) for chunk in noted] == [3, 3, 1]
    assert [each for chunk in noted for each in chunk] == list(samples)


def test_what_noting_takes_is_in_no_sample() -> None:
    time = FakeTime(300)

    def slow_note(new: list[int]) -> None:
        del new
        time.now += 1_000 * MS

    assert set(sample(time.call, ExecutionSettings(iterations=5), slow_note, time.clock)) == {300 * MS}


def test_warm_up_fills_a_tenth_of_a_second_and_is_at_least_three_calls() -> None:
    settings = ExecutionSettings()
    assert warm_up((quick := FakeTime(4)).call, settings, quick.clock) == quick.calls == 25
    assert warm_up((slow := FakeTime(500)).call, settings, slow.clock) == slow.calls == 3


@pytest.mark.parametrize("wanted", [0, 1, 12])
def test_warm_up_is_as_long_as_asked_for(wanted: int) -> None:
    time = FakeTime(500)
    assert warm_up(time.call, ExecutionSettings(warmup=wanted), time.clock) == time.calls == wanted


def test_collecting_garbage_before_takes_nothing_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    time, noted = FakeTime(5), []

    def slow_collect() -> None:
        time.now += 1_000 * MS

    monkeypatch.setattr(gc, "collect", slow_collect)
    assert len(sample(time.call, ExecutionSettings(max_time_s=0.1), noted.append, time.clock)) == 20
    assert [len(chunk) for chunk in noted] == [20]


def test_garbage_is_not_collected_between_samples_and_again_afterwards() -> None:
    seen = []
    sample(lambda: seen.append(gc.isenabled()), ExecutionSettings(iterations=2), nothing)
    assert seen == [False, False]
    assert gc.isenabled()


def test_garbage_collection_comes_back_after_an_error() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        sample(fail, ExecutionSettings(iterations=1), nothing)
    assert gc.isenabled()
