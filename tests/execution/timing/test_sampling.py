from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fake_time import MS, FakeTime

from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.timing.sampling import Progress, block_runs, sample
from pytest_ortperf.execution.timing.warm_up import WarmUp
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.statistics import compute

THOROUGH = ExecutionSettings(precision_target=0.01, min_time_s=2.0, max_time_s=30.0)


class Told:
    """What sampling told: chunks of samples and progress."""

    def __init__(self) -> None:
        self.chunks: list[list[int]] = []
        self.progress: list[Progress] = []

    def __call__(self, new: Sequence[int], progress: Progress) -> None:
        self.chunks.append(list(new))
        self.progress.append(progress)


def noisy(mean_ms: float, share: float, *, count: int = 5000, seed: int = 1) -> FakeTime:
    source = random.Random(seed)  # noqa: S311 - noise
    return FakeTime(*(source.gauss(mean_ms, mean_ms * share) for _ in range(count)))


def quiet() -> FakeTime:
    return FakeTime(*([4.99, 5, 5.01, 5] * 1000))


def test_samples_are_the_times_of_the_calls_in_order() -> None:
    time = FakeTime(3, 1, 2)
    sampled = sample(time.call, ExecutionSettings(iterations=3), Told(), clock=time.clock)
    assert sampled.samples_ns == (3 * MS, 1 * MS, 2 * MS)
    assert (sampled.stop_reason, sampled.status, sampled.precision_target) == ("iterations", "fixed", 0.03)


@pytest.mark.parametrize("run_ns", [None, 10_000 * MS])
def test_a_number_of_iterations_is_kept_however_long_they_take(run_ns: float | None) -> None:
    time = FakeTime(10_000)
    settings = ExecutionSettings(iterations=4, max_time_s=0.1)
    assert len(sample(time.call, settings, Told(), run_ns, time.clock).samples_ns) == 4


def test_quiet_runs_are_enough_after_the_least_time() -> None:
    time = quiet()
    sampled = sample(time.call, THOROUGH, Told(), 5 * MS, time.clock)
    assert (sampled.stop_reason, sampled.status, sampled.block_iterations) == ("target", "stable", 10)
    assert sum(sampled.samples_ns) / 1e9 == pytest.approx(2, abs=0.06)
    assert sampled.precision_target == 0.01


def test_noisier_runs_take_longer_for_the_same_precision() -> None:
    settings = replace(THOROUGH, min_time_s=0.1)
    counts = [
        len(sample(time.call, settings, Told(), 5 * MS, time.clock).samples_ns) for time in (quiet(), noisy(5, 0.15))
    ]
    assert counts[0] == 100
    assert counts[1] > 300


def test_what_would_take_far_too_long_ends_after_a_third_of_the_time_and_says_so() -> None:
    time = noisy(5, 0.4, count=10_000)
    settings = replace(THOROUGH, precision_target=0.001)
    sampled = sample(time.call, settings, Told(), 5 * MS, time.clock)
    assert (sampled.stop_reason, sampled.status) == ("out of reach", "unstable")
    assert sum(sampled.samples_ns) / 1e9 == pytest.approx(10, abs=0.5)


def test_what_is_not_precise_in_time_ends_and_says_so() -> None:
    time = noisy(5, 0.2)
    settings = replace(THOROUGH, min_time_s=3, max_time_s=3)
    sampled = sample(time.call, settings, Told(), 5 * MS, time.clock)
    assert (sampled.stop_reason, sampled.status) == ("max time", "unstable")
    assert sum(sampled.samples_ns) / 1e9 == pytest.approx(3, abs=0.06)


