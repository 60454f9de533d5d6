from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pytest_ortperf.execution.accuracy.consistency import same_bits
from pytest_ortperf.execution.inputs.tensor_values import MAPPED_BYTE, ValueWriter, read_value, values_hash

VALUES = [
    np.array([1.5, np.nan], np.float32),
    np.array(3, np.int64),
    np.zeros((0, 2), np.float16),
    np.array([True, False]),
    np.array([1.5, -2], ml_dtypes.bfloat16),
    np.array([1, -2], ml_dtypes.int4),
    np.array([1 + 2j], np.complex64),
    np.array([["a", "ü"]], object),
    [np.ones(2), np.ones(3)],
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_value_comes_back_to_the_bit(tmp_path: Path, value: Any) -> None:
    found = read_value(ValueWriter(tmp_path).write(value), tmp_path)

    assert same_bits(found, value)


def test_maps_come_back_with_their_keys(tmp_path: Path) -> None:
    found = read_value(ValueWriter(tmp_path).write([{1: 0.5, 2: 0.25}]), tmp_path)

    assert found == [{1: 0.5, 2: 0.25}]


def test_large_arrays_stay_on_the_disk(tmp_path: Path) -> None:
    found = read_value(ValueWriter(tmp_path).write(np.zeros(MAPPED_BYTE, np.uint8)), tmp_path)

    assert isinstance(found, np.memmap)


def test_hashes_tell_types_shapes_names_and_elements_apart() -> None:
    x = np.array([1, 2], np.int32)
    others = [{"x": x + 1}, {"y": x}, {"x": x.reshape(2, 1)}, {"x": x.view(np.float32)}, {"x": [x]}, {"x": None}]

    hashes = {values_hash(values) for values in [{"x": x}, *others]}

    assert len(hashes) == 7
    assert values_hash({"x": x.copy()}) in hashes
