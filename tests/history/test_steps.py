"""Steps in one series: found where they are, and nowhere else."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_ortperf.history.steps import find_steps, noise_of

DATA = Path(__file__).parents[1] / "data" / "history" / "otava_series.json"


def noise(count: int, size: float = 0.01, *, seed: int = 0, correlation: float = 0.0) -> np.ndarray:
    """Return logarithms around that of 1 ms."""
    random = np.random.default_rng(seed)
    values = random.normal(size=count)
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + math.sqrt(1 - correlation**2) * values[index]
    return math.log(1e6) + size * values


def changed(values: np.ndarray, *steps: tuple[int, float]) -> np.ndarray:
    """Return values with steps: each a place and a factor."""
    values = values.copy()
    for place, factor in steps:
        values[place:] += math.log(factor)
    return values


def places(values: np.ndarray) -> list[int]:
    return [step.index for step in find_steps(values)]


def test_a_step_is_found_with_both_levels_and_the_noise_around_it() -> None:
    (step,) = find_steps(changed(noise(100), (60, 1.05)))
    assert step.index == 60
    assert math.exp(step.before) == pytest.approx(1e6, rel=0.005)
    assert math.exp(step.after - step.before) == pytest.approx(1.05, abs=0.01)
    assert step.noise == pytest.approx(0.01, rel=0.3)
    assert step.p_value < 1e-12


def test_a_step_is_found_once_three_runs_have_the_new_level() -> None:
    values = changed(noise(100, 0.005), (60, 1.05))
    assert [places(values[:count]) for count in (61, 63)] == [[], [60]]


def test_several_changes_are_told_apart() -> None:
    values = changed(noise(100), (25, 1.06), (50, 0.9), (80, 1.1))
    assert places(values) == [25, 50, 80]


def test_a_change_that_was_taken_back_is_two_changes() -> None:
    assert places(changed(noise(100), (45, 1.05), (55, 1 / 1.05))) == [45, 55]


@pytest.mark.parametrize("place", [0, 1, 30, 98, 99])
@pytest.mark.parametrize("factor", [0.2, 1.3, 30])
def test_a_single_outlier_is_no_change(place: int, factor: float) -> None:
    assert places(changed(noise(100), (place, factor), (place + 1, 1 / factor))) == []


def test_an_outlier_does_not_hide_a_step() -> None:
    assert places(changed(noise(100), (40, 3.0), (41, 1 / 3.0), (60, 1.05))) == [60]


def test_a_slow_drift_is_at_most_a_few_changes_of_the_same_direction() -> None:
    steps = find_steps(noise(100) + np.linspace(0, math.log(1.10), 100))
    assert 1 <= len(steps) <= 4
    assert all(step.after > step.before for step in steps)


def test_a_drift_within_the_least_change_is_none() -> None:
    assert places(noise(100, 0.002) + np.linspace(0, math.log(1.02), 100)) == []


@pytest.mark.parametrize("count", range(6))
def test_a_series_of_a_few_points_has_no_steps(count: int) -> None:
    assert find_steps([0.0, 1.0, 2.0, 3.0, 4.0][:count]) == []


def test_six_points_show_a_clear_step() -> None:
    assert places(changed(noise(6, 0.001), (3, 2.0))) == [3]


def test_constant_values_have_no_noise_and_a_change_of_them_counts() -> None:
    assert places(np.full(50, 3.0)) == []
    (step,) = find_steps(changed(np.full(50, 3.0), (20, 1.05)))
    assert (step.index, step.noise, step.p_value) == (20, 0.0, 0.0)


def test_a_change_below_the_least_one_is_left_out_whatever_its_p_value() -> None:
    values = changed(noise(100, 0.0005), (50, 1.015))
    assert places(values) == []
    assert [step.index for step in find_steps(values, min_change=0.01)] == [50]


def test_the_same_values_give_the_same_steps_faster_or_slower() -> None:
    values = changed(noise(100, correlation=0.5), (30, 1.06), (70, 0.93))
    assert places(values) == places(-values) == places(values + 5)


def test_correlated_flat_series_are_hardly_accused() -> None:
    accused = sum(bool(places(noise(100, 0.01, seed=seed, correlation=0.5))) for seed in range(40))
    assert accused <= 1


def test_noise_is_the_standard_deviation_without_outliers() -> None:
    values = noise(1000)
    values[::50] += 1
    assert noise_of(values) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("series", json.loads(DATA.read_text(encoding="utf-8")), ids=lambda series: series["name"])
def test_recorded_series_beside_the_answers_of_otava(series: dict[str, Any]) -> None:
    """We find every planted step, and nothing in flat series; what Otava finds of steps we find too."""
    found = places(np.log(series["values"]))
    assert found == series["ours"]
    is_planted = "slower" in series["name"]
    assert [place for place in found if abs(place - 60) <= 3] == found
    assert len(found) == is_planted
    assert len(series["values"]) == 100


def test_the_answers_of_otava_hold_what_the_docs_say_of_it() -> None:
    answers = {series["name"]: series["otava"] for series in json.loads(DATA.read_text(encoding="utf-8"))}
    assert len(answers["simulated, correlated"]) > 1  # flat
    assert sum(any(abs(place - 60) <= 3 for place in each) for name, each in answers.items() if "slower" in name) > 1
