"""Verdicts on a few cases: beside the canary, and by gross changes where nothing else tells machine from model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from pytest_ortperf.records.environment.machine_checks import Canary, CanaryPart
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.compared_side import Observation, Side
from pytest_ortperf.reports.comparison.fleet import canary_shift
from pytest_ortperf.reports.comparison.gross import (
    CALMS,
    CROWDED,
    QUIET,
    SHARED,
    UNWATCHED,
    Bounds,
    MeasuredRun,
    bounds_of,
    class_of,
    gross_decision,
    measured_run,
)
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, compare_latencies
from record_examples import make_session
from reports.comparison.sides import side, timed

BOUNDS = dict.fromkeys(CALMS, Bounds(spread=0.05, least=0.1, single=2.0, several=1.3))


def with_canary(records: Iterable[Record], **times_ns: int) -> list[Record]:
    parts = {name: CanaryPart(fast_ns=ns, median_ns=ns, repeats=9) for name, ns in times_ns.items()}
    return [dataclasses.replace(record, canary=Canary(parts=parts)) for record in records]


def only(base: Side, current: Side) -> LatencyPair:
    (pair,) = compare_latencies(base, current).pairs
    return pair


def verdict(base: Side, current: Side) -> tuple[str, str | None]:
    decision = only(base, current).decision
    return decision.verdict, decision.by


def test_one_model_made_twelve_times_slower_is_slower() -> None:
    assert verdict(side([timed("m", 2)]), side([timed("m", 24)])) == ("SLOWER", "gross")
    assert verdict(side([timed("m", 24)]), side([timed("m", 2)])) == ("FASTER", "gross")


@pytest.mark.parametrize(
    ("seen", "spread", "calm"),
    [
        ({}, 0.02, QUIET),
        ({"disturbed": True}, 0.02, SHARED),
        ({}, 0.2, SHARED),
        ({"disturbed": True, "crowded": True}, 0.02, CROWDED),
        ({}, 0.4, CROWDED),
        ({}, None, UNWATCHED),
        ({"disturbed": True, "crowded": True}, None, CROWDED),
    ],
)
def test_a_run_is_as_calm_as_what_was_seen_of_its_machine(
    seen: dict[str, bool], spread: float | None, calm: str
) -> None:
    found = dataclasses.replace(class_of(timed("m", 2), [observation(2e6)]), is_alone=True)
    run = measured_run([dataclasses.replace(observation(2e6), **seen)], spread, found, None)
    assert run.calm == calm


@pytest.mark.parametrize(("handoff", "calm"), [(205, QUIET), (580, UNWATCHED)])
def test_on_several_threads_cores_must_see_writes_equally_fast(handoff: int, calm: str) -> None:
    sides = [side(with_canary([timed("m", 2), timed("n", 2)], compute=1000, handoff=ns)) for ns in (200, handoff)]
    found = dataclasses.replace(class_of(timed("m", 2), [observation(2e6)]), is_alone=False)
    assert measured_run([observation(2e6)], 0.02, found, canary_shift(*sides)).calm == calm


def test_the_less_calm_the_wider_the_bounds() -> None:
    for is_alone in (True, False):
        for ms in (0.5, 2):
            found = dataclasses.replace(class_of(timed("m", ms), [observation(ms * 1e6)]), is_alone=is_alone)
            bounds = [bounds_of(found)[calm] for calm in CALMS]
            for name in ("spread", "least", "single", "several"):
                values = [getattr(each, name) for each in bounds]
                assert values == sorted(values)
                assert values[-1] > values[0]


def test_a_crowded_run_does_not_hide_what_the_calm_ones_show() -> None:
    bounds = bounds_of(dataclasses.replace(class_of(timed("m", 2), [observation(2e6)]), is_alone=True))
    base = [MeasuredRun([observation(ns)], calm) for ns, calm in ((2e6, QUIET), (5e6, CROWDED), (2.1e6, QUIET))]
    current = [MeasuredRun([observation(ns)], QUIET) for ns in (3.4e6, 3.5e6)]
    decision = gross_decision(base, current, bounds=bounds, log_shift=0.0)
    assert decision is not None
    assert (decision.verdict, decision.delta) == ("SLOWER", pytest.approx(0.5))
    assert gross_decision(base[1:2], current, bounds=bounds, log_shift=0.0) is None


def test_a_change_within_the_bound_is_unsure_and_says_what_is_missing() -> None:
    decision = only(side([timed("m", 2)]), side([timed("m", 2.4)])).decision
    assert (decision.verdict, decision.by) == ("UNSURE", None)
    (reason,) = decision.reasons
    assert reason == (
        "Only 1 case can be paired, and no canary was timed in both runs; 8 cases or a canary are needed to tell a "
        "slower machine from a slower model."
    )


def test_another_machine_is_never_gross() -> None:
    assert verdict(side([timed("m", 2)]), side([timed("m", 24)], fingerprint="another"))[0] == "UNSURE"


@pytest.mark.parametrize(("threads", "found"), [(1, ("SLOWER", "canary")), (2, ("UNSURE", "canary"))])
def test_beside_a_steady_canary_a_small_change_on_one_thread_is_found(threads: int, found: tuple[str, str]) -> None:
    times = {"compute": 1000, "memory": 5000, "interpreter": 800, "handoff": 200}
    session = make_session(intra_op_threads=threads)
    base, current = (
        side(with_canary([timed(name, ms, session=session) for name, ms in (("m", m_ms), ("n", 2))], **parts))
        for m_ms, parts in ((2, times), (2.8, times | {"memory": 5900}))
    )
    decision = next(it for it in compare_latencies(base, current).pairs if it.case_id.startswith("m::")).decision
    assert (decision.verdict, decision.by) == found


def test_a_canary_that_moves_within_the_runs_finds_less() -> None:
    def moving(ms: float) -> Side:
        records = with_canary([timed("m", ms)], compute=1000, interpreter=800)
        return side([*records, *with_canary([timed("n", 2)], compute=1500, interpreter=1200)])

    pairs = compare_latencies(moving(2), moving(2.8)).pairs
    assert {pair.decision.verdict for pair in pairs} == {"UNSURE"}


def test_what_the_canary_shares_is_the_machine() -> None:
    base = side(with_canary([timed("m", 2)], compute=1000, memory=5000, interpreter=800))
    current = side(with_canary([timed("m", 8)], compute=4000, memory=20_000, interpreter=3200))
    assert verdict(base, current)[0] != "SLOWER"


def test_of_a_device_the_canary_says_nothing() -> None:
    base, current = (
        side(with_canary([timed("m", ms, provider="cuda", case_id="m::benchmark[cuda]")], compute=1000))
        for ms in (2, 2.8)
    )
    decision = only(base, current).decision
    assert (decision.verdict, decision.by) == ("UNSURE", None)


def observation(median_ns: float, *, spread: float = 0.05) -> Observation:
    low, high = (1 - spread) * median_ns, (1 + spread) * median_ns
    return Observation(mean_ns=median_ns, median_ns=median_ns, min_ns=low, range_ns=(low, high))


@pytest.mark.parametrize(
    ("base", "current", "spread", "log_shift", "found"),
    [
        ([10], [21], 0.05, 0.0, "SLOWER"),
        ([21], [10], 0.05, 0.0, "FASTER"),
        ([10], [19], 0.05, 0.0, None),
        ([10], [21], 0.4, 0.0, None),
        ([10], [21], 0.05, 0.1, None),
        ([10], [24], 0.05, 0.1, "SLOWER"),
        ([24], [10], 0.05, 0.1, "FASTER"),
        ([10], [19], 0.05, -0.5, None),
        ([10, 11, 10], [16, 15, 16], 0.05, 0.0, "SLOWER"),
        ([10, 13, 10], [16, 15, 16], 0.05, 0.0, None),
        ([10, 10], [15, 15], 0.05, 0.0, None),
    ],
)
def test_gross_is_apart_and_beyond_the_bound_of_the_closest_runs(
    base: list[float], current: list[float], spread: float, log_shift: float, found: str | None
) -> None:
    sides = ([MeasuredRun([observation(value, spread=spread)], QUIET) for value in each] for each in (base, current))
    decision = gross_decision(*sides, bounds=BOUNDS, log_shift=log_shift)
    assert (decision.verdict if decision else None) == found


def test_without_ranges_nothing_is_gross() -> None:
    base, current = ([MeasuredRun([Observation(mean_ns=value)], QUIET)] for value in (10, 100))
    assert gross_decision(base, current, bounds=BOUNDS, log_shift=0.0) is None
