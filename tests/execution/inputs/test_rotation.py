from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ort_models import add_relu

from pytest_ortperf.execution.inputs.rotation import (
    UNKNOWN_CACHE_BYTE,
    buffer_count,
    buffers_of,
    byte_of,
    last_cache_byte,
    rotating_call,
)
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner

MIB = 2**20


@pytest.mark.parametrize(
    ("input_byte", "cache_byte", "wanted", "count"),
    [
        (600_000, 32 * MIB, None, 1),
        (MIB, 32 * MIB, None, 33),
        (8 * MIB, 32 * MIB, None, 5),
        (31 * MIB, 32 * MIB, None, 2),
        (32 * MIB, 32 * MIB, None, 1),
        (MIB, 512 * MIB, None, 64),
        (400 * MIB, 500 * MIB, None, 2),
        (8, 32 * MIB, 4, 4),
        (8 * MIB, 32 * MIB, 1, 1),
    ],
)
def test_large_inputs_rotate_over_more_bytes_than_the_cache_holds(
    input_byte: int, cache_byte: int, wanted: int | None, count: int
) -> None:
    assert buffer_count(input_byte, cache_byte, wanted) == count


def test_buffers_hold_the_same_values_in_memory_of_their_own() -> None:
    feeds = {"x": np.ones((2, 3), np.float32), "words": ["a"], "none": None}
    buffers = buffers_of(feeds, 3)
    assert byte_of(feeds) == 24
    assert len({buffer["x"].ctypes.data for buffer in buffers}) == 3
    assert [buffer["x"].tolist() for buffer in buffers] == [feeds["x"].tolist()] * 3
    assert [buffer["words"] for buffer in buffers] == [["a"]] * 3


def test_calls_take_the_buffers_in_turn() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(add_relu(), providers=["CPUExecutionProvider"])
    buffers = [{"x": np.full((1, 3), value, np.float32)} for value in (0, 10)]
    runner = ModelRunner(session, None, buffers[0])
    call = rotating_call(session, runner, buffers)
    assert [call()[0][0, 0] for _ in range(3)] == [1, 11, 1]
    assert rotating_call(session, runner, buffers[:1]) is runner.call


def test_the_last_cache_is_the_largest_one(tmp_path: Path) -> None:
    for index, size in enumerate(("32K\n", "1024K\n", "32M\n")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size, encoding="utf-8")
    assert last_cache_byte(tmp_path) == 32 * MIB
    assert last_cache_byte(tmp_path / "none") == UNKNOWN_CACHE_BYTE
