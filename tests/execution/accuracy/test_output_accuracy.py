import dataclasses
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import Tolerance, ToleranceRule
from pytest_ortperf.execution.accuracy.array_difference import CHUNK
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.accuracy.policy import choose_tolerance, tolerance_precision
from pytest_ortperf.records import codec
from pytest_ortperf.records.record import OutputAccuracy

EXACT = Tolerance(rtol=0.0, atol=0.0, percent_mismatch=0.0)
LOOSE = Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0)
FLOAT_TYPES = st.sampled_from([np.float16, np.float32, np.float64])


def compare_one(output: Any, reference: Any, tolerance: Tolerance = EXACT) -> OutputAccuracy:
    (accuracy,) = compare({"y": output}, {"y": reference}, lambda _: tolerance)
    return accuracy


def told(accuracy: OutputAccuracy) -> str | None:
    """Return what breaks the policy, without the measures of the error behind it."""
    return accuracy.message and accuracy.message.partition("; max abs error")[0]


def test_a_mismatch_is_reported_in_full() -> None:
    reference = np.array([[0.25, 0.5], [1.0, -2.0], [3.0, 4.0], [8.0, 0.0]], np.float32)
    output = reference.copy()
    output[0, 1] = 0.021

    accuracy = compare_one(output, reference, LOOSE)

    assert accuracy == OutputAccuracy(
        name="y",
        dtype="float",
        shape=(4, 2),
        within_tolerance=False,
        rtol=1e-3,
        atol=1e-5,
        percent_mismatch_allowed=0.0,
        percent_mismatch=12.5,
        max_abs_error=float(np.float64(0.5) - np.float64(np.float32(0.021))),
        max_rel_error=float((np.float64(0.5) - np.float64(np.float32(0.021))) / 0.5),
        message="percent mismatch 12.5 % (allowed 0 %), worst at (0, 1): 0.021 instead of 0.5, rtol=0.001, atol=1e-05; "
        "max abs error 0.479, max rel error 0.958, cosine 0.99878, SNR 26.1 dB, "
        "all within with atol=0.479 or rtol=0.958",
        cosine=accuracy.cosine,
        snr_db=accuracy.snr_db,
        peak_percent=100 * float(np.float64(0.5) - np.float64(np.float32(0.021))) / 8,
        nonfinite_mismatches=0,
        worst_index=(0, 1),
        worst_output="0.021",
        worst_reference="0.5",
        needed_atol=accuracy.needed_atol,
        needed_rtol=accuracy.needed_rtol,
        elements=8,
    )

    o, r = output.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    assert accuracy.cosine == pytest.approx(o @ r / np.linalg.norm(o) / np.linalg.norm(r))
    assert accuracy.snr_db == pytest.approx(10 * np.log10((r @ r) / ((o - r) @ (o - r))))
    assert accuracy.needed_atol == pytest.approx(0.5 - 0.021 - 1e-3 * 0.5)
    assert accuracy.needed_rtol == pytest.approx((0.5 - 0.021 - 1e-5) / 0.5)


def test_mismatches_up_to_the_allowed_percentage_pass() -> None:
    reference = np.ones(8, np.float32)
    output = reference.copy()
    output[3] = 2

    just = compare_one(output, reference, Tolerance(percent_mismatch=12.5))
    below = compare_one(output, reference, Tolerance(percent_mismatch=12.4))

    assert (just.within_tolerance, just.percent_mismatch, just.message) == (True, 12.5, None)
    assert told(below) == ("percent mismatch 12.5 % (allowed 12.4 %), worst at (3,): 2 instead of 1, rtol=0, atol=0")


