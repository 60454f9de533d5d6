from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.packed_numbers import PackedNumbers, pack, unpack
from record_examples import make_latency

int64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@given(st.lists(int64, max_size=200))
def test_numbers_come_back(numbers: list[int]) -> None:
    assert unpack(json.loads(json.dumps(pack(numbers)))) == tuple(numbers)


def test_few_numbers_stay_readable() -> None:
    assert pack([3, 1, 2]) == [3, 1, 2]
    assert pack(range(63)) == list(range(63))
    assert isinstance(pack(range(64)), str)


def test_a_long_list_of_an_older_file_is_read() -> None:
    assert unpack(list(range(100))) == tuple(range(100))


def test_a_text_is_what_its_description_says() -> None:
    numbers = [5_000_000 + 17 * number for number in range(100)]
    text = pack(numbers)
    assert isinstance(text, str)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), "u1").reshape(8, -1)
    assert planes.T.copy().view("<i8").ravel().tolist() == numbers


def test_a_hundred_thousand_samples_take_two_bytes_each() -> None:
    noise = np.random.default_rng(0).normal(5_000, 100, 100_000).astype(int).tolist()
    assert len(pack(noise)) < 200_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AAAA", "packed numbers are damaged: Error -3 while decompressing data: "),
        (
            base64.b64encode(zlib.compress(b"123456789")).decode(),
            "packed numbers are damaged: 9 bytes are no whole number of 64-bit integers",
        ),
        ("###", "Only base64 data is allowed"),
    ],
)
def test_damage_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(text)


def test_a_latency_is_packed_on_its_way_and_whole_afterwards() -> None:
    latency = make_latency(*range(1, 101))
    data = json.loads(json.dumps(as_dict(latency)))
    assert isinstance(data["samples_ns"], str)
    assert from_dict(Latency, data) == latency


def test_a_latency_of_an_older_file_is_read() -> None:
    old = {"timing": "host", "samples_ns": [*range(100)], "warmup_iterations": 3, "batch": None}
    assert from_dict(Latency, old) == Latency(timing="host", samples_ns=tuple(range(100)), warmup_iterations=3)


def test_a_latency_without_samples_keeps_its_summary() -> None:
    summary = Summary(count=3, min_ns=1, max_ns=3, mean_ns=2.0, p50_ns=2.0, p50_low_ns=1.0, modes=1)
    latency = Latency(timing="host", samples_ns=(), warmup_iterations=3, steady=True, summary=summary)
    assert from_dict(Latency, json.loads(json.dumps(as_dict(latency)))) == latency


def test_numbers_whose_file_has_gone_are_still_told_from_others(tmp_path: Path) -> None:
    text = pack(range(100))
    assert isinstance(text, str)
    path = tmp_path / "records.jsonl"
    path.write_text(f'"{text}"\n', encoding="ascii")
    left, same, other = (PackedNumbers(each) for each in (text, text, str(pack(range(1, 101)))))
    left.leave_in(path, path.read_bytes(), 0)
    path.unlink()
    assert left == same
    assert left != other
