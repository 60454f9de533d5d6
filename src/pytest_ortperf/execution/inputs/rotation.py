"""How many copies of the inputs iterations take in turn, so that large ones do not come out of a cache."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNKNOWN_CACHE_BYTE = 32 * 2**20
"""Of a machine that does not tell its last cache; and of a GPU, whose L2 cache ONNX Runtime does not tell."""

DEVICE_CACHE_BYTE = 64 * 2**20
"""Of GPUs: 50 MB on an H100 or H200, 40 MB on an A100, 72 MB on an RTX 4090."""

LARGE_BYTE = 2**20
"""Smaller inputs are read once and forgotten beside what a network computes: no effect was measured."""

MOST_BUFFERS = 64
MOST_BYTE = 2**30


def buffer_count(input_byte: int, cache_byte: int, wanted: int | None = None) -> int:
    """Return how many buffers inputs rotate over.

    Args:
        input_byte: Of the inputs of one iteration.
        cache_byte: Of the cache that they should not be found in.
        wanted: The user's number; `None` is 1, or for large inputs so many that all of them exceed the cache.
    """
    if wanted is not None:
        return wanted
    if not LARGE_BYTE <= input_byte < cache_byte:
        return 1
    return min(cache_byte // input_byte + 1, MOST_BUFFERS, max(1, MOST_BYTE // input_byte))


def byte_of(feeds: Mapping[str, Value]) -> int:
    """Return the size of the arrays among inputs."""
    return sum(value.nbytes for value in feeds.values() if isinstance(value, np.ndarray))


def buffers_of(feeds: Mapping[str, Value], count: int) -> list[Mapping[str, Value]]:
    """Return the inputs and copies of them, `count` in all."""
    return [feeds, *(_copy(feeds) for _ in range(count - 1))]


def rotating_call(
    session: onnxruntime.InferenceSession, runner: ModelRunner, buffers: list[Mapping[str, Value]]
) -> Callable[[], object]:
    """Return the runner's call, or one that does the same with each of the buffers in turn.

    Rotating costs 0.02 us an iteration (median of 97,000 on a 4.7 us model, beside the plain call).
    """
    if len(buffers) == 1:
        return runner.call
    calls = [runner.call, *(ModelRunner(session, runner.output_names, each).call for each in buffers[1:])]
    following = itertools.cycle(calls).__next__

    def call() -> object:
        return following()()

    return call


@functools.cache
def last_cache_byte(root: Path = CACHES) -> int:
    """Return the size of the CPU's largest cache."""
    sizes = [_size(path.read_text(encoding="utf-8")) for path in root.glob("index*/size")]
    return max(sizes, default=0) or UNKNOWN_CACHE_BYTE


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)\s*", text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] if match else 0


def _copy(feeds: Mapping[str, Value]) -> Mapping[str, Value]:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in feeds.items()}