@pytest.mark.parametrize(
    ("output", "reference", "percent"),
    [
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.nan, 1.0], [1.0, 1.0], 50.0),
        ([1.0, 1.0], [math.nan, 1.0], 50.0),
        ([math.inf, -math.inf], [math.inf, -math.inf], 0.0),
        ([math.inf, -math.inf], [-math.inf, -math.inf], 50.0),
        ([1e38, 1.0], [math.inf, 1.0], 50.0),
        ([math.inf, 1.0], [1e38, 1.0], 50.0),
        ([math.nan, 1.0], [math.inf, 1.0], 50.0),
        ([0.0, -0.0], [-0.0, 0.0], 0.0),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_nan_and_infinities_have_to_be_the_same(
    dtype: str, output: list[float], reference: list[float], percent: float
) -> None:
    tolerance = Tolerance(rtol=10.0, atol=1e30)

    accuracy = compare_one(np.array(output, dtype), np.array(reference, dtype), tolerance)

    assert accuracy.percent_mismatch == percent


def test_errors_are_measured_over_finite_pairs_only() -> None:
    output = np.array([math.nan, math.inf, 3.0, 1.0], np.float32)
    reference = np.array([math.nan, 1.0, 2.0, 0.0], np.float32)

    accuracy = compare_one(output, reference)

    assert (accuracy.max_abs_error, accuracy.max_rel_error) == (1.0, 0.5)
    assert told(accuracy) == (
        "percent mismatch 75 % (allowed 0 %); NaN or infinity differs in 1 elements, "
        "worst at (1,): inf instead of 1, rtol=0, atol=0"
    )


@pytest.mark.parametrize(
    ("output", "reference", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2), "f4"), "is double (2, 3) instead of float (3, 2)"),
        (np.ones(2, "f2"), np.ones(2, "f4"), "is float16 (2,) instead of float (2,)"),
        (np.ones((2, 1)), np.ones(2), "is double (2, 1) instead of double (2,)"),
        (np.ones(()), np.ones(1), "is double () instead of double (1,)"),
        (np.zeros((0, 2)), np.zeros((0, 3)), "is double (0, 2) instead of double (0, 3)"),
        (None, np.ones(1), "is none instead of double (1,)"),
        (np.ones(1), None, "is double (1,) instead of none"),
        ([np.ones(1)], np.ones(1), "is seq(tensor(double)) instead of double (1,)"),
        ([np.ones(1)], [np.ones(1), np.ones(2)], "has 1 elements instead of 2"),
        ([np.ones(1), np.ones(1)], [np.ones(1), np.ones(2)], "[1] is double (1,) instead of double (2,)"),
        ({1: 2.0}, {"a": 2.0, "b": 1.0}, "has the keys 1 instead of 'a', 'b'"),
    ],
)
def test_another_type_or_shape_is_never_within_tolerance(output: Any, reference: Any, message: str) -> None:
    accuracy = compare_one(output, reference, Tolerance(atol=100.0, percent_mismatch=100.0))

    assert (accuracy.within_tolerance, accuracy.percent_mismatch) == (False, None)
    assert accuracy.message == message


@pytest.mark.parametrize("value", [None, [], np.zeros((0, 3)), np.array([], object), {}])
def test_empty_values_are_the_same(value: Any) -> None:
    accuracy = compare_one(value, value)

    assert (accuracy.within_tolerance, accuracy.percent_mismatch) == (True, 0.0)
    assert (accuracy.max_abs_error, accuracy.max_rel_error, accuracy.message) == (None, None, None)


def test_a_scalar_is_compared() -> None:
    accuracy = compare_one(np.array(1.5), np.array(1.0))

    assert told(accuracy) == ("percent mismatch 100 % (allowed 0 %), worst at (): 1.5 instead of 1, rtol=0, atol=0")


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_large_integers_are_compared_without_rounding(dtype: str) -> None:
    largest = int(np.iinfo(dtype).max)
    output, reference = np.array([largest - 1], dtype), np.array([largest], dtype)

    accuracy = compare_one(output, reference, LOOSE)

    assert told(accuracy) == (
        f"percent mismatch 100 % (allowed 0 %), worst at (0,): {largest - 1} instead of {largest}, rtol=0, atol=1e-05"
    )
    assert accuracy.max_abs_error == 1.0
    assert compare_one(output, reference, Tolerance(atol=1.0)).within_tolerance


