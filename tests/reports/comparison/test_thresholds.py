"""Thresholds of the user: what they take, and what they decide."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.record import LimitFact, Record
from pytest_ortperf.reports.comparison.change import DEFAULT_FAIL_ON
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare, failing
from pytest_ortperf.reports.comparison.thresholds import FailOn, read_fail_on, read_time_ns
from reports.comparison.sides import fleet, side, timed
from reports.comparison.test_changes import created, footprint

LATENCY = FailOn(thresholds={"latency": 0.2})


@pytest.mark.parametrize(("text", "ns"), [("5us", 5e3), ("0.2 ms", 2e5), ("1s", 1e9), ("300ns", 300)])
def test_a_time_is_read_with_its_unit(text: str, ns: float) -> None:
    assert read_time_ns(text, "--min-change") == pytest.approx(ns)


def test_a_time_without_a_unit_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        read_time_ns("5", "--min-change")
    assert str(caught.value) == ("--min-change: '5' is not a time; give a number with its unit, such as 5us or 0.2ms")


@pytest.mark.parametrize(("least_ns", "verdict"), [(None, "SLOWER"), (50_000.0, "SAME")])
def test_a_short_change_counts_unless_the_user_says_otherwise(least_ns: float | None, verdict: str) -> None:
    def short(number: int, factor: float = 1.0) -> list[Record]:
        return [timed(f"m{model}", 0.018 * (factor if model == 3 else 1), seed=number) for model in range(12)]

    base, current = (
        side(*(short(n, factor) for n in range(first, first + 3))) for first, factor in ((0, 1.0), (3, 2.0))
    )
    found = compare(base, current, FailOn(least_change_ns=least_ns))
    assert next(it for it in found.pairs if it.case_id.startswith("m3::")).decision.verdict == verdict


def test_topics_and_thresholds_are_read() -> None:
    assert read_fail_on(None) == FailOn(topics=("latency", "failures", "missing", "incomplete"))
    assert read_fail_on("memory:10%, latency:2.5%,failures") == FailOn(
        topics=("memory", "latency", "failures"), thresholds={"memory": 0.1, "latency": 0.025}
    )
    assert read_fail_on("none") == FailOn(topics=())
    assert FailOn(topics=("failures",)).with_threshold(0.2) == FailOn(
        topics=("latency", "failures"), thresholds={"latency": 0.2}
    )
    assert FailOn().with_threshold(0.2) == FailOn(topics=DEFAULT_FAIL_ON, thresholds={"latency": 0.2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency:20", "--fail-on: latency:20: give a percentage above 0, such as 20%"),
        ("latency:0%", "--fail-on: latency:0%: give a percentage above 0, such as 20%"),
        ("latency:", "--fail-on: latency:: give a percentage above 0, such as 20%"),
        (
            "failures:20%",
            "--fail-on: failures:20%: only latency, memory, creation take a threshold; give failures",
        ),
        (
            "speed:20%",
            (
                "--fail-on: unknown speed; choose from latency, failures, accuracy, placement, memory, creation, "
                "missing, incomplete, or none"
            ),
        ),
    ],
)
def test_what_is_no_threshold_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_fail_on(text)
    assert str(caught.value) == message


def verdicts(comparison: Comparison) -> dict[str, tuple[str, str | None]]:
    return {pair.case_id.partition("::")[0]: (pair.decision.verdict, pair.decision.by) for pair in comparison.pairs}


def test_a_threshold_decides_where_no_interval_is_known() -> None:
    base, current = [timed("a", 10), timed("b", 10), timed("c", 10)], [timed("a", 13), timed("b", 11), timed("c", 7)]
    assert set(compare(side(base), side(current)).counts) == {"UNSURE"}
    comparison = compare(side(base), side(current, fingerprint="another"), LATENCY)
    assert verdicts(comparison) == {
        "a": ("SLOWER", "threshold"),
        "b": ("SAME", "threshold"),
        "c": ("FASTER", "threshold"),
    }
    (change,) = failing(comparison, ("latency",))
    assert change.text.startswith("host: median 10 -> 13 ms, ratio 1.3")
    assert change.text.endswith(
        ", delta 20 %, by threshold; changed by +30.0 % as measured, threshold 20 %; no statistics stand behind it"
    )


def test_a_threshold_takes_values_as_measured_so_that_a_slower_fleet_counts() -> None:
    slow = fleet(seed=1, **{f"m{number}": 1.4 for number in range(20)})
    assert compare(side(fleet()), side(slow)).counts == {"SAME": 20}
    comparison = compare(side(fleet()), side(slow), LATENCY)
    assert comparison.counts == {"SLOWER": 20}
    assert "all cases together moved by +" in comparison.pairs[0].decision.reasons[1]


@pytest.mark.parametrize(("noise", "verdict"), [(0.01, "SLOWER"), (0.15, "UNSURE")])
def test_a_change_whose_interval_includes_no_change_is_unsure(noise: float, verdict: str) -> None:
    def noisy(seed: int, **factors: float) -> Side:
        others = [record for record in fleet(seed=seed, noise=noise) if record.model != "m3"]
        return side([*others, timed("m3", 10 * factors.get("m3", 1))])

    found = compare(noisy(0), noisy(1, m3=1.25), LATENCY)
    (pair,) = [pair for pair in found.pairs if pair.case_id == "m3::benchmark[cpu]"]
    assert (pair.decision.verdict, pair.decision.by) == (verdict, "threshold")
    reason = pair.decision.reasons[0]
    assert reason.startswith("changed by +2")
    assert reason.endswith(
        {"SLOWER": ", threshold 20 %; no statistics stand behind it", "UNSURE": " %) includes no change"}[verdict]
    )


def test_the_model_list_goes_before_the_option() -> None:
    def limited(model: str, ms: float, percent: float, timing: str | None = None) -> Record:
        fact = LimitFact(name="slowdown_percent", timing=timing, limit=percent, value=None, note="later", is_kept=True)
        return dataclasses.replace(timed(model, ms), limits=(fact,))

    base = side([timed(model, 10) for model in "abcd"])
    current = side([limited("a", 12, 5), limited("b", 14, 50), limited("c", 12, 5, timing="bound"), timed("d", 12)])
    assert verdicts(compare(base, current)) == {
        "a": ("SLOWER", "threshold"),
        "b": ("SAME", "threshold"),
        "c": ("UNSURE", None),
        "d": ("UNSURE", None),
    }
    assert verdicts(compare(base, current, FailOn(thresholds={"latency": 0.1}))) == {
        "a": ("SLOWER", "threshold"),
        "b": ("SAME", "threshold"),
        "c": ("SLOWER", "threshold"),
        "d": ("SLOWER", "threshold"),
    }


def test_a_threshold_for_memory_takes_the_place_of_its_rule() -> None:
    base, current = side([footprint(100, None)]), side([footprint(107, None)])
    assert compare(base, current).changes == ()
    (change,) = compare(base, current, FailOn(thresholds={"memory": 0.05})).changes
    assert (change.kind, change.direction) == ("LARGER", "worse")
    assert change.text == "host peak 100.0 -> 107.0 MiB (+7.0 %); by threshold 5 %"
    assert compare(base, current, FailOn(thresholds={"memory": 0.1})).changes == ()


def test_a_threshold_for_session_creation_holds_between_machines_too() -> None:
    base, current = side([created(100)]), side([created(160)], fingerprint="another")
    (change,) = compare(base, current, FailOn(thresholds={"creation": 0.5})).changes
    assert change.text == "session creation 100.0 -> 160.0 ms (+60.0 %); by threshold 50 %"


def test_the_terminal_says_that_no_statistics_stand_behind_it() -> None:
    comparison = compare(side([timed("a", 10)]), side([timed("a", 13)]), LATENCY)
    texts = [text for text, _ in comparison_lines(comparison, width=200)]
    assert any(text.endswith("  SLOWER by threshold") for text in texts)
    assert (
        "by threshold: the values as measured were held against 20 %; no statistics stand behind these verdicts"
    ) in texts
