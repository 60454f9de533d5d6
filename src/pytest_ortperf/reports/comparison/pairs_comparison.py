"""A run of pairs as a comparison of two sides: latencies of the pairs, failures and placement of their records."""

from __future__ import annotations

import dataclasses

from pytest_ortperf.records.pairs import SCREEN, SIDES, NoiseFloor, PairsHeader, SideFact, SideRecord
from pytest_ortperf.records.pairs_file import StoredPairs
from pytest_ortperf.reports.comparison.comparison import Comparison, compare
from pytest_ortperf.reports.comparison.failures import collected_changes
from pytest_ortperf.reports.comparison.latency import LatencyPair
from pytest_ortperf.reports.comparison.paired import DECIDING_PAIRS, Judged, Noise, by_case, judge, typical_ns
from pytest_ortperf.reports.comparison.side import RunSide, Side, cases_of


def compare_pairs(stored: StoredPairs, floor: NoiseFloor | None = None) -> Comparison:
    """Return the comparison of both sides of a run of pairs: failures and placement too, from their records."""
    header = stored.header
    known = [{it.case_id: it for it in stored.records if it.side == name} for name in SIDES]
    # where the run ended between the two sides of a case, nothing is missing on the other one
    whole = dataclasses.replace(
        stored, records=tuple(it for it in stored.records if all(it.case_id in each for each in known))
    )
    base, current = (_side(name, fact, whole) for name, fact in zip(SIDES, (header.base, header.current), strict=True))
    noise = Noise(floor=floor, deciding=_deciding(header))
    judged = judge(by_case(stored.pairs), noise)
    pairs = tuple(_latency_pair(each, known[1].get(each.pairs.case_id)) for each in judged)
    found = compare(base, current)
    on_one_side = collected_changes(header.base.cases, header.current.cases)
    return dataclasses.replace(found, pairs=pairs, fleets=(), changes=(*found.changes, *on_one_side))


def _deciding(header: PairsHeader) -> int:
    """Return the fresh pairs that a run plans for a decision; where it plans none, as many as is usual."""
    planned = header.plan.get("confirm_pairs")
    return planned if isinstance(planned, int) and planned > 0 else DECIDING_PAIRS


def _latency_pair(each: Judged, known: SideRecord | None) -> LatencyPair:
    return LatencyPair(
        case_id=each.pairs.case_id,
        nodeid=known.record.nodeid if known else each.pairs.case_id,
        provider=known.record.provider if known else "unknown",
        timing=each.pairs.timing,
        statistic="median",
        base_ns=typical_ns(each.pairs.deciding, SIDES[0]),
        current_ns=typical_ns(each.pairs.deciding, SIDES[1]),
        evidence=each.evidence,
        adjusted_p=each.adjusted_p,
        decision=each.decision,
    )


def _side(name: str, fact: SideFact, stored: StoredPairs) -> Side:
    """Return a side with a run for each round: each has its own processes. Without records it has one of no cases."""
    rounds: dict[tuple[str, int], list[SideRecord]] = {} if stored.records else {(SCREEN, 0): []}
    for it in stored.records:
        if it.side == name:
            rounds.setdefault((it.stage, it.round), []).append(it)
    runs = tuple(
        RunSide(
            name=f"{stored.header.run}, {stage} {number + 1}",
            cases=cases_of(dataclasses.replace(it.record, case_id=it.case_id) for it in each),
            environment=fact.environment,
            fingerprint=fact.environment.fingerprint,
            options=fact.options,
        )
        for (stage, number), each in rounds.items()
    )
    return Side(name=fact.name, runs=runs, notes=stored.notes if name == SIDES[0] else ())
