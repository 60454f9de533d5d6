"""Failures, accuracy, placement, memory, session creation, missing and new models: each once, each in its class."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_ortperf.records.record import Placement, Record
from pytest_ortperf.records.resources import DeviceMemory, HostMemory, Resources
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.run_comparison import compare, failing
from record_examples import (
    make_accuracy,
    make_failure,
    make_output,
    make_placement,
    make_record,
    make_session,
)
from reports.comparison.sides import fleet, image, side

MIB = 2**20


def changes(base: list[Record], current: list[Record], **environment: Any) -> list[tuple[str, str, str, str]]:
    """Return topic, class, direction and case of each change."""
    found = compare(side(base), side(current, **environment)).changes
    return [(each.topic, each.kind, each.direction, each.case_id) for each in found]


def only_text(base: Record, current: Record) -> str:
    (change,) = compare(side([base]), side([current])).changes
    return change.text


def failed(model: str, mode: str = "validate", **failure: Any) -> Record:
    return make_record(model, mode=mode, outcome="failed", failure=make_failure(**failure))


def placed(model: str, mode: str, **by_provider: dict[str, int]) -> Record:
    types = {f"{name}ExecutionProvider": counts for name, counts in by_provider.items()}
    placement = Placement(
        nodes_by_provider={name: sum(counts.values()) for name, counts in types.items()},
        op_types_by_provider=types,
        source="assignment info",
    )
    return make_record(model, "cuda", mode, placement=placement)


def test_planted_changes_are_told_once_and_in_their_class() -> None:
    base = [
        make_record("breaks", mode="validate"),
        make_record("breaks"),
        failed("mended", kind="crash"),
        failed("renamed", kind="runtime error", message="out of memory at 0x7f3a"),
        failed("worse", kind="result accuracy issue"),
        placed("moves", "validate", CUDA={"Conv": 5, "Relu": 5}),
        placed("moves", "benchmark", CUDA={"Conv": 5, "Relu": 5}),
        make_record("gone", mode="validate"),
        make_record("gone"),
        make_record("partly", mode="validate"),
        make_record("partly"),
        make_record("same"),
    ]
    current = [
        failed("breaks", kind="session error", message="no kernel\nfor it"),
        make_record("breaks", outcome="skipped", reason="validation failed: no kernel"),
        make_record("mended", mode="validate"),
        failed("renamed", kind="runtime error", message="out of memory at 0x91c0"),
        failed("worse", kind="crash", message="signal 11"),
        placed("moves", "validate", CUDA={"Conv": 3, "Relu": 5}, CPU={"Conv": 2}),
        placed("moves", "benchmark", CUDA={"Conv": 3, "Relu": 5}, CPU={"Conv": 2}),
        make_record("partly", mode="validate"),
        make_record("same"),
        make_record("added", mode="validate"),
        make_record("added"),
        failed("added_and_broken", kind="timeout"),
    ]
    comparison = compare(side(base), side(current))
    assert [(each.topic, each.kind, each.direction, each.case_id) for each in comparison.changes] == [
        ("failures", "new failure", "worse", "breaks::validate[cpu]"),
        ("failures", "fixed failure", "better", "mended::validate[cpu]"),
        ("failures", "another failure", "worse", "worse::validate[cpu]"),
        ("failures", "new failure", "worse", "added_and_broken::validate[cpu]"),
        ("placement", "moved off", "worse", "moves::benchmark[cuda]"),
        ("missing", "missing", "worse", "partly::benchmark[cpu]"),
        ("missing", "missing model", "worse", "gone"),
        ("missing", "new model", "other", "added"),
    ]
    assert [each.text for each in comparison.changes] == [
        "session error in stage timing: no kernel",
        "was crash",
        "crash in stage timing: signal 11 (was result accuracy issue)",
        "timeout in stage timing: it broke (the case is not in the base)",
        "CPU +2 Conv, CUDA -2 Conv; 10/10 -> 8/10 on CUDA",
        "passed",
        "2 cases in all",
        "2 cases in all",
    ]
    assert comparison.still_failing == ("renamed::validate[cpu]",)
    assert [(each.kind, each.case_id) for each in failing(comparison, ("latency", "failures"))] == [
        ("new failure", "breaks::validate[cpu]"),
        ("another failure", "worse::validate[cpu]"),
        ("new failure", "added_and_broken::validate[cpu]"),
    ]
    assert len(failing(comparison, ("failures", "placement", "missing"))) == 6
    assert failing(comparison, ()) == []


def test_a_comparison_with_itself_has_no_change() -> None:
    records = [failed("a"), placed("b", "benchmark", CUDA={"Conv": 1}), *fleet(), make_record("c", outcome="skipped")]
    assert changes(records, records) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("passed", "xfailed", []),
        ("xfailed", "passed", []),
        ("xfailed", "failed", [("failures", "new failure", "worse")]),
        ("failed", "xpassed", [("failures", "fixed failure", "better")]),
        ("failed", "skipped", [("missing", "skipped now", "worse")]),
        ("passed", "skipped", [("missing", "skipped now", "worse")]),
        ("skipped", "passed", []),
        ("passed", "crashed", [("failures", "new failure", "worse")]),
        ("failed", "crashed", []),
    ],
)
def test_outcomes_and_their_classes(before: str, after: str, found: list[tuple[str, str, str]]) -> None:
    sides = [
        [
            make_record(
                outcome=outcome, failure=make_failure() if "ed" in outcome[-2:] and "pass" not in outcome else None
            )
        ]
        for outcome in (before, after)
    ]
    assert [each[:3] for each in changes(*sides)] == found


@pytest.mark.parametrize("outcome", ["failed", "crashed", "timed out"])
def test_a_benchmark_that_its_validation_stopped_is_not_listed_again(outcome: str) -> None:
    skipped = make_record(outcome="skipped", reason=f"validation {outcome}: it broke")
    assert changes([make_record()], [skipped]) == []


def test_nodes_that_come_on_are_better_and_another_graph_is_neither() -> None:
    off, on = (
        placed("a", "benchmark", CUDA={"Conv": 3}, CPU={"Shape": 2}),
        placed("a", "benchmark", CUDA={"Conv": 3, "Shape": 2}),
    )
    assert changes([off], [on]) == [("placement", "moved on", "better", "a::benchmark[cuda]")]
    fused = placed("a", "benchmark", CUDA={"FusedConv": 3, "Shape": 2})
    assert changes([on], [fused]) == [("placement", "another graph", "other", "a::benchmark[cuda]")]
    assert only_text(on, fused) == "CUDA -3 Conv +3 FusedConv; 5/5 -> 5/5 on CUDA"
    assert changes([on], [dataclasses.replace(fused, placement=None)]) == []


def test_many_operator_types_are_cut_short() -> None:
    many = {f"Op{number}": 1 for number in range(9)}
    base, current = (
        make_record(placement=make_placement(Add=1)),
        make_record(placement=make_placement(Add=1, **many)),
    )
    assert only_text(base, current).startswith("CPU +1 Op0 +1 Op1 +1 Op2 +1 Op3 +1 Op4 +1 Op5 and 3 more types; ")


def accurate(error: float | None, mode: str = "validate", **output: Any) -> Record:
    made = dataclasses.replace(make_output(error), **output)
    return make_record(mode=mode, accuracy=make_accuracy(made))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (1e-7, 5e-7, []),  # within a tenth of atol 1e-5: rounding
        (1e-6, 3e-6, [("less accurate", "worse")]),
        (3e-6, 1e-6, [("more accurate", "better")]),
        (3e-6, 4.5e-6, []),
        (None, 3e-6, []),
        (float("inf"), 3e-6, []),
    ],
)
def test_accuracy_drifts_by_a_factor_and_a_share_of_the_tolerance(
    before: float | None, after: float, found: list[tuple[str, str]]
) -> None:
    assert [each[1:3] for each in changes([accurate(before)], [accurate(after)])] == found


def test_drift_of_other_measures_is_seen_too() -> None:
    cosine = {"cosine_least": 0.999}
    assert only_text(accurate(1e-6, cosine=0.9999, **cosine), accurate(1e-6, cosine=0.9995, **cosine)) == (
        "output 'logits' of test_data_set_0: 1 - cosine 0.0001 -> 0.0005, at most 0.001"
    )
    allowed = {"percent_mismatch_allowed": 2.0}
    assert only_text(
        accurate(1e-6, percent_mismatch=0.1, **allowed), accurate(1e-6, percent_mismatch=1, **allowed)
    ) == ("output 'logits' of test_data_set_0: percent of elements outside 0.1 -> 1, allowed 2")
    assert changes([accurate(1e-6, cosine=0.9999)], [accurate(1e-6, cosine=0.9995)]) == []


def test_drift_of_validation_and_benchmark_is_told_once() -> None:
    base = [accurate(1e-6), accurate(1e-6, "benchmark")]
    current = [accurate(4e-6), accurate(4e-6, "benchmark")]
    assert changes(base, current) == [("accuracy", "less accurate", "worse", "bert::benchmark[cpu]")]
    assert only_text(base[0], current[0]) == (
        "output 'logits' of test_data_set_0: largest error 1e-06 -> 4e-06, atol 1e-05"
    )


def test_drift_out_of_tolerance_is_a_failure_and_no_drift() -> None:
    worse = dataclasses.replace(accurate(4e-3, within_tolerance=False), outcome="failed", failure=make_failure())
    assert [each[0] for each in changes([accurate(1e-6)], [worse])] == ["failures"]


def footprint(creation_mib: float, run_mib: float | None, device_mib: float | None = None) -> Record:
    host = HostMemory(
        baseline_byte=0,
        creation_peak_byte=round(creation_mib * MIB),
        creation_byte=0,
        run_peak_byte=None if run_mib is None else round(run_mib * MIB),
        run_byte=None,
    )
    device = device_mib and DeviceMemory(
        source="process", baseline_byte=0, creation_peak_byte=None, run_peak_byte=round(device_mib * MIB)
    )
    return make_record(resources=Resources(host_memory=host, device_memory=device or None))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ((100, 100), (107, 107), []),  # less than 8 MiB
        ((1000, 1000), (1015, 1015), []),  # less than 2 %
        ((100, 100), (120, 120), [("LARGER", "worse")]),
        ((100, 100), (120, 101), [("UNSURE", "other")]),  # in one of two sessions
        ((100, None), (120, None), [("UNSURE", "other")]),
        ((120, 120), (100, 100), [("SMALLER", "better")]),
    ],
)
def test_memory_counts_where_both_sessions_say_so(
    before: tuple[float, float | None], after: tuple[float, float | None], found: list[tuple[str, str]]
) -> None:
    assert [each[1:3] for each in changes([footprint(*before)], [footprint(*after)])] == found


def test_memory_of_the_gpu_is_looked_at_too() -> None:
    assert only_text(footprint(1, 1, 500), footprint(1, 1, 600)) == "GPU peak 500.0 -> 600.0 MiB (+20.0 %)"


def test_memory_that_every_run_shows_is_sure() -> None:
    base, current = (
        side([footprint(100, None)], [footprint(101, None)]),
        side([footprint(130, None)], [footprint(120, None)]),
    )
    (change,) = compare(base, current).changes
    assert (change.kind, change.text) == ("LARGER", "host peak 101.0 -> 130.0 MiB (+28.7 %)")


def created(ms: float, **changes: Any) -> Record:
    return make_record(session=make_session(creation_ns=round(ms * 1e6), **changes))


def test_session_creation_is_sure_with_six_runs_that_agree() -> None:
    def runs(*creations_ms: float) -> Side:
        return side(*([created(ms)] for ms in creations_ms))

    def found(base: Side, current: Side) -> list[tuple[str, str, str]]:
        return [(each.kind, each.direction, each.text) for each in compare(base, current).changes]

    assert found(runs(100), runs(300)) == [("UNSURE", "other", "session creation 100.0 -> 300.0 ms (+200.0 %)")]
    quick, slow = runs(100, 110, 105, 100, 100, 100), runs(300, 250, 260, 300, 300, 300)
    assert found(quick, slow) == [("SLOWER", "worse", "session creation 110.0 -> 250.0 ms (+127.3 %)")]
    assert found(slow, quick) == [("FASTER", "better", "session creation 250.0 -> 110.0 ms (-56.0 %)")]
    assert found(quick, runs(300, 110, 260, 300, 300, 300)) == []


def test_session_creation_of_other_machines_and_other_engines_is_not_compared() -> None:
    assert changes([created(100)], [created(900)], fingerprint="another") == []
    assert changes([created(100, engines="loaded")], [created(900, engines="built")]) == []
    assert changes([created(10)], [created(50)]) == []  # less than 50 ms


def test_memory_creation_and_accuracy_at_other_shapes_are_not_compared() -> None:
    def at(size: int, mib: float, ms: float, error: float) -> list[Record]:
        facts = {"inputs": (image(size),)}
        measured = dataclasses.replace(footprint(mib, mib), session=make_session(creation_ns=round(ms * 1e6)), **facts)
        return [dataclasses.replace(accurate(error), **facts), measured]

    small, large = at(64, 100, 100, 1e-6), at(224, 200, 900, 4e-3)
    assert changes(small, large) == [("missing", "not comparable", "other", "bert::benchmark[cpu]")]
    assert [each[0] for each in changes(at(224, 100, 100, 1e-6), large)] == [
        "accuracy",
        "memory",
        "creation",
    ]
