"""Where an error comes from that leaves tolerance only later: a second search, for how large it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.bisection.bracket import Bracket, Verdict, narrow
from pytest_ortperf.execution.bisection.probing import Probes
from pytest_ortperf.execution.bisection.smallest import PartTrial, Smallest
from pytest_ortperf.execution.bisection.suspects import Suspicion, suspicion
from pytest_ortperf.execution.bisection.values import GraphValues

SHARE = 0.3
"""Of the error that leaves tolerance: a cut with more than that lies behind its origin, whatever rounding does."""


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
        self.probes.pinned = suspected.targets
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

    def _probe(self, bracket: Bracket, place: int, limit: float) -> Verdict:
        seen = self.probes.probe(bracket, place)
        return seen if seen is Verdict.UNKNOWN else self._verdict(place, limit)

    def _verdict(self, place: int, limit: float) -> Verdict:
        judged = self.probes.judged.get(place)
        if judged is None:
            return Verdict.UNKNOWN
        return Verdict.WRONG if any(it.size > limit for it in judged) else Verdict.WELL
