"""The search itself: between a place where all is well and one where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

AHEAD = 3
"""Halvings whose reference values one session computes together."""


class Verdict(Enum):
    """What was seen at a place."""

    WELL = "well"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """Nothing can be said there, such as for a part that no session can be made of."""


class Bracket:
    """Places in order, the last of which is wrong; before the first all is well.

    Attributes:
        well: The last place known to be well; `None` is before the first.
        wrong: The first place known to be wrong.
    """

    def __init__(self, places: Sequence[int]) -> None:
        self._open = list(places[:-1])
        self.well: int | None = None
        self.wrong = places[-1]

    @property
    def is_closed(self) -> bool:
        """Whether no place is left between the two."""
        return not self._open

    def next(self) -> int:
        """Return the place in the middle."""
        return self._open[(len(self._open) - 1) // 2]

    def upcoming(self) -> list[int]:
        """Return the places that the next halvings may ask for, whatever they find."""
        found: list[int] = []
        parts = [self._open]
        for _ in range(AHEAD):
            middles = [(part, (len(part) - 1) // 2) for part in parts if part]
            found += [part[middle] for part, middle in middles]
            parts = [half for part, middle in middles for half in (part[:middle], part[middle + 1 :])]
        return sorted(found)

    def note(self, place: int, verdict: Verdict) -> None:
        """Take what was seen at a place."""
        if verdict is Verdict.WELL:
            self.well = place
            self._open = [other for other in self._open if other > place]
        elif verdict is Verdict.WRONG:
            self.wrong = place
            self._open = [other for other in self._open if other < place]
        elif place in self._open:
            self._open.remove(place)


def narrow(bracket: Bracket, probe: Callable[[int], Verdict], may_go_on: Callable[[], bool]) -> None:
    """Halve until nothing is between, or no more may be asked."""
    while not bracket.is_closed and may_go_on():
        place = bracket.next()
        bracket.note(place, probe(place))
