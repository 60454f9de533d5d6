from __future__ import annotations

from typing import Any

import pytest

from pytest_ortperf.records.record import Record, TensorFact
from pytest_ortperf.reports.page.answers import causes, fastest_variants, subject_text, variant_totals
from pytest_ortperf.reports.tables.rows import sorted_rows
from record_examples import make_failure, make_latency, make_record, make_run

STEADY = tuple(1.0 + 0.001 * (number % 5) for number in range(60))


def measured(provider: str, factor: float, model: str = "bert", **changes: Any) -> Record:
    latency = make_latency(*(factor * sample for sample in STEADY))
    return make_record(model, provider, **{"latencies": (latency,), **changes})


def failed(model: str, message: str, kind: str = "session error") -> Record:
    return make_record(model, mode="validate", outcome="failed", failure=make_failure(kind=kind, message=message))


def test_messages_of_one_cause_differ_in_names_numbers_and_paths_alone() -> None:
    found = causes(
        [
            failed("a", "no session: Load model from /x/a/model.onnx failed: node 'n1' of 12\nmore"),
            failed("bb", "no session: Load model from /y/bb/m.onnx failed: node 'other' of 7"),
            failed("a", "no session: NotImplemented"),
            failed("c", "it ran out of memory", kind="runtime error"),
        ]
    )
    assert [(cause.kind, len(cause.records), cause.message) for cause in found] == [
        ("session error", 2, "no session: Load model from /x/a/model.onnx failed: node 'n1' of 12"),
        ("session error", 1, "no session: NotImplemented"),
        ("runtime error", 1, "it ran out of memory"),
    ]


def test_the_class_with_most_cases_comes_first() -> None:
    records = [failed("a", "one", "fallback"), failed("b", "two", "limit"), failed("c", "three", "limit")]
    assert [(cause.kind, cause.message) for cause in causes(records)] == [
        ("limit", "two"),
        ("limit", "three"),
        ("fallback", "one"),
    ]


def test_a_crash_without_a_failure_is_named_by_its_outcome() -> None:
    (cause,) = causes([make_record(outcome="timed_out")])
    assert (cause.kind, cause.message) == ("timed out", "")


def test_the_fastest_variant_is_the_one_with_the_lowest_median() -> None:
    run = make_run([measured("cpu", 8), measured("cuda", 2), measured("tensorrt", 3)])
    ((subject, found),) = fastest_variants(sorted_rows(run)).items()
    assert (subject_text(subject), found.record.provider, found.timing) == ("bert", "cuda", "host")
    assert found.factor == pytest.approx(1.5)
    assert found.is_clear


def test_a_variant_whose_validation_failed_is_not_the_fastest() -> None:
    wrong = make_record(provider="cuda", mode="validate", outcome="failed", failure=make_failure())
    run = make_run([measured("cpu", 8), measured("cuda", 2), measured("tensorrt", 3), wrong])
    (found,) = fastest_variants(sorted_rows(run)).values()
    assert found.record.provider == "tensorrt"


def test_medians_whose_intervals_meet_are_not_clear() -> None:
    (found,) = fastest_variants(sorted_rows(make_run([measured("cpu", 1.0), measured("cuda", 1.0001)]))).values()
    assert not found.is_clear


def test_nothing_is_fastest_alone_or_at_other_shapes() -> None:
    assert fastest_variants(sorted_rows(make_run([measured("cpu", 1)]))) == {}
    shapes = [
        measured(name, 1, inputs=(TensorFact(name="x", dtype="float", shape=(1, size), origin="generated"),))
        for name, size in (("cpu", 64), ("cuda", 224))
    ]
    assert fastest_variants(sorted_rows(make_run(shapes))) == {}


def test_only_timing_modes_that_all_have_are_compared() -> None:
    bound = make_latency(*STEADY, timing="bound")
    host = make_latency(*(9 * sample for sample in STEADY))
    run = make_run([measured("cpu", 5), measured("cuda", 1, latencies=(bound, host))])
    (found,) = fastest_variants(sorted_rows(run)).values()
    assert (found.record.provider, found.timing) == ("cpu", "host")


def test_totals_count_outcomes_and_average_gains() -> None:
    records = [
        *(measured("cpu", 8, model) for model in ("a", "b")),
        measured("cuda", 2, "a"),
        measured("cuda", 32, "b"),
        make_record("c", "cuda", outcome="skipped"),
        make_record("d", "cuda", outcome="crashed"),
    ]
    rows = sorted_rows(make_run(records))
    cpu, cuda = variant_totals(rows, fastest_variants(rows))
    assert (cpu.name, cpu.passed, cpu.failed, cpu.skipped, cpu.fastest, cpu.gain) == ("cpu", 2, 0, 0, 1, None)
    assert (cuda.name, cuda.passed, cuda.failed, cuda.skipped, cuda.fastest) == ("cuda", 2, 1, 1, 1)
    assert cuda.gain == pytest.approx(1.0)
    assert (cuda.gains, cuda.reference) == (2, "cpu")