def test_integers_of_opposite_ends_do_not_wrap_around() -> None:
    accuracy = compare_one(np.array([-(2**63)]), np.array([2**63 - 1]), Tolerance(atol=1e18))

    assert not accuracy.within_tolerance
    assert accuracy.max_abs_error == 2.0**64


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.bool_, ml_dtypes.int4, ml_dtypes.uint4])
def test_integers_and_bools_are_exact_unless_atol_is_given(dtype: Any) -> None:
    output, reference = np.array([1, 1, 0]).astype(dtype), np.array([1, 0, 0]).astype(dtype)

    strict = compare_one(output, reference, Tolerance(rtol=100.0, atol=0.5))

    assert (strict.within_tolerance, strict.rtol, strict.atol) == (False, 0.0, 0.5)
    assert strict.max_abs_error == 1.0
    assert compare_one(output, reference, Tolerance(atol=1.0)).within_tolerance


def test_bfloat16_may_differ_by_two_units_in_the_last_place() -> None:
    reference = np.array([1.0, 1.0], ml_dtypes.bfloat16)

    near = compare_one(np.array([1.015625, 1.0], ml_dtypes.bfloat16), reference)
    far = compare_one(np.array([1.0234375, 1.0], ml_dtypes.bfloat16), reference)

    assert (near.within_tolerance, near.rtol, near.dtype) == (True, 2**-6, "bfloat16")
    assert told(far) == (
        "percent mismatch 50 % (allowed 0 %), worst at (0,): 1.023438 instead of 1, rtol=0.015625, atol=0"
    )


def test_strings_are_exact() -> None:
    output, reference = np.array([["a", "b"]], object), np.array([["a", "c"]], object)

    accuracy = compare_one(output, reference, Tolerance(atol=5.0))

    assert (accuracy.dtype, accuracy.max_abs_error) == ("string", None)
    assert told(accuracy) == (
        "percent mismatch 50 % (allowed 0 %), worst at (0, 1): 'b' instead of 'c', rtol=0, atol=5"
    )


def test_the_worst_element_of_a_sequence_is_named() -> None:
    output = [np.array([1.0, 2.0]), np.array([[3.0, 9.0]])]
    reference = [np.array([1.5, 2.0]), np.array([[3.0, 4.0]])]

    accuracy = compare_one(output, reference)

    assert (accuracy.dtype, accuracy.shape) == ("seq(tensor(double))", None)
    assert (accuracy.percent_mismatch, accuracy.max_abs_error, accuracy.max_rel_error) == (50.0, 5.0, 1.25)
    assert told(accuracy) == (
        "percent mismatch 50 % (allowed 0 %), worst [1] at (0, 1): 9 instead of 4, rtol=0, atol=0"
    )


def test_maps_are_compared_by_key() -> None:
    output = [{"cat": 0.5, "dog": 0.25}]
    reference = [{"dog": np.float32(0.25), "cat": np.array(0.75, np.float32)}]

    accuracy = compare_one(output, reference)

    assert told(accuracy) == (
        "percent mismatch 50 % (allowed 0 %), worst [0] ['cat'] at (): 0.5 instead of 0.75, rtol=0, atol=0"
    )
    assert compare_one({1: "a"}, {1: "a"}).within_tolerance
    assert not compare_one({1: "a"}, {1: "b"}).within_tolerance


def test_a_missing_output_and_a_missing_reference_fail() -> None:
    x = np.ones((1, 2), np.float32)

    extra, missing = compare({"a": x}, {"b": x}, lambda _: LOOSE)

    assert (extra.name, extra.within_tolerance, extra.percent_mismatch) == ("a", False, None)
    assert extra.message == "has no reference; there are references for 'b'"
    assert (missing.name, missing.within_tolerance, missing.shape) == ("b", False, (1, 2))
    assert missing.message == "not computed; the outputs are 'a'"


