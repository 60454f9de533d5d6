"""Where an error comes from, or grows, whatever the tolerance says: a search for how large it is."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.probing import Bracket, CutVerdict, Probes, narrow
from pytest_ortperf.execution.bisection.smallest import PartTrial, Smallest, Suspicion, suspicion
from pytest_ortperf.records.bisection import GrowthPoint

SHARE = 0.3
"""Of the error that leaves tolerance: a cut with more than that lies behind its origin, whatever rounding does."""

_JUMP = 10
"""Times that an error has to grow to be worth a word."""

_TOGETHER = 4
"""Halvings whose values are shown together."""

_SMALLEST = 1e-7
"""An error below this is rounding in float32."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Two cuts between which an error grows."""

    factor: float
    before: GrowthPoint
    after: GrowthPoint

    @property
    def middle(self) -> float:
        """The error midway between theirs, on a logarithmic axis."""
        return math.sqrt(_size(self.before) * _size(self.after))


def steepest(points: Sequence[GrowthPoint], suspect: int) -> Growth | None:
    """Return where the error grows most, if that is elsewhere: a tight tolerance is left before anything is wrong.

    Args:
        points: In the order of the graph.
        suspect: Position of the node that is named.
    """
    found = max(_growths(points), key=lambda it: it.factor, default=None)
    if found is None or found.factor < _JUMP or found.before.node.position < suspect <= found.after.node.position:
        return None
    return found


def steepest_behind(points: Sequence[GrowthPoint], suspect: int) -> Growth | None:
    """Return where the error grows most behind a node; arguments as of `steepest`."""
    behind = [it for it in _growths(points) if it.before.node.position >= suspect and it.factor >= _JUMP]
    return max(behind, key=lambda it: it.factor, default=None)


def _growths(points: Sequence[GrowthPoint]) -> list[Growth]:
    known = [point for point in points if point.error is not None]
    return [_growth(before, after) for before, after in itertools.pairwise(known)]


def _growth(before: GrowthPoint, after: GrowthPoint) -> Growth:
    return Growth(_size(after) / _size(before), before, after)


def _size(point: GrowthPoint) -> float:
    return max(point.error or 0.0, _SMALLEST)


@dataclass(frozen=True, slots=True)
class Origin:
    """Looks for it, with what the first search has seen."""

    probes: Probes
    values: GraphValues
    trial: PartTrial
    sessions_left: Callable[[], int]
    rounding: float
    """What rounding alone may do, at the size of the values."""

    def find(self, places: Sequence[int], leaves: int, suspected: Suspicion) -> Smallest | None:
        """Return the node that makes most of an error by itself, and a part from it on that fails.

        Args:
            places: All that a search may cut after.
            leaves: The place where the error leaves tolerance.
            suspected: The node there, which is right by itself.

        Returns:
            `None` if there is no such node, it was not found with the sessions left, or errors have no size.
        """
        limit = self._limit(leaves, suspected)
        if limit is None:
            return None
        bracket = self._begun([place for place in places if place <= leaves], limit)
        narrow(bracket, lambda place: self._probe(bracket, place, limit), lambda: self.sessions_left() > 2)  # noqa: PLR2004 - to check
        if bracket.wrong == leaves or not bracket.is_closed:
            return None
        found = suspicion(bracket, self.values, self.probes.judged.get(bracket.wrong, []), limit)
        if found.position is None:
            return None
        own = self.trial.errors([found.position], found.targets, self.sessions_left())
        size = max((it.size for it in own or ()), default=0.0)
        if size <= limit:
            return None
        return dataclasses.replace(self._from_there(found.position, suspected), origin=found, own_error=size)

    def elsewhere(self, places: Sequence[int], growth: Growth, trial: PartTrial) -> tuple[int, Growth, Smallest] | None:
        """Return the position of the node where an error grows, by how much, and whether it fails by itself.

        Args:
            places: All that a search may cut after.
            growth: The cuts that it lies between.
            trial: Writes the part elsewhere than that of the suspect.

        Returns:
            `None` if it was not found with the sessions left.
        """
        before, after = growth.before.node.position, growth.after.node.position
        bracket = Bracket([place for place in places if before < place <= after])
        bracket.well = before
        limit = growth.middle
        while not bracket.is_closed and self.sessions_left() > 2:  # noqa: PLR2004 - to check
            self.probes.show(bracket.upcoming(_TOGETHER))
            for _ in range(_TOGETHER):
                self._halve(bracket, limit)
        found = suspicion(bracket, self.values, self.probes.judged.get(bracket.wrong, []), limit)
        if found.position is None or not bracket.is_closed:
            return None
        ends = (self.probes.points[place] for place in (bracket.well, bracket.wrong))
        return found.position, _growth(*ends), trial.alone([found.position], found.targets, self.sessions_left())

    def _from_there(self, position: int, suspected: Suspicion) -> Smallest:
        between = [other for other in self.values.candidate.ancestors(suspected.targets) if other >= position]
        part = self.trial.alone(between, suspected.targets, self.sessions_left()).part
        return Smallest(part=part, fails_alone=False)

    def _limit(self, leaves: int, suspected: Suspicion) -> float | None:
        errors = [it.error for it in self.probes.judged.get(leaves, ()) if it.name in suspected.targets]
        known = [error for error in errors if error]
        # midway, on a logarithmic axis, between what is nobody's fault and what is wrong
        return min(math.sqrt(self.rounding * max(known)), SHARE * max(known)) if known else None

    def _begun(self, places: Sequence[int], limit: float) -> Bracket:
        """Return the search with what is known already; the first cut with too large an error ends it."""
        bracket = Bracket(places)
        for place in sorted(self.probes.points):
            if place >= bracket.wrong:
                break
            bracket.note(place, self._verdict(place, limit))
        return bracket

    def _halve(self, bracket: Bracket, limit: float) -> None:
        if not bracket.is_closed and self.sessions_left() > 1:
            place = bracket.next()
            bracket.note(place, self._probe(bracket, place, limit))

    def _probe(self, bracket: Bracket, place: int, limit: float) -> CutVerdict:
        seen = self.probes.probe(bracket, place)
        return seen if seen is CutVerdict.UNKNOWN else self._verdict(place, limit)

    def _verdict(self, place: int, limit: float) -> CutVerdict:
        judged = self.probes.judged.get(place)
        if judged is None:
            return CutVerdict.UNKNOWN
        return CutVerdict.WRONG if any(it.size > limit for it in judged) else CutVerdict.WELL
