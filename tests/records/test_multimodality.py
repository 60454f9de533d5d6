from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pytest_ortperf.records.multimodality import count_modes

Draw = Callable[[np.random.Generator, int], np.ndarray]


def correlated_noise(source: np.random.Generator, count: int) -> np.ndarray:
    steps, value = source.normal(0, 0.8, count), 0.0
    values = np.empty(count)
    for place, step in enumerate(steps):
        value = values[place] = 0.6 * value + step
    return 1e6 * (1 + 0.02 * values)


ONE_MODE: dict[str, Draw] = {
    "normal": lambda source, count: source.normal(1e6, 5e4, count),
    "lognormal": lambda source, count: 1e6 * source.lognormal(0, 0.1, count),
    "exponential tail": lambda source, count: 1e6 * (1 + source.exponential(0.1, count)),
    "uniform": lambda source, count: source.uniform(1e6, 1.2e6, count),
    "spikes": lambda source, count: 1e6 + source.normal(0, 1e4, count) + (source.random(count) < 0.02) * 5e6,
    "steps of a clock": lambda source, count: source.normal(5_000, 60, count) // 42 * 42,
    "correlated": correlated_noise,
}


def modes(draw: Draw, count: int, seed: int) -> int | None:
    values = draw(np.random.default_rng(seed), count)
    return count_modes(sorted(values.astype(int).tolist()))


@pytest.mark.parametrize("count", [50, 200, 2000])
@pytest.mark.parametrize("name", ONE_MODE)
def test_one_mode_is_hardly_ever_taken_for_more(name: str, count: int) -> None:
    found = [modes(ONE_MODE[name], count, seed) for seed in range(200)]
    assert found.count(1) >= 196


def two_modes(share: float, apart: float) -> Draw:
    def draw(source: np.random.Generator, count: int) -> np.ndarray:
        return source.normal(1e6, 1e4, count) + (source.random(count) < share) * apart * 1e6

    return draw


@pytest.mark.parametrize(
    ("share", "apart", "count"), [(0.5, 0.10, 100), (0.5, 0.06, 300), (0.2, 0.10, 300), (0.1, 0.10, 1000)]
)
def test_two_modes_are_found_in_nine_of_ten_cases(share: float, apart: float, count: int) -> None:
    found = [modes(two_modes(share, apart), count, seed) for seed in range(50)]
    assert found.count(2) >= 45


def test_three_modes_are_counted() -> None:
    values: Sequence[int] = sorted(base + offset for base in (1000, 2000, 3000) for offset in range(40) for _ in "ab")
    assert count_modes(values) == 3


def test_modes_that_hardly_differ_do_not_count() -> None:
    assert modes(two_modes(0.5, 0.02), 2000, 0) == 1


def test_few_samples_tell_nothing() -> None:
    assert count_modes(list(range(49))) is None
    assert count_modes([7] * 50) == 1