def test_told_so_outputs_without_a_reference_are_left_out() -> None:
    x = np.ones(2, np.float32)

    accuracies = compare({"a": x, "b": x}, {"b": x, "c": x}, lambda _: LOOSE, subset=True)

    assert [(accuracy.name, accuracy.within_tolerance) for accuracy in accuracies] == [("b", True), ("c", False)]


def test_each_output_has_its_own_tolerance() -> None:
    one, two = np.ones(1), np.full(1, 2.0)
    by_name = {"a": Tolerance(atol=1.0), "b": Tolerance(atol=0.5)}

    accuracies = compare({"a": one, "b": one}, {"a": two, "b": two}, by_name.__getitem__)

    assert [(accuracy.atol, accuracy.within_tolerance) for accuracy in accuracies] == [(1.0, True), (0.5, False)]


@pytest.mark.parametrize(
    "value",
    [np.array([1.5, 2], "f2"), np.array([1, 2], "u8"), np.array([True]), [np.ones(2, "f4")], np.array(["a"], object)],
)
def test_accuracies_hold_builtins_only(value: Any) -> None:
    for accuracy in (compare_one(value, value, LOOSE), compare_one(value, None, LOOSE)):
        flat = codec.as_dict(accuracy)
        leaves = [leaf for item in flat.values() for leaf in (item if isinstance(item, list) else [item])]
        assert {type(leaf) for leaf in leaves} <= {str, int, float, bool, type(None)}


@given(array=hnp.arrays(FLOAT_TYPES, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3)))
def test_everything_equals_itself(array: np.ndarray) -> None:
    assert compare_one(array, array.copy()).within_tolerance


@given(data=st.data(), dtype=FLOAT_TYPES, atol=st.floats(0, 10))
def test_with_atol_alone_it_does_not_matter_which_is_the_reference(
    data: st.DataObject, dtype: Any, atol: float
) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=2, max_side=4))
    a, b = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))

    one, other = compare_one(a, b, Tolerance(atol=atol)), compare_one(b, a, Tolerance(atol=atol))

    assert (one.percent_mismatch, one.max_abs_error) == (other.percent_mismatch, other.max_abs_error)


@given(data=st.data(), rtol=st.floats(0, 1), atol=st.floats(0, 1))
def test_the_verdict_is_that_of_numpy(data: st.DataObject, rtol: float, atol: float) -> None:
    numbers = st.floats(-100, 100, width=32)
    a, b = (data.draw(hnp.arrays(np.float32, 5, elements=numbers)).astype(np.float64) for _ in range(2))

    within = np.abs(a - b) <= atol + rtol * np.abs(b)

    assert compare_one(a, b, Tolerance(rtol=rtol, atol=atol)).percent_mismatch == 20.0 * np.count_nonzero(~within)


def model_with(*rules: ToleranceRule) -> Model:
    return Model(name="m", path=Path("m.onnx"), origin="models.json: models[0] 'm'", tolerances=rules)


