"""What is to be measured: how many pairs, for how long, and which cases of both sides belong together."""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.pairing.measure_pair import Match
from pytest_ortperf.pairing.side_process import SideCase, SideProcess
from pytest_ortperf.records.pairs import PAIRS_SCHEMA, SCREEN, Pair, PairsHeader, SideFact
from pytest_ortperf.reports.comparison.paired import DECIDING_PAIRS
from pytest_ortperf.reports.tables.gains import BEST_FIRST

SCREEN_PAIRS, CONFIRM_PAIRS, AA_PAIRS = 3, DECIDING_PAIRS, 10
PAIR_S = 1.0

_OPENING_S = 1.0
"""Of a pair: processes, sessions and warm-up of both sides, for models that open quickly."""

FRESH_SIDES_S = 1.5
"""Until two interpreters have collected their cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run goes; what it found before holds only for the same plan."""

    screen_pairs: int = SCREEN_PAIRS
    """Of every case."""

    confirm_pairs: int = CONFIRM_PAIRS
    """Fresh ones, of cases that screening found changed."""

    pair_s: float = PAIR_S
    """Most time of timed runs on each side of a pair."""

    seed: int = 0
    """Of the order of cases and turns."""

    is_aa: bool = False
    """Whether both sides are the same, to measure the noise floor."""

    def rng(self, *what: object) -> random.Random:
        """Return the random numbers of one part of the run, the same when it is gone on with."""
        return random.Random(f"{self.seed} {what}")  # noqa: S311 - an order, no secret


class Pace:
    """How long pairs take: as long as those known of a case, else as those of all cases, else a guess."""

    def __init__(self, plan: Plan, known: Iterable[Pair] = ()) -> None:
        self._guess_s = 2 * plan.pair_s + _OPENING_S
        self._seconds: dict[str, list[float]] = {}
        for pair in known:
            self.learn(pair)

    def learn(self, pair: Pair) -> None:
        """Take in how long a pair took."""
        if pair.duration_ns is not None:
            self._seconds.setdefault(pair.case_id, []).append(pair.duration_ns / 1e9)

    @property
    def known(self) -> AbstractSet[str]:
        """Cases that took a pair already."""
        return self._seconds.keys()

    def of(self, case_ids: Iterable[str]) -> float:
        """Return the seconds that a pair of each of these cases takes."""
        medians = {case_id: statistics.median(each) for case_id, each in self._seconds.items()}
        other = statistics.fmean(medians.values()) if medians else self._guess_s
        return math.fsum(medians.get(case_id, other) for case_id in case_ids)

    def of_round(self, case_ids: Collection[str]) -> float:
        """Return the same with the start of both interpreters; no cases take no time."""
        return self.of(case_ids) + FRESH_SIDES_S if case_ids else 0.0


def estimate_text(plan: Plan, pace: Pace, case_ids: Collection[str], done: Iterable[Pair] = ()) -> str:
    """Return how long a run takes, as far as that can be known before it starts.

    Args:
        plan: Of the run.
        pace: Of its pairs.
        case_ids: All cases.
        done: Pairs that the run has already.
    """
    had = {(pair.round, pair.case_id) for pair in done if pair.stage == SCREEN}
    rounds = [[each for each in case_ids if (number, each) not in had] for number in range(plan.screen_pairs)]
    screening = duration_text(math.fsum(map(pace.of_round, rounds)))
    cases = "1 case" if len(case_ids) == 1 else f"{len(case_ids)} cases"
    pairs = "1 pair" if plan.screen_pairs == 1 else f"{plan.screen_pairs} pairs"
    text = f"expected: {screening} for {pairs} of {cases}"
    if plan.confirm_pairs and not plan.is_aa:
        text += f"; {duration_text(plan.confirm_pairs * pace.of_round(case_ids))} more if all look changed"
    if not pace.known:
        return f"{text} (estimated: no earlier run has these cases)"
    known = len(pace.known & set(case_ids))
    return text if known == len(case_ids) else f"{text} ({known} of {cases} known from an earlier run)"


def duration_text(seconds: float) -> str:
    """Return `about 45 s`, or `about 4 min`: no more digits than an estimate has."""
    if seconds < 100:  # noqa: PLR2004 - until then seconds are read more easily
        return f"about {max(math.ceil(seconds), 1)} s"
    return f"about {math.ceil(seconds / 60)} min"


def matches_of(base: SideProcess, current: SideProcess) -> list[Match]:
    """Return the cases that both sides have, in the order of the current side.

    By id; where each side has one provider, and another one, by model, precision and dimensions.

    Raises:
        SettingsError: If there are none.
    """
    by_id = {case.case_id: case for case in base.cases.values()}
    found = [(by_id[case_id], case) for case_id, case in current.cases.items() if case_id in by_id]
    if not found and _has_one_provider(base.cases.values()) and _has_one_provider(current.cases.values()):
        by_subject = {_subject(case): case for case in base.cases.values()}
        found = [(by_subject[_subject(case)], case) for case in current.cases.values() if _subject(case) in by_subject]
    if not found:
        raise SettingsError(
            f"no case is on both sides; base has {_some(base.cases)}, current has {_some(current.cases)}"
        )
    return [_match(*pair) for pair in found]


def header_of(path: Path, plan: Plan, sides: tuple[SideProcess, SideProcess]) -> PairsHeader:
    """Return the first line of a pairs file.

    Args:
        path: Of the file; its name holds the run.
        plan: How the run goes.
        sides: Base and current, which have been met.
    """
    base, current = (_fact(side) for side in sides)
    return PairsHeader(
        schema=PAIRS_SCHEMA,
        run=path.stem.removeprefix("pairs_"),
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        command=tuple(sys.argv),
        plan=asdict(plan),
        base=base,
        current=current,
    )


def _fact(side: SideProcess) -> SideFact:
    if side.environment is None:
        raise RuntimeError("the side has not been met")
    own = " ".join(side.spec.options)
    return SideFact(
        name=f"{side.spec.name} ({own})" if own else side.spec.name,
        python=side.environment.python,
        options=side.options,
        environment=side.environment,
        cases=tuple(side.cases),
    )


def _match(base: SideCase, current: SideCase) -> Match:
    common = [timing for timing in base.timings if timing in current.timings]
    if base.timings[0] != current.timings[0]:
        common.sort(key=BEST_FIRST.index)
    if not common and (base.skip or current.skip):
        common = [current.timings[0]]
    if not common:
        raise SettingsError(
            f"{current.case_id}: no timing mode is of both sides: {', '.join(base.timings)}, and "
            f"{', '.join(current.timings)}; choose one with --ortperf-timing"
        )
    return Match(
        case_id=current.case_id,
        base_id=base.case_id,
        current_id=current.case_id,
        timing=common[0],
        on_device=base.on_device or current.on_device,
        threads=base.threads if base.threads == current.threads else None,
    )


def _has_one_provider(cases: Iterable[SideCase]) -> bool:
    return len({case.provider for case in cases}) == 1


def _subject(case: SideCase) -> tuple[object, ...]:
    return case.model, case.precision, tuple(sorted(case.dims.items()))


def _some(cases: Iterable[str]) -> str:
    names = list(cases)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
    return ", ".join(names[:3]) + more
