"""What each cut of a search shows: computed on the provider, judged against the reference, and kept.

The search itself: between a place where all is well and one where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from pytest_ortperf.execution.bisection.judgement import Ending, Judge, Judgement
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.sessions import Broken
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.records.bisection import GrowthPoint

AHEAD = 3
"""Halvings whose reference values one session computes together."""


class CutVerdict(Enum):
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

    def upcoming(self, halvings: int = AHEAD) -> list[int]:
        """Return the places that the next halvings may ask for, whatever they find."""
        found: list[int] = []
        parts = [self._open]
        for _ in range(halvings):
            middles = [(part, (len(part) - 1) // 2) for part in parts if part]
            found += [part[middle] for part, middle in middles]
            parts = [half for part, middle in middles for half in (part[:middle], part[middle + 1 :])]
        return sorted(found)

    def note(self, place: int, verdict: CutVerdict) -> None:
        """Take what was seen at a place."""
        if verdict is CutVerdict.WELL:
            self.well = place
            self._open = [other for other in self._open if other > place]
        elif verdict is CutVerdict.WRONG:
            self.wrong = place
            self._open = [other for other in self._open if other < place]
        elif place in self._open:
            self._open.remove(place)


def narrow(bracket: Bracket, probe: Callable[[int], CutVerdict], may_go_on: Callable[[], bool]) -> None:
    """Halve until nothing is between, or no more may be asked."""
    while not bracket.is_closed and may_go_on():
        place = bracket.next()
        bracket.note(place, probe(place))


_WORDS = {CutVerdict.WELL: "good", CutVerdict.WRONG: "bad", CutVerdict.UNKNOWN: "cannot be computed"}


class Probes:
    """The cuts that were looked at, each by the position of its last node.

    Attributes:
        points: What was found, in short.
        judged: The values of a cut against the reference.
        computed: The values.
        broken: How a session ended that gave none.
        pinned: Names of reference values to keep whatever is searched next.
    """

    def __init__(self, ending: Ending, values: GraphValues, judge: Judge, tell: Callable[[str], None]) -> None:
        """Keep what looks.

        Args:
            ending: Of the whole model.
            values: Computes.
            judge: Judges.
            tell: Takes a line on each cut.
        """
        self._ending = ending
        self._values = values
        self._graph = values.candidate
        self._judge = judge
        self._tell = tell
        self.points: dict[int, GrowthPoint] = {}
        self.judged: dict[int, list[Judgement]] = {}
        self.computed: dict[int, Mapping[str, Value]] = {}
        self.broken: dict[int, Broken] = {}
        self.pinned: tuple[str, ...] = ()

    def end(self, places: list[int]) -> CutVerdict:
        """Judge the model's own outputs, and compute the reference of the first cuts beside theirs."""
        last = places[-1]
        if self._ending.broken is not None:
            return self._note_broken(last, self._ending.broken)
        wanted = [name for name in self._ending.outputs if name in self._values.comparable]
        ahead = [name for place in Bracket(places).upcoming() for name in self._values.cut(place)]
        self._values.references([*wanted, *ahead])
        return self._note(last, {name: self._ending.outputs[name] for name in wanted})

    def probe(self, bracket: Bracket, place: int) -> CutVerdict:
        """Look at one cut, and compute the reference of those that a search may ask for next."""
        names = self._values.cut(place)
        answer = self._values.compute(names)
        if isinstance(answer, Broken):
            verdict = self._note_broken(place, answer)
        elif self._ending.broken is not None:
            verdict = self._note_computed(place, answer.outputs)
        else:
            if not self._values.knows(names):
                self._prepare_references(bracket)
            verdict = self._note(place, answer.outputs)
        self._tell(self._step(place, verdict))
        return verdict

    def show(self, places: Sequence[int]) -> None:
        """Compute several cuts in two sessions, so that `probe` needs none for them.

        The provider can join fewer nodes than in a session for each cut.
        """
        names = [*dict.fromkeys(name for place in places for name in self._values.cut(place))]
        self._values.forget(but=[*names, *self.pinned, *self._graph.outputs])
        answer = self._values.compute(names)
        if not isinstance(answer, Broken):
            self._values.know(self._values.references(names), answer.outputs)

    def _step(self, place: int, verdict: CutVerdict) -> str:
        point = self.points[place]
        found = _WORDS[verdict]
        error = "" if point.error is None else f", error {point.error:.2g}"
        return f"nodes 0 to {place} of {len(self._graph)}: {found}{error}"

    def _prepare_references(self, bracket: Bracket) -> None:
        edges = [place for place in (bracket.well, bracket.wrong) if place is not None]
        ahead = [name for place in bracket.upcoming() for name in self._values.cut(place)]
        kept = [name for place in edges for name in self._values.cut(place)]
        self._values.forget(but=[*kept, *ahead, *self.pinned, *self._graph.outputs])
        self._values.references(ahead)

    def _note(self, place: int, outputs: Mapping[str, Value]) -> CutVerdict:
        references = self._values.references(outputs)
        judged = [self._judge.judge(name, value, references[name]) for name, value in outputs.items()]
        worst = max(judged, key=lambda it: (not it.is_within, it.size), default=None)
        within = all(it.is_within for it in judged)
        self.judged[place], self.computed[place] = judged, outputs
        self.points[place] = GrowthPoint(
            node=self._graph.fact(place),
            tensor=worst.name if worst else None,
            error=worst.error if worst else None,
            max_abs_error=worst.max_abs_error if worst else None,
            is_within=within,
        )
        return CutVerdict.WELL if within else CutVerdict.WRONG

    def _note_computed(self, place: int, outputs: Mapping[str, Value]) -> CutVerdict:
        self.computed[place] = outputs
        self.points[place] = GrowthPoint(
            node=self._graph.fact(place), tensor=None, error=None, max_abs_error=None, is_within=True
        )
        return CutVerdict.WELL

    def _note_broken(self, place: int, broken: Broken) -> CutVerdict:
        self.broken[place] = broken
        self.points[place] = GrowthPoint(
            node=self._graph.fact(place),
            tensor=None,
            error=None,
            max_abs_error=None,
            is_within=False,
            problem=broken.text,
        )
        # where values are wrong, a part that breaks says nothing of them
        return CutVerdict.WRONG if self._ending.broken is not None else CutVerdict.UNKNOWN