@pytest.mark.parametrize(
    ("precision", "default"),
    [
        (None, Tolerance(rtol=1e-3, atol=1e-5, scales="both", percent_mismatch=0.0)),
        ("fp32", Tolerance(rtol=1e-3, atol=1e-5, scales="both", percent_mismatch=0.0)),
        ("int8", Tolerance(rtol=1e-3, atol=1e-5, scales="down", steps=1, cosine=0.99, snr_db=20.0, peak_percent=8.0)),
        ("fp16", Tolerance(rtol=1e-2, atol=1e-3, scales="down", percent_mismatch=0.0, cosine=0.999, peak_percent=1.0)),
        ("tf32", Tolerance(rtol=1e-2, atol=1e-3, scales="down", percent_mismatch=0.0, cosine=0.999, peak_percent=1.0)),
        ("mixed", Tolerance(rtol=1e-2, atol=1e-3, scales="down", percent_mismatch=0.0, cosine=0.999, peak_percent=1.0)),
        ("bf16", Tolerance(rtol=1.6e-2, atol=1e-2, scales="down", cosine=0.99, snr_db=20.0, peak_percent=2.0)),
    ],
)
def test_each_precision_has_a_default(precision: str | None, default: Tolerance) -> None:
    tolerance = choose_tolerance(
        model_with(), precision=precision, provider="cpu", output="y", command_line=Tolerance()
    )

    assert tolerance == dataclasses.replace(default, nan_pattern="exact", repeat="within", second_chance=True)


@pytest.mark.parametrize(
    ("storage", "compute", "counts"),
    [
        ("fp32", None, "fp32"),
        ("fp32", "tf32", "tf32"),
        ("fp32", "fp16", "fp16"),
        ("fp16", "fp32", "fp16"),
        ("fp16", "fp16", "fp16"),
        ("int8", None, "int8"),
        (None, None, None),
    ],
)
def test_the_lower_of_storage_and_compute_precision_counts(
    storage: str | None, compute: str | None, counts: str | None
) -> None:
    assert tolerance_precision(storage, compute) == counts


def test_the_command_line_wins_over_rules_and_rules_over_defaults_field_by_field() -> None:
    model = model_with(
        ToleranceRule(tolerance=Tolerance(atol=9.0), provider="tensorrt"),
        ToleranceRule(tolerance=Tolerance(atol=8.0), precision="fp32"),
        ToleranceRule(tolerance=Tolerance(atol=7.0), output="mask*"),
        ToleranceRule(tolerance=Tolerance(atol=0.5), provider="cuda", precision="fp16", output="logit?"),
        ToleranceRule(tolerance=Tolerance(rtol=0.25, atol=0.125, percent_mismatch=2.0)),
    )

    def chosen(output: str, command_line: Tolerance) -> Tolerance:
        found = choose_tolerance(model, precision="fp16", provider="cuda", output=output, command_line=command_line)
        return Tolerance(rtol=found.rtol, atol=found.atol, percent_mismatch=found.percent_mismatch)

    assert chosen("logits", Tolerance()) == Tolerance(rtol=0.25, atol=0.5, percent_mismatch=2.0)
    assert chosen("logits", Tolerance(atol=0.0)) == Tolerance(rtol=0.25, atol=0.0, percent_mismatch=2.0)
    assert chosen("other", Tolerance(percent_mismatch=1.0)) == Tolerance(rtol=0.25, atol=0.125, percent_mismatch=1.0)


def test_an_elementwise_rule_brings_elements_back_where_the_default_has_none() -> None:
    model = model_with(ToleranceRule(tolerance=Tolerance(atol=0.5), output="y"))

    def percent(output: str) -> float | None:
        return choose_tolerance(
            model, precision="int8", provider="cpu", output=output, command_line=Tolerance()
        ).percent_mismatch

    assert (percent("y"), percent("other")) == (0.0, None)


CLOSE = Tolerance(rtol=0.0, atol=1e-6, cosine=0.999, snr_db=20.0, peak_percent=2.0)


def test_without_a_percentage_floats_are_held_to_cosine_ratio_and_peak_alone() -> None:
    reference = np.array([1.0, -2.0, 3.0, 100.0], np.float32)

    near = compare_one(reference + np.float32(0.5), reference, CLOSE)
    turned = compare_one(reference[::-1].copy(), reference, CLOSE)

    assert (near.within_tolerance, near.percent_mismatch, near.percent_mismatch_allowed) == (True, 100.0, 100.0)
    assert told(turned) == (
        "cosine 0.0188 (at least 0.999); SNR -2.9 dB (at least 20 dB); "
        "largest error 99 % of the largest reference (allowed 2 %), worst at (0,): 100 instead of 1, rtol=0, atol=1e-06"
    )


