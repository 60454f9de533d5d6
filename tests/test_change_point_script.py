"""What is recorded of change points, decided again: a change of the rules that costs hits or accuses shows here."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import change_points

    yield change_points
    del sys.modules["change_points"]


@pytest.mark.parametrize("level", [None, 0.005, 0.01])
def test_a_step_of_5_percent_is_found_at_a_noise_of_1_percent_or_less(script: ModuleType, level: float | None) -> None:
    _, logs = script.load_runs()
    made = script.resampled(logs, level, 40, seed=script.SEED)
    noise, _ = script.measured_noise(made)
    assert noise <= 0.0105
    assert script.hits(script.ours([script.planted(history) for history in made])) >= 38
    assert sum(map(bool, script.ours(made))) <= 1


def test_a_hundred_runs_of_ten_models_are_recorded(script: ModuleType) -> None:
    models, logs = script.load_runs()
    assert (len(models), logs.shape) == (10, (10, 100))
    assert np.isfinite(logs).all()


def test_blocks_keep_neighbours_together(script: ModuleType) -> None:
    order = script.blocks(100, seed=3)
    assert len(order) == 100
    for start in range(0, 100, script.BLOCK):
        block = order[start : start + script.BLOCK]
        assert block == [(block[0] + step) % 100 for step in range(script.BLOCK)]
    assert order == script.blocks(100, seed=3) != script.blocks(100, seed=4)


def test_a_hit_is_within_three_runs(script: ModuleType) -> None:
    assert script.hits([[57], [63, 90], [64], [], [10, 60]]) == 3
