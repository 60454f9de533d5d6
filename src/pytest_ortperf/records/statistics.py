"""Statistics of latency samples: integer nanoseconds in, float nanoseconds out; unsupported is `None`."""

from __future__ import annotations

import bisect
import functools
import math
import operator
import statistics
from collections.abc import Sequence

from pytest_ortperf.records.intervals import (
    FEWEST,
    block_medians,
    fitting_length,
    lag1_correlation,
    median_interval,
)
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.multimodality import count_modes

__all__ = [
    "SAMPLES_NEEDED",
    "Summary",
    "compute",
    "percentile",
    "summarize",
    "supported_percentile",
    "throughput_per_s",
]

SAMPLES_NEEDED = {90: 64, 95: 130, 99: 662}
"""Percentile -> samples from which on it is stated.

Source: MLPerf loadgen's early stopping (loadgen/early_stopping.cc) at confidence 0.99, tolerance 0 and one
sample above the estimate.
"""

MILD, SEVERE = 1.5, 3.0
"""Interquartile ranges outside the quartiles from which on a sample is an outlier. Source: Tukey's fences."""

_NS_PER_S = 1_000_000_000
_FOR_QUARTILES = 4


def summarize(latency: Latency) -> Summary:
    """Return the statistics of a latency: those that its record holds, else computed from its samples.

    Raises:
        ValueError: If it has neither.
    """
    return latency.summary or _summarize_samples(latency)


@functools.lru_cache(maxsize=16_384)  # tables, gains and summary ask for the same ones; sorting is what costs
def _summarize_samples(latency: Latency) -> Summary:
    return compute(latency.samples_ns, block_iterations=latency.block_iterations, batch=latency.batch)


def compute(samples_ns: Sequence[int], *, block_iterations: int | None = None, batch: int | None = None) -> Summary:
    """Return the statistics of samples in call order.

    Args:
        samples_ns: In ns.
        block_iterations: Length of the blocks behind the median's interval; `None` chooses one.
        batch: Of the inputs, for the throughput.

    Raises:
        ValueError: If there are no samples.
    """
    ordered = sorted(samples_ns)
    if not ordered:
        raise ValueError("a latency has at least one sample")
    mean_ns, median = sum(ordered) / len(ordered), statistics.median(ordered)
    mild, severe = _outliers(ordered)
    low, high, blocks = _interval(samples_ns, median, block_iterations)
    return Summary(
        count=len(ordered),
        min_ns=ordered[0],
        max_ns=ordered[-1],
        mean_ns=mean_ns,
        p50_ns=median,
        p50_low_ns=low,
        p50_high_ns=high,
        blocks=blocks,
        standard_deviation_ns=_standard_deviation(ordered, mean_ns),
        p10_ns=percentile(ordered, 10),
        p90_ns=supported_percentile(ordered, 90),
        p95_ns=supported_percentile(ordered, 95),
        p99_ns=supported_percentile(ordered, 99),
        mad_ns=median_absolute_deviation(ordered) if len(ordered) > 1 else None,
        lag1_correlation=lag1_correlation(samples_ns),
        mild_outliers=mild,
        severe_outliers=severe,
        modes=count_modes(ordered),
        throughput_per_s=throughput_per_s(batch, mean_ns),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted values, linear between neighbours as numpy's default is."""
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


def supported_percentile(ordered: Sequence[int], percent: int) -> float | None:
    """Return a percentile of sorted samples, or `None` where there are fewer than `SAMPLES_NEEDED`."""
    return percentile(ordered, percent) if len(ordered) >= SAMPLES_NEEDED[percent] else None


def median_absolute_deviation(samples: Sequence[int]) -> float:
    """Return the median of the absolute differences from the median."""
    middle = statistics.median(samples)
    return statistics.median([abs(sample - middle) for sample in samples])


def throughput_per_s(batch: int | None, mean_ns: float) -> float | None:
    """Return inferences per second, or `None` if the batch is unknown."""
    if batch is None or mean_ns <= 0:
        return None
    return batch * _NS_PER_S / mean_ns


def _interval(
    samples: Sequence[int], median: float, block_iterations: int | None
) -> tuple[float | None, float | None, int | None]:
    """Return low, high and the number of blocks; the median itself is always inside."""
    length = block_iterations
    if length is None or len(samples) // length < FEWEST:
        length = fitting_length(samples, length)
    medians = block_medians(samples, length)
    interval = median_interval(medians)
    if interval is None:
        return None, None, None
    return min(interval[0], median), max(interval[1], median), len(medians)


def _outliers(ordered: Sequence[int]) -> tuple[int | None, int | None]:
    if len(ordered) < _FOR_QUARTILES:
        return None, None
    q1, q3 = percentile(ordered, 25), percentile(ordered, 75)
    outside = [
        bisect.bisect_left(ordered, q1 - fence) + len(ordered) - bisect.bisect_right(ordered, q3 + fence)
        for fence in (MILD * (q3 - q1), SEVERE * (q3 - q1))
    ]
    return outside[0] - outside[1], outside[1]


def _standard_deviation(ordered: Sequence[int], mean_ns: float) -> float | None:
    if len(ordered) == 1:
        return None
    centred = [sample - mean_ns for sample in ordered]
    return math.sqrt(math.fsum(map(operator.mul, centred, centred)) / (len(ordered) - 1))
