from __future__ import annotations

import math
import random

import pytest

from pytest_ortperf.records.intervals import (
    block_medians,
    correlated,
    fitting_length,
    interval_rank,
    lag1_correlation,
    median_interval,
    relative_half_width,
)


def coverage(count: int, rank: int) -> float:
    """Return the probability that the rank-th values from both ends enclose the median."""
    return 1 - 2 * sum(math.comb(count, below) for below in range(rank)) / 2**count


@pytest.mark.parametrize("count", [6, 7, 9, 10, 40, 241, 999])
def test_rank_is_the_greatest_that_covers_the_median(count: int) -> None:
    rank = interval_rank(count)
    assert rank is not None
    assert coverage(count, rank) >= 0.95 > coverage(count, rank + 1)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_values_have_no_interval(count: int) -> None:
    assert interval_rank(count) is None
    assert median_interval([1.0] * count) is None
    assert relative_half_width([1.0] * count) is None


def test_many_values_have_the_rank_of_their_neighbours() -> None:
    assert interval_rank(1000) == interval_rank(999) == 469
    assert interval_rank(100_000) == 49_690


def test_interval_is_made_of_two_of_the_values() -> None:
    assert median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5]) == (2, 8)
    assert relative_half_width([9, 1, 8, 2, 7, 3, 6, 4, 5]) == 3 / 5


def test_a_block_that_is_not_whole_has_no_median() -> None:
    assert block_medians([1, 2, 9, 4, 4, 4, 7], 3) == [2, 4]


def test_correlation_is_of_neighbours() -> None:
    assert lag1_correlation([1, -1] * 50) == pytest.approx(-0.99)
    assert lag1_correlation([0] * 50 + [1] * 50) == pytest.approx(0.97)
    assert lag1_correlation([3, 3, 3]) is None
    assert lag1_correlation([1, 2]) is None


def test_correlation_counts_above_what_chance_makes() -> None:
    assert not correlated([1, 2, 3, 4, 1, 4, 3, 2, 1, 2])
    assert correlated([1] * 5 + [2] * 5)


def test_length_fits_the_number_of_samples() -> None:
    source = random.Random(3)  # noqa: S311 - noise
    noise = [source.randrange(1000) for _ in range(1000)]
    assert fitting_length(noise, 50) == 50
    assert fitting_length(noise, 500) == 100
    assert fitting_length(noise, None) == 10
    assert fitting_length(noise[:7], 50) == 1


def test_length_grows_over_what_neighbours_have_in_common() -> None:
    waves = [1000 + 100 * ((number // 60) % 2) for number in range(2400)]
    assert fitting_length(waves, 10) == 40
