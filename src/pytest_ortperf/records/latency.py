"""What a timing mode of a benchmark came to: samples, how they were taken, and their statistics."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ortperf.records.codec import PackedInts

STABLE, UNSTABLE, FIXED = "stable", "unstable", "fixed"
STATUSES = (STABLE, UNSTABLE, FIXED)

STOP_REASONS = ("target", "no gain", "out of reach", "max time", "iterations")
"""Why sampling ended: the interval was as narrow as asked for; it did not become narrower; it would not have become
narrow enough by far; no time was left; the number of iterations asked for was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Statistics of one timing mode of one case; what the samples do not support is `None`."""

    count: int
    min_ns: int
    max_ns: int
    mean_ns: float
    p50_ns: float
    """The median."""

    p50_low_ns: float | None = None
    """Lower end of the 95 % confidence interval of the median, from the medians of blocks."""

    p50_high_ns: float | None = None
    blocks: int | None = None
    """Number of blocks behind that interval."""

    standard_deviation_ns: float | None = None
    """Of the sample (n - 1); `None` for one sample."""

    p10_ns: float | None = None
    """Not in records of older versions."""

    p90_ns: float | None = None
    p95_ns: float | None = None
    p99_ns: float | None = None
    mad_ns: float | None = None
    """Median of the absolute differences from the median."""

    lag1_correlation: float | None = None
    """Of each sample with the next one."""

    mild_outliers: int | None = None
    """Samples 1.5 to 3 interquartile ranges outside the quartiles (Tukey). They count in every other statistic."""

    severe_outliers: int | None = None
    """Samples more than 3 interquartile ranges outside."""

    modes: int | None = None
    """Values that samples gather around; `None` if they are too few to tell."""

    throughput_per_s: float | None = None
    """Batch over mean latency; `None` if the batch is unknown."""

    @property
    def half_width(self) -> float | None:
        """Half the width of the median's interval, as a share of the median."""
        if self.p50_low_ns is None or self.p50_high_ns is None or self.p50_ns <= 0:
            return None
        return (self.p50_high_ns - self.p50_low_ns) / 2 / self.p50_ns

    @property
    def variation(self) -> float | None:
        """Coefficient of variation: standard deviation as a share of the mean."""
        if self.standard_deviation_ns is None or self.mean_ns <= 0:
            return None
        return self.standard_deviation_ns / self.mean_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Wall-clock time of each timed iteration, and how the iterations were chosen."""

    timing: str
    """What the clock covers; `host` is arrays in, arrays out."""

    data_set: str | None = None
    """What the inputs were: `test_data_set_0`, or `generated (seed 0)`; `None` in records of older versions."""

    is_further: bool = False
    """Whether another data set was timed before this one, which stands for the case."""

    samples_ns: PackedInts
    """One per iteration, in call order, warm-up left out. Empty only where they were not kept: see `summary`."""

    warmup_iterations: int
    """Iterations done before the first sample, not those asked for."""

    warmup_ns: int | None = None
    steady: bool | None = None
    """Whether the warm-up ended because two windows of it agreed; `None` if that was not looked at."""

    batch: int | None = None
    """Dimension of the inputs that calls itself a batch, else the leading one where they agree; `None` if unknown."""

    block_iterations: int | None = None
    """Iterations in a block, whose medians the interval of the median comes from; `None` if not sampled in blocks."""

    stop_reason: str | None = None
    """One of `STOP_REASONS`; `None` if sampling was cut off."""

    status: str | None = None
    """`stable` reached the target, `unstable` did not, `fixed` did a number of iterations; `None` if cut off."""

    precision_target: float | None = None
    """Half-width of the median's interval that was asked for, as a share of the median; wider ones are labelled."""

    summary: Summary | None = None
    """Statistics as the process that measured computed them; `None` if it was cut off, or is older."""

    @property
    def label(self) -> str:
        """What tells it from the others of its case: `host`, or `host, test_data_set_1` of a further data set."""
        return f"{self.timing}, {self.data_set}" if self.is_further else self.timing
