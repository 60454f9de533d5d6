"""Statistics of latency samples: integer nanoseconds in, float nanoseconds out; unsupported is `None`."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.records.record import Latency

SAMPLES_NEEDED = {90: 64, 95: 130, 99: 662}
"""Percentile -> samples from which on it is stated.

Source: MLPerf loadgen's early stopping (loadgen/early_stopping.cc) at confidence 0.99, tolerance 0 and one
sample above the estimate.
"""

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What one timing mode of one case comes to."""

    count: int
    min_ns: int
    max_ns: int
    mean_ns: float
    p50_ns: float
    standard_deviation_ns: float | None
    """Of the sample (n - 1); `None` for one sample."""

    p90_ns: float | None
    p95_ns: float | None
    p99_ns: float | None
    throughput_per_s: float | None
    """Batch over mean latency; `None` if the batch is unknown."""


@functools.lru_cache(maxsize=16_384)  # tables, gains and summary ask for the same ones; sorting is what costs
def summarize(latency: Latency) -> Summary:
    """Return the statistics of a latency.

    Raises:
        ValueError: If it has no samples.
    """
    ordered = sorted(latency.samples_ns)
    if not ordered:
        raise ValueError("a latency has at least one sample")
    mean_ns = sum(ordered) / len(ordered)
    return Summary(
        count=len(ordered),
        min_ns=ordered[0],
        max_ns=ordered[-1],
        mean_ns=mean_ns,
        p50_ns=statistics.median(ordered),
        standard_deviation_ns=_standard_deviation(ordered, mean_ns),
        p90_ns=supported_percentile(ordered, 90),
        p95_ns=supported_percentile(ordered, 95),
        p99_ns=supported_percentile(ordered, 99),
        throughput_per_s=throughput_per_s(latency.batch, mean_ns),
    )


def percentile(ordered: Sequence[int], percent: float) -> float:
    """Return a percentile of sorted samples, linear between neighbours as numpy's default is."""
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def supported_percentile(ordered: Sequence[int], percent: int) -> float | None:
    """Return a percentile of sorted samples, or `None` where there are fewer than `SAMPLES_NEEDED`."""
    return percentile(ordered, percent) if len(ordered) >= SAMPLES_NEEDED[percent] else None


def throughput_per_s(batch: int | None, mean_ns: float) -> float | None:
    """Return inferences per second, or `None` if the batch is unknown."""
    if batch is None or mean_ns <= 0:
        return None
    return batch * _NS_PER_S / mean_ns


def _standard_deviation(ordered: Sequence[int], mean_ns: float) -> float | None:
    if len(ordered) == 1:
        return None
    return math.sqrt(math.fsum((sample - mean_ns) ** 2 for sample in ordered) / (len(ordered) - 1))
