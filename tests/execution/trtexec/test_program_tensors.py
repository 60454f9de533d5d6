from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from execution.ort_models import case
from pytest_ortperf.cases.rules import DimRange
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.trtexec.program_tensors import (
    TensorMeta,
    binding_bytes,
    fed_shapes_text,
    profile_of,
    quoted,
    shapes_text,
    write_inputs,
)

V8, V10 = (8, 6, 1), (10, 16, 1)


@pytest.mark.parametrize(
    ("value", "version", "expected"),
    [
        (np.array([1, -2], np.int64), V8, np.array([1, -2], np.int32)),
        (np.array([1, -2], np.int64), V10, np.array([1, -2], np.int64)),
        (np.array([1.5, -2], np.float64), V10, np.array([1.5, -2], np.float32)),
        (np.array([1.5, -2], np.float16), V8, np.array([1.5, -2], np.float16)),
        (np.array([True, False]), V8, np.array([1, 0], np.uint8)),
        (np.array([200, 3], np.uint8), V8, np.array([200, 3], np.uint8)),
        (np.array([-3], np.int8), V8, np.array([-3], np.int8)),
        (np.array([1.5], ml_dtypes.bfloat16), V10, np.array([0x3FC0], np.uint16)),
        (np.array(2.5, np.float32), V10, np.array([2.5], np.float32)),
        (np.arange(6, dtype=np.float32).reshape(2, 3).T, V10, np.array([0, 3, 1, 4, 2, 5], np.float32)),
    ],
)
def test_bytes_are_those_of_the_binding(value: Any, version: tuple[int, int, int], expected: Any) -> None:
    assert binding_bytes("x", value, version) == expected.tobytes()


@pytest.mark.parametrize(
    ("value", "version", "what"),
    [
        (np.array(["a"], object), V10, "is tensor(string), of which TensorRT 10.16 takes none as input"),
        (np.array([1], np.uint16), V10, "is tensor(uint16), of which TensorRT 10.16 takes none as input"),
        (np.array([1], np.uint8), (8, 2, 1), "is tensor(uint8), of which TensorRT 8.2 takes none as input"),
        (np.array([1], ml_dtypes.bfloat16), V8, "is tensor(bfloat16), of which TensorRT 8.6 takes none as input"),
        ([np.array([1])], V10, "is a list; TensorRT takes tensors alone"),
        (
            np.array([1, 2**31], np.int64),
            V8,
            "has values from 1 to 2147483648, and this version of TensorRT has int32 alone",
        ),
    ],
)
def test_what_no_binding_holds_is_refused(value: Any, version: tuple[int, int, int], what: str) -> None:
    with pytest.raises(CaseError) as caught:
        binding_bytes("x", value, version)
    assert str(caught.value) == f"trtexec cannot be fed: input 'x' {what}"
    assert (caught.value.stage, caught.value.kind) == ("inputs", "input error")


def test_each_input_has_a_file_of_its_own(tmp_path: Path) -> None:
    inputs = {"a": np.array([1], np.int32), "b:0": np.array([2], np.int32), "c": np.array([3], np.int32)}
    assert write_inputs(inputs, tmp_path, V10) == "a:input_0.bin,'b:0':input_1.bin,c:input_2.bin"
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert files == {f"input_{number}.bin": bytes([number + 1, 0, 0, 0]) for number in range(3)}


@pytest.mark.parametrize("name", ["a,b", "it's"])
def test_name_that_trtexec_would_cut_is_refused(name: str) -> None:
    with pytest.raises(CaseError, match="has a comma or a quotation mark in its name") as caught:
        quoted(name)
    assert caught.value.stage == "inputs"


def test_profile_reaches_over_data_sets_and_ranges() -> None:
    metas = [
        TensorMeta("ids", "tensor(int64)", ["batch", "seq"]),
        TensorMeta("fixed", "tensor(float)", [2, 3]),
        TensorMeta("m:0", "tensor(float)", ["batch", None]),
    ]
    sizes = ((2, 7), (1, 9))
    data = [{"ids": np.zeros(size), "fixed": np.zeros((2, 3)), "m:0": np.zeros((size[0], 5))} for size in sizes]
    ranged = case(dims={"batch": (2,)}, dim_ranges={"batch": DimRange(min=1, opt=2, max=32)})
    profile = profile_of(metas, data, ranged)
    assert profile == {"ids": [(1, 2, 32), (7, 7, 9)], "m:0": [(1, 2, 32), (5, 5, 5)]}
    assert [shapes_text(profile, which) for which in range(3)] == [
        "ids:1x7,'m:0':1x5",
        "ids:2x7,'m:0':2x5",
        "ids:32x9,'m:0':32x5",
    ]
    assert fed_shapes_text(profile, data[1]) == "ids:1x9,'m:0':1x5"


def test_static_inputs_need_no_shapes() -> None:
    metas = [TensorMeta("x", "tensor(float)", [2, 3])]
    assert profile_of(metas, [{"x": np.zeros((2, 3))}], case()) == {}