def test_what_no_longer_becomes_more_precise_ends_and_says_so() -> None:
    time = FakeTime(*(5 + (number // 10) % 2 for number in range(5000)))
    sampled = sample(time.call, THOROUGH, Told(), 5 * MS, time.clock)
    assert (sampled.stop_reason, sampled.status) == ("no gain", "unstable")
    assert sum(sampled.samples_ns) / 1e9 < 3


def test_blocks_grow_while_their_medians_correlate() -> None:
    slow_waves = [5 + ((number // 60) % 2) for number in range(3000)]
    time = FakeTime(*slow_waves)
    sampled = sample(time.call, replace(THOROUGH, max_time_s=8), Told(), 5 * MS, time.clock)
    assert sampled.block_iterations >= 40


def test_slow_runs_are_blocks_of_their_own() -> None:
    time = FakeTime(3_000)
    sampled = sample(time.call, THOROUGH, Told(), 3_000 * MS, time.clock)
    assert (len(sampled.samples_ns), sampled.block_iterations, sampled.stop_reason) == (8, 1, "target")


def test_slow_runs_are_seven_at_least() -> None:
    time = FakeTime(8_000)
    sampled = sample(time.call, THOROUGH, Told(), 8_000 * MS, time.clock)
    assert (len(sampled.samples_ns), sampled.block_iterations, sampled.stop_reason) == (7, 1, "max time")


def test_little_time_is_seven_runs() -> None:
    time = noisy(700, 0.1)
    sampled = sample(time.call, replace(THOROUGH, max_time_s=0.1), Told(), 700 * MS, time.clock)
    assert (len(sampled.samples_ns), sampled.block_iterations, sampled.stop_reason) == (9, 1, "max time")


@pytest.mark.parametrize(
    ("run_ms", "runs"),
    [(0.005, 10_000), (1, 50), (5, 10), (20, 10), (27, 10), (28, 9), (50, 5), (200, 3), (999, 3), (1001, 1)],
)
def test_blocks_fit_the_time_of_a_run(run_ms: float, runs: int) -> None:
    assert block_runs(run_ms * MS, 10_000 * MS) == runs


def test_samples_are_noted_along_the_way_each_once() -> None:
    time, told = FakeTime(100), Told()
    sampled = sample(time.call, replace(THOROUGH, iterations=17), told, 100 * MS, time.clock)
    assert [len(chunk) for chunk in told.chunks] == [8, 8, 1]
    assert [each for chunk in told.chunks for each in chunk] == list(sampled.samples_ns)


def test_a_single_sample_is_noted() -> None:
    time, told = FakeTime(100), Told()
    sample(time.call, ExecutionSettings(iterations=1), told, clock=time.clock)
    assert told.chunks == [[100 * MS]]


def test_progress_says_how_far_it_is_and_how_long_it_takes() -> None:
    time, told = quiet(), Told()
    sample(time.call, THOROUGH, told, 5 * MS, time.clock)
    first, last = told.progress[0], told.progress[-1]
    assert (first.iterations, first.target, first.half_width) == (60, 0.01, 0.0)
    assert first.seconds_left == pytest.approx(1.7, abs=0.01)
    assert last.seconds_left == 0
    assert last.half_width is not None
    assert last.half_width < 0.001
    left = [it.seconds_left for it in told.progress[1:] if it.seconds_left is not None]
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(1.4, abs=0.05)


def test_progress_of_a_number_of_iterations_has_no_target() -> None:
    time, told = FakeTime(100), Told()
    sample(time.call, replace(THOROUGH, iterations=9), told, 100 * MS, time.clock)
    assert told.progress[0] == Progress(iterations=8, half_width=None, target=None, seconds_left=0.1)


def test_what_noting_takes_is_in_no_sample() -> None:
    time = FakeTime(300)

    def slow_note(new: Sequence[int], progress: Progress) -> None:
        del new, progress
        time.now += 1_000 * MS

    sampled = sample(time.call, replace(THOROUGH, iterations=5), slow_note, 300 * MS, time.clock)
    assert set(sampled.samples_ns) == {300 * MS}


def test_collecting_garbage_before_takes_nothing_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    time = quiet()

    def slow_collect() -> None:
        time.now += 1_000 * MS

    monkeypatch.setattr(gc, "collect", slow_collect)
    sampled = sample(time.call, replace(THOROUGH, min_time_s=1), Told(), 5 * MS, time.clock)
    assert sum(sampled.samples_ns) / 1e9 == pytest.approx(1, abs=0.06)


def test_garbage_is_not_collected_between_samples_and_again_afterwards() -> None:
    seen = []
    sample(lambda: seen.append(gc.isenabled()), ExecutionSettings(iterations=2), Told())
    assert seen == [False, False]
    assert gc.isenabled()


def test_garbage_collection_comes_back_after_an_error() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        sample(fail, ExecutionSettings(iterations=1), Told())
    assert gc.isenabled()


@pytest.mark.parametrize("keep", [True, False])
def test_dropped_samples_leave_their_statistics(*, keep: bool) -> None:
    time = FakeTime(3, 1, 2)
    sampled = sample(time.call, ExecutionSettings(iterations=3), Told(), clock=time.clock)
    warm = WarmUp(iterations=4, ns=12 * MS, steady=True, run_ns=3.0 * MS)
    assert sampled.latency("host", warm, 8, keep_samples=keep) == Latency(
        timing="host",
        samples_ns=(3 * MS, 1 * MS, 2 * MS) if keep else (),
        warmup_iterations=4,
        warmup_ns=12 * MS,
        steady=True,
        batch=8,
        block_iterations=1,
        stop_reason="iterations",
        status="fixed",
        precision_target=0.03,
        summary=compute((3 * MS, 1 * MS, 2 * MS), block_iterations=1, batch=8),
    )
