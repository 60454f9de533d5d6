"""Latencies of two sides: paired by case and timing mode, less the shift of their fleet, each with a verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.reports.comparison.compared_side import CaseResult, Observation, Side, log_latency
from pytest_ortperf.reports.comparison.evidence import (
    MIN_RUNS,
    MIN_STORED_RUNS,
    RUNS,
    Evidence,
    of_runs,
    of_single_runs,
)
from pytest_ortperf.reports.comparison.fleet import (
    CANARY,
    MIN_FLEET,
    CanaryShift,
    Fleet,
    FleetShift,
    Logs,
    Normaliser,
    canary_control,
    canary_shift,
    fleet_of,
    same_machine,
    shift_line,
)
from pytest_ortperf.reports.comparison.gross import (
    Bounds,
    MeasuredRun,
    bounds_of,
    class_of,
    gross_decision,
    measured_run,
    worst_calm,
)
from pytest_ortperf.reports.comparison.verdicts import LEAST_DELTA, UNSURE, Decision, adjusted, decide, delta_of

_CLOCK_SPREAD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPair:
    """One case in one timing mode on both sides."""

    case_id: str
    nodeid: str
    provider: str
    timing: str
    statistic: str
    """`median`, or `mean` where a side has nothing else."""

    base_ns: float
    current_ns: float
    evidence: Evidence
    adjusted_p: float
    decision: Decision

    @property
    def raw_ratio(self) -> float:
        """Current over base as measured, the shift of the fleet left in."""
        return self.current_ns / self.base_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """All pairs, and the fleets they are of."""

    pairs: tuple[LatencyPair, ...]
    fleets: tuple[FleetShift, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    """Both sides of a pair as measured: run -> observations of its processes."""

    key: str
    timing: str
    last: CaseResult
    base: Mapping[str, Sequence[Observation]]
    current: Mapping[str, Sequence[Observation]]

    @property
    def medians(self) -> bool:
        return all(one.median_ns is not None for one in self.observations)

    @property
    def observations(self) -> list[Observation]:
        return [*_processes(self.base), *_processes(self.current)]

    @property
    def logs(self) -> Logs:
        base, current = (
            {run: log_latency(each, medians=self.medians) for run, each in side.items()}
            for side in (self.base, self.current)
        )
        return Logs(base=base, current=current)


@dataclass(frozen=True, slots=True)
class _Judged:
    match: _Match
    logs: Logs
    fleet: int
    """Cases of its provider and timing mode."""

    base: Sequence[MeasuredRun]
    current: Sequence[MeasuredRun]
    bounds: Mapping[str, Bounds]
    """For each of `CALMS`."""

    worst_bounds: Bounds
    """Those of the most disturbed run."""

    normaliser: Normaliser | None
    evidence: Evidence

    @property
    def log_shift(self) -> float:
        """Of the machine's speed."""
        return self.normaliser.log_shift if self.normaliser else 0.0


def compare_latencies(base: Side, current: Side, *, least_ns: float | None = None) -> Latencies:
    """Return a verdict on each case and timing mode that both sides measured.

    Args:
        base: What is compared with.
        current: What is looked at.
        least_ns: Smallest change that counts, as a time; `None` is the default.
    """
    fleets: dict[tuple[str, str], list[tuple[_Match, Logs]]] = {}
    for match in _matches(base, current):
        fleets.setdefault((match.last.record.provider, match.timing), []).append((match, match.logs))
    machine = same_machine(base, current)
    canary = canary_shift(base, current)
    control = canary_control(canary)
    pairs: list[LatencyPair] = []
    lines = []
    for name, members in sorted(fleets.items()):
        fleet = fleet_of([logs for _, logs in members])
        lines.append(shift_line(name, fleet, LEAST_DELTA, control if machine is None else (None, machine)))
        judged = [_judged(match, logs, fleet, canary) for match, logs in members]
        pairs += _verdicts(judged, machine, least_ns)
    return Latencies(pairs=tuple(pairs), fleets=tuple(lines))


