"""What all cases of one provider and timing mode have in common from run to run: the fleet, its shift and spread.

A machine that is 4 % slower today makes every case 4 % slower. That is taken out of each pair, and shown as what it
is: one line for the fleet, because a runtime that became slower everywhere looks the same.

Whether two sides were made on the same machine, and in what their environments differ.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.environment.machine_checks import HANDOFF
from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.records.intervals import median_interval
from pytest_ortperf.reports.comparison.compared_side import RunSide, Side

_APART = ("packages", "environment_variables", "gpus", "fingerprint", "gpu_reason")
_OF_THE_RUN = frozenset({"results", "csv", "baseline", "fail-on", "min-change", "label", "progress", "mode"})
"""Options that change nothing of a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDifference:
    """One thing that is not the same."""

    name: str
    base: str
    current: str


def same_machine(base: Side, current: Side) -> str | None:
    """Return `None` if every run has the same fingerprint, else the words for what stands against it."""
    prints = [{run.fingerprint for run in side.runs} for side in (base, current)]
    if any(None in each for each in prints):
        return "it is not known on which machine it was measured"
    if prints[0] != prints[1] or len(prints[0]) > 1:
        return "it was measured on another machine"
    return None


def differences(base: Side, current: Side) -> tuple[FleetDifference, ...]:
    """Return in what environment and options differ, of the last run on each side."""
    facts = [dict(_facts(side.runs[-1])) for side in (base, current)]
    names = dict.fromkeys([*facts[0], *facts[1]])
    return tuple(
        FleetDifference(name=name, base=facts[0].get(name, "absent"), current=facts[1].get(name, "absent"))
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    )


def _facts(run: RunSide) -> Iterator[tuple[str, str]]:
    if run.environment is not None:
        yield from _environment_facts(run.environment)
    for name, value in run.options.items():
        if name not in _OF_THE_RUN:
            yield f"--ortperf-{name}", " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _environment_facts(environment: Environment) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(environment):
        value = getattr(environment, field.name)
        if field.name not in _APART and value is not None:
            yield field.name, str(value)
    yield from ((f"gpu {gpu.index}", gpu.name) for gpu in environment.gpus)
    yield from _texts(environment.packages)
    yield from _texts(environment.environment_variables)


