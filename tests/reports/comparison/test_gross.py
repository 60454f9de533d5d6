"""Verdicts on a few cases: beside the canary, and by gross changes where nothing else tells machine from model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from pytest_ortperf.records.environment.machine_checks import Canary, CanaryPart
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.compared_side import Observation, Side
from pytest_ortperf.reports.comparison.fleet import canary_shift
from pytest_ortperf.reports.comparison.gross import Bounds, bounds_of, class_of, gross_decision
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, compare_latencies
from reports.comparison.sides import side, timed

BOUNDS = Bounds(spread=0.05, single=2.0, several=1.3)


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


def test_a_disturbed_machine_has_a_wider_bound() -> None:
    sides = (side(with_canary([timed("m", 2), timed("n", 2)], compute=1000, handoff=200)) for _ in range(2))
    canary = canary_shift(*sides)
    quiet = bounds_of(class_of(timed("m", 2), [observation(2e6)], canary))
    for found in (
        class_of(timed("m", 2), [dataclasses.replace(observation(2e6), disturbed=True)], canary),
        class_of(timed("m", 2), [observation(2e6)], None),
    ):
        assert quiet.single < bounds_of(found).single
        assert quiet.several < bounds_of(found).several


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


@pytest.mark.parametrize(("handoff", "found"), [(205, ("SLOWER", "canary")), (580, ("UNSURE", "canary"))])
def test_beside_a_steady_canary_a_small_change_is_found(handoff: int, found: tuple[str, str]) -> None:
    times = {"compute": 1000, "memory": 5000, "interpreter": 800, "handoff": 200}
    base = side(with_canary([timed("m", 2), timed("n", 2)], **times))
    current = side(with_canary([timed("m", 2.8), timed("n", 2)], **times | {"memory": 5900, "handoff": handoff}))
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
    sides = ([observation(value, spread=spread) for value in each] for each in (base, current))
    decision = gross_decision(*sides, bounds=BOUNDS, log_shift=log_shift)
    assert (decision.verdict if decision else None) == found


def test_without_ranges_nothing_is_gross() -> None:
    base, current = ([Observation(mean_ns=value)] for value in (10, 100))
    assert gross_decision(base, current, bounds=BOUNDS, log_shift=0.0) is None
