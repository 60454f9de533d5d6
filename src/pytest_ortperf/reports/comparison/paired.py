"""Verdicts on pairs of processes that were measured in turns: screening, confirmation, and the noise floor.

A run of pairs as a comparison of two sides: latencies of the pairs, failures and placement of their records.

The table of gains that were measured in turns.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.intervals import median_interval
from pytest_ortperf.records.pairs import (
    CONFIRM,
    PAIRS_SCHEMA,
    SCREEN,
    SIDES,
    FloorOfCase,
    NoiseFloor,
    Pair,
    PairsHeader,
    SideFact,
    SideRecord,
)
from pytest_ortperf.records.pairs_file import StoredPairs
from pytest_ortperf.records.statistics import percentile
from pytest_ortperf.reports.comparison.compared_side import RunSide, Side, cases_of
from pytest_ortperf.reports.comparison.evidence import Evidence, of_pairs
from pytest_ortperf.reports.comparison.failure_changes import collected_changes
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair, clock_doubt
from pytest_ortperf.reports.comparison.paired_closing import closing_of
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare
from pytest_ortperf.reports.comparison.thresholds import DEFAULT, FailOn, decided
from pytest_ortperf.reports.comparison.verdicts import LEAST_DELTA, UNSURE, Decision, adjusted, decide, delta_of
from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines


def compare_pairs(stored: StoredPairs, floor: NoiseFloor | None = None, fail_on: FailOn = DEFAULT) -> Comparison:
    """Return the comparison of both sides of a run of pairs: failures and placement too, from their records.

    Args:
        stored: The run.
        floor: The noise floor to decide with, if one was measured.
        fail_on: The user's thresholds decide where given.
    """
    header = stored.header
    known = [{it.case_id: it for it in stored.records if it.side == name} for name in SIDES]
    # where the run ended between the two sides of a case, nothing is missing on the other one
    whole = dataclasses.replace(
        stored, records=tuple(it for it in stored.records if all(it.case_id in each for each in known))
    )
    base, current = (_side(name, fact, whole) for name, fact in zip(SIDES, (header.base, header.current), strict=True))
    noise = Noise(floor=floor, deciding=_deciding(header))
    judged = judge(by_case(stored.pairs), noise)
    by_evidence = (_latency_pair(each, known[1].get(each.pairs.case_id)) for each in judged)
    pairs = tuple(decided(by_evidence, current, fail_on.thresholds.get("latency")))
    found = compare(base, current, fail_on)
    on_one_side = collected_changes(header.base.cases, header.current.cases)
    return dataclasses.replace(
        found,
        pairs=pairs,
        fleets=(),
        changes=(*found.changes, *on_one_side),
        closing=closing_of(pairs, stored.end),
    )


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


def paired_lines(pairs: Sequence[Pair], reference: str, width: int) -> list[str]:
    """Return the gains of a provider over its reference provider, a row a case; nothing without pairs.

    The interval is that of the median over the pairs, from order statistics: of 6 pairs from least to greatest, which
    holds it with 97 %.

    Args:
        pairs: Of one provider; base is the reference provider.
        reference: Its short name.
        width: Of the terminal.
    """
    cases = by_case(pairs)
    if not cases:
        return []
    ratios = [[pair.log_ratio for pair in case.screened] for case in cases]
    medians = [
        [statistics.median(getattr(pair, side).median_ns for pair in case.screened) / 1e6 for case in cases]
        for side in ("base", "current")
    ]
    columns = (
        TextColumn(title="case", cells=[case.case_id for case in cases], to_left=True),
        TextColumn(title="timing", cells=[case.timing for case in cases], to_left=True),
        TextColumn(title=f"{reference} ms", cells=[f"{value:.4g}" for value in medians[0]], keep=2),
        TextColumn(title="ms", cells=[f"{value:.4g}" for value in medians[1]], keep=2),
        TextColumn(title="gain", cells=[_gain(statistics.median(each)) for each in ratios]),
        TextColumn(title="interval", cells=[_interval(each) for each in ratios]),
        TextColumn(title="pairs", cells=[str(len(each)) for each in ratios], keep=1),
    )
    return [f"gain over {reference}, in turns", *table_lines(columns, width)]


def _gain(log_ratio: float) -> str:
    return f"{-100 * math.expm1(log_ratio):+.1f} %"


def _interval(log_ratios: Sequence[float]) -> str:
    found = median_interval(log_ratios)
    return "" if found is None else f"{_gain(found[1])} to {_gain(found[0])}"


FEWEST_PAIRS = 2
"""From which on there is a spread."""

FEWEST_FOR_FLOOR = 10
DECIDING_PAIRS = 10
"""Fresh pairs that decide about a change, unless told otherwise."""

_FLOOR_PERCENT = 95
_ONE_IN_TEN = 1.645 * 1.2533 / 1.96
"""A median of several is off by this times one's 95th percentile, over the root of their number, in one of ten cases.

