"""Which cases of two sides belong together, and in which order they are measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pair_examples import make_pair
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.pairing.measure_pair import cores_of, log_ratios
from pytest_ortperf.pairing.plan import Pace, Plan, estimate_text, matches_of
from pytest_ortperf.pairing.side_process import SideCase, SideProcess
from pytest_ortperf.records.pairs import Pair


def case(model: str = "bert", provider: str = "cpu", variant: str | None = None, **changes: Any) -> SideCase:
    case_id = f"{model}::benchmark[{variant or provider}]"
    values: dict[str, Any] = {
        "case_id": case_id,
        "nodeid": f"models.json::{case_id}",
        "model": model,
        "provider": provider,
        "precision": None,
        "dims": {},
        "timings": ("host",),
        "on_device": False,
        "threads": None,
        "skip": None,
    }
    return SideCase(**(values | changes))


def side(*cases: SideCase) -> SideProcess:
    """Return what has been met: its cases are all that is looked at."""
    return cast("SideProcess", SimpleNamespace(cases={each.case_id: each for each in cases}))


def test_cases_of_one_id_belong_together_in_the_order_of_the_current_side() -> None:
    base = side(case("a"), case("b"), case("c"), case("a", "cuda", timings=("bound", "host")))
    current = side(case("c"), case("d"), case("a"), case("a", "cuda", timings=("bound", "host")))
    assert [(match.case_id, match.base_id, match.current_id, match.timing) for match in matches_of(base, current)] == [
        ("c::benchmark[cpu]", "c::benchmark[cpu]", "c::benchmark[cpu]", "host"),
        ("a::benchmark[cpu]", "a::benchmark[cpu]", "a::benchmark[cpu]", "host"),
        ("a::benchmark[cuda]", "a::benchmark[cuda]", "a::benchmark[cuda]", "bound"),
    ]


def test_where_each_side_has_one_provider_the_subject_pairs_them() -> None:
    fp16 = {"precision": "fp16", "dims": {"n": 8, "m": 2}, "timings": ("bound", "host")}
    base = side(case("a", "cuda", "cuda-fp16-n=8-m=2", **fp16), case("a", "cuda"), case("gone", "cuda"))
    current = side(
        case("a", "tensorrt", "tensorrt-fp16-n=8-m=2", **fp16),
        case("a", "tensorrt", "tensorrt-n=8", dims={"n": 8}),
        case("a", "tensorrt"),
    )
    assert [(match.case_id, match.base_id, match.current_id) for match in matches_of(base, current)] == [
        (
            "a::benchmark[tensorrt-fp16-n=8-m=2]",
            "a::benchmark[cuda-fp16-n=8-m=2]",
            "a::benchmark[tensorrt-fp16-n=8-m=2]",
        ),
        ("a::benchmark[tensorrt]", "a::benchmark[cuda]", "a::benchmark[tensorrt]"),
    ]


@pytest.mark.parametrize(
    ("base", "current", "said"),
    [
        (
            side(case("a")),
            side(case("b"), case("c"), case("d"), case("e"), case("f")),
            (
                "base has a::benchmark[cpu], current has b::benchmark[cpu], c::benchmark[cpu], d::benchmark[cpu] "
                "and 2 more"
            ),
        ),
        (
            side(case("a", "cpu"), case("a", "cuda")),
            side(case("a", "tensorrt")),
            "base has a::benchmark[cpu], a::benchmark[cuda], current has a::benchmark[tensorrt]",
        ),
    ],
)
def test_no_case_in_common_is_told_with_what_there_is(base: SideProcess, current: SideProcess, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        matches_of(base, current)
    assert str(caught.value) == f"no case is on both sides; {said}"


@pytest.mark.parametrize(
    ("base", "current", "timing"),
    [
        (("bound", "host"), ("bound", "host"), "bound"),
        (("host",), ("bound", "host"), "host"),
        (("bound", "host"), ("host",), "host"),
        (("graph", "host"), ("graph", "host"), "graph"),
        (("graph", "bound+copies", "host"), ("bound+copies", "graph", "host"), "host"),
        (("graph", "bound", "host"), ("host", "graph", "bound"), "bound"),
    ],
)
def test_the_timing_mode_is_the_best_that_both_have(
    base: tuple[str, ...], current: tuple[str, ...], timing: str
) -> None:
    (match,) = matches_of(side(case(timings=base)), side(case(timings=current)))
    assert match.timing == timing


def test_no_timing_mode_in_common_is_told_unless_the_case_is_left_out() -> None:
    base, current = side(case(timings=("graph",))), side(case(timings=("host", "bound")))
    with pytest.raises(SettingsError) as caught:
        matches_of(base, current)
    assert str(caught.value) == (
        "bert::benchmark[cpu]: no timing mode is of both sides: graph, and host, bound; choose one with "
        "--ortperf-timing"
    )
    (match,) = matches_of(base, side(case(timings=("host", "bound"), skip="too large")))
    assert match.timing == "host"


def test_what_the_model_list_leaves_out_is_matched_too_so_that_it_can_be_told() -> None:
    base, current = side(case("a"), case("b")), side(case("a", skip="not yet"), case("b"))
    assert [match.case_id for match in matches_of(base, current)] == ["a::benchmark[cpu]", "b::benchmark[cpu]"]


def test_orders_are_drawn_anew_for_each_round_and_the_same_when_a_run_is_gone_on_with() -> None:
    plan = Plan(seed=1)
    draws = [plan.rng("turns", "screen", number, "bert").random() for number in range(3)]
    assert len(set(draws)) == 3
    assert [Plan(seed=1).rng("turns", "screen", number, "bert").random() for number in range(3)] == draws
    assert Plan(seed=2).rng("turns", "screen", 0, "bert").random() != draws[0]


def test_a_ratio_of_logarithms_has_no_zero_in_it() -> None:
    assert log_ratios([2.0, 0.0], [4.0, 0.0]) == [pytest.approx(0.6931, abs=1e-4), 0.0]


@pytest.mark.parametrize(("base", "current", "both"), [(1, 1, 1), (2, 1, None), (None, 1, None), (None, None, None)])
def test_a_pair_has_as_many_threads_as_both_sides_are_told(
    base: int | None, current: int | None, both: int | None
) -> None:
    (match,) = matches_of(side(case(threads=base)), side(case(threads=current)))
    assert match.threads == both


def test_both_processes_of_a_pair_are_kept_on_as_many_cores_as_they_have_threads() -> None:
    dice = Plan().rng("cores")
    drawn = {tuple(cores_of(1, {0, 1, 5}, dice)) for _ in range(50)}
    assert drawn == {(0,), (1,), (5,)}
    assert cores_of(2, {0, 1, 5}, dice) in ([0, 1], [0, 5], [1, 5])
    # more would be all there are; and what nobody said is ONNX Runtime's choice
    assert cores_of(3, {0, 1, 5}, dice) == []
    assert cores_of(None, {0, 1, 5}, dice) == []


def lasting(model: str, *seconds: float) -> list[Pair]:
    return [make_pair(model=model, round=number, duration_ns=round(each * 1e9)) for number, each in enumerate(seconds)]


A, B = "a::benchmark[cpu]", "b::benchmark[cpu]"


def test_a_pair_is_expected_to_take_as_long_as_the_middle_one_of_its_case() -> None:
    pace = Pace(Plan(), [*lasting("a", 2, 4, 30), *lasting("b", 8)])
    assert pace.of([A]) == 4
    assert pace.of([A, B]) == 12
    # a new case: as the others on average
    assert pace.of(["c::benchmark[cpu]"]) == 6
    pace.learn(make_pair(model="b", duration_ns=10_000_000_000))
    assert pace.of([B]) == 9


def test_without_earlier_pairs_a_pair_is_a_guess_from_its_longest_time() -> None:
    assert Pace(Plan(pair_s=0.5)).of([A, B]) == 4
    assert Pace(Plan(), [make_pair(model="a")]).known == set()


def test_a_round_without_cases_takes_no_time() -> None:
    pace = Pace(Plan(), lasting("a", 2))
    assert (pace.of_round([]), pace.of_round([A])) == (0, 3.5)


@pytest.mark.parametrize(
    ("plan", "known", "done", "expected"),
    [
        (
            Plan(),
            [],
            [],
            (
                "expected: about 23 s for 3 pairs of 2 cases; about 75 s more if all look changed "
                "(estimated: no earlier run has these cases)"
            ),
        ),
        (
            Plan(),
            [*lasting("a", 2), *lasting("b", 4)],
            [],
            "expected: about 23 s for 3 pairs of 2 cases; about 75 s more if all look changed",
        ),
        (
            Plan(),
            lasting("a", 5),
            [],
            (
                "expected: about 35 s for 3 pairs of 2 cases; about 2 min more if all look changed "
                "(1 of 2 cases known from an earlier run)"
            ),
        ),
        (
            Plan(is_aa=True, screen_pairs=10),
            lasting("a", 30),
            [],
            "expected: about 11 min for 10 pairs of 2 cases (1 of 2 cases known from an earlier run)",
        ),
        (
            Plan(screen_pairs=1, confirm_pairs=1),
            [],
            lasting("a", 7),
            (
                "expected: about 5 s for 1 pair of 2 cases; about 8 s more if all look changed "
                "(estimated: no earlier run has these cases)"
            ),
        ),
    ],
)
def test_a_run_says_how_long_it_takes_before_it_begins(
    plan: Plan, known: list[Pair], done: list[Pair], expected: str
) -> None:
    assert estimate_text(plan, Pace(plan, known), [A, B], done) == expected
