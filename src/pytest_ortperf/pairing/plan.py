"""What is to be measured: how many pairs, for how long, and which cases of both sides belong together."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.pairing.measure_pair import Match
from pytest_ortperf.pairing.side_process import SideCase, SideProcess

SCREEN_PAIRS, CONFIRM_PAIRS, AA_PAIRS = 3, 10, 10
PAIR_S = 1.0

BEST_FIRST = ("bound", "host", "bound+copies", "graph")


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

    def as_builtins(self) -> Mapping[str, object]:
        """Return it for the header."""
        return asdict(self)

    def rng(self, *what: object) -> random.Random:
        """Return the random numbers of one part of the run, the same when it is gone on with."""
        return random.Random(f"{self.seed} {what}")  # noqa: S311 - an order, no secret


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
    return [match for pair in found if (match := _match(*pair)) is not None]


def skipped_in(side: SideProcess) -> dict[str, str]:
    """Return case id -> why the model list leaves it out."""
    return {case.case_id: case.skip for case in side.cases.values() if case.skip is not None}


def _match(base: SideCase, current: SideCase) -> Match | None:
    if base.skip is not None or current.skip is not None:
        return None
    common = [timing for timing in base.timings if timing in current.timings]
    if base.timings[0] != current.timings[0]:
        common.sort(key=BEST_FIRST.index)
    if not common:
        raise SettingsError(
            f"{current.case_id}: no timing mode is of both sides: {', '.join(base.timings)}, and "
            f"{', '.join(current.timings)}; choose one with --ortperf-timing"
        )
    return Match(case_id=current.case_id, base_id=base.case_id, current_id=current.case_id, timing=common[0])


def _has_one_provider(cases: Iterable[SideCase]) -> bool:
    return len({case.provider for case in cases}) == 1


def _subject(case: SideCase) -> tuple[object, ...]:
    return case.model, case.precision, tuple(sorted(case.dims.items()))


def _some(cases: Iterable[str]) -> str:
    names = list(cases)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
    return ", ".join(names[:3]) + more