Of a normal distribution: 1.2533 is what a median's error is larger by than a mean's.
"""


class Named(Protocol):
    """A case of both sides."""

    @property
    def case_id(self) -> str:
        """Of its pairs."""


Match = TypeVar("Match", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsOfCase:
    """All pairs of one case."""

    case_id: str
    timing: str
    screened: tuple[Pair, ...]
    """Of the screening, and those that were added because it could not tell."""

    confirmed: tuple[Pair, ...]
    """Fresh ones, made because the screening found a change; empty if it found none."""

    @property
    def deciding(self) -> tuple[Pair, ...]:
        """Those that the verdict rests on: never the ones that a change was found in, if there are others."""
        return self.confirmed or self.screened


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One case with its verdict."""

    pairs: PairsOfCase
    evidence: Evidence
    adjusted_p: float
    decision: Decision


def by_case(pairs: Iterable[Pair]) -> list[PairsOfCase]:
    """Return pairs by case and timing mode, in the order they came."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.case_id, pair.timing), []).append(pair)
    return [
        PairsOfCase(
            case_id=case_id,
            timing=timing,
            screened=tuple(pair for pair in each if pair.stage != CONFIRM),
            confirmed=tuple(pair for pair in each if pair.stage == CONFIRM),
        )
        for (case_id, timing), each in found.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What is known of the machine's noise before anything is measured."""

    floor: NoiseFloor | None = None
    """By case, of one pair of the same and the same."""

    deciding: int = DECIDING_PAIRS
    """Fresh pairs of a decision; the mean of so many is off by less than one of them."""

    def of_pair(self, case: PairsOfCase) -> float | None:
        """Return what 95 of 100 pairs stay below, as a log ratio; `None` if not measured."""
        return None if self.floor is None else self.floor.of(case.case_id, case.timing)

    def of_decision(self, case: PairsOfCase) -> float | None:
        """Return the same of decisions: of as many fresh pairs as there are, where a run was cut short."""
        one = self.of_pair(case)
        return None if one is None else one / math.sqrt(len(case.confirmed) or self.deciding)

    def of_screening(self, case: PairsOfCase, pairs: int) -> float:
        """Return what nine of ten medians of a screening stay below; 0 if not measured."""
        return (self.of_pair(case) or 0.0) * _ONE_IN_TEN / math.sqrt(pairs)


QUIET = Noise()


def looks_changed(case: PairsOfCase, noise: Noise = QUIET) -> bool:
    """Whether the screening's median ratio is half of a change away from 1, in either direction.

    Or by what one in ten screenings of the same is off by, if that is more and was measured. Pairs that were added
    later do not count: a run that is gone on with finds what it found before.
    """
    pairs = [pair for pair in case.screened if pair.stage == SCREEN]
    if not pairs:
        return False
    # the spread of three pairs is no measure: where no floor is known, they count as quiet
    delta = delta_of(typical_ns(pairs, SIDES[0]), _evidence(pairs), floor=noise.of_decision(case) or 0.0)
    middle = abs(statistics.median(pair.log_ratio for pair in pairs))
    return middle >= max(math.log1p(delta / 2), noise.of_screening(case, len(pairs)))


def judge(cases: Sequence[PairsOfCase], noise: Noise = QUIET) -> list[Judged]:
    """Return a verdict on each case.

    SLOWER and FASTER need fresh pairs after the screening, at least 3, an adjusted p value of at most 0.05 among
    all cases that have such pairs, and mean and median beyond delta. SAME needs the 90 % interval within delta.

    Args:
        cases: Each with one pair at least.
        noise: The machine's; where it is not known, the spread of the pairs is their noise.
    """
    evidences = [_evidence(case.deciding) for case in cases]
    confirmed = [number for number, case in enumerate(cases) if case.confirmed]
    values = dict(zip(confirmed, adjusted([evidences[number].p for number in confirmed]), strict=True))
    return [
        Judged(
            pairs=case,
            evidence=evidence,
            adjusted_p=values.get(number, 1.0),
            decision=_decision(case, evidence, values.get(number), noise),
        )
        for number, (case, evidence) in enumerate(zip(cases, evidences, strict=True))
    ]


