"""What the product decides on the recorded pairs: by model, by what was planted, beside delta."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ab_data import CaseData, Experiment, RunData, Slowdown

from pytest_ortperf.records.pairs import PAIRS_SCHEMA, FloorOfCase, NoiseFloor, Pair, PairSide
from pytest_ortperf.reports.comparison.paired import Noise, by_case, judge
from pytest_ortperf.reports.comparison.verdicts import SLOWER

SMALL_DELTA = 0.03
_ROUNDING = 1e-9
CLASSES: Mapping[str, tuple[float, float]] = {
    "2 and more": (2, math.inf),
    "1.5 to 2": (1.5, 2),
    "1 to 1.5": (1, 1.5),
    "below 1": (0, 1),
}
"""By the slowdown over the delta that was used; the lower end belongs to the class."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case in one run, with the product's verdict."""

    case: CaseData
    verdict: str
    delta: float
    slowdown: Slowdown | None
    """`None` of a case that is the same on both sides."""

    @property
    def over_delta(self) -> float:
        """The true slowdown over the delta."""
        return 0.0 if self.slowdown is None else self.slowdown.true_percent / 100 / self.delta


def outcomes(experiment: Experiment) -> list[Outcome]:
    """Return what the product decides on each case of each run."""
    floor = NoiseFloor(
        schema=PAIRS_SCHEMA,
        run="",
        fingerprint=None,
        cases=tuple(
            FloorOfCase(case_id=case_id, timing="host", pairs=0, log_floor=log_floor)
            for case_id, log_floor in experiment.floors.items()
        ),
    )
    noise = Noise(floor=floor if floor.cases else None)
    return [
        Outcome(case, each.decision.verdict, each.decision.delta, experiment.planted.get(case.model))
        for run in experiment.runs
        for case, each in zip(run.cases, judge(by_case(pairs_of(run)), noise), strict=True)
    ]


def pairs_of(run: RunData) -> Iterator[Pair]:
    """Yield the pairs of a run as the product has them; what its decision does not read is made up from the median."""
    for case in run.cases:
        for pair in case.pairs:
            yield Pair(
                round=pair.round,
                stage=pair.stage,
                case_id=case.case_id,
                timing=case.timing,
                log_ratio=pair.log_ratio,
                base=_side(pair.base_ns),
                current=_side(pair.current_ns),
                order="",
            )


def _side(median_ns: float) -> PairSide:
    return PairSide(
        median_ns=median_ns, mean_ns=median_ns, min_ns=round(median_ns), iterations=1, turns_ns=(median_ns,)
    )


def unplanted(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes of the models that are the same on both sides, by model."""
    return grouped(lambda it: it.case.model, [it for it in found if it.slowdown is None])


def planted(found: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of the models with a slowdown, by its size."""
    return sorted((it for it in found if it.slowdown is not None), key=lambda it: slowdown_of(it).percent)


def counts(found: Sequence[Outcome]) -> Counter[str]:
    """Return how often each verdict came."""
    return Counter(it.verdict for it in found)


def detected(found: Sequence[Outcome]) -> float:
    """Return the share that is called SLOWER."""
    return counts(found)[SLOWER] / len(found)


def delta_of(found: Sequence[Outcome]) -> float:
    """Return the delta of a model: the median over its runs."""
    return statistics.median(it.delta for it in found)


def small_deltas(found: Sequence[Outcome]) -> tuple[int, int]:
    """Return how many of the models that are the same have a delta of at most 3 %, and how many there are."""
    by_model = unplanted(found)
    return sum(delta_of(each) <= SMALL_DELTA + _ROUNDING for each in by_model.values()), len(by_model)


def in_class(found: Sequence[Outcome], name: str) -> list[Outcome]:
    """Return the slowdowns of a class."""
    low, high = CLASSES[name]
    return [it for it in found if it.slowdown is not None and low <= it.over_delta < high]


def slowdown_of(outcome: Outcome) -> Slowdown:
    """Return what was planted into a case."""
    if outcome.slowdown is None:
        raise ValueError(f"{outcome.case.case_id} is the same on both sides")
    return outcome.slowdown


def typical_ms(found: Sequence[Outcome]) -> float:
    """Return the time of the base, the median over all pairs."""
    return statistics.median(pair.base_ns for it in found for pair in it.case.pairs) / 1e6


def grouped(key: Callable[[Outcome], str], found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return outcomes by a key, in the order they came."""
    groups: dict[str, list[Outcome]] = {}
    for it in found:
        groups.setdefault(key(it), []).append(it)
    return groups
