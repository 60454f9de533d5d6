"""The whole comparison of two sides, and what of it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pytest_ortperf.reports.comparison.accuracy_changes import accuracy_changes
from pytest_ortperf.reports.comparison.change import WORSE, Change
from pytest_ortperf.reports.comparison.compared_side import Side, shape_differences, with_common_keys
from pytest_ortperf.reports.comparison.evidence import PAIRS, RUNS, SINGLE
from pytest_ortperf.reports.comparison.failure_changes import (
    NotAsked,
    case_changes,
    failure_changes,
    incomplete_changes,
    not_asked,
    shape_changes,
    still_failing,
)
from pytest_ortperf.reports.comparison.fleet import FleetDifference, FleetShift, differences, same_machine
from pytest_ortperf.reports.comparison.footprint_changes import footprint_changes
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, compare_latencies
from pytest_ortperf.reports.comparison.placement_changes import placement_changes
from pytest_ortperf.reports.comparison.thresholds import DEFAULT, THRESHOLD, FailOn, decided
from pytest_ortperf.reports.comparison.verdicts import (
    FASTER,
    SLOWER,
    VERDICTS,
    needed_by_a_lone_change,
    rank_floor,
    sign_floor,
)

_ONE_SIDED_FROM = 6
"""SLOWER and FASTER together from which on it is remarkable that all are of one kind: 2 in 64 by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out."""

    base: Side
    current: Side
    pairs: tuple[LatencyPair, ...]
    fleets: tuple[FleetShift, ...]
    changes: tuple[Change, ...]
    still_failing: tuple[str, ...]
    """Cases that fail on both sides in the same way."""

    differences: tuple[FleetDifference, ...]
    machine: str | None
    """What stands against it being the same machine; `None` if it is."""

    not_asked: tuple[NotAsked, ...] = ()

    closing: tuple[str, ...] = ()
    """Sentences that a run of pairs ends with."""

    @property
    def is_paired(self) -> bool:
        """Whether latencies were measured in turns."""
        return all(pair.evidence.kind == PAIRS for pair in self.pairs)

    @property
    def counts(self) -> Counter[str]:
        """Pairs by verdict."""
        return Counter(pair.decision.verdict for pair in self.pairs)

    def of_topic(self, topic: str) -> list[Change]:
        """Return the changes of one topic."""
        return [change for change in self.changes if change.topic == topic]


def compare(base: Side, current: Side, fail_on: FailOn = DEFAULT) -> Comparison:
    """Return everything that differs between two sides; the user's thresholds of `fail_on` decide where given."""
    base, current = with_common_keys(base, current)
    shapes = shape_differences(base, current)
    alike = base.without(shapes), current.without(shapes)
    latencies = compare_latencies(*alike, least_ns=fail_on.least_change_ns)
    left_out = not_asked(base, current)
    changes = (
        *failure_changes(base, current),
        *accuracy_changes(*alike),
        *placement_changes(base, current),
        *footprint_changes(*alike, fail_on.thresholds),
        *case_changes(base, current, {key for each in left_out for key in each.cases}),
        *shape_changes(current, shapes),
        *incomplete_changes(base, current),
    )
    return Comparison(
        base=base,
        current=current,
        pairs=tuple(decided(latencies.pairs, current, fail_on.thresholds.get("latency"))),
        fleets=latencies.fleets,
        changes=changes,
        still_failing=tuple(still_failing(base, current)),
        differences=differences(base, current),
        machine=same_machine(base, current),
        not_asked=left_out,
    )


def failing(comparison: Comparison, fail_on: Collection[str]) -> list[Change]:
    """Return what fails a comparison: SLOWER, and changes to the worse of the topics asked for."""
    found = list(_slower(comparison)) if "latency" in fail_on else []
    return [
        *found,
        *(each for each in comparison.changes if each.direction == WORSE and each.topic in fail_on),
    ]


def _slower(comparison: Comparison) -> Iterator[Change]:
    for pair in comparison.pairs:
        if pair.decision.verdict == SLOWER:
            yield Change(
                topic="latency",
                kind=SLOWER,
                direction=WORSE,
                case_id=pair.case_id,
                nodeid=pair.nodeid,
                text=pair_text(pair),
            )
    for fleet in comparison.fleets:
        if fleet.verdict == SLOWER:
            name = f"all of {fleet.provider} ({fleet.timing})"
            text = f"{fleet.pairs} pairs, ratio {fleet.ratio:.3f}; {fleet.note}"
            yield Change(topic="latency", kind=SLOWER, direction=WORSE, case_id=name, nodeid=name, text=text)


def pair_text(pair: LatencyPair) -> str:
    """Return a pair in one line."""
    return (
        f"{pair.timing}: {pair.statistic} {pair.base_ns / 1e6:.4g} -> {pair.current_ns / 1e6:.4g} ms, "
        f"ratio {pair.evidence.ratio:.3f} ({interval_text(pair)}), delta {100 * pair.decision.delta:.3g} %, "
        f"{class_text(pair)}"
    )


def class_text(pair: LatencyPair) -> str:
    """Return the evidence class that decided; of a threshold with what it says."""
    if pair.decision.by == THRESHOLD:
        return "; ".join(("by threshold", *pair.decision.reasons))
    return pair.decision.by or pair.evidence.kind


def interval_text(pair: LatencyPair) -> str:
    """Return the 90 % interval of a pair's ratio."""
    if not pair.evidence.is_known:
        return "unknown"
    low, high = pair.evidence.interval
    return f"{low:.3f} to {high:.3f}"


def health_notes(comparison: Comparison) -> Iterator[str]:
    """Yield what is to be known of the verdicts as a whole."""
    counts = comparison.counts
    slower, faster = counts[SLOWER], counts[FASTER]
    if slower + faster >= _ONE_SIDED_FROM and not (slower and faster):
        yield f"one-sided: {slower} SLOWER, {faster} FASTER; a biased measurement looks like that too"
    kinds = {(pair.evidence.kind, pair.evidence.base_count, pair.evidence.current_count) for pair in comparison.pairs}
    needed = needed_by_a_lone_change(len(comparison.pairs))
    for kind, base, current in sorted(kinds):
        floor = rank_floor(base, current) if kind in (RUNS, SINGLE) else sign_floor(base)
        if comparison.machine is None and floor > needed:
            yield (
                f"{_counted(kind, base, current)}: a test by ranks alone could not go below p {floor:.2g}, and a lone "
                f"change among {len(comparison.pairs)} needs {needed:.2g}; verdicts rest on the normal shape of "
                f"{_noise(kind)}"
            )


def _counted(kind: str, base: int, current: int) -> str:
    if kind == PAIRS:
        return "1 pair" if base == 1 else f"{base} pairs"
    return f"{base} + {current} " + ("run" if base + current == 1 else "runs")


def _noise(kind: str) -> str:
    return {SINGLE: "the fleet's noise", PAIRS: "the noise between pairs"}.get(kind, "the noise between runs")


def verdict_text(comparison: Comparison) -> str:
    """Return the counts of all verdicts: `2 SLOWER, 1 FASTER, 3 UNSURE, 11 SAME`."""
    counts = comparison.counts
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
