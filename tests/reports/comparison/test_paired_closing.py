"""The sentence that a run of pairs ends with."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from pair_examples import make_pairs, make_stored
from pytest_ortperf.records.pairs import BUDGET, CONFIRM, DONE, INTERRUPTED, Pair, RunEnd
from pytest_ortperf.reports.comparison.change_tables import markdown_text
from pytest_ortperf.reports.comparison.comparison_page import section
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.evidence import Evidence, of_pairs
from pytest_ortperf.reports.comparison.paired import compare_pairs
from pytest_ortperf.reports.comparison.paired_closing import case_name, overall_of


def closing(*pairs: Pair, end: RunEnd | None = None) -> tuple[str, ...]:
    return compare_pairs(make_stored(pairs, end=end)).closing


def changed(percent: float, model: str) -> list[Pair]:
    """Return pairs that show a change: of the screening, and fresh ones."""
    return [
        *make_pairs([percent, percent + 0.1, percent - 0.1], model=model),
        *make_pairs([percent + number / 50 for number in range(-5, 5)], model=model, stage=CONFIRM),
    ]


def same(*models: str) -> Iterable[Pair]:
    return [pair for model in models for pair in make_pairs([0.1, 0, -0.1], model=model)]


def test_a_slower_case_is_named_beside_the_geometric_mean() -> None:
    assert closing(*changed(12, "resnet50"), *same("bert", "vgg")) == (
        (
            "Overall current takes 3.8 % longer than base (95 % interval 3.8 to 3.9 %); 1 of 3 cases is slower: "
            "resnet50[cpu] by 12 %; no other case changed by more than 3 %."
        ),
    )


def test_faster_cases_are_named_with_the_time_they_save() -> None:
    assert closing(*changed(-20, "a"), *changed(-10, "b")) == (
        (
            "Overall current takes 15 % less time than base (95 % interval 15 to 15 %); both cases are faster: "
            "a[cpu] by 20 %, b[cpu] by 10 %."
        ),
    )


def test_nothing_that_changed_is_said_so() -> None:
    assert closing(*same("a", "b")) == (
        (
            "Overall no difference shows: current takes as long as base (95 % interval 0.1 % less time to "
            "0.1 % longer); no case changed by more than 3 %."
        ),
    )


def test_the_largest_of_many_changes_are_named_and_the_rest_is_counted() -> None:
    pairs = [pair for number in range(5) for pair in changed(10 + number, f"m{number}")]
    (text,) = closing(*pairs)
    assert text.endswith("; all 5 cases are slower: m4[cpu] by 14 %, m3[cpu] by 13 %, m2[cpu] by 12 % and 2 more.")


def test_what_is_unsure_is_named_and_what_is_known_of_the_others_too() -> None:
    (text,) = closing(*make_pairs([30, 0, -30], model="noisy"), *same("a", "b"))
    assert text.endswith("; 1 of 3 cases is unsure: noisy[cpu]; no other case changed by more than 3 %.")
    assert text.startswith("Overall no difference shows: current takes ")


def test_a_case_of_a_single_pair_is_not_in_the_mean_and_that_is_said() -> None:
    (text,) = closing(*make_pairs([50], model="once"), *same("a", "b"))
    assert text.startswith("Over 2 of 3 cases no difference shows: current takes as long as base ")


def test_one_case_is_its_own_mean() -> None:
    assert closing(*changed(12, "a")) == ("The only case is slower: a[cpu] by 12 %.",)
    assert closing(*same("a")) == ("No case changed by more than 3 %.",)


def test_a_short_case_may_change_by_more_before_it_counts() -> None:
    # 0.5 us of 10 us
    assert closing(*make_pairs([0.1, 0, -0.1], base_ms=0.01)) == ("No case changed by more than 5 %.",)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (None, []),
        (RunEnd(reason=DONE, cases=3, left=0), []),
        (
            RunEnd(reason=BUDGET, cases=17, left=5, budget_s=60),
            ["The budget of 60 s ran out before 5 of 17 cases had all their pairs; --resume goes on."],
        ),
        (
            RunEnd(reason=BUDGET, cases=1, left=1, budget_s=0.5),
            ["The budget of 0.5 s ran out before its case had all its pairs; --resume goes on."],
        ),
        (
            RunEnd(reason=INTERRUPTED, cases=17, left=2),
            ["The run was interrupted before 2 of 17 cases had all their pairs; --resume goes on."],
        ),
    ],
)
def test_a_run_that_was_cut_short_says_so(end: RunEnd | None, expected: list[str]) -> None:
    assert closing(*same("a"), end=end) == ("No case changed by more than 3 %.", *expected)
    assert closing(end=end) == ("No pair was measured.", *expected)


def test_markdown_and_page_have_closing_reasons_and_the_name_of_the_ratio_too() -> None:
    end = RunEnd(reason=BUDGET, cases=2, left=1, budget_s=60)
    comparison = compare_pairs(make_stored(make_pairs([30, 0, -30], model="noisy"), end=end))
    text = markdown_text(comparison)
    assert "\n\nThe budget of 60 s ran out before 1 of 2 cases had all their pairs; --resume goes on.\n\n" in text
    assert "| paired ratio | 90 % interval | delta | verdict | why |\n" in text
    assert " | UNSURE | the noise hides changes of up to " in text
    page = section(comparison)
    assert "<p>The budget of 60 s ran out before 1 of 2 cases had all their pairs; --resume goes on.</p>" in page
    assert '<th scope="col" class="number">paired ratio</th>' in page
    for each in (text, page):
        assert (
            "base ms and current ms are typical times of each side alone, so they do not divide to it exactly" in each
        )


def test_the_mean_has_the_error_and_the_freedom_of_its_cases() -> None:
    one, two = of_pairs([0.01, 0.02, 0.03]), of_pairs([-0.02, 0.0, 0.02])
    overall = overall_of([one, two])
    assert overall is not None
    # errors of 0.01 / sqrt(3) and 0.02 / sqrt(3); 2.94 degrees of freedom count as 2, whose t is 4.303
    half = 4.302653 * math.hypot(0.01, 0.02) / math.sqrt(3) / 2
    assert math.log(overall.ratio) == pytest.approx(0.01)
    assert math.log(overall.low) == pytest.approx(0.01 - half, rel=1e-6)
    assert math.log(overall.high) == pytest.approx(0.01 + half, rel=1e-6)


def test_a_noisy_case_does_not_borrow_the_freedom_of_quiet_ones() -> None:
    quiet = [Evidence(kind="pairs", log_ratio=0, error=1e-6, freedom=9, base_count=10, current_count=10)] * 9
    noisy = Evidence(kind="pairs", log_ratio=0, error=0.1, freedom=2, base_count=3, current_count=3)
    overall = overall_of([*quiet, noisy])
    assert overall is not None
    assert math.log(overall.high) == pytest.approx(4.302653 * 0.1 / 10, rel=1e-3)


def test_names_are_of_benchmarks_alone() -> None:
    assert case_name("bert::benchmark[cpu-fp16]") == "bert[cpu-fp16]"
    assert case_name("a::b::benchmark[cpu]") == "a::b[cpu]"
    assert case_name("bert") == "bert"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_names_of_cases_never_become_the_same(width: int) -> None:
    models = [f"a_family_of_detectors_{size}_of_the_second_generation" for size in ("s", "m", "x", "xl")]
    comparison = compare_pairs(make_stored(same(*models)))
    lines = [text for text, _ in comparison_lines(comparison, width=width, everything=True)]
    first = next(number for number, line in enumerate(lines) if line.startswith("case "))
    rows = lines[first : first + 5]
    assert len({row.split()[0] for row in rows}) == 5
    assert all(len(row) <= width for row in rows)
    assert all("1.000" in row and row.endswith("SAME") for row in rows[1:])
