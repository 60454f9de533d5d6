from __future__ import annotations

import dataclasses

import pytest

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import compute
from pytest_ortperf.reports.junit import properties
from pytest_ortperf.reports.terminal.latency_text import half_width_text
from pytest_ortperf.reports.terminal.notes import latency_notes
from record_examples import make_latency, make_record


def record(**changes: object) -> Record:
    latency = make_latency(*[1.0, 1.2, 1.1] * 20)
    return make_record(latencies=(dataclasses.replace(latency, **changes),))


def test_a_trusted_latency_has_no_notes() -> None:
    latency = make_latency(*range(100, 160))
    steady = dataclasses.replace(latency, steady=True, status="stable")
    assert latency_notes(steady, compute(steady.samples_ns)) == []


def test_each_doubt_has_its_note() -> None:
    latency = dataclasses.replace(make_latency(*[1.0, 2.0] * 50), steady=False, status="unstable")
    assert latency_notes(latency, compute(latency.samples_ns)) == ["u", "w", "m"]


def test_an_interval_that_was_narrow_at_the_end_is_not_called_wide() -> None:
    summary = compute([994, 1000, 1000, 1000, 1000, 1006])
    latency = dataclasses.replace(make_latency(1.0), status="unstable", precision_target=0.01)
    assert latency_notes(latency, summary) == ["e"]
    assert latency_notes(dataclasses.replace(latency, precision_target=0.001), summary) == ["u"]


def test_a_wide_interval_of_a_number_of_iterations_is_labelled_too() -> None:
    summary = compute([994, 1000, 1000, 1000, 1000, 1006])
    fixed = dataclasses.replace(make_latency(1.0), status="fixed", precision_target=0.001)
    assert latency_notes(fixed, summary) == ["i"]
    assert latency_notes(dataclasses.replace(fixed, precision_target=0.01), summary) == []
    # older records do not say what was asked for, and of five iterations nothing is known
    assert latency_notes(dataclasses.replace(fixed, precision_target=None), summary) == []
    assert latency_notes(fixed, compute([994, 1000, 1000, 1000, 1006])) == []


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        ([100] * 6, "<0.1 %"),
        ([1000, 1001, 1000, 1001, 1000, 1001], "<0.1 %"),
        ([994, 1000, 1000, 1000, 1000, 1006], "0.6 %"),
        ([100, 200], ""),
    ],
)
def test_half_width_is_in_percent_of_the_median(samples: list[int], text: str) -> None:
    assert half_width_text(compute(samples)) == text


def test_junit_says_how_far_a_latency_can_be_trusted() -> None:
    found = dict(properties(record(status="stable", steady=True, block_iterations=6)))
    assert {name: found[f"ortperf.{name}"] for name in ("median_ms", "ci_low_ms", "ci_high_ms", "iterations")} == {
        "median_ms": "1.1",
        "ci_low_ms": "1.1",
        "ci_high_ms": "1.1",
        "iterations": "60",
    }
    assert {name: found[f"ortperf.{name}"] for name in ("latency_status", "steady", "modes")} == {
        "latency_status": "stable",
        "steady": "True",
        "modes": "3",
    }


def test_junit_says_nothing_of_what_is_not_known() -> None:
    found = dict(properties(make_record(latencies=(make_latency(1.0, 2.0),))))
    unknown = {"ci_low_ms", "ci_high_ms", "p90_ms", "p95_ms", "p99_ms", "modes", "latency_status", "steady"}
    assert not {f"ortperf.{name}" for name in unknown} & set(found)
