"""One pair: a fresh process of each side, both with the case open, measured in turns."""

from __future__ import annotations

import dataclasses
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.pairing.channel import Message
from pytest_ortperf.pairing.side_process import SideProcess
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.intervals import FEWEST, median_interval
from pytest_ortperf.records.pairs import Pair, PairSide, SideRecord
from pytest_ortperf.records.record import Record

TURN_S = 0.02
"""Length of a turn, one run at least. Other work comes and goes within seconds, so that both sides of a turn see the
same of it; and a switch of processes costs a fraction of a millisecond."""

DEVICE_TURN_S = 0.1
"""The same on a device: after a pause, its host takes longer until it launches kernels as fast as it can."""

DEVICE_LEAD_IN = 0.25

LEAD_IN = 0.05
"""Share of a turn's runs that come before it and are not timed: the caches hold what the other side used."""

LEAST_RUNS_WITH_LEAD_IN = 4
MIN_S = 0.15
TARGET = 0.0025
"""Half-width of the interval of the ratio at which a pair ends: far below every change that counts."""

PASSED = "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A case that both sides have."""

    case_id: str
    """For reports: the current side's."""

    base_id: str
    current_id: str
    timing: str
    on_device: bool
    """Whether a side computes on a device with memory of its own."""

    threads: int | None
    """Of both sides' sessions, where both were told how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One pair that is to be measured."""

    match: Match
    round: int
    stage: str
    pair_s: float
    """Most time of timed runs on each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    records: tuple[SideRecord, ...]
    pair: Pair | None
    """`None` if a side failed, as its record says."""


@dataclass
class _Half:
    """One side of the pair while it is measured."""

    side: SideProcess
    opened: Message
    samples: list[list[int]]
    clocks: list[float]

    def take(self, runs: int, lead_in: int) -> Message | None:
        """Take one turn; return the answer of a side that failed in it."""
        answer = self.side.ask("turn", runs=runs, lead_in=lead_in)
        if "ns" not in answer:
            return answer
        self.samples.append(answer["ns"])
        if answer["sm_clock_mhz"]:
            self.clocks.append(answer["sm_clock_mhz"])
        return None

    @property
    def medians(self) -> list[float]:
        return [statistics.median(turn) for turn in self.samples]

    @property
    def spent_s(self) -> float:
        return sum(map(sum, self.samples)) / 1e9

    def as_pair_side(self) -> PairSide:
        """Return what it came to."""
        every = [value for turn in self.samples for value in turn]
        return PairSide(
            median_ns=statistics.median(self.medians),
            mean_ns=statistics.fmean(every),
            min_ns=min(every),
            iterations=len(every),
            turns_ns=tuple(self.medians),
            session_creation_ns=self.opened["session_creation_ns"],
            first_run_ns=self.opened["first_run_ns"],
            sm_clock_mhz=statistics.fmean(self.clocks) if self.clocks else None,
        )


def measure_pair(sides: tuple[SideProcess, SideProcess], job: Job, rng: random.Random) -> Outcome:
    """Measure one case on both sides, in turns; the order within each turn is drawn.

    Args:
        sides: Base and current.
        job: What.
        rng: Draws the order.

    Raises:
        SideGoneError: If an interpreter is gone. Then, and after Ctrl-C, both are to be ended: their cases are open.
    """
    began = time.monotonic_ns()
    outcome = _measured(sides, job, rng)
    for side in sides:
        side.close_case()
    if outcome.pair is None:
        return outcome
    lasted = dataclasses.replace(outcome.pair, duration_ns=time.monotonic_ns() - began)
    return dataclasses.replace(outcome, pair=lasted)


def _measured(sides: tuple[SideProcess, SideProcess], job: Job, rng: random.Random) -> Outcome:
    cores = cores_of(job.match.threads, os.sched_getaffinity(0), rng)
    opening = rng.sample((0, 1), 2)
    while (answers := _opened(sides, job, opening, cores)) is None:
        for side in sides:
            side.close_case()
        # now who found its hardware busy waits for it first, while nothing is held
        opening.reverse()
    records = [_record(sides[index], job, answer) for index, answer in answers.items()]
    halves = {
        index: _Half(sides[index], answer["opened"], [], []) for index, answer in answers.items() if "opened" in answer
    }
    if len(halves) < len(sides):
        return Outcome(records=tuple(records), pair=None)
    order, failed = _turns(halves[0], halves[1], job, rng.random)
    if failed is not None:
        index, answer = failed
        records.append(_record(sides[index], job, answer))
        return Outcome(records=tuple(records), pair=None)
    return Outcome(records=tuple(records), pair=_pair(job, halves[0], halves[1], order))


def _opened(
    sides: tuple[SideProcess, SideProcess], job: Job, opening: Sequence[int], cores: Sequence[int]
) -> dict[int, Message] | None:
    """Return the answers of both sides; `None` if hardware of the second is busy, while the first one holds its own."""
    ids = (job.match.base_id, job.match.current_id)
    held: list[str] = []
    answers: dict[int, Message] = {}
    for index in opening:
        answer = sides[index].ask("open", case_id=ids[index], timing=job.match.timing, held=held, cores=cores)
        if "busy" in answer:
            return None
        # where one side fails, the other is opened all the same: is the failure new, or on both?
        answers[index] = answer
        held += answer.get("held", [])
    return answers


def cores_of(threads: int | None, usable: Collection[int], rng: random.Random) -> list[int]:
    """Return the cores that both processes of a pair are kept on, one a thread; none where they may use all.

    A process wakes on the core that it was on last. If other work is on that core or on its neighbour, one side would
    have the worse place for the whole pair.
    """
    if threads is None or threads >= len(usable):
        return []
    return sorted(rng.sample(sorted(usable), threads))


def log_ratios(base: list[float], current: list[float]) -> list[float]:
    """Return ln(current / base) of each turn."""
    return [math.log(max(two, 1) / max(one, 1)) for one, two in zip(base, current, strict=True)]


def _turns(base: _Half, current: _Half, job: Job, draw: Callable[[], float]) -> tuple[str, tuple[int, Message] | None]:
    runs, lead_in = _lengths((base.opened["run_ns"] + current.opened["run_ns"]) / 2, on_device=job.match.on_device)
    order = ""
    while not _is_enough(base, current, job.pair_s):
        base_first = draw() < 0.5  # noqa: PLR2004 - heads or tails
        # and the other way round in the turn after it, so that a drift within two turns cancels
        for first in (base_first, not base_first):
            order += "A" if first else "B"
            for index, half in ((0, base), (1, current)) if first else ((1, current), (0, base)):
                answer = half.take(runs, lead_in)
                if answer is not None:
                    return order, (index, answer)
    return order, None


def _lengths(run_ns: float, *, on_device: bool) -> tuple[int, int]:
    """Return how many runs a turn has, and how many before it are not timed."""
    turn_s, share = (DEVICE_TURN_S, DEVICE_LEAD_IN) if on_device else (TURN_S, LEAD_IN)
    runs = max(1, round(turn_s * 1e9 / max(run_ns, 1)))
    return runs, max(1, round(runs * share)) if runs >= LEAST_RUNS_WITH_LEAD_IN else 0


def _is_enough(base: _Half, current: _Half, pair_s: float) -> bool:
    if len(base.samples) < FEWEST:
        return False
    spent_s = min(base.spent_s, current.spent_s)
    if spent_s >= pair_s:
        return True
    interval = median_interval(log_ratios(base.medians, current.medians))
    return spent_s >= MIN_S and interval is not None and (interval[1] - interval[0]) / 2 <= TARGET


def _pair(job: Job, base: _Half, current: _Half, order: str) -> Pair:
    return Pair(
        round=job.round,
        stage=job.stage,
        case_id=job.match.case_id,
        timing=job.match.timing,
        log_ratio=statistics.median(log_ratios(base.medians, current.medians)),
        base=base.as_pair_side(),
        current=current.as_pair_side(),
        order=order,
    )


def _record(side: SideProcess, job: Job, answer: dict[str, Any]) -> SideRecord:
    return SideRecord(
        side=side.spec.name,
        stage=job.stage,
        round=job.round,
        case_id=job.match.case_id,
        record=from_dict(Record, answer["record"]),
    )
