"""Change points of all series of a machine: the common movement taken out, windows, one run after the other."""

import numpy as np
import pytest

from pytest_ortperf.history.change_points import (
    NEAR,
    WINDOW,
    LevelChange,
    level_changes,
    windows_of,
    without_common_movement,
)

SERIES = 10


def fleet(runs: int, *, noise: float = 0.005, common: float = 0.05, series: int = SERIES, seed: int = 0) -> np.ndarray:
    """Return values of some series in ms that move together by `common` from run to run, and each by `noise`."""
    random = np.random.default_rng(seed)
    levels = random.uniform(0.1, 50, size=(series, 1))
    together = common * random.normal(size=runs)
    return levels * np.exp(noise * random.normal(size=(series, runs)) + together)


def slower(values: np.ndarray, row: int, place: int, factor: float = 1.05) -> np.ndarray:
    values = values.copy()
    values[row, place:] *= factor
    return values


def found(values: np.ndarray) -> list[LevelChange]:
    return level_changes(values, windows_of(values.shape[1]))


def places(values: np.ndarray) -> list[tuple[int, int]]:
    return sorted((change.series, change.at) for change in found(values))


def added_one_by_one(values: np.ndarray, first: int) -> list[LevelChange]:
    """Return what is known when runs come one by one, and only the open windows are looked at."""
    known = level_changes(values[:, :first], windows_of(first))
    for count in range(first + 1, values.shape[1] + 1):
        windows = windows_of(count, first_new=count - 1)
        new = level_changes(values[:, windows[0].start : count], windows, known)
        known = [change for change in known if change.at < windows[0].settled] + new
    return known


def test_a_step_is_found_below_what_all_series_have_in_common() -> None:
    (change,) = found(slower(fleet(100), 3, 60))
    assert (change.series, change.before, change.at) == (3, 59, 60)
    assert change.after_level / change.before_level == pytest.approx(1.05, abs=0.01)
    assert change.noise == pytest.approx(0.005, rel=0.3)


def test_levels_are_those_at_the_usual_speed_of_the_machine() -> None:
    values = np.full((SERIES, 60), 2.0)
    values[:, 50:] *= 1.5
    values[0, 30:] *= 1.1
    (change,) = found(values)
    assert (change.before_level, change.after_level) == (pytest.approx(2.0), pytest.approx(2.2))


def test_a_step_of_all_series_is_the_machine_and_accuses_none() -> None:
    values = fleet(100)
    values[:, 50:] *= 1.3
    assert found(values) == []


def test_fewer_than_eight_series_are_looked_at_as_they_are() -> None:
    values = slower(fleet(100, series=7, common=0), 0, 60)
    assert places(values) == [(0, 60)]
    np.testing.assert_array_equal(without_common_movement(np.log(values)), np.log(values))


def test_runs_of_a_few_series_are_left_out_beside_full_ones() -> None:
    values = slower(fleet(100), 3, 60)
    values[2:, 50:80:2] = np.nan
    assert np.isnan(without_common_movement(np.log(values))[:, 50:80:2]).all()
    assert places(values) == [(3, 61)]


def test_missing_runs_shift_nothing() -> None:
    values = slower(fleet(100), 3, 60)
    values[3, 57:62] = np.nan
    values[5, ::3] = np.nan
    (change,) = found(values)
    assert (change.series, change.before, change.at) == (3, 56, 62)


def test_values_that_are_not_above_zero_count_as_none() -> None:
    values = slower(fleet(100), 3, 60)
    values[3, [10, 70]] = 0.0
    values[4, 20] = -1.0
    values[5] = np.nan
    values[6] = 0.0
    assert places(values) == [(3, 60)]


@pytest.mark.parametrize("runs", [0, 1, 3, 5])
def test_a_few_runs_have_no_changes(runs: int) -> None:
    assert found(fleet(runs, common=1.0)) == []


def test_windows_overlap_by_half_and_answer_for_every_run_once_or_a_little_more() -> None:
    windows = windows_of(230)
    assert [(window.start, window.end) for window in windows] == [(0, 100), (50, 150), (100, 200), (150, 230)]
    assert [(window.first, window.last) for window in windows] == [(0, 80), (75, 130), (125, 180), (175, 230)]
    assert windows[0].last - windows[1].first == NEAR


@pytest.mark.parametrize("count", [1, 60, 100, 101, 150, 151, 230, 1000])
def test_a_new_run_opens_two_windows_at_most(count: int) -> None:
    windows = windows_of(count, first_new=count - 1)
    assert len(windows) <= 2
    assert windows[-1].end == count
    assert windows == windows_of(count)[-len(windows) :]
    assert count - windows[0].start <= WINDOW + WINDOW // 2


@pytest.mark.parametrize("place", [60, 72, 75, 77, 80, 99, 100, 124, 126])
def test_changes_at_edges_of_windows_are_found_once(place: int) -> None:
    assert places(slower(fleet(180, seed=place), 2, place, 1.06)) == [(2, place)]


def test_runs_added_one_by_one_give_the_same_as_all_at_once() -> None:
    values = fleet(128, noise=0.012, series=8)
    for row, place in enumerate((20, 73, 76, 79, 101, 120)):
        values = slower(values, row, place, 1.07 if row % 2 else 0.95)
    at_once = found(values)
    assert len(at_once) >= 6
    assert added_one_by_one(values, 98) == at_once


def test_a_late_run_opens_the_windows_that_hold_it() -> None:
    assert [window.start for window in windows_of(230, first_new=120)] == [0, 50, 100, 150]
    assert [window.start for window in windows_of(230, first_new=160)] == [50, 100, 150]
