from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.records.record import Latency
from pytest_ortperf.records.statistics import Summary, percentile, summarize, throughput_per_s

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
