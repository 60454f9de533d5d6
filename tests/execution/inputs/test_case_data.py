from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_ortperf.execution.inputs.case_data import CaseData, batch_of, cast_floats, tensor_facts


@dataclass
class Meta:
    name: str
    type: str = "tensor(float)"
    shape: Any = ()


class Session:
    """The part of an inference session that is asked for its inputs."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def get_inputs(self) -> list[Meta]:
        return [Meta(name) for name in self._names]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"x": (8, 3)}, 8),
        ({"x": (8, 3), "y": (8, 1, 2)}, 8),
        ({"x": (8, 3), "lengths": (5,)}, 8),
        ({"x": (8, 3), "y": (4, 3)}, None),
        ({"lengths": (5,), "scalar": ()}, None),
        ({}, None),
    ],
)
def test_the_batch_is_the_leading_dimension_that_all_agree_on(shapes: Any, expected: int | None) -> None:
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert batch_of(Session(*shapes), inputs) == expected


@pytest.mark.parametrize(
    ("declared", "fed", "batch_dim", "expected"),
    [
        ({"x": ["sequence", "batch", 24]}, {"x": (7, 2, 24)}, None, 2),
        ({"x": ["sequence", "N", 24]}, {"x": (7, 2, 24)}, None, 7),
        ({"x": ["sequence", "N", 24]}, {"x": (7, 2, 24)}, "N", 2),
        ({"x": ["sequence", "batch", 24]}, {"x": (7, 2, 24)}, "sequence", 7),
        ({"x": ["batch_size", 3], "kv": [2, "batch_size", 4]}, {"x": (5, 3), "kv": (2, 5, 4)}, None, 5),
        ({"x": ["batch", 3], "kv": ["batch*heads", 4]}, {"x": (5, 3), "kv": (10, 4)}, None, None),
        ({"x": ["Batch", 3], "ids": ["tokens", 4]}, {"x": (5, 3), "ids": (10, 4)}, None, 5),
        ({"x": ["rows"]}, {"x": (5,)}, "rows", 5),
        ({"x": ["sequence", "batch", 24]}, {"x": (7, 2, 24)}, "", 2),
    ],
)
def test_a_dimension_that_calls_itself_a_batch_is_the_batch_wherever_it_stands(
    declared: Any, fed: Any, batch_dim: str | None, expected: int | None
) -> None:
    session: Any = SimpleNamespace(get_inputs=lambda: [Meta(name, shape=shape) for name, shape in declared.items()])
    inputs = {name: np.zeros(shape, np.float32) for name, shape in fed.items()}
    assert batch_of(session, inputs, batch_dim) == expected


def test_facts_of_inputs_name_type_shape_and_origin() -> None:
    data = CaseData(
        name="test_data_set_0",
        origin="stored",
        inputs={"x": np.zeros((2, 3), np.float16), "s": [np.zeros(1)]},
        references=None,
    )
    assert [(each.name, each.dtype, each.shape, each.origin) for each in tensor_facts(data)] == [
        ("x", "float16", (2, 3), "stored"),
        ("s", "list", None, "stored"),
    ]


def test_floats_of_a_sequence_are_cast_too() -> None:
    cast = cast_floats({"s": [np.ones(2, np.float16), np.ones(3, np.float16)]}, [Meta("s", "seq(tensor(float))")])
    assert [each.dtype for each in cast["s"]] == [np.float32, np.float32]  # type: ignore[union-attr]


def test_only_floats_are_cast_to_what_the_model_declares() -> None:
    values = {"x": np.ones(2, np.float16), "i": np.ones(2, np.int32), "other": np.ones(2, np.float16)}
    cast = cast_floats(values, [Meta("x"), Meta("i", "tensor(float)")])
    assert {name: str(value.dtype) for name, value in cast.items() if isinstance(value, np.ndarray)} == {
        "x": "float32",
        "i": "int32",
        "other": "float16",
    }