def _matches(base: Side, current: Side) -> Iterator[_Match]:
    for key, case in current.last.items():
        for timing in case.observations:
            sides = [_by_run(side, key, timing) for side in (base, current)]
            if all(sides):
                yield _Match(key, timing, case, *sides)


def _by_run(side: Side, key: str, timing: str) -> dict[str, Sequence[Observation]]:
    found: dict[str, Sequence[Observation]] = {}
    for name, run in side.keyed_runs:
        case = run.cases.get(key)
        if case is not None and timing in case.observations:
            found[name] = case.observations[timing]
    return found


def _judged(match: _Match, logs: Logs, fleet: Fleet, canary: CanaryShift | None) -> _Judged:
    found = class_of(match.last.record, match.observations)
    spreads = (canary.base_spreads, canary.current_spreads) if canary else ({}, {})
    base, current = (
        [measured_run(each, known.get(run), found, canary) for run, each in side.items()]
        for side, known in zip((match.base, match.current), spreads, strict=True)
    )
    bounds = bounds_of(found)
    worst_bounds = bounds[worst_calm([*base, *current])]
    normaliser = fleet.normaliser
    if normaliser is None and canary is not None and not found.on_device:
        normaliser = canary.normaliser(worst_bounds.spread)
    evidence = _evidence(match, logs, normaliser)
    return _Judged(match, logs, fleet.pairs, base, current, bounds, worst_bounds, normaliser, evidence)


def _evidence(match: _Match, logs: Logs, normaliser: Normaliser | None) -> Evidence:
    shift_base, shift_current = (normaliser.base_effects, normaliser.current_effects) if normaliser else ({}, {})
    base = [value - shift_base.get(run, 0) for run, value in logs.base.items()]
    current = [value - shift_current.get(run, 0) for run, value in logs.current.items()]
    spread, count = (normaliser.spread, normaliser.count) if normaliser else (math.inf, 1)
    if len(base) + len(current) > 2:  # noqa: PLR2004 - one on each side
        if normaliser is not None and normaliser.by == CANARY:
            # that of a fleet is the spread of means already
            spread *= math.sqrt((1 / len(base) + 1 / len(current)) / 2)
        return of_runs(base, current, fleet_spread=spread, fleet=count)
    return of_single_runs(
        current[0] - base[0],
        fleet_spread=spread,
        fleet=count,
        own_errors=[one.log_error for one in match.observations if one.log_error is not None],
    )


def _verdicts(judged: Sequence[_Judged], machine: str | None, least_ns: float | None) -> Iterator[LatencyPair]:
    values = adjusted([each.evidence.p for each in judged])
    for each, value in zip(judged, values, strict=True):
        base_ns, current_ns = (math.exp(_mean(side)) for side in (each.logs.base, each.logs.current))
        yield LatencyPair(
            case_id=each.match.key,
            nodeid=each.match.last.record.nodeid,
            provider=each.match.last.record.provider,
            timing=each.match.timing,
            statistic="median" if each.match.medians else "mean",
            base_ns=base_ns,
            current_ns=current_ns,
            evidence=each.evidence,
            adjusted_p=value,
            decision=_decision(each, base_ns, value, machine, least_ns),
        )


def _decision(each: _Judged, base_ns: float, value: float, machine: str | None, least_ns: float | None) -> Decision:
    if machine is not None:
        return Decision(verdict=UNSURE, delta=LEAST_DELTA, reasons=(machine,))
    found = _by_normaliser(each, base_ns, value, least_ns)
    if found.verdict != UNSURE:
        return found
    return gross_decision(each.base, each.current, bounds=each.bounds, log_shift=each.log_shift) or found