def test_a_scaled_output_has_the_right_direction_and_the_wrong_size() -> None:
    reference = np.array([1.0, 2.0, 3.0], np.float32)

    accuracy = compare_one(2 * reference, reference, Tolerance(cosine=0.99, snr_db=20.0))

    assert (accuracy.cosine, accuracy.snr_db) == (1.0, 0.0)
    assert told(accuracy) == "SNR 0.0 dB (at least 20 dB), worst at (2,): 6 instead of 3, rtol=0, atol=0"


def test_integers_are_exact_where_floats_are_held_to_a_cosine() -> None:
    accuracy = compare_one(np.array([100, 101]), np.array([100, 100]), CLOSE)

    assert told(accuracy) == (
        "percent mismatch 50 % (allowed 0 %), worst at (1,): 101 instead of 100, rtol=0, atol=1e-06"
    )
    assert (accuracy.cosine_least, accuracy.snr_db_least, accuracy.peak_percent_allowed) == (None, None, None)


@pytest.mark.parametrize(("error", "within"), [(1e-7, True), (1e-3, False)])
def test_zeros_have_no_direction_and_are_held_to_atol(error: float, *, within: bool) -> None:
    zeros = np.zeros(3, np.float32)

    accuracy = compare_one(zeros + np.float32(error), zeros, CLOSE)

    assert (accuracy.within_tolerance, accuracy.cosine, accuracy.snr_db) == (within, None, None)


def test_nan_and_infinities_stand_where_the_reference_has_them_whatever_the_percentage() -> None:
    reference = np.ones(4, np.float32)
    output = np.array([1, 1, 1, math.nan], np.float32)
    half = Tolerance(percent_mismatch=50.0)

    accuracy = compare_one(output, reference, half)
    counted = compare_one(output, reference, dataclasses.replace(half, nan_pattern="counted"))

    assert (accuracy.within_tolerance, accuracy.nonfinite_mismatches) == (False, 1)
    assert told(accuracy) == ("NaN or infinity differs in 1 elements, worst at (3,): nan instead of 1, rtol=0, atol=0")
    assert (counted.within_tolerance, counted.nonfinite_mismatches) == (True, 1)
    assert (accuracy.needed_atol, accuracy.needed_rtol) == (None, None)


def test_the_worst_element_is_named_of_an_output_that_passes_too() -> None:
    reference = np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)
    output = reference + np.array([[0, 0], [1e-6, 0]], np.float32)

    accuracy = compare_one(output, reference, LOOSE)

    assert (accuracy.within_tolerance, accuracy.worst_index, accuracy.worst_reference) == (True, (1, 0), "4")


@pytest.mark.parametrize("k", [1, 2])
def test_rows_agree_on_their_largest_whatever_the_elements(k: int) -> None:
    reference = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], np.float32)
    output = np.array([[0.3, 0.4, 0.35], [0.2, 0.5, 0.3]], np.float32)

    accuracy = compare_one(output, reference, Tolerance(top_k=k))

    assert (accuracy.percent_mismatch, accuracy.top_k) == (50.0, k)
    assert told(accuracy) == (
        f"rows whose {k} largest differ 50 % (allowed 0 %), worst row at (1,): largest {', '.join('12'[:k])} "
        f"instead of largest {', '.join('01'[:k])}, rtol=0, atol=0"
    )


def test_equal_references_may_swap_among_the_largest() -> None:
    reference, output = np.array([[0.4, 0.4, 0.2]]), np.array([[0.39, 0.41, 0.2]])

    assert compare_one(output, reference, Tolerance(top_k=1)).within_tolerance


