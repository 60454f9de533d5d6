from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.consistency import batch_dimension, check_batch, check_repeat, same_bits
from pytest_ortperf.records.record import ConsistencyCheck

CLOSE = Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0, repeat="within")


class Meta:
    """An input or output as a session tells it."""

    def __init__(self, name: str, *shape: Any) -> None:
        self.name, self.shape, self.type = name, list(shape), "tensor(float)"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([np.nan, 0.0]), np.array([np.nan, 0.0]), True),
        (np.array([0.0]), np.array([-0.0]), False),
        (np.ones(2), np.ones(2, np.float32), False),
        (np.ones((2, 1)), np.ones(2), False),
        (np.array(["a"], object), np.array(["b"], object), False),
        ([np.ones(2)], [np.ones(2)], True),
        ([np.ones(2)], [], False),
        ([{1: 0.5}], [{1: 0.5}], True),
        (None, None, True),
        (None, np.ones(1), False),
    ],
)
def test_same_bits(one: Any, other: Any, *, same: bool) -> None:
    assert same_bits(one, other) is same


def repeated(first: Any, second: Any, tolerance: Tolerance = CLOSE) -> ConsistencyCheck:
    return check_repeat({"y": np.asarray(first)}, {"y": np.asarray(second)}, lambda _: tolerance)


def test_the_same_bits_twice() -> None:
    found = repeated([1.0, np.nan], [1.0, np.nan])

    assert (found.outcome, found.fails, found.max_abs_error) == ("same", False, 0.0)


@pytest.mark.parametrize(
    ("asked", "by", "outcome", "fails"),
    [
        ("within", 1e-6, "within", False),
        ("within", 0.5, "broken", True),
        ("exact", 1e-6, "broken", True),
        ("report", 0.5, "broken", False),
    ],
)
def test_a_second_run_that_differs(asked: Any, by: float, outcome: str, *, fails: bool) -> None:
    tolerance = Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0, repeat=asked)

    found = repeated([1.0, 2.0], [1.0, 2.0 + by], tolerance)

    assert (found.outcome, found.fails) == (outcome, fails)
    assert found.note == f"a second run with the same inputs differs: output 'y' by up to {by:.4g}"


@pytest.mark.parametrize(
    ("shapes", "asked", "found"),
    [
        ([["batch", 3], ["batch"]], None, "batch"),
        ([["batch_size", 3]], None, "batch_size"),
        ([["N", 3]], None, None),
        ([["N", 3]], "N", "N"),
        ([["batch", 3]], "", None),
        ([["batch", 3], ["other", 3]], None, None),
        ([["batch", 3], []], None, None),
        ([[1, "batch"]], None, None),
        ([], None, None),
    ],
)
def test_a_batch_is_what_all_inputs_begin_with_and_call_so(shapes: Any, asked: Any, found: Any) -> None:
    assert batch_dimension([Meta("x", *shape) for shape in shapes], asked) == found


def batched(compute: Any, x: Any) -> ConsistencyCheck:
    def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": compute(inputs["x"]), "z": np.zeros(1)}

    return check_batch({"x": np.asarray(x)}, [Meta("y", "batch", 2), Meta("z", 1)], "batch", run, lambda _: CLOSE)


def test_rows_that_do_not_know_of_each_other() -> None:
    found = batched(lambda x: x * 2, [[1.0, 2.0]])

    assert (found.outcome, found.fails) == ("same", False)
    assert found.note == "3 rows of dimension 'batch', together and one by one: the same bits"


def test_rows_that_see_the_others_differ() -> None:
    found = batched(lambda x: x - x.mean(axis=0), [[1.0, 2.0]])

    assert (found.outcome, found.fails) == ("broken", True)
    assert found.note.startswith("3 rows of dimension 'batch', together and one by one: row 0 of output 'y': percent")


def test_the_last_row_alone_is_wrong() -> None:
    def forgets_last(x: Any) -> Any:
        y = np.array(x)
        y[-1] *= 1 if len(y) == 1 else 0
        return y

    found = batched(forgets_last, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    assert "row 2 of output 'y'" in found.note
    assert "row 1 " not in found.note


def test_a_model_whose_outputs_have_no_batch_is_left_alone() -> None:
    found = check_batch({"x": np.ones((1, 2))}, [Meta("y", 2)], "batch", lambda _: {}, lambda _: CLOSE)

    assert (found.outcome, found.note) == ("not made", "no output begins with the dimension 'batch'")


def padded(x: Any) -> Any:
    """Return each row up to the longest of them, as a tokeniser pads."""
    longest = int(np.abs(x[:, 0]).max())
    return np.stack([np.pad(np.full(int(abs(row[0])), row[0]), (0, longest - int(abs(row[0])))) for row in x])


def test_a_size_that_depends_on_the_other_rows_is_no_fault() -> None:
    inputs = {"x": np.array([[1.0], [2.0], [3.0]])}
    open_size, fixed_size, plain = Meta("y", "batch", "length"), Meta("y", "batch", 3), Meta("z", "batch", 1)

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": padded(given["x"]), "z": given["x"]}

    alone, both, wrong = (
        check_batch(inputs, metas, "batch", run, lambda _: CLOSE)
        for metas in ([open_size], [open_size, plain], [fixed_size])
    )

    assert (alone.outcome, alone.note) == ("not made", "the size of 'y' depends on the other rows")
    assert both.outcome == "same"
    assert both.note == (
        "3 rows of dimension 'batch', together and one by one (without 'y', whose size depends on the other rows): "
        "the same bits"
    )
    assert (wrong.outcome, wrong.fails) == ("broken", True)


def test_inputs_without_a_row_make_no_batch() -> None:
    found = check_batch({"x": np.ones((0, 2))}, [Meta("y", "batch", 2)], "batch", dict, lambda _: CLOSE)

    assert (found.outcome, found.note) == ("not made", "the inputs have no row")


def test_outputs_that_nobody_asked_for_are_left_alone() -> None:
    metas = [Meta("y", "batch", 2), Meta("unwanted", "batch", 2)]
    found = check_batch({"x": np.ones((1, 2))}, metas, "batch", lambda it: {"y": it["x"]}, lambda _: CLOSE)

    assert found.outcome == "same"
