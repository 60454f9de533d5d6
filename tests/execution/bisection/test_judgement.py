from __future__ import annotations

import numpy as np
import pytest

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.bisection.judgement import Judge, root_mean_square, value_fact


def judge(*, is_quantised: bool = False) -> Judge:
    tolerance = Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0)
    return Judge(lambda _: tolerance, frozenset({"out"}), is_quantised=is_quantised)


def test_inside_the_graph_atol_is_for_the_size_of_the_values() -> None:
    reference = np.array([1000.0, 0.0], np.float32)
    off = np.array([1000.0, 0.005], np.float32)
    assert judge().judge("inner", off, reference).is_within
    assert not judge().judge("out", off, reference).is_within
    tiny = judge().judge("inner", np.float32([1.1e-6, 1e-6]), np.float32([1e-6, 1e-6]))
    assert not tiny.is_within
    assert tiny.error == pytest.approx(0.1, rel=1e-3)


def test_the_error_is_relative_to_the_root_mean_square() -> None:
    found = judge().judge("inner", np.float32([3.0, 4.5]), np.float32([3.0, 4.0]))
    assert found.error == pytest.approx(0.5 / np.sqrt(12.5))
    assert found.max_abs_error == 0.5


def test_what_overflows_in_float16_is_wrong_though_its_reference_would_too() -> None:
    found = judge().judge("inner", np.float16([np.inf, 1]), np.float32([1e5, 1]))
    assert (found.is_within, found.error) == (False, None)
    assert found.size == np.inf


def test_quantised_values_may_be_one_step_off() -> None:
    off, reference = np.uint8([3, 200]), np.uint8([4, 200])
    assert judge(is_quantised=True).judge("inner", off, reference).is_within
    assert not judge().judge("inner", off, reference).is_within
    assert not judge(is_quantised=True).judge("inner", np.uint8([6, 200]), reference).is_within


@pytest.mark.parametrize(
    ("output", "reference", "within"),
    [
        ([np.float32([1.0])], [np.float32([1.0])], True),
        ([np.float32([1.0])], [np.float32([2.0])], False),
        (np.array(["a"], object), np.array(["a"], object), True),
        (np.array(["a"], object), np.array(["b"], object), False),
        (np.ones(2, np.float32), np.ones(3, np.float32), False),
        (None, None, True),
    ],
)
def test_values_that_are_no_numbers_have_no_size(output: object, reference: object, within: bool) -> None:  # noqa: FBT001
    found = judge().judge("inner", output, reference)  # type: ignore[arg-type]
    assert (found.is_within, found.error) == (within, None)


def test_ranges_leave_out_what_is_not_finite() -> None:
    fact = value_fact("v", np.float16([1, np.nan, -2, np.inf]), "computed", np.float32([0, 5]))
    assert (fact.dtype, fact.shape, fact.low, fact.high, fact.not_finite) == ("float16", (4,), -2.0, 1.0, 2)
    assert (fact.reference_low, fact.reference_high) == (0.0, 5.0)
    assert value_fact("s", np.array(["a"], object), "input").low is None
    assert root_mean_square(np.float32([np.nan])) == 0.0
