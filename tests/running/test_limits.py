# ruff: noqa: E501 - messages in full
"""Limits against records."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_ortperf.cases.expectations import BOUNDS, LimitRule
from pytest_ortperf.records.record import ModelFact, Record
from pytest_ortperf.reports.tables.limit_text import limits_state
from pytest_ortperf.running import limits
from pytest_ortperf.running.limits import check_limits, limits_problem
from record_examples import make_latency, make_placement, make_record, make_session


def measured(**changes: Any) -> Record:
    session = make_session(creation_ns=2_500_000_000, second_creation_ns=500_000_000, first_run_ns=30_000_000)
    values = {
        "session": session,
        "placement": make_placement(Add=4),
        "latencies": (make_latency(1.0, 2.0, 6.0, batch=4), make_latency(1.0, timing="bound")),
    }
    return make_record(**(values | changes))


def problem(record: Record, *rules: LimitRule, **given: float) -> str | None:
    return limits_problem(check_limits(record, (*rules, LimitRule(limits=given))))


@pytest.mark.parametrize(
    ("name", "kept", "broken"),
    [
        ("p50_ms", 2.0, 1.99),
        ("mean_ms", 3.0, 2.99),
        ("max_ms", 6.0, 5.99),
        ("throughput", 1333.3, 1333.4),
        ("session_creation_s", 2.5, 2.49),
        ("second_session_creation_s", 0.5, 0.49),
        ("first_run_s", 0.03, 0.029),
    ],
)
def test_a_value_at_its_limit_keeps_it(name: str, kept: float, broken: float) -> None:
    assert [fact.is_kept for fact in check_limits(measured(), [LimitRule(limits={name: kept})])] == [True]
    assert [fact.is_kept for fact in check_limits(measured(), [LimitRule(limits={name: broken})])] == [False]


def test_a_slowdown_is_left_to_the_comparison() -> None:
    (fact,) = check_limits(measured(), [LimitRule(limits={"slowdown_percent": 20.0})])
    assert (fact.name, fact.limit, fact.value, fact.is_kept) == ("slowdown_percent", 20.0, None, True)
    assert check_limits(measured(mode="validate"), [LimitRule(limits={"slowdown_percent": 20.0})]) == ()


def test_every_limit_has_a_verdict_of_a_record_that_holds_nothing() -> None:
    facts = check_limits(make_record(), [LimitRule(limits=dict.fromkeys(BOUNDS, 50.0))])
    assert {fact.name: (fact.value, fact.is_kept) for fact in facts} == dict.fromkeys(BOUNDS, (None, False))
    assert all(fact.note for fact in facts)


def test_a_broken_limit_is_told_with_value_and_limit() -> None:
    assert problem(measured(), p50_ms=1.5, throughput=2000, nodes_on_ep_percent=50, first_run_s=1) == (
        "limits not kept: p50_ms 2 > 1.5, throughput 1333.3 < 2000\n"
        "  p50_ms, median latency: 2 ms is above the most allowed, 1.5 ms (timing host, 3 iterations)\n"
        "  throughput, inferences per second: 1333.3 per s is below the least allowed, 2000 per s "
        "(timing host, 3 iterations)"
    )


def test_a_percentile_that_too_few_iterations_do_not_support_is_a_failure() -> None:
    assert problem(measured(), p99_ms=100) == (
        "limits not kept: p99_ms unknown\n"
        "  p99_ms, 99th percentile of latency: cannot be held against its limit of 100 ms: 662 iterations are needed to "
        "state it, there are 3; measure longer, or more iterations"
    )


def test_a_limit_on_what_is_not_known_is_a_failure_that_says_why() -> None:
    record = measured(latencies=(make_latency(1.0, batch=None),), refused_timings={"graph": "needs CUDA"})
    graph, bound = (LimitRule(limits={"p50_ms": 1.0}, timing=timing) for timing in ("graph", "bound"))
    assert problem(record, graph, bound, throughput=1) == (
        "limits not kept: p50_ms (graph) unknown, p50_ms (bound) unknown, throughput unknown\n"
        "  p50_ms, median latency: cannot be held against its limit of 1 ms: timing 'graph' was not measured: "
        "needs CUDA\n"
        "  p50_ms, median latency: cannot be held against its limit of 1 ms: timing 'bound' was not measured, only host\n"
        "  throughput, inferences per second: cannot be held against its limit of 1 per s: the batch is unknown: no "
        "dimension of the inputs calls itself one, and they do not agree on the leading one; name it as batch_dim in the "
        "model list"
    )


def sampled(*, status: str = "stable", stop_reason: str = "target", ms: float = 5.0) -> Record:
    """Return a benchmark of six blocks of ten iterations, each block 1 % slower than the one before."""
    samples = [ms * (1 + (block - 2.5) / 100) for block in range(6) for _ in range(10)]
    found = {"block_iterations": 10, "status": status, "stop_reason": stop_reason}
    return measured(latencies=(dataclasses.replace(make_latency(*samples), **found),))


INTERVAL = (4.875, 5.125)
"""Of six blocks, from least to greatest."""


@pytest.mark.parametrize(
    ("limit", "strict", "is_kept", "is_unsure"),
    [
        (5.125, False, True, False),
        (5.125, True, True, False),
        (5.124, False, True, True),
        (5.124, True, False, True),
        (5.0, False, True, True),
        (4.875, False, True, True),
        (4.875, True, False, True),
        (4.874, False, False, False),
        (4.874, True, False, False),
    ],
)
def test_a_limit_on_the_median_is_decided_on_its_interval(
    limit: float, *, strict: bool, is_kept: bool, is_unsure: bool
) -> None:
    (fact,) = check_limits(sampled(), [LimitRule(limits={"p50_ms": limit}, strict=strict)])
    assert (fact.value, fact.low, fact.high) == (5.0, *INTERVAL)
    assert (fact.is_kept, fact.is_unsure) == (is_kept, is_unsure)
    assert (fact.way_out is not None) is is_unsure


def test_what_has_no_interval_is_decided_on_its_value() -> None:
    facts = check_limits(sampled(), [LimitRule(limits={"mean_ms": 4.999, "max_ms": 5.2}, strict=True)])
    assert [(fact.low, fact.is_kept, fact.is_unsure) for fact in facts] == [(None, False, False), (None, True, False)]


def test_a_limit_that_is_the_least_is_decided_on_the_lower_end(monkeypatch: pytest.MonkeyPatch) -> None:
    least = dataclasses.replace(BOUNDS["p50_ms"], is_least=True)
    monkeypatch.setattr(limits, "BOUNDS", {"p50_ms": least})
    found = [
        check_limits(sampled(), [LimitRule(limits={"p50_ms": limit})])[0] for limit in (4.875, 4.876, 5.125, 5.126)
    ]
    assert [(fact.is_kept, fact.is_unsure) for fact in found] == [
        (True, False),
        (True, True),
        (True, True),
        (False, False),
    ]


def test_a_broken_limit_names_the_interval() -> None:
    assert problem(sampled(), p50_ms=4) == (
        "limits not kept: p50_ms 5 > 4\n"
        "  p50_ms, median latency: 5 ms is above the most allowed, 4 ms (95 % interval 4.875 to 5.125 ms, timing host, "
        "60 iterations)"
    )


def test_a_strict_limit_says_that_it_is_unsure_and_how_to_settle_it() -> None:
    (fact,) = check_limits(sampled(), [LimitRule(limits={"p50_ms": 5.1}, strict=True)])
    assert limits_problem([fact]) == (
        "limits not kept: p50_ms 5 unsure at 5.1\n"
        "  p50_ms, median latency: 5 ms, and its limit of 5.1 ms lies inside the 95 % interval, 4.875 to 5.125 ms "
        "(timing host, 60 iterations); measure longer: --ortperf-precision-target=1.6% (about 1 s of iterations)"
    )


@pytest.mark.parametrize(
    ("record", "limit", "expected"),
    [
        # half the interval is 2.5 %; to end at 80 % of the way to a limit 1 % off, it takes (2.5 / 0.8)^2 as long
        (sampled(), 5.05, "measure longer: --ortperf-precision-target=0.8% (about 3 s of iterations)"),
        (
            sampled(status="fixed", stop_reason="iterations"),
            5.05,
            (
                "measure longer: --ortperf-iterations=590, or instead of it --ortperf-precision-target=0.8% "
                "(about 3 s of iterations)"
            ),
        ),
        (
            sampled(status="unstable", stop_reason="no gain"),
            5.05,
            (
                "sampling ended because more of it did not narrow the interval: quiet the machine, or "
                "--ortperf-iterations=590"
            ),
        ),
        (
            sampled(ms=500.0),
            505.0,
            "measure longer: --ortperf-precision-target=0.8% --ortperf-max-time=586 (about 293 s of iterations)",
        ),
        (
            sampled(ms=500.0),
            501.0,
            "median and limit are too close to be told apart in 10 minutes: move the limit, or quiet the machine",
        ),
        (
            sampled(),
            5.0,
            "median and limit are too close to be told apart in 10 minutes: move the limit, or quiet the machine",
        ),
        # the limit is nearly at the end of the interval
        (sampled(), 5.12, "measure longer: --ortperf-precision-target=1.76% (about 1 s of iterations)"),
    ],
)
def test_the_way_out_of_an_unsure_limit_has_figures(record: Record, limit: float, expected: str) -> None:
    (fact,) = check_limits(record, [LimitRule(limits={"p50_ms": limit})])
    assert (fact.is_unsure, fact.way_out) == (True, expected)


def test_the_state_of_all_limits_is_the_worst_of_them() -> None:
    def state(**given: float) -> str | None:
        record = sampled()
        return limits_state(dataclasses.replace(record, limits=check_limits(record, [LimitRule(limits=given)])))

    assert state() is None
    assert state(p50_ms=6, mean_ms=6) == "kept"
    assert state(p50_ms=5, mean_ms=6) == "unsure"
    assert state(p50_ms=5, mean_ms=4) == "broken"


def test_a_limit_of_a_timing_mode_is_about_that_mode() -> None:
    (fact,) = check_limits(measured(), [LimitRule(limits={"p50_ms": 1.0}, timing="bound")])
    assert (fact.value, fact.note, fact.is_kept) == (1.0, "timing bound, 1 iterations", True)


def test_nodes_are_counted_in_a_validation_too_and_nothing_else_is() -> None:
    record = measured(mode="validate", placement=make_placement("cuda", Add=4), latencies=())
    facts = check_limits(record, [LimitRule(limits={"p50_ms": 1.0, "nodes_on_ep_percent": 90.0})])
    assert [(fact.name, fact.value, fact.note) for fact in facts] == [("nodes_on_ep_percent", 0.0, "0 of 4 nodes")]
    assert limits_problem(facts) == (
        "limits not kept: nodes_on_ep_percent 0 < 90\n"
        "  nodes_on_ep_percent, share of nodes on the provider asked for: 0 % is below the least allowed, 90 % "
        "(0 of 4 nodes)"
    )


def test_precision_is_what_was_asked_for_else_what_the_weights_are() -> None:
    rule = LimitRule(limits={"p50_ms": 1.0}, precision="fp32")
    given = measured(model_fact=ModelFact(path="m.onnx", byte=1, precision="fp32"))
    assert len(check_limits(given, [rule])) == 1
    assert check_limits(measured(precision="fp16", model_fact=given.model_fact), [rule]) == ()
