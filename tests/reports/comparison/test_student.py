from __future__ import annotations

import math

import pytest

from pytest_ortperf.records.intervals import critical_value, two_sided_p
from pytest_ortperf.reports.comparison.verdicts import adjusted, needed_by_a_lone_change, rank_floor, sign_floor

# Two-sided critical values as printed tables give them, to three decimals: degrees of freedom, then
# probabilities 0.10, 0.05, 0.01 and 0.001.
TABLE = [
    (1, 6.314, 12.706, 63.657, 636.619),
    (2, 2.920, 4.303, 9.925, 31.599),
    (3, 2.353, 3.182, 5.841, 12.924),
    (4, 2.132, 2.776, 4.604, 8.610),
    (5, 2.015, 2.571, 4.032, 6.869),
    (9, 1.833, 2.262, 3.250, 4.781),
    (10, 1.812, 2.228, 3.169, 4.587),
    (20, 1.725, 2.086, 2.845, 3.850),
    (30, 1.697, 2.042, 2.750, 3.646),
    (60, 1.671, 2.000, 2.660, 3.460),
    (120, 1.658, 1.980, 2.617, 3.373),
    (1_000_000, 1.645, 1.960, 2.576, 3.291),
]


@pytest.mark.parametrize(("freedom", "ten", "five", "one", "tenth"), TABLE)
def test_critical_values_are_those_of_the_table(
    freedom: int, ten: float, five: float, one: float, tenth: float
) -> None:
    found = [critical_value(probability, freedom) for probability in (0.10, 0.05, 0.01, 0.001)]
    assert found == pytest.approx([ten, five, one, tenth], abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 2, 7, 300, 301, 5000])
def test_p_is_1_at_no_difference_and_falls_to_0(freedom: int) -> None:
    values = [two_sided_p(statistic, freedom) for statistic in (0, 0.5, -1, 2, 10, math.inf)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0
    assert two_sided_p(1.3, freedom) == two_sided_p(-1.3, freedom)


def test_the_series_goes_over_into_the_approximation() -> None:
    for statistic in (0.5, 2.0, 4.0, 6.0):
        assert two_sided_p(statistic, 300) == pytest.approx(two_sided_p(statistic, 301), rel=0.02)


def test_one_degree_of_freedom_is_the_least() -> None:
    with pytest.raises(ValueError, match="0 degrees of freedom; a t has at least 1"):
        two_sided_p(1, 0)


def test_adjusted_values_are_those_of_the_procedure() -> None:
    # ranks 1 to 5: value x 5 / rank, then the least of it and all above
    assert adjusted([0.04, 0.01, 0.03, 0.005, 0.5]) == pytest.approx([0.05, 0.025, 0.05, 0.025, 0.5])
    assert adjusted([]) == []
    assert adjusted([0.9, 0.8]) == pytest.approx([0.9, 0.9])


def test_the_smallest_p_values_that_are_possible() -> None:
    assert [rank_floor(each, each) for each in (5, 6, 9, 10)] == pytest.approx(
        [7.9e-3, 2.2e-3, 4.1e-5, 1.1e-5], rel=0.03
    )
    assert sign_floor(6) == pytest.approx(0.03125)
    assert sign_floor(1) == 1.0
    assert needed_by_a_lone_change(400) == pytest.approx(0.000125)
