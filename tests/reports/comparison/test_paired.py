"""Verdicts on pairs that were measured in turns, and the noise floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from pair_examples import (
    PRINT,
    RUN,
    make_fact,
    make_pair,
    make_pairs,
    make_pairs_header,
    make_side_record,
    make_stored,
)
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.pairs import CONFIRM, MORE, PAIRS_SCHEMA, SCREEN, FloorOfCase, NoiseFloor, Pair
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.paired import (
    QUIET,
    Judged,
    Noise,
    by_case,
    compare_pairs,
    floor_of,
    judge,
    looks_changed,
    require_floor,
    sorter,
)
from pytest_ortperf.reports.comparison.run_comparison import failing
from record_examples import make_failure

BERT = "bert::benchmark[cpu]"


def around(percent: float, spread: float = 0.2, count: int = 10) -> list[float]:
    """Return as many percents, evenly spread to both sides of one."""
    return [percent + spread * (2 * number / (count - 1) - 1) for number in range(count)]


def judged(*pairs: Pair, floor: NoiseFloor | None = None) -> Judged:
    (found,) = judge(by_case(pairs), Noise(floor=floor))
    return found


def verdict(*pairs: Pair, floor: NoiseFloor | None = None) -> tuple[str, tuple[str, ...]]:
    decision = judged(*pairs, floor=floor).decision
    return decision.verdict, decision.reasons


def floor_with(percent: float, case_id: str = BERT, timing: str = "host") -> NoiseFloor:
    case = FloorOfCase(case_id=case_id, timing=timing, pairs=10, log_floor=math.log1p(percent / 100))
    return NoiseFloor(schema=PAIRS_SCHEMA, run=RUN, fingerprint=PRINT, cases=(case,))


def test_pairs_are_told_apart_by_case_timing_and_stage() -> None:
    pairs = [
        make_pair(1),
        make_pair(2, stage=CONFIRM),
        make_pair(3, model="vgg"),
        make_pair(4, stage=MORE),
        make_pair(5, timing="bound"),
    ]
    found = by_case(pairs)
    assert [(case.case_id, case.timing) for case in found] == [
        (BERT, "host"),
        ("vgg::benchmark[cpu]", "host"),
        (BERT, "bound"),
    ]
    assert (found[0].screened, found[0].confirmed) == ((pairs[0], pairs[3]), (pairs[1],))
    assert found[0].deciding == (pairs[1],)
    assert found[1].deciding == (pairs[2],)


@pytest.mark.parametrize(("percent", "expected"), [(5, "SLOWER"), (-5, "FASTER"), (100, "SLOWER"), (-50, "FASTER")])
def test_fresh_pairs_decide_in_both_directions(percent: float, expected: str) -> None:
    screened = make_pairs(around(percent, count=3))
    assert verdict(*screened, *make_pairs(around(percent), stage=CONFIRM)) == (expected, ())


@pytest.mark.parametrize("stage", [SCREEN, MORE])
@pytest.mark.parametrize("percent", [20, -20])
def test_pairs_of_the_screening_never_decide_however_clear_and_many(percent: float, stage: str) -> None:
    assert verdict(*make_pairs(around(percent, count=40), stage=stage)) == ("UNSURE", ("no fresh pairs confirm it",))


def test_what_the_screening_found_counts_for_nothing_once_there_are_fresh_pairs() -> None:
    found = judged(*make_pairs(around(30, count=3)), *make_pairs(around(0), stage=CONFIRM))
    assert (found.decision.verdict, found.evidence.base_count, found.evidence.current_count) == ("SAME", 10, 10)
    assert found.evidence.ratio == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ("UNSURE", ("a single pair: nothing is known of the noise",))),
        (2, ("UNSURE", ("2 fresh pairs; it takes more to confirm it",))),
        (3, ("SLOWER", ())),
    ],
)
def test_it_takes_three_fresh_pairs(count: int, expected: tuple[str, tuple[str, ...]]) -> None:
    percents = [10.0, 10.01, 10.02][:count]
    assert verdict(*make_pairs(percents, stage=CONFIRM)) == expected


def test_one_pair_of_the_screening_tells_nothing() -> None:
    found = judged(make_pair(0))
    assert (found.decision.verdict, found.decision.reasons) == (
        "UNSURE",
        ("a single pair: nothing is known of the noise",),
    )
    assert (found.evidence.is_known, found.evidence.base_count, found.adjusted_p) == (False, 1, 1.0)


def test_same_needs_the_whole_interval_within_delta() -> None:
    assert verdict(*make_pairs([0.1, -0.1, 0.2])) == ("SAME", ())
    assert verdict(*make_pairs([2.5, 1.5, 4.0, 2.0])) == ("UNSURE", ("the interval reaches beyond 3 %",))
    assert verdict(*make_pairs([30, -28, 1])) == ("UNSURE", ("the noise hides changes of up to 64.8 %",))


def test_noise_that_blows_delta_up_earns_no_same() -> None:
    found = judged(*make_pairs([12, -11, 9, -10, 13, -12]))
    assert found.decision.delta > 0.2
    assert (found.decision.verdict, found.decision.reasons) == ("UNSURE", ("the noise hides changes of up to 10.7 %",))


def test_a_change_that_chance_may_have_made_is_unsure() -> None:
    quiet = floor_with(0.1)
    found = judged(*make_pairs([0.5, 10, 4.5], stage=CONFIRM), floor=quiet)
    assert found.decision.delta == 0.03
    assert found.decision.verdict == "UNSURE"
    assert found.decision.reasons == (f"chance is not ruled out (adjusted p {found.adjusted_p:.2g})",)
    assert 0.05 < found.adjusted_p < 0.5


def test_mean_and_median_have_to_agree() -> None:
    # ten fresh pairs: a few far off carry the mean, the middle one is no change
    percents = [0.4, 0.5, 0.6, 0.5, 0.4, 0.6, 21, 22, 20, 21]
    found = judged(*make_pairs(percents, stage=CONFIRM), floor=floor_with(0.1))
    assert (found.decision.verdict, found.decision.reasons) == ("UNSURE", ("the middle one of the pairs is +0.6 %",))


def test_p_values_are_adjusted_among_the_cases_with_fresh_pairs_alone() -> None:
    quiet = floor_with(0.1, "one::benchmark[cpu]")
    weak = [1.0, 9.0, 4.0, 10.5, 2.0, 7.0]
    one = make_pairs(weak, model="one", stage=CONFIRM)
    alone = judged(*one, floor=quiet)
    screened = [pair for number in range(50) for pair in make_pairs([0.1, -0.1, 0.2], model=f"quiet{number}")]
    beside = {each.pairs.case_id: each for each in judge(by_case([*one, *screened]), Noise(floor=quiet))}
    assert beside["one::benchmark[cpu]"].adjusted_p == alone.adjusted_p == alone.evidence.p
    assert {each.adjusted_p for name, each in beside.items() if name.startswith("quiet")} == {1.0}
    # and among those, a family of tests makes each harder: Benjamini and Hochberg, m tests, the one at rank 1
    confirmed = [
        pair for number in range(9) for pair in make_pairs([0.1, -0.1, 0.2], model=f"c{number}", stage=CONFIRM)
    ]
    family = {each.pairs.case_id: each for each in judge(by_case([*one, *confirmed]), Noise(floor=quiet))}
    assert family["one::benchmark[cpu]"].adjusted_p == pytest.approx(10 * alone.evidence.p)
    assert (alone.decision.verdict, family["one::benchmark[cpu]"].decision.verdict) == ("SLOWER", "UNSURE")


def test_delta_is_3_percent_or_half_a_microsecond_or_twice_the_floor() -> None:
    def delta(base_ms: float, floor: NoiseFloor | None) -> float:
        return judged(*make_pairs([0.0, 0.0, 0.0], base_ms=base_ms), floor=floor).decision.delta

    assert delta(10, None) == 0.03
    assert delta(0.005, None) == pytest.approx(0.1)  # 5 us
    # of one pair; ten decide
    assert delta(10, floor_with(10)) == pytest.approx(1.1 ** (2 / 10**0.5) - 1)
    assert delta(10, floor_with(4)) == 0.03
    assert delta(10, floor_with(0.1)) == 0.03
    assert delta(10, floor_with(50, timing="bound")) == 0.03
    assert delta(10, floor_with(50, case_id="vgg::benchmark[cpu]")) == 0.03


def test_fewer_fresh_pairs_than_planned_need_a_larger_change() -> None:
    few = judged(*make_pairs([0.0] * 4, stage=CONFIRM), floor=floor_with(10)).decision
    assert few.delta == pytest.approx(1.1 ** (2 / 4**0.5) - 1)


def test_a_floor_stands_for_the_spread_of_the_pairs() -> None:
    noisy = make_pairs(around(8, spread=7), stage=CONFIRM)
    without = judged(*noisy).decision
    assert (without.delta, without.verdict) == (pytest.approx(0.0556, abs=1e-4), "SLOWER")
    assert judged(*noisy, floor=floor_with(0.5)).decision.delta == 0.03
    high = judged(*noisy, floor=floor_with(20)).decision
    assert high.delta == pytest.approx(1.2 ** (2 / 10**0.5) - 1)
    assert (high.verdict, high.reasons) == ("UNSURE", ("the interval reaches beyond 10 %",))


def test_a_change_that_is_the_clock_s_alone_is_unsure() -> None:
    clocks = (1980.0, 1800.0)
    found = verdict(*make_pairs(around(10), stage=CONFIRM, clocks=clocks))
    assert found == ("UNSURE", ("the GPU's clock differs by -9.1 %; in cycles it is no change",))
    assert verdict(*make_pairs(around(30), stage=CONFIRM, clocks=clocks)) == ("SLOWER", ())
    # and the other way round: faster by a faster clock
    assert verdict(*make_pairs(around(-9), stage=CONFIRM, clocks=clocks[::-1])) == (
        "UNSURE",
        ("the GPU's clock differs by +10.0 %; in cycles it is no change",),
    )
    assert verdict(*make_pairs(around(10), stage=CONFIRM, clocks=(1980.0, None))) == ("SLOWER", ())


@pytest.mark.parametrize(
    ("percents", "expected"),
    [
        ([1.6, 1.6, 0], True),
        ([-1.6, -1.6, 0], True),
        ([1.4, 1.4, 30], False),
        ([0, 0, 0], False),
        ([5], True),
    ],
)
def test_the_screening_looks_for_half_of_a_change(percents: Sequence[float], *, expected: bool) -> None:
    (case,) = by_case(make_pairs(percents))
    assert looks_changed(case) is expected


def test_the_screening_knows_the_floor_and_short_iterations() -> None:
    (case,) = by_case(make_pairs([4, 4, 4]))
    assert looks_changed(case)
    assert looks_changed(case, Noise(floor=floor_with(5)))
    assert not looks_changed(case, Noise(floor=floor_with(10)))
    # many pairs of a screening know more
    (longer,) = by_case(make_pairs([4] * 12))
    assert looks_changed(longer, Noise(floor=floor_with(10)))
    (short,) = by_case(make_pairs([4, 4, 4], base_ms=0.005))
    assert not looks_changed(short)


def test_pairs_that_were_added_do_not_change_what_the_screening_found() -> None:
    added = make_pairs([9] * 10, stage=MORE)
    (case,) = by_case([*make_pairs([0, 0, 0]), *added])
    assert not looks_changed(case)
    (only_added,) = by_case(added)
    assert not looks_changed(only_added)


@dataclass(frozen=True)
class Case:
    case_id: str


def test_cases_are_sorted_into_changed_and_those_nobody_can_tell_of_yet() -> None:
    pairs = [
        *make_pairs([5, 5, 6], model="slow"),
        *make_pairs([-5, -6, -5], model="fast"),
        *make_pairs([0.1, 0, 0.2], model="same"),
        *make_pairs([30, 0, -30], model="noisy"),
    ]
    names = ("slow", "fast", "same", "noisy", "never")
    cases = [Case(f"{name}::benchmark[cpu]") for name in names]
    changed, unsure = sorter(QUIET)(pairs, cases)
    assert [case.case_id.partition("::")[0] for case in changed] == ["slow", "fast"]
    assert [case.case_id.partition("::")[0] for case in unsure] == ["noisy"]
    assert sorter(QUIET)(pairs, cases[2:3]) == ([], [])
    assert sorter(QUIET)([], cases) == ([], [])


def test_sorting_again_later_finds_the_same_changed_cases() -> None:
    screened = [*make_pairs([5, 5, 6], model="slow"), *make_pairs([30, 0, -30], model="noisy")]
    later = [
        *screened,
        *make_pairs(around(5), model="slow", stage=CONFIRM),
        *make_pairs([9.0] * 9, model="noisy", stage=MORE),
    ]
    cases = [Case("slow::benchmark[cpu]"), Case("noisy::benchmark[cpu]")]
    assert sorter(QUIET)(screened, cases) == (cases[:1], cases[1:])
    assert sorter(QUIET)(later, cases) == (cases[:1], cases[1:])


def test_the_floor_is_the_95th_percentile_of_ten_pairs_or_more() -> None:
    pairs = [
        *make_pairs(range(11), model="eleven"),
        *make_pairs([-1.0] * 10, model="ten"),
        *make_pairs([1.0] * 9, model="nine"),
        *make_pairs([2.0] * 10, model="ten", timing="bound"),
    ]
    found = floor_of(make_stored(pairs))
    assert (found.schema, found.run, found.fingerprint) == (PAIRS_SCHEMA, RUN, PRINT)
    assert [(case.case_id, case.timing, case.pairs) for case in found.cases] == [
        ("eleven::benchmark[cpu]", "host", 11),
        ("ten::benchmark[cpu]", "host", 10),
        ("ten::benchmark[cpu]", "bound", 10),
    ]
    # of 0, 1, ... 10 the 95th percentile lies half way between the last two
    expected = (math.log1p(0.09) + math.log1p(0.10)) / 2
    assert found.of("eleven::benchmark[cpu]", "host") == pytest.approx(expected)
    assert found.of("ten::benchmark[cpu]", "host") == pytest.approx(-math.log1p(-0.01))
    assert found.of("nine::benchmark[cpu]", "host") is None


def test_a_floor_of_another_machine_is_refused() -> None:
    header = make_pairs_header()
    require_floor(None, header)
    require_floor(floor_with(1), header)
    with pytest.raises(SettingsError) as caught:
        require_floor(replace(floor_with(1), fingerprint="a laptop"), header)
    assert str(caught.value) == (
        f"--floor: was measured on another machine (a laptop), this is {PRINT}; measure it here with --aa"
    )


def lines(*args: object, **kwargs: object) -> list[str]:
    comparison = compare_pairs(make_stored(*args, **kwargs))  # type: ignore[arg-type]
    return [text for text, _ in comparison_lines(comparison, width=105, everything=True)]


def test_a_comparison_is_of_the_pairs_and_of_nothing_else_s_latency() -> None:
    pairs = [
        *make_pairs(around(10, count=3), model="slow"),
        *make_pairs(around(10), model="slow", stage=CONFIRM),
        *make_pairs([0.1, 0, 0.2], model="same"),
    ]
    ids = ("slow::benchmark[cpu]", "same::benchmark[cpu]")
    header = make_pairs_header(base=make_fact("base", ids), current=make_fact("current", ids))
    comparison = compare_pairs(make_stored(pairs, header=header))
    assert comparison.counts == {"SLOWER": 1, "SAME": 1}
    assert [change.case_id for change in failing(comparison, ("latency",))] == ["slow::benchmark[cpu]"]
    assert comparison.pairs[0].base_ns == pytest.approx(10e6)
    assert comparison.pairs[0].current_ns == pytest.approx(11e6, rel=1e-4)
    assert lines(pairs, header=header) == [
        "base     base, 13 runs, ONNX Runtime 1.31.1",
        "current  current, 13 runs, ONNX Runtime 1.31.1",
        f"machine  the same, {PRINT}",
        "differs  --ortperf-threads 1 -> 2",
        "",
        "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 1 SAME; paired ratio is current / base",
        "case       timing  base ms  current ms  paired ratio   90 % interval  delta %  verdict",
        "slow[cpu]  host         10          11         1.100  1.099 to 1.101        3  SLOWER",
        "same[cpu]  host         10       10.01         1.001  0.999 to 1.003        3  SAME",
        "paired ratio compares turns measured side by side; base ms and current ms are typical times of each side",
        "  alone, so they do not divide to it exactly",
        "3 pairs: a test by ranks alone could not go below p 0.25, and a lone change among 2 needs 0.025; verdicts",
        "  rest on the normal shape of the noise between pairs",
        "",
        "Overall current takes 4.9 % longer than base (95 % interval 4.8 to 5.0 %); 1 of 2 cases is slower:",
        "  slow[cpu] by 10 %; no other case changed by more than 3 %.",
    ]


def test_a_failure_of_one_side_is_new_or_fixed_and_of_both_is_neither() -> None:
    broken = {"outcome": "failed", "failure": make_failure()}
    records = [
        make_side_record("base", "new"),
        make_side_record("current", "new", **broken),
        make_side_record("base", "fixed", **broken),
        make_side_record("current", "fixed"),
        make_side_record("base", "both", **broken),
        make_side_record("current", "both", **broken),
    ]
    comparison = compare_pairs(make_stored((), records))
    assert [(change.kind, change.case_id, change.text) for change in comparison.changes] == [
        ("new failure", "new::benchmark[cpu]", "runtime error in stage timing: it broke"),
        ("fixed failure", "fixed::benchmark[cpu]", "was runtime error"),
    ]
    assert comparison.still_failing == ("both::benchmark[cpu]",)
    assert comparison.pairs == ()


def test_a_failure_in_a_later_round_is_the_case_s_last_word() -> None:
    records = [
        make_side_record("base"),
        make_side_record("current"),
        make_side_record("base", round=1),
        make_side_record("current", round=1),
        make_side_record("current", round=1, outcome="crashed", failure=make_failure(kind="crash")),
    ]
    comparison = compare_pairs(make_stored([make_pair(0)], records))
    assert [(change.kind, change.case_id) for change in comparison.changes] == [("new failure", BERT)]
    assert len(comparison.pairs) == 1


def test_models_and_cases_of_one_side_are_named_once() -> None:
    header = make_pairs_header(
        base=make_fact(
            "base", [BERT, "gone::benchmark[cpu]", "gone::benchmark[cpu-fp16]", "bert::benchmark[cpu-fp16]"]
        ),
        current=make_fact("current", ["added::benchmark[cpu]", BERT, "bert::benchmark[cpu-n=2]"]),
    )
    comparison = compare_pairs(make_stored([make_pair(0)], header=header))
    assert [(change.kind, change.direction, change.case_id, change.text) for change in comparison.changes] == [
        ("missing model", "worse", "gone", "2 cases in all"),
        ("missing", "worse", "bert::benchmark[cpu-fp16]", "on one side"),
        ("new model", "other", "added", "1 case in all"),
        ("new", "other", "bert::benchmark[cpu-n=2]", "on one side"),
    ]
    assert failing(comparison, ("latency", "failures")) == []


def test_where_each_side_has_its_provider_only_models_can_be_missing() -> None:
    header = make_pairs_header(
        base=make_fact("base", ["bert::benchmark[cuda]", "gone::benchmark[cuda]"]),
        current=make_fact("current", ["bert::benchmark[tensorrt]"]),
    )
    comparison = compare_pairs(make_stored([make_pair(0)], header=header))
    assert [(change.kind, change.case_id) for change in comparison.changes] == [("missing model", "gone")]


def test_a_run_that_ended_before_anything_was_measured_is_an_empty_comparison() -> None:
    assert lines() == [
        "base     base, run 20261128-035310, screen 1, ONNX Runtime 1.31.1",
        "current  current, run 20261128-035310, screen 1, ONNX Runtime 1.31.1",
        f"machine  the same, {PRINT}",
        "differs  --ortperf-threads 1 -> 2",
        "",
        "No pair was measured.",
    ]


def test_a_run_that_ended_between_the_two_sides_of_a_case_misses_nothing() -> None:
    records = [make_side_record("base"), make_side_record("current"), make_side_record("base", "half")]
    comparison = compare_pairs(make_stored([make_pair(0)], records))
    assert comparison.changes == ()


def test_a_pair_whose_record_was_lost_is_compared_all_the_same() -> None:
    comparison = compare_pairs(make_stored(make_pairs([0.1, 0, 0.2]), ()))
    assert [(pair.nodeid, pair.provider, pair.decision.verdict) for pair in comparison.pairs] == [
        (BERT, "unknown", "SAME")
    ]
