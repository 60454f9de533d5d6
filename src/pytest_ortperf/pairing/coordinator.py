"""The run of all pairs: screening, then fresh pairs of what looked changed, then more where nothing can be said yet."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ortperf.pairing.measure_pair import PASSED, Job, Match, Outcome, measure_pair
from pytest_ortperf.pairing.plan import Pace, Plan
from pytest_ortperf.pairing.side_process import SideGoneError, SideProcess, SideSpec, started
from pytest_ortperf.records.pairs import (
    BUDGET,
    CONFIRM,
    DONE,
    INTERRUPTED,
    MORE,
    SCREEN,
    Pair,
    RoundEnd,
    RunEnd,
    SideRecord,
)
from pytest_ortperf.records.pairs_file import PairsFile
from pytest_ortperf.reports.comparison.paired_closing import case_name

MOST_RESTARTS = 3
"""Of one round, where an interpreter is gone."""

Sort = Callable[[Sequence[Pair], Sequence[Match]], tuple[list[Match], list[Match]]]
"""Pairs of the screening, all cases -> those that look changed, and those of which nothing can be said yet."""

Show = Callable[[str, float], None]
"""Told where the run stands, and the seconds that are left of it as far as it is known."""


def show_nothing(_: str, __: float) -> None:
    """Show nothing."""


@dataclass(kw_only=True)
class Coordinator:
    """One run of pairs.

    Args:
        plan: How it goes.
        specs: Base and current.
        matches: All cases.
        file: Takes what is found.
        known: What an earlier part of the run has found.
        budget_s: After which no pair is begun; `None` is no limit.
        tell: Told what happens, in a line.
        sort: Decides which cases get fresh pairs.
        pace: Knows how long pairs take.
        show: Told where the run stands before each pair.
    """

    plan: Plan
    specs: tuple[SideSpec, SideSpec]
    matches: Sequence[Match]
    file: PairsFile
    pairs: list[Pair]
    records: list[SideRecord]
    budget_s: float | None
    tell: Callable[[str], None]
    sort: Sort
    pace: Pace
    show: Show = show_nothing
    started_s: float = field(default_factory=time.monotonic)
    is_cut_short: bool = False
    """Whether the budget ended it."""

    def run(self) -> None:
        """Measure until everything is decided or no time is left.

        Raises:
            SideGoneError: If interpreters keep ending.
        """
        try:
            self._run()
        except KeyboardInterrupt:
            self._end(INTERRUPTED)
            raise
        self._end(BUDGET if self.is_cut_short else DONE)

    def _run(self) -> None:
        for number in range(self.plan.screen_pairs):
            self._round(SCREEN, number, self.matches)
        if self.plan.is_aa or not self.plan.confirm_pairs:
            return
        changed, unsure = self.sort(self.pairs, self._alive(self.matches))
        if changed:
            self.tell(f"{len(changed)} of {len(self.matches)} cases look changed: fresh pairs decide")
        for number in range(self.plan.confirm_pairs):
            self._round(CONFIRM, number, changed)
        for number in range(self.plan.confirm_pairs):
            still = [match for found in self.sort(self.pairs, unsure) for match in found]
            self._round(MORE, number, still)

    def _end(self, reason: str) -> None:
        self.file.append(RunEnd(reason=reason, cases=len(self.matches), left=len(self._left()), budget_s=self.budget_s))

    def _left(self) -> list[Match]:
        """Return the cases that had fewer pairs than planned."""
        counts = Counter((pair.stage, pair.case_id) for pair in self.pairs)
        alive = self._alive(self.matches)
        left = [it for it in alive if counts[SCREEN, it.case_id] < self.plan.screen_pairs]
        if self.plan.is_aa or not self.plan.confirm_pairs:
            return left
        changed, unsure = self.sort(self.pairs, [it for it in alive if it not in left])
        for stage, matches in ((CONFIRM, changed), (MORE, unsure)):
            left += [it for it in matches if counts[stage, it.case_id] < self.plan.confirm_pairs]
        return left

    def _alive(self, matches: Iterable[Match]) -> list[Match]:
        """Return cases that have not failed on a side."""
        dead = {it.case_id for it in self.records if it.record.outcome != PASSED}
        return [it for it in matches if it.case_id not in dead]

    def _shuffled(self, matches: Iterable[Match], *what: object) -> list[Match]:
        # plugins collect in an order of their own, not always the same
        ordered = sorted(matches, key=lambda match: match.case_id)
        return self.plan.rng("cases", *what).sample(ordered, len(ordered))

    def _round(self, stage: str, number: int, matches: Sequence[Match]) -> None:
        done = {(pair.stage, pair.round, pair.case_id) for pair in self.pairs}
        jobs = [
            Job(match=match, round=number, stage=stage, pair_s=self.plan.pair_s)
            for match in self._shuffled(self._alive(matches), stage, number)
            if (stage, number, match.case_id) not in done
        ]
        if not jobs or self._is_over():
            return
        began = time.monotonic()
        many = self.plan.screen_pairs if stage == SCREEN else self.plan.confirm_pairs
        name = f"{stage} {number + 1} of {many}"
        # those of the screening are known beforehand; fresh pairs of a case end as soon as they tell enough
        rounds_left = many - number - 1 if stage != MORE else 0
        count = self._measure(jobs, name, rounds_left * self.pace.of_round([it.case_id for it in matches]))
        if not count:
            return
        self.file.append(RoundEnd(round=number, stage=stage))
        cases = "1 case" if count == 1 else f"{count} cases"
        self.tell(f"{name}: {cases} in {time.monotonic() - began:.1f} s")

    def _measure(self, jobs: Sequence[Job], name: str, later_s: float) -> int:
        """Measure the pairs of a round in one pair of interpreters; return how many were."""
        left = list(jobs)
        self.show(f"{name}: starting both sides", self.pace.of_round([it.match.case_id for it in left]) + later_s)
        for restart in range(MOST_RESTARTS + 1):
            try:
                with fresh_sides(self.specs) as sides:
                    while left and not self._is_over():
                        ids = [it.match.case_id for it in left]
                        place = f"{case_name(ids[0])}, {len(jobs) - len(left) + 1} of {len(jobs)}"
                        self.show(f"{name}: {place}", self.pace.of(ids) + later_s)
                        self._keep(measure_pair(sides, left[0], self._order(left[0])))
                        left.pop(0)
                break
            except SideGoneError as gone:
                if restart == MOST_RESTARTS:
                    raise
                self.tell(f"{left[0].match.case_id}: {gone}; it is started again")
        return len(jobs) - len(left)

    def _order(self, job: Job) -> random.Random:
        return self.plan.rng("turns", job.stage, job.round, job.match.case_id)

    def _keep(self, outcome: Outcome) -> None:
        for record in outcome.records:
            self.records.append(record)
            self.file.append(record)
        if outcome.pair is not None:
            self.pairs.append(outcome.pair)
            self.pace.learn(outcome.pair)
            self.file.append(outcome.pair)

    def _is_over(self) -> bool:
        over = self.budget_s is not None and time.monotonic() - self.started_s >= self.budget_s
        if over and not self.is_cut_short:
            self.is_cut_short = True
            self.tell(f"the budget of {self.budget_s:g} s is spent; --resume goes on")
        return over


@contextmanager
def fresh_sides(specs: tuple[SideSpec, SideSpec]) -> Iterator[tuple[SideProcess, SideProcess]]:
    """Give both sides in new interpreters, for a while.

    Raises:
        SideGoneError: If one cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="ortperf-ab-") as folder:
        sides = started(specs, Path(folder))
        try:
            yield sides
        finally:
            for side in sides:
                side.end()
