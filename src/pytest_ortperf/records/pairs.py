"""Pairs of processes that were measured in turns, and the file that keeps them: one line a pair, written as it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.records.record import Record

PAIRS_SCHEMA = 1
"""Of the pairs file. 1: the first."""

SCREEN, CONFIRM, MORE = "screen", "confirm", "more"
STAGES = (SCREEN, CONFIRM, MORE)
"""All cases; those that screening found changed, in fresh pairs; those of which screening could say nothing."""

SIDES = ("base", "current")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSide:
    """What one process of a pair measured."""

    median_ns: float
    """Of the medians of its turns."""

    mean_ns: float
    """Of all timed iterations."""

    min_ns: int
    iterations: int
    turns_ns: tuple[float, ...]
    """Median of the iterations of each turn, in the order of time."""

    session_creation_ns: int | None = None
    first_run_ns: int | None = None
    sm_clock_mhz: float | None = None
    """Mean over the ends of its turns; `None` without an NVIDIA GPU that tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One fresh process of each side, measured in turns."""

    round: int
    stage: str
    """One of `STAGES`."""

    case_id: str
    timing: str
    log_ratio: float
    """Median over the turns of ln(current / base): above 0, current is slower."""

    base: PairSide
    current: PairSide
    order: str
    """Who went first in each turn: `ABBA...`, A is the base."""

    duration_ns: int | None = None
    """From the start of both processes to their end; `None` in older files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFact:
    """What one side is."""

    name: str
    python: str
    """Version and implementation."""

    options: Mapping[str, object]
    """Options of pytest-ortperf as they took effect, by flag without `--ortperf-`."""

    environment: Environment
    cases: tuple[str, ...]
    """Ids of what was collected there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsHeader:
    """First line of a pairs file."""

    schema: int
    run: str
    started: str
    """ISO 8601, UTC."""

    command: tuple[str, ...]
    plan: Mapping[str, object]
    """Numbers of pairs, seconds, seed: what must be the same for a run to be gone on with."""

    base: SideFact
    current: SideFact


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRecord:
    """A case as one process of a side came to know it: its session, placement, or failure; no latencies."""

    side: str
    stage: str
    round: int
    case_id: str
    """Of the pair; where sides have another provider each, the record's own is another."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEnd:
    """All cases of a round were measured, or no time was left."""

    round: int
    stage: str


DONE, BUDGET, INTERRUPTED = "done", "budget", "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Why `ortperf ab` stopped measuring; one for each time that the run went on."""

    reason: str
    """`DONE`, `BUDGET` or `INTERRUPTED`."""

    cases: int
    """On both sides."""

    left: int
    """Cases that had fewer pairs than planned."""

    budget_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOfCase:
    """What the same against the same came to."""

    case_id: str
    timing: str
    pairs: int
    log_floor: float
    """95th percentile of the size of the log ratio of a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """A floor file: of one machine, by case and timing mode."""

    schema: int
    run: str
    fingerprint: str | None
    cases: tuple[FloorOfCase, ...] = field(default_factory=tuple)

    def of(self, case_id: str, timing: str) -> float | None:
        """Return the floor of one case; `None` if it was not measured."""
        return next((it.log_floor for it in self.cases if (it.case_id, it.timing) == (case_id, timing)), None)
