from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.statistics import compute, percentile, summarize, throughput_per_s

samples = st.lists(st.integers(min_value=0, max_value=10**12), min_size=1, max_size=300)


def latency(*samples_ns: int, batch: int | None = None) -> Latency:
    return Latency(timing="host", samples_ns=samples_ns, warmup_iterations=0, batch=batch)


def test_a_few_samples_support_no_tail() -> None:
    assert summarize(latency(4_000_000, 1_000_000, 3_000_000, 2_000_000, batch=8)) == Summary(
        count=4,
        min_ns=1_000_000,
        max_ns=4_000_000,
        mean_ns=2_500_000.0,
        p50_ns=2_500_000.0,
        standard_deviation_ns=pytest.approx(1_290_994.4487358056),
        mad_ns=1_000_000,
        lag1_correlation=pytest.approx(-0.65),
        mild_outliers=0,
        severe_outliers=0,
        p10_ns=pytest.approx(1_300_000),
        p90_ns=None,
        p95_ns=None,
        p99_ns=None,
        throughput_per_s=3200.0,
    )


def test_one_sample_has_no_deviation() -> None:
    assert summarize(latency(5)) == Summary(
        count=1,
        min_ns=5,
        max_ns=5,
        mean_ns=5.0,
        p50_ns=5,
        standard_deviation_ns=None,
        p10_ns=5,
        p90_ns=None,
        p95_ns=None,
        p99_ns=None,
        throughput_per_s=None,
    )


@pytest.mark.parametrize(
    ("count", "known"),
    [(63, ""), (64, "90"), (129, "90"), (130, "90 95"), (661, "90 95"), (662, "90 95 99")],
)
def test_percentiles_are_stated_from_the_size_that_supports_them(count: int, known: str) -> None:
    summary = summarize(latency(*range(count)))
    stated = {"90": summary.p90_ns, "95": summary.p95_ns, "99": summary.p99_ns}
    assert " ".join(name for name, value in stated.items() if value is not None) == known


def test_nothing_has_no_statistics() -> None:
    with pytest.raises(ValueError, match=r"^a latency has at least one sample$"):
        summarize(latency())


@pytest.mark.parametrize(("batch", "mean_ns"), [(None, 1.0), (4, 0.0)])
def test_throughput_needs_a_batch_and_a_time(batch: int | None, mean_ns: float) -> None:
    assert throughput_per_s(batch, mean_ns) is None


def test_a_stored_summary_is_taken_for_samples_that_were_not_kept() -> None:
    known = compute([5, 6, 7], batch=2)
    dropped = Latency(timing="host", samples_ns=(), warmup_iterations=0, batch=2, summary=known)
    assert summarize(dropped) == known == summarize(latency(5, 6, 7, batch=2))


def test_interval_comes_from_the_medians_of_blocks() -> None:
    samples = [block * 10 + offset for block in range(12) for offset in (0, 1, 2)]
    summary = compute(samples, block_iterations=3)
    assert (summary.p50_low_ns, summary.p50_ns, summary.p50_high_ns, summary.blocks) == (21.0, 56.0, 91.0, 12)
    assert summary.half_width == pytest.approx(35 / 56)


def test_median_is_always_inside_its_interval() -> None:
    samples = [1, 1, 9, 9, 9] * 10
    summary = compute(samples, block_iterations=5)
    assert (summary.p50_low_ns, summary.p50_ns, summary.p50_high_ns) == (9, 9, 9)
    lopsided = [1, 1, 1, 100, 100] * 8 + [100] * 20
    summary = compute(lopsided, block_iterations=5)
    assert summary.p50_low_ns <= summary.p50_ns <= summary.p50_high_ns


def test_too_few_samples_for_blocks_are_blocks_of_their_own() -> None:
    six = compute([1, 2, 3, 4, 5, 6], block_iterations=10)
    assert (six.p50_low_ns, six.p50_high_ns, six.blocks) == (1, 6, 6)
    five = compute([1, 2, 3, 4, 5], block_iterations=10)
    assert (five.p50_low_ns, five.p50_high_ns, five.blocks, five.half_width) == (None, None, None, None)


def test_outliers_are_counted_and_stay_in() -> None:
    summary = compute([*range(100, 120), 135, 300])
    assert (summary.mild_outliers, summary.severe_outliers, summary.max_ns, summary.count) == (1, 1, 300, 22)


def test_variation_is_of_the_mean() -> None:
    assert compute([1, 3]).variation == pytest.approx(2**0.5 / 2)
    assert compute([1]).variation is None
    assert compute([0, 0]).variation is None


@given(samples, st.integers(min_value=0, max_value=100))
def test_percentiles_are_those_of_numpy(values: list[int], percent: int) -> None:
    assert percentile(sorted(values), percent) == pytest.approx(np.percentile(values, percent), rel=1e-9)


@given(samples)
def test_statistics_are_those_of_numpy(values: list[int]) -> None:
    summary = summarize(latency(*values))
    assert summary.mean_ns == pytest.approx(np.mean(values))
    assert summary.p50_ns == pytest.approx(np.median(values))
    if len(values) > 1:
        assert summary.standard_deviation_ns == pytest.approx(np.std(values, ddof=1), abs=1e-3)
