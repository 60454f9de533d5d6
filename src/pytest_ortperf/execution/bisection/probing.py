"""What each cut of a search shows: computed on the provider, judged against the reference, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_ortperf.execution.bisection.bracket import Bracket, Verdict
from pytest_ortperf.execution.bisection.ending import Ending
from pytest_ortperf.execution.bisection.judgement import Judge, Judgement
from pytest_ortperf.execution.bisection.sessions import Broken
from pytest_ortperf.execution.bisection.values import GraphValues
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.records.bisection import GrowthPoint

_WORDS = {Verdict.WELL: "good", Verdict.WRONG: "bad", Verdict.UNKNOWN: "cannot be computed"}


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

    def end(self, places: list[int]) -> Verdict:
        """Judge the model's own outputs, and compute the reference of the first cuts beside theirs."""
        last = places[-1]
        if self._ending.broken is not None:
            return self._note_broken(last, self._ending.broken)
        wanted = [name for name in self._ending.outputs if name in self._values.comparable]
        ahead = [name for place in Bracket(places).upcoming() for name in self._values.cut(place)]
        self._values.references([*wanted, *ahead])
        return self._note(last, {name: self._ending.outputs[name] for name in wanted})

    def probe(self, bracket: Bracket, place: int) -> Verdict:
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

    def _step(self, place: int, verdict: Verdict) -> str:
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

    def _note(self, place: int, outputs: Mapping[str, Value]) -> Verdict:
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
        return Verdict.WELL if within else Verdict.WRONG

    def _note_computed(self, place: int, outputs: Mapping[str, Value]) -> Verdict:
        self.computed[place] = outputs
        self.points[place] = GrowthPoint(
            node=self._graph.fact(place), tensor=None, error=None, max_abs_error=None, is_within=True
        )
        return Verdict.WELL

    def _note_broken(self, place: int, broken: Broken) -> Verdict:
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
        return Verdict.WRONG if self._ending.broken is not None else Verdict.UNKNOWN
