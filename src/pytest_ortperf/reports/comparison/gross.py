"""What two runs of the same thing differ by at most: spreads and bounds from recorded runs, and gross changes.

A change is gross if it lies beyond what any two recorded runs of the same models differed by. It needs no fleet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseClass:
    """What decides how much a case moves from run to run."""

    is_slow: bool
    """Whether its median is 1 ms or more."""

    is_alone: bool
    """Whether it has one thread."""

    is_quiet: bool
    """Whether nothing was seen on either side that disturbed it, and the canary was steady; of several threads also,
    whether the cores saw each other's writes equally fast."""

    on_device: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What runs of the same thing differ by."""

    spread: float
    """Standard deviation of the log ratio of two single runs, less the canary's change."""

    single: float
    """Ratio that no two single runs came to, with a margin."""

    several: float
    """Ratio that the closest of three and three runs never came to."""


def class_of(record: Record, observations: Sequence[Observation], canary: CanaryShift | None) -> CaseClass:
    """Return the class of a case.

    Args:
        record: Of the case.
        observations: Of both sides.
        canary: Of both sides; without one nothing is known to be quiet.
    """
    on_host = {row.name for row in PROVIDERS if row.device == "cpu"}
    is_alone = record.session is not None and record.session.intra_op_threads == 1
    seen = any(one.disturbed for one in observations)
    typical = min(one.mean_ns if one.median_ns is None else one.median_ns for one in observations)
    return CaseClass(
        is_slow=typical >= SLOW_NS,
        is_alone=is_alone,
        is_quiet=not seen and canary is not None and canary.is_steady and (is_alone or canary.same_handoff),
        on_device=record.provider not in on_host,
    )


_BOUNDS: Mapping[tuple[bool, bool, bool], Bounds] = {
    # slow, alone, quiet
    (True, True, True): Bounds(spread=0.06, single=1.6, several=1.3),
    (True, True, False): Bounds(spread=0.3, single=4.5, several=2.0),
    (True, False, True): Bounds(spread=0.06, single=1.6, several=1.3),
    (True, False, False): Bounds(spread=0.45, single=6.0, several=3.0),
    (False, True, True): Bounds(spread=0.04, single=1.6, several=1.3),
    (False, True, False): Bounds(spread=0.35, single=2.5, several=1.8),
    (False, False, True): Bounds(spread=0.06, single=1.6, several=1.3),
    (False, False, False): Bounds(spread=0.35, single=3.0, several=2.5),
}
"""From `benchmarks/gross_runs.py`; `docs/benchmarks/gross-changes.md` has the data behind each number."""

_DEVICE_BOUNDS = Bounds(spread=math.inf, single=2.5, several=2.0)
"""Of launch-bound networks, medians on a GPU differ by up to 1.8 times between fresh processes, whatever is pinned."""


def bounds_of(found: CaseClass) -> Bounds:
    """Return what two runs of the same case of a class differ by."""
    return _DEVICE_BOUNDS if found.on_device else _BOUNDS[found.is_slow, found.is_alone, found.is_quiet]


def gross_decision(
    base: Sequence[Observation], current: Sequence[Observation], *, bounds: Bounds, log_shift: float
) -> Decision | None:
    """Return the verdict on a gross change; `None` if it is none.

    The ranges of 10th to 90th percentile of the sides have to be apart, and the ratio of the closest runs beyond the
    bound, both as measured and less what the machine's speed changed by.

    Args:
        base: One a process, at least one.
        current: Likewise.
        bounds: Of the case's class.
        log_shift: Of the machine's speed, from the fleet or the canary; 0 if unknown.
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
