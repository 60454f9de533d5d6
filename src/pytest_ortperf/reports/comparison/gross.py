"""What two runs of the same thing differ by at most: spreads and bounds from recorded runs, and gross changes.

A change is gross if it lies beyond what any two recorded runs of the same models differed by. It needs no fleet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.providers import PROVIDERS
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.compared_side import Observation
from pytest_ortperf.reports.comparison.fleet import CanaryShift
from pytest_ortperf.reports.comparison.verdicts import FASTER, SLOWER, Decision

GROSS = "gross"
MANY_RUNS = 3
"""Runs on each side from which on the bound of several runs holds."""

SLOW_NS = 1_000_000

QUIET, SHARED, UNWATCHED, CROWDED = "quiet", "shared", "unwatched", "crowded"
CALMS = (QUIET, SHARED, UNWATCHED, CROWDED)
"""What disturbed a run of a case: nothing; other work on cores that its threads do not need; nothing, but no canary was
timed; anything else."""

_STEADY_CANARY, _LIVELY_CANARY = 0.10, 0.30
"""How much the canary may move within a quiet run, and within one that shares its machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseClass:
    """What decides how much a case moves from run to run."""

    is_slow: bool
    """Whether its median is 1 ms or more."""

    is_alone: bool
    """Whether it has one thread."""

    on_device: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What runs of the same thing differ by."""

    spread: float
    """Standard deviation of the log ratio of two single runs, less the canary's change."""

    least: float
    """Relative change of one run against another that counts beside their fleet or canary, which tell what the machine
    did, and not what this case does from process to process."""

    single: float
    """Ratio that no two single runs came to, with a margin."""

    several: float
    """Ratio that the closest of three and three runs never came to."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """A case in one run."""

    observations: Sequence[Observation]
    """One a process, at least one."""

    calm: str
    """One of `CALMS`."""


def measured_run(
    observations: Sequence[Observation], spread: float | None, found: CaseClass, canary: CanaryShift | None
) -> MeasuredRun:
    """Return a run of a case with what disturbed it.

    Args:
        observations: At least one.
        spread: Of the run's canary; `None` is unknown, and nothing is then known to be quiet.
        found: Class of the case.
        canary: Of both sides: of several threads, cores must see each other's writes equally fast on both.
    """
    if any(one.crowded for one in observations) or (spread is not None and spread > _LIVELY_CANARY):
        return MeasuredRun(observations, CROWDED)
    if spread is None or not (found.is_alone or (canary and canary.same_handoff)):
        return MeasuredRun(observations, UNWATCHED)
    shared = spread > _STEADY_CANARY or any(one.disturbed for one in observations)
    return MeasuredRun(observations, SHARED if shared else QUIET)


def worst_calm(runs: Iterable[MeasuredRun]) -> str:
    """Return what disturbed the most disturbed of some runs."""
    return max((run.calm for run in runs), key=CALMS.index)


def class_of(record: Record, observations: Sequence[Observation]) -> CaseClass:
    """Return the class of a case.

    Args:
        record: Of the case.
        observations: Of both sides.
    """
    row = next((row for row in PROVIDERS if row.name == record.provider), None)
    is_alone = record.session is None or record.session.intra_op_threads == 1
    typical = min(one.mean_ns if one.median_ns is None else one.median_ns for one in observations)
    return CaseClass(
        is_slow=typical >= SLOW_NS,
        is_alone=is_alone,
        on_device=row.device != "cpu" if row else record.provider_full_name.endswith("ExecutionProvider"),
    )


_BOUNDS: Mapping[tuple[bool, bool, str], Bounds] = {
    # slow, alone
    (True, True, QUIET): Bounds(spread=0.06, least=0.25, single=1.5, several=1.2),
    (True, True, SHARED): Bounds(spread=0.06, least=0.25, single=1.6, several=1.3),
    (True, True, UNWATCHED): Bounds(spread=0.1, least=0.25, single=3.0, several=1.6),
    (True, True, CROWDED): Bounds(spread=2.2, least=13.0, single=18.0, several=10.0),
    (True, False, QUIET): Bounds(spread=0.1, least=1.5, single=2.7, several=1.4),
    (True, False, SHARED): Bounds(spread=0.2, least=1.5, single=3.0, several=1.6),
    (True, False, UNWATCHED): Bounds(spread=0.2, least=1.5, single=3.0, several=1.6),
    (True, False, CROWDED): Bounds(spread=1.4, least=4.0, single=6.0, several=3.0),
    (False, True, QUIET): Bounds(spread=0.04, least=0.15, single=1.5, several=1.2),
    (False, True, SHARED): Bounds(spread=0.04, least=0.15, single=1.6, several=1.3),
    (False, True, UNWATCHED): Bounds(spread=0.1, least=0.15, single=3.0, several=1.8),
    (False, True, CROWDED): Bounds(spread=0.35, least=2.0, single=3.5, several=2.0),
    (False, False, QUIET): Bounds(spread=0.1, least=1.6, single=2.8, several=1.4),
    (False, False, SHARED): Bounds(spread=0.2, least=1.6, single=3.0, several=1.6),
    (False, False, UNWATCHED): Bounds(spread=0.4, least=1.6, single=3.2, several=1.8),
    (False, False, CROWDED): Bounds(spread=0.5, least=2.0, single=4.0, several=2.5),
}
"""From `benchmarks/gross_runs.py`; `docs/benchmarks/gross-changes.md` has the data behind each number."""

_DEVICE_BOUNDS = Bounds(spread=math.inf, least=1.0, single=2.5, several=2.0)
"""Of launch-bound networks, medians on a GPU differ by up to 1.8 times between fresh processes, whatever is pinned."""


def bounds_of(found: CaseClass) -> Mapping[str, Bounds]:
    """Return what two runs of the same case of a class differ by, for each of `CALMS`."""
    return {calm: _DEVICE_BOUNDS if found.on_device else _BOUNDS[found.is_slow, found.is_alone, calm] for calm in CALMS}


def gross_decision(
    base: Sequence[MeasuredRun], current: Sequence[MeasuredRun], *, bounds: Mapping[str, Bounds], log_shift: float
) -> Decision | None:
    """Return the verdict on a gross change; `None` if it is none.

    The calmest runs of both sides decide first; only if they show nothing do those count that were disturbed more,
    with the wider bounds of such runs.

    Args:
        base: One a run, at least one.
        current: Likewise.
        bounds: Of the case's class, for each of `CALMS`.
        log_shift: Of the machine's speed, from the fleet or the canary; 0 if unknown.
    """
    for number, calm in enumerate(CALMS, start=1):
        chosen = [
            [one for run in side if run.calm in CALMS[:number] for one in run.observations] for side in (base, current)
        ]
        if all(chosen):
            found = _beyond(*chosen, bounds=bounds[calm], log_shift=log_shift)
            if found is not None:
                return found
    return None


def _beyond(
    base: Sequence[Observation], current: Sequence[Observation], *, bounds: Bounds, log_shift: float
) -> Decision | None:
    """Return the verdict if the closest runs differ by more than the bound; `None` if they do not.

    The ranges of 10th to 90th percentile of the sides have to be apart too. Both must hold as measured, and less what
    the machine's speed changed by.
    """
    several = min(len(base), len(current)) >= MANY_RUNS
    bound = bounds.several if several else bounds.single
    for verdict, slow, fast, shift in ((SLOWER, current, base, log_shift), (FASTER, base, current, -log_shift)):
        allowed = math.exp(max(shift, 0.0))
        ratio = min(map(_typical, slow)) / max(map(_typical, fast))
        lows = [one.range_ns[0] for one in slow if one.range_ns]
        highs = [one.range_ns[1] for one in fast if one.range_ns]
        known = len(lows) == len(slow) and len(highs) == len(fast)
        if known and ratio >= bound * allowed and min(lows) > max(highs) * allowed:
            return Decision(verdict=verdict, delta=bound - 1, by=GROSS)
    return None


def _typical(one: Observation) -> float:
    return one.mean_ns if one.median_ns is None else one.median_ns
