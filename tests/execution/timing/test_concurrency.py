from __future__ import annotations

import threading
import time

import pytest

from pytest_ortperf.execution.timing.measured_session import run_concurrently


def test_threads_run_at_the_same_time_and_each_has_its_numbers() -> None:
    inside = set()
    together = []

    def call_of(name: int, seconds: float) -> object:
        def call() -> None:
            inside.add(name)
            together.append(len(inside))
            time.sleep(seconds)
            inside.discard(name)

        return call

    found = run_concurrently([call_of(0, 0.002), call_of(1, 0.05)], timing="host", window_s=0.3, batch=3)
    assert max(together) == 2
    assert found.timing == "host"
    assert found.batch == 3
    assert 1 <= found.iterations[1] <= 6
    assert found.iterations[1] < found.iterations[0] <= 150
    assert 0.002e9 <= found.p50_ns[0] < 0.05e9 <= found.p50_ns[1]
    assert all(0.3e9 <= taken <= found.wall_ns for taken in found.thread_ns)
    rates = [count * 1e9 / taken for count, taken in zip(found.iterations, found.thread_ns, strict=True)]
    assert found.iterations_per_s == pytest.approx(sum(rates))


def test_an_iteration_longer_than_the_window_is_finished() -> None:
    found = run_concurrently([lambda: time.sleep(0.05)], timing="host", window_s=0.001, batch=None)
    assert found.iterations == (1,)
    assert found.thread_ns[0] >= 0.05e9


def test_the_error_of_one_thread_ends_all_and_is_raised() -> None:
    calls = []

    def breaking() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise ValueError("thread 1 broke")

    others = threading.active_count()
    start = time.monotonic()
    with pytest.raises(ValueError, match="thread 1 broke"):
        run_concurrently([lambda: time.sleep(0.001), breaking], timing="host", window_s=30, batch=None)
    assert time.monotonic() - start < 10
    assert threading.active_count() <= others


def test_the_error_before_the_common_start_is_raised_not_the_broken_barrier() -> None:
    def breaking() -> None:
        raise ValueError("never ran")

    with pytest.raises(ValueError, match="never ran"):
        run_concurrently([lambda: None, breaking, lambda: None], timing="host", window_s=30, batch=None)