def sorter(
    noise: Noise,
) -> Callable[[Sequence[Pair], Sequence[Match]], tuple[list[Match], list[Match]]]:
    """Return what sorts the cases of a run by what its pairs say so far: looks changed, or nothing can be said yet."""

    def sort(pairs: Sequence[Pair], matches: Sequence[Match]) -> tuple[list[Match], list[Match]]:
        cases = {case.case_id: case for case in by_case(pairs)}
        known = [match for match in matches if match.case_id in cases]
        changed = [match for match in known if looks_changed(cases[match.case_id], noise)]
        verdicts = {each.pairs.case_id: each.decision.verdict for each in judge(list(cases.values()), noise)}
        unsure = [match for match in known if match not in changed and verdicts[match.case_id] == UNSURE]
        return changed, unsure

    return sort


def require_floor(floor: NoiseFloor | None, header: PairsHeader) -> None:
    """Refuse a floor of another machine.

    Raises:
        SettingsError: If it is.
    """
    here = header.current.environment.fingerprint
    if floor is not None and floor.fingerprint != here:
        raise SettingsError(
            f"--floor: was measured on another machine ({floor.fingerprint}), this is {here}; measure it here with --aa"
        )


def floor_of(stored: StoredPairs) -> NoiseFloor:
    """Return the noise floor that pairs of the same against the same show."""
    cases = [case for case in by_case(stored.pairs) if len(case.screened) >= FEWEST_FOR_FLOOR]
    return NoiseFloor(
        schema=PAIRS_SCHEMA,
        run=stored.header.run,
        fingerprint=stored.header.current.environment.fingerprint,
        cases=tuple(
            FloorOfCase(
                case_id=case.case_id,
                timing=case.timing,
                pairs=len(case.screened),
                log_floor=percentile(sorted(abs(pair.log_ratio) for pair in case.screened), _FLOOR_PERCENT),
            )
            for case in cases
        ),
    )


def _evidence(pairs: Sequence[Pair]) -> Evidence:
    ratios = [pair.log_ratio for pair in pairs]
    if len(ratios) < FEWEST_PAIRS:
        unknown = of_pairs([*ratios, *ratios])
        return dataclasses.replace(unknown, error=math.inf, base_count=len(ratios), current_count=len(ratios))
    return of_pairs(ratios)


def _decision(case: PairsOfCase, evidence: Evidence, adjusted_p: float | None, noise: Noise) -> Decision:
    if not evidence.is_known:
        return Decision(verdict=UNSURE, delta=LEAST_DELTA, reasons=("a single pair: nothing is known of the noise",))
    delta = delta_of(typical_ns(case.deciding, SIDES[0]), evidence, floor=noise.of_decision(case))
    doubts = tuple(_doubts(case, evidence, delta, is_confirmed=adjusted_p is not None))
    return decide(
        evidence,
        base_ns=typical_ns(case.deciding, SIDES[0]),
        delta=delta,
        # where no fresh pairs are, that is the doubt, and no p value is asked
        adjusted_p=adjusted_p or 0.0,
        doubts=doubts,
    )


def _doubts(case: PairsOfCase, evidence: Evidence, delta: float, *, is_confirmed: bool) -> Iterator[str]:
    if not is_confirmed:
        yield "no fresh pairs confirm it"
    elif not evidence.may_decide:
        yield f"{evidence.base_count} fresh pairs; it takes more to confirm it"
    middle = statistics.median(pair.log_ratio for pair in case.deciding)
    if middle * math.copysign(1, evidence.log_ratio) < math.log1p(delta):
        yield f"the middle one of the pairs is {100 * math.expm1(middle):+.1f} %"
    clocks = [[getattr(pair, name).sm_clock_mhz for pair in case.deciding] for name in SIDES]
    yield from clock_doubt([[clock for clock in side if clock] for side in clocks], evidence, delta)


def typical_ns(pairs: Sequence[Pair], side: str) -> float:
    """Return the geometric mean of the medians of one side."""
    return math.exp(statistics.fmean(math.log(max(getattr(pair, side).median_ns, 1.0)) for pair in pairs))