def test_chosen_indices_agree_in_any_order() -> None:
    reference, output = np.array([[7, 3, 5], [1, 2, 3]]), np.array([[3, 7, 9], [1, 4, 2]])

    accuracy = compare_one(output, reference, Tolerance(top_k=2))

    assert (accuracy.percent_mismatch, accuracy.worst_index) == (50.0, (1,))


def test_floats_of_another_precision_are_the_same_type_if_told_so() -> None:
    half, single = np.array([1.0, 2.0], np.float16), np.array([1.0, 2.0], np.float32)

    (strict,) = compare({"y": half}, {"y": single}, lambda _: LOOSE)
    (loose,) = compare({"y": half}, {"y": single}, lambda _: LOOSE, any_float=True)

    assert (strict.message, loose.within_tolerance) == ("is float16 (2,) instead of float (2,)", True)


def test_a_reference_beyond_the_range_of_half_precision_shows_its_overflow() -> None:
    (accuracy,) = compare(
        {"y": np.array([math.inf], np.float16)}, {"y": np.array([1e5], np.float32)}, lambda _: LOOSE, any_float=True
    )

    assert (accuracy.within_tolerance, accuracy.nonfinite_mismatches) == (False, 1)


@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, 2 * CHUNK + 4])
def test_large_arrays_are_compared_in_parts(place: int) -> None:
    reference = np.linspace(1, 2, 2 * CHUNK + 5, dtype=np.float32)
    output = reference.copy()
    output[place] += 1

    accuracy = compare_one(output, reference, LOOSE)
    o, r = output.astype(np.float64), reference.astype(np.float64)

    assert accuracy.worst_index == (place,)
    assert accuracy.percent_mismatch == 100 / reference.size
    assert accuracy.snr_db == pytest.approx(10 * np.log10((r @ r) / ((o - r) @ (o - r))))


@given(data=st.data(), rtol=st.floats(0, 1), atol=st.floats(0, 1))
def test_the_tolerance_that_is_named_would_pass(data: st.DataObject, rtol: float, atol: float) -> None:
    numbers = st.floats(-100, 100, width=32)
    a, b = (data.draw(hnp.arrays(np.float32, 5, elements=numbers)) for _ in range(2))

    accuracy = compare_one(a, b, Tolerance(rtol=rtol, atol=atol))

    assert compare_one(a, b, Tolerance(rtol=rtol, atol=accuracy.needed_atol)).within_tolerance
    if accuracy.needed_rtol is not None:
        assert compare_one(a, b, Tolerance(rtol=accuracy.needed_rtol, atol=atol)).within_tolerance


def test_where_places_count_no_default_bounds_sizes() -> None:
    model = model_with(
        ToleranceRule(tolerance=Tolerance(top_k=1), output="class"),
        ToleranceRule(tolerance=Tolerance(top_k=1, cosine=0.5), output="both"),
    )
    reference, output = np.array([[0.1, 0.7, 0.2]], np.float32), np.array([[0.3, 0.4, 0.35]], np.float32)

    def found(name: str, precision: str, values: np.ndarray) -> OutputAccuracy:
        tolerance = choose_tolerance(model, precision=precision, provider="cpu", output=name, command_line=Tolerance())
        return compare_one(values, reference, tolerance)

    for precision in ("fp32", "fp16", "bf16", "int8"):
        assert found("class", precision, output).within_tolerance
        assert not found("class", precision, np.roll(reference, 1)).within_tolerance
        assert (found("class", precision, output).cosine_least, found("both", precision, output).cosine_least) == (
            None,
            0.5,
        )


def test_nan_is_not_counted_where_nothing_is() -> None:
    reference, output = np.ones(4, np.float32), np.full(4, math.nan, np.float32)
    vectors = Tolerance(cosine=0.99, snr_db=20.0, nan_pattern="counted")

    assert told(compare_one(output, reference, vectors)) == (
        "NaN or infinity differs in 4 elements, worst at (0,): nan instead of 1, rtol=0, atol=0"
    )
