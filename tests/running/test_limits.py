# ruff: noqa: E501 - messages in full
"""Limits against records."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ortperf.cases.expectations import BOUNDS, LimitRule
from pytest_ortperf.records.record import ModelFact, Record
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


def problem(record: Record, *rules: LimitRule, **limits: float) -> str | None:
    return limits_problem(check_limits(record, (*rules, LimitRule(limits=limits))))


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