def _texts(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from sorted(values.items())


MIN_FLEET = 8
"""Pairs from which on a fleet's median and spread say something about each of them."""

_TO_SIGMA = 1.4826
"""Median absolute deviation -> standard deviation, of a normal distribution."""

_MOST_CHANGED = 0.2
_TAIL_TO_SIGMA = 1 / 1.2816
"""80th percentile of the deviations -> standard deviation, likewise."""

_QUIET_CANARY = 0.02
_SAME_HANDOFF = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Logarithms of one case's latency, one a run that has it."""

    base: Mapping[str, float]
    """Run -> logarithm of ns."""

    current: Mapping[str, float]

    @property
    def raw(self) -> float:
        """Of the ratio, nothing taken out."""
        return statistics.fmean(self.current.values()) - statistics.fmean(self.base.values())


FLEET, CANARY = "fleet", "canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normaliser:
    """What the speed of the machine changed by from run to run, to be taken out of each case."""

    by: str
    """`fleet` or `canary`."""

    log_shift: float
    """From base to current."""

    spread: float
    """Standard deviation of the log ratio of two single runs once it is taken out."""

    count: int
    """Pairs behind the spread."""

    base_effects: Mapping[str, float]
    """Run -> logarithm of its slowness."""

    current_effects: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The pairs of one provider and timing mode."""

    pairs: int
    log_shift: float
    """Median over the pairs of the log ratio."""

    log_interval: tuple[float, float] | None
    """Its 95 % interval, from order statistics; `None` below 6 pairs."""

    spread: float
    """Robust standard deviation of the log ratios around the shift."""

    base_effects: Mapping[str, float]
    """Run -> what all of its cases have in common."""

    current_effects: Mapping[str, float]

    @property
    def normaliser(self) -> Normaliser | None:
        """What to take out of each of its pairs; `None` if they are too few to tell."""
        if self.pairs < MIN_FLEET:
            return None
        return Normaliser(
            by=FLEET,
            log_shift=self.log_shift,
            spread=self.spread,
            count=self.pairs,
            base_effects=self.base_effects,
            current_effects=self.current_effects,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetShift:
    """The line of a fleet in a report."""

    provider: str
    """Short name."""

    timing: str
    pairs: int
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    note: str


def fleet_of(members: Sequence[Logs]) -> Fleet:
    """Return the fleet of pairs, at least one."""
    ratios = sorted(member.raw for member in members)
    shift = statistics.median(ratios)
    return Fleet(
        pairs=len(ratios),
        log_shift=shift,
        log_interval=median_interval(ratios),
        spread=_spread([abs(ratio - shift) for ratio in ratios]),
        base_effects=_effects(((member, member.base) for member in members), -1),
        current_effects=_effects(((member, member.current) for member in members), 1),
    )


def _spread(deviations: Sequence[float]) -> float:
    """Return a standard deviation that a fifth of the pairs may leave without moving it.

    The larger of two: where half of the cases are quiet and the others are not, the median knows the quiet ones alone.
    """
    ordered = sorted(deviations)
    tail = ordered[math.floor((len(ordered) - 1) * (1 - _MOST_CHANGED))]
    return max(_TO_SIGMA * statistics.median(ordered), _TAIL_TO_SIGMA * tail)


def _effects(sides: Iterable[tuple[Logs, Mapping[str, float]]], sign: int) -> dict[str, float]:
    """Return, by run, the median over cases of how far the run is from the middle between both sides."""
    found: dict[str, list[float]] = {}
    for member, values in sides:
        middle = statistics.fmean(values.values()) - sign * member.raw / 2
        for run, value in values.items():
            found.setdefault(run, []).append(value - middle)
    return {run: statistics.median(values) for run, values in found.items()}


def shift_line(name: tuple[str, str], fleet: Fleet, delta: float, control: tuple[bool | None, str]) -> FleetShift:
    """Return what to say of a fleet.

    Args:
        name: Provider and timing mode.
        fleet: Its numbers.
        delta: Relative change that matters.
        control: Of `canary_control`.
    """
    low, high = fleet.log_interval or (None, None)
    verdict, note = _judged(fleet, delta, control)
    return FleetShift(
        provider=name[0],
        timing=name[1],
        pairs=fleet.pairs,
        ratio=math.exp(fleet.log_shift),
        low=None if low is None else math.exp(low),
        high=None if high is None else math.exp(high),
        verdict=verdict,
        note=note,
    )


def _judged(fleet: Fleet, delta: float, control: tuple[bool | None, str]) -> tuple[str, str]:
    limit = math.log1p(delta)
    if fleet.log_interval is None or fleet.normaliser is None:
        return "UNSURE", f"{MIN_FLEET} pairs are needed to tell it from its cases"
    low, high = fleet.log_interval
    if -limit <= low and high <= limit:
        return "SAME", ""
    if low <= limit and high >= -limit:
        return "UNSURE", "between the two"
    is_steady, said = control
    if is_steady:
        return ("SLOWER" if low > limit else "FASTER"), f"the machine is not it: {said}"
    return "UNSURE", f"all cases moved together: the machine, or the software as a whole ({said})"


CANARY_PAIRS = 200
"""Pairs of recorded runs behind the spread of a case beside the canary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryShift:
    """What the canaries of both sides say of the machine's speed."""

    ratios: Mapping[str, float]
    """Part -> current over base, of the medians over runs."""

    base_effects: Mapping[str, float]
    """Run -> logarithm of its slowness: the median over the parts."""

    current_effects: Mapping[str, float]
    base_spreads: Mapping[str, float | None]
    """Run -> how much the speed moved within it; `None` if that is not known."""

    current_spreads: Mapping[str, float | None]

    @property
    def spread(self) -> float | None:
        """How much the speed moved within the least steady run; `None` if it is not known of each."""
        spreads = [*self.base_spreads.values(), *self.current_spreads.values()]
        return None if None in spreads else max(filter(None, spreads), default=0.0)

    @property
    def log_shift(self) -> float:
        """From base to current; positive is slower."""
        return statistics.fmean(self.current_effects.values()) - statistics.fmean(self.base_effects.values())

    @property
    def same_handoff(self) -> bool:
        """Whether cores see each other's writes equally fast on both sides, as far as that is known."""
        ratio = self.ratios.get(HANDOFF)
        return ratio is not None and abs(math.log(ratio)) <= _SAME_HANDOFF

    @property
    def text(self) -> str:
        """Return the change of each part."""
        changes = (f"{name} {100 * (ratio - 1):+.1f} %" for name, ratio in self.ratios.items())
        return f"canary {', '.join(changes)}"

    def normaliser(self, spread: float) -> Normaliser:
        """Return what to take out of a case that moves by `spread` beside the canary."""
        return Normaliser(
            by=CANARY,
            log_shift=self.log_shift,
            spread=max(spread, self.spread or 0.0),
            count=CANARY_PAIRS,
            base_effects=self.base_effects,
            current_effects=self.current_effects,
        )


def canary_shift(base: Side, current: Side) -> CanaryShift | None:
    """Return what the canaries say; `None` if a run has none, or they have no part in common."""
    runs = [*base.runs, *current.runs]
    common = [name for name in runs[0].canary_ns if all(name in run.canary_ns for run in runs)]
    parts = [name for name in common if name != HANDOFF]
    if not parts:
        return None
    middles = {name: statistics.fmean(math.log(run.canary_ns[name]) for run in runs) for name in parts}
    ratios = {
        name: statistics.median(run.canary_ns[name] for run in current.runs)
        / statistics.median(run.canary_ns[name] for run in base.runs)
        for name in common
    }

    def effects(side: Side) -> dict[str, float]:
        return {
            key: statistics.median(math.log(run.canary_ns[name]) - middles[name] for name in parts)
            for key, run in side.keyed_runs
        }

    return CanaryShift(
        ratios=ratios,
        base_effects=effects(base),
        current_effects=effects(current),
        base_spreads={key: run.canary_spread for key, run in base.keyed_runs},
        current_spreads={key: run.canary_spread for key, run in current.keyed_runs},
    )


def canary_control(found: CanaryShift | None) -> tuple[bool | None, str]:
    """Return whether the canary shows the same machine speed on both sides, and the words for it."""
    if found is None:
        return None, "no canary was timed in both; --ortperf-env=warn times one"
    return abs(found.log_shift) <= _QUIET_CANARY, found.text