def _by_normaliser(each: _Judged, base_ns: float, value: float, least_ns: float | None) -> Decision:
    """Return the verdict once the machine's speed is taken out of the case."""
    if each.normaliser is None:
        return Decision(verdict=UNSURE, delta=LEAST_DELTA, reasons=(_few(each.fleet),))
    delta = delta_of(base_ns, each.evidence, least_ns=least_ns, single=each.worst_bounds.least)
    doubts = tuple(_doubts(each, delta))
    found = decide(each.evidence, base_ns=base_ns, delta=delta, adjusted_p=value, doubts=doubts, least_ns=least_ns)
    return dataclasses.replace(found, by=CANARY) if each.normaliser.by == CANARY else found


def _few(cases: int) -> str:
    counted = "1 case" if cases == 1 else f"{cases} cases"
    return (
        f"Only {counted} can be paired, and no canary was timed in both runs; {MIN_FLEET} cases or a canary are needed "
        f"to tell a slower machine from a slower model."
    )


def _doubts(each: _Judged, delta: float) -> Iterator[str]:
    yield from _clock_doubts(each, delta)
    if each.evidence.kind == RUNS and not each.evidence.may_decide:
        yield (
            f"{each.evidence.base_count} and {each.evidence.current_count} runs; {MIN_RUNS} on each side, or "
            f"{MIN_STORED_RUNS} stored ones, can show a change"
        )
    yield from _disturbances("base", each.match.base)
    yield from _disturbances("current", each.match.current)
    if min(len(each.match.base), len(each.match.current)) == 1:
        yield from _fastest_doubts(each, delta)


def _disturbances(name: str, side: Mapping[str, Sequence[Observation]]) -> Iterator[str]:
    """Yield what disturbed a side: of several runs, if most were, for then their spread does not show it."""
    if len(side) == 1:
        found = [doubt for one in _processes(side) for doubt in (*one.doubts, *one.not_seen)]
        yield from (f"{name}: {doubt}" for doubt in dict.fromkeys(found))
        return
    doubts = [[doubt for one in run for doubt in one.doubts] for run in side.values()]
    disturbed = [found for found in doubts if found]
    if 2 * len(disturbed) > len(doubts):
        yield f"{name}: {len(disturbed)} of {len(doubts)} runs were disturbed, such as: {disturbed[-1][0]}"


def _processes(side: Mapping[str, Sequence[Observation]]) -> list[Observation]:
    return [one for processes in side.values() for one in processes]


def _fastest_doubts(each: _Judged, delta: float) -> Iterator[str]:
    """A neighbour's load makes some iterations slower; a slower model makes the fastest one slower too."""
    fastest = [
        min((one.min_ns for one in _processes(side) if one.min_ns), default=None)
        for side in (each.match.base, each.match.current)
    ]
    if fastest[0] is None or fastest[1] is None:
        yield "no samples to look at, only their mean"
        return
    moved = math.log(fastest[1] / fastest[0]) - each.log_shift
    if moved * math.copysign(1, each.evidence.log_ratio) < math.log1p(delta / 2):
        yield f"the fastest iteration does not bear it out ({100 * math.expm1(moved):+.1f} %)"


def _clock_doubts(each: _Judged, delta: float) -> Iterator[str]:
    clocks = [
        [one.sm_clock_mhz for one in _processes(side) if one.sm_clock_mhz]
        for side in (each.match.base, each.match.current)
    ]
    return clock_doubt(clocks, each.evidence, delta)


def clock_doubt(clocks: Sequence[Sequence[float]], evidence: Evidence, delta: float) -> Iterator[str]:
    """Yield what the GPU's clock has against a change: that it is none in cycles.

    Args:
        clocks: Of the processes of base and current, in MHz; empty if not known.
        evidence: Of the change.
        delta: What counts as one.
    """
    if not all(clocks):
        return
    moved = math.log(sum(clocks[1]) / len(clocks[1])) - math.log(sum(clocks[0]) / len(clocks[0]))
    cycles = (evidence.log_ratio + moved) * math.copysign(1, evidence.log_ratio)
    if abs(moved) > _CLOCK_SPREAD and cycles < math.log1p(delta):
        yield f"the GPU's clock differs by {100 * math.expm1(moved):+.1f} %; in cycles it is no change"


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
