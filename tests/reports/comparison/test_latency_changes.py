"""Verdicts on latency: what single runs, several runs and fleets may say, and what they may not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from pytest_ortperf.records.environment.machine_checks import Canary, CanaryPart, Finding, MachineState
from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.records.resources import Clocks, Resources
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.evidence import Evidence, of_pairs, of_runs, of_single_runs
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, compare_latencies
from pytest_ortperf.reports.comparison.run_comparison import compare, failing, health_notes
from pytest_ortperf.reports.comparison.verdicts import decide, delta_of
from record_examples import make_failure, make_latency, make_record
from reports.comparison.sides import fleet, image, side, timed, verdicts


def pair_of(base: Side, current: Side, model: str = "m3") -> LatencyPair:
    (found,) = [pair for pair in compare_latencies(base, current).pairs if pair.case_id.startswith(f"{model}::")]
    return found


def test_slower_and_faster_are_told_apart_and_the_rest_is_the_same() -> None:
    latencies = compare_latencies(side(fleet()), side(fleet(seed=1, m3=1.3, m7=0.75)))
    assert verdicts(latencies.pairs) == {"m3": "SLOWER", "m7": "FASTER"}
    slower = pair_of(side(fleet()), side(fleet(seed=1, m3=1.3, m7=0.75)))
    low, high = slower.evidence.interval
    assert low < 1.3 < high
    assert (slower.evidence.kind, slower.statistic, slower.decision.delta) == ("single runs", "median", 0.25)


def test_the_same_against_itself_is_the_same() -> None:
    latencies = compare_latencies(side(fleet()), side(fleet()))
    assert verdicts(latencies.pairs) == {}
    assert [line.verdict for line in latencies.fleets] == ["SAME"]


@pytest.mark.parametrize("shift", [0.9, 1.06, 1.5])
def test_a_machine_that_is_slower_as_a_whole_is_the_fleets_shift_and_no_case(shift: float) -> None:
    moved = {f"m{number}": shift for number in range(20)}
    latencies = compare_latencies(side(fleet()), side(fleet(seed=1, **moved | {"m3": shift * 1.3})))
    assert verdicts(latencies.pairs) == {"m3": "SLOWER"}
    (line,) = latencies.fleets
    assert line.ratio == pytest.approx(shift, rel=0.01)
    assert (line.verdict, line.note) == (
        "UNSURE",
        (
            "all cases moved together: the machine, or the software as a whole (no canary was timed in both; "
            "--ortperf-env=warn times one)"
        ),
    )


def with_canary(records: list[Record], fast_ns: int) -> Side:
    canary = Canary(parts={"compute": CanaryPart(fast_ns=fast_ns, median_ns=fast_ns, repeats=5)})
    return side([dataclasses.replace(record, canary=canary) for record in records])


def test_a_canary_that_did_not_change_says_that_the_software_did() -> None:
    moved = fleet(seed=1, **{f"m{number}": 1.2 for number in range(20)})
    (line,) = compare_latencies(with_canary(fleet(), 1000), with_canary(moved, 1004)).fleets
    assert (line.verdict, line.note) == ("SLOWER", "the machine is not it: canary compute +0.4 %")
    (change,) = failing(compare(with_canary(fleet(), 1000), with_canary(moved, 1004)), ("latency",))
    assert (change.case_id, change.kind) == ("all of cpu (host)", "SLOWER")
    assert change.text.startswith("20 pairs, ratio 1.2")
    (line,) = compare_latencies(with_canary(fleet(), 1000), with_canary(moved, 1150)).fleets
    assert line.verdict == "UNSURE"
    assert line.note.endswith("(canary compute +15.0 %)")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fingerprint": "another"}, "it was measured on another machine"),
        ({"fingerprint": None}, "it is not known on which machine it was measured"),
    ],
)
def test_another_machine_is_unsure_and_never_slower(changes: dict[str, str | None], reason: str) -> None:
    latencies = compare_latencies(side(fleet(), **changes), side(fleet(seed=1, m3=3)))
    assert set(verdicts(latencies.pairs).values()) == {"UNSURE"}
    assert {pair.decision.reasons for pair in latencies.pairs} == {(reason,)}
    (line,) = latencies.fleets
    assert line.verdict != "SLOWER"


def test_too_small_a_fleet_is_unsure() -> None:
    pair = pair_of(side(fleet(7)), side(fleet(7, seed=1, m3=1.4)))
    assert (pair.decision.verdict, pair.decision.reasons) == (
        "UNSURE",
        (
            (
                "Only 7 cases can be paired, and no canary was timed in both runs; 8 cases or a canary are needed to "
                "tell a slower machine from a slower model."
            ),
        ),
    )
    assert not pair.evidence.is_known


LOADED = MachineState(
    spans=(), findings=(Finding(check="other-load", level="warning", seen="others kept 1.3 of 2 cores busy"),)
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": LOADED}, "current: the machine: others kept 1.3 of 2 cores busy"),
        ({"machine": None}, "current: nobody looked at the machine meanwhile (--ortperf-env=off)"),
    ],
)
def test_a_single_run_that_was_disturbed_is_unsure(changes: dict[str, MachineState | None], reason: str) -> None:
    current = [dataclasses.replace(each, **changes) if each.model == "m3" else each for each in fleet(seed=1, m3=1.5)]
    pair = pair_of(side(fleet()), side(current))
    assert (pair.decision.verdict, pair.decision.reasons) == ("UNSURE", (reason,))


@pytest.mark.parametrize(
    ("status", "steady", "reason"),
    [
        ("unstable", True, "current: its median is not precise (unstable)"),
        ("stable", False, "current: its warm-up did not become steady"),
    ],
)
def test_a_single_run_that_is_not_steady_is_unsure(status: str, steady: bool, reason: str) -> None:  # noqa: FBT001
    current = fleet(seed=1, m3=1.5)
    (latency,) = current[3].latencies
    current[3] = dataclasses.replace(
        current[3], latencies=(dataclasses.replace(latency, status=status, steady=steady),)
    )
    assert pair_of(side(fleet()), side(current)).decision.reasons == (reason,)


def test_a_median_that_the_fastest_iteration_does_not_bear_out_is_unsure() -> None:
    current = fleet(seed=1, m3=1.5)
    (latency,) = current[3].latencies
    samples = (min(fleet()[3].latencies[0].samples_ns), *latency.samples_ns)
    current[3] = dataclasses.replace(current[3], latencies=(dataclasses.replace(latency, samples_ns=samples),))
    pair = pair_of(side(fleet()), side(current))
    assert pair.decision.verdict == "UNSURE"
    assert pair.decision.reasons[0].startswith("the fastest iteration does not bear it out (")


def at_clock(record: Record, mhz: float) -> Record:
    clocks = Clocks(mean_sm_mhz=mhz, min_sm_mhz=1000, max_sm_mhz=2000, samples=30)
    return dataclasses.replace(record, resources=Resources(clocks=clocks, timing="host"))


def test_a_change_that_is_the_clocks_is_unsure() -> None:
    base = [at_clock(each, 1980) for each in fleet()]
    current = [at_clock(each, 1980) for each in fleet(seed=1, m3=1.4)]
    assert pair_of(side(base), side(current)).decision.verdict == "SLOWER"
    current[3] = at_clock(current[3], 1414)
    assert pair_of(side(base), side(current)).decision.reasons == (
        "the GPU's clock differs by -28.6 %; in cycles it is no change",
    )


def test_several_runs_find_what_single_ones_may_not() -> None:
    base = side(*(fleet(seed=number) for number in range(4)))
    current = side(*(fleet(seed=number, m3=1.08, m5=1.01) for number in range(10, 14)))
    latencies = compare_latencies(base, current)
    assert verdicts(latencies.pairs) == {"m3": "SLOWER"}
    pair = pair_of(base, current)
    assert (pair.evidence.kind, pair.decision.delta) == ("runs", pytest.approx(0.05))
    assert pair_of(side(fleet()), side(fleet(seed=10, m3=1.08))).decision.verdict == "SAME"


def test_two_runs_on_a_side_are_too_few_for_slower() -> None:
    base = side(*(fleet(seed=number, noise=0.0005) for number in range(2)))
    current = side(*(fleet(seed=number, noise=0.0005, m3=1.5) for number in range(10, 12)))
    pair = pair_of(base, current)
    assert pair.decision.verdict == "UNSURE"
    assert "2 and 2 runs; 3 on each side, or 6 stored ones, can show a change" in pair.decision.reasons


def test_one_run_against_six_stored_ones_can_be_slower_and_against_five_cannot() -> None:
    current = side(fleet(seed=20, m3=1.3))
    six = side(*(fleet(seed=number) for number in range(6)))
    assert verdicts(compare_latencies(six, current).pairs) == {"m3": "SLOWER"}
    five = side(*(fleet(seed=number) for number in range(5)))
    assert pair_of(five, current).decision.verdict == "UNSURE"


def test_runs_that_differ_as_a_whole_are_normalised_each_by_itself() -> None:
    def runs(first: int, **factors: float) -> Side:
        speeds = (1.0, 1.2, 0.9, 1.1)
        return side(
            *(
                fleet(seed=first + number, **{f"m{each}": speed * factors.get(f"m{each}", 1) for each in range(20)})
                for number, speed in enumerate(speeds)
            )
        )

    assert verdicts(compare_latencies(runs(0), runs(10, m3=1.06)).pairs) == {"m3": "SLOWER"}


def test_a_change_of_a_fifth_of_the_pairs_is_found_and_of_a_third_is_noise() -> None:
    def found(count: int) -> set[str]:
        changed = {f"m{number}": 1.3 for number in range(count)}
        return set(verdicts(compare_latencies(side(fleet()), side(fleet(seed=1, **changed))).pairs).values())

    assert found(3) == {"SLOWER"}
    assert found(7) == {"UNSURE"}


def test_noise_that_blows_delta_up_earns_no_same() -> None:
    latencies = compare_latencies(side(fleet(noise=0.12)), side(fleet(noise=0.12, seed=1)))
    assert set(verdicts(latencies.pairs).values()) == {"UNSURE"}
    assert all("the noise hides changes of up to" in pair.decision.reasons[0] for pair in latencies.pairs)


def test_timing_modes_and_threads_are_pairs_of_their_own() -> None:
    def records(seed: int, bound: float) -> list[Record]:
        found = []
        for record in fleet(12, seed=seed):
            other = timed(record.model, 1.0, seed=seed, timing="bound").latencies[0]
            threads = Concurrent(timing="host", iterations=(50, 50), p50_ns=(1, 1), thread_ns=(10**9, 10**9), wall_ns=1)
            found.append(dataclasses.replace(record, latencies=(*record.latencies, other), concurrent=threads))
        if bound != 1:
            slow = timed("m3", bound, seed=seed, timing="bound").latencies[0]
            found[3] = dataclasses.replace(found[3], latencies=(found[3].latencies[0], slow))
        return found

    latencies = compare_latencies(side(records(0, 1)), side(records(1, 1.4)))
    assert [(line.timing, line.pairs) for line in latencies.fleets] == [
        ("bound", 12),
        ("host", 12),
        ("host, 2 threads", 12),
    ]
    changed = [(pair.case_id, pair.timing) for pair in latencies.pairs if pair.decision.verdict == "SLOWER"]
    assert changed == [("m3::benchmark[cpu]", "bound")]


def test_failed_benchmarks_have_no_pair() -> None:
    current = [dataclasses.replace(each, outcome="failed") if each.model == "m3" else each for each in fleet(seed=1)]
    assert len(compare_latencies(side(fleet()), side(current)).pairs) == 19


def test_one_sided_findings_and_floors_are_named() -> None:
    base = side(*(fleet(40, seed=number) for number in range(3)))
    slower = {f"m{number}": 1.2 for number in range(6)}
    current = side(*(fleet(40, seed=number, **slower) for number in range(10, 13)))
    notes = list(health_notes(compare(base, current)))
    assert notes == [
        "one-sided: 6 SLOWER, 0 FASTER; a biased measurement looks like that too",
        (
            "3 + 3 runs: a test by ranks alone could not go below p 0.1, and a lone change among 40 needs 0.0013; "
            "verdicts rest on the normal shape of the noise between runs"
        ),
    ]


def test_pairs_of_processes_are_evidence_for_later_callers() -> None:
    evidence = of_pairs([0.10, 0.11, 0.09, 0.10, 0.105, 0.095])
    assert (evidence.kind, evidence.freedom) == ("pairs", 5)
    assert evidence.ratio == pytest.approx(math.exp(0.1))
    assert decide(evidence, base_ns=5e6, delta=0.03, adjusted_p=evidence.p).verdict == "SLOWER"
    assert delta_of(5e6, evidence, floor=0.04) == pytest.approx(math.expm1(0.08))


def test_delta_is_never_less_than_2_us_and_of_pairs_half_a_microsecond() -> None:
    values = [0.0, 0.001, -0.001]
    assert delta_of(5_000, of_runs(values, values)) == pytest.approx(0.4)
    assert delta_of(5_000, of_pairs(values)) == pytest.approx(0.1)


def test_welch_rounds_its_degrees_of_freedom_down() -> None:
    # variances 1 and 4 of 4 and 5: 1/4 + 4/5 = 1.05; 1.05^2 / (0.0625/3 + 0.64/4) = 6.1
    base, current = (-1.1618950, -0.3872983, 0.3872983, 1.1618950), (-2.5298221, -1.2649111, 0, 1.2649111, 2.5298221)
    evidence = of_runs(base, current)
    assert evidence.freedom == 6
    assert evidence.error == pytest.approx(math.sqrt(1.05), rel=1e-6)


def test_errors_within_processes_widen_what_the_fleet_knows() -> None:
    def made(own: float) -> Evidence:
        return of_single_runs(0.1, fleet_spread=0.01, fleet=20, own_errors=(own, 0.0))

    assert (made(0.005).error, made(0.05).error) == (0.01, 0.05)


def test_two_lists_with_the_same_case_are_paired_by_node() -> None:
    def both(first: float, second: float) -> Side:
        records = [
            make_record(nodeid=f"{name}.json::bert::benchmark[cpu]", latencies=(make_latency(*[each] * 6),))
            for name, each in (("a", first), ("b", second))
        ]
        return side(records)

    pairs = compare_latencies(both(1, 5), both(1.1, 5.5)).pairs
    assert [(pair.case_id, round(pair.base_ns)) for pair in pairs] == [
        ("a.json::bert::benchmark[cpu]", 1_000_000),
        ("b.json::bert::benchmark[cpu]", 5_000_000),
    ]


def sized(size: int, p50_ms: float, **changes: Any) -> Record:
    return timed("net", p50_ms, inputs=(image(size),), **changes)


def test_cases_measured_at_other_shapes_are_not_comparable() -> None:
    base, current = side([*fleet(), sized(64, 1.0)]), side([*fleet(seed=1), sized(224, 12.0)])
    comparison = compare(base, current)
    assert len(comparison.pairs) == len(fleet())
    assert [(each.kind, each.case_id, each.direction, each.text) for each in comparison.of_topic("missing")] == [
        (
            "not comparable",
            "net::benchmark[cpu]",
            "other",
            "input 'images' is (1, 3, 64, 64) and (1, 3, 224, 224); --ortperf-dim gives both the same",
        )
    ]
    assert failing(comparison, ("latency", "missing")) == []


def test_one_run_of_several_at_other_shapes_spoils_the_case() -> None:
    base = side([*fleet(), sized(64, 1.0)], [*fleet(seed=1), sized(224, 1.0)])
    assert [each.kind for each in compare(base, side([*fleet(), sized(64, 1.0)])).changes] == ["not comparable"]
    same = side([*fleet(), sized(64, 1.0)], [*fleet(seed=1), sized(64, 1.0)])
    assert compare(same, same).changes == ()


def not_run() -> Record:
    return make_record("net", outcome="failed", failure=make_failure(kind="session error"))


def test_a_run_without_shapes_hides_no_difference_between_the_others() -> None:
    base = side([*fleet(), not_run()], [*fleet(seed=1), sized(64, 1.0)])
    comparison = compare(base, side([*fleet(), sized(224, 12.0)]))
    assert [(each.kind, each.case_id) for each in comparison.changes] == [("not comparable", "net::benchmark[cpu]")]
    assert not any(pair.case_id.startswith("net::") for pair in comparison.pairs)


def test_a_failed_run_at_other_shapes_has_no_latency_to_compare() -> None:
    failed = sized(64, 1.0, outcome="failed", failure=make_failure(kind="runtime error"))
    base = side([*fleet(), failed], [*fleet(seed=1), sized(224, 12.0)])
    comparison = compare(base, side([*fleet(), sized(224, 12.0)]))
    assert comparison.changes == ()
    assert len([pair for pair in comparison.pairs if pair.case_id.startswith("net::")]) == 1
    only = compare(side([failed]), side([sized(224, 12.0)]))
    assert [each.kind for each in only.changes] == ["fixed failure"]
