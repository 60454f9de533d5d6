"""The first node of a case whose outputs leave tolerance, or where it crashes.

Where an error comes from that leaves tolerance only later: a second search, for how large it is.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.answer import Findings, bisection_of
from pytest_ortperf.execution.bisection.graph import Graph
from pytest_ortperf.execution.bisection.judgement import (
    Ending,
    Judge,
    case_rounding,
    case_tolerance,
    ending_of,
    wrong_outputs,
)
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.probing import Bracket, CutVerdict, Probes, narrow
from pytest_ortperf.execution.bisection.sessions import Answer, Computed, Sessions
from pytest_ortperf.execution.bisection.smallest import Part, PartTrial, Smallest, Suspicion, suspicion, write_data
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import prepare_model
from pytest_ortperf.execution.session.assumed_shapes import assume_shapes
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.records.bisection import Bisection

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

    def _probe(self, bracket: Bracket, place: int, limit: float) -> CutVerdict:
        seen = self.probes.probe(bracket, place)
        return seen if seen is CutVerdict.UNKNOWN else self._verdict(place, limit)

    def _verdict(self, place: int, limit: float) -> CutVerdict:
        judged = self.probes.judged.get(place)
        if judged is None:
            return CutVerdict.UNKNOWN
        return CutVerdict.WRONG if any(it.size > limit for it in judged) else CutVerdict.WELL


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is asked."""

    case: Case
    settings: ExecutionSettings
    """With a reference model among the given data, that model says what is right."""

    hooks: SessionHooks
    timeout_s: float
    """Of each session."""

    folder: Path
    """Where the smallest failing model goes."""

    data_set: str | None = None
    """`None` is the first whose outputs are wrong."""

    tell: Callable[[str], None] = _silent
    """Takes a line on each step."""


def reference_name(settings: ExecutionSettings) -> str:
    """Return what values are compared with, for people."""
    other = settings.given.reference_model
    name = "CPU, graph optimisation off"
    return f"{other.name} on the {name}" if other else name


def allowed_sessions(nodes: int) -> int:
    """Return how many sessions a search may create in a graph of so many nodes."""
    return int(2 * math.log2(max(nodes, 2)) + 5)


def bisect(search: Search) -> Bisection:
    """Return the node where a case goes wrong; a model that shows it is in the folder.

    Raises:
        CaseError: As `find_part`.
    """
    return find_part(search)[0]


def find_part(search: Search) -> tuple[Bisection, Part | None]:
    """Return the node where a case goes wrong, and a model that shows it; `None` if nothing is wrong.

    Cuts of the graph are halved: the values that cross a cut are computed on the provider and, with graph optimisation
    off, on the CPU. Between the last cut where all of them are within tolerance and the first where one is not lies
    the node. What goes out of tolerance and comes back before such a cut is not what is wrong at the end.

    Raises:
        CaseError: If there is nothing to search: no model, no provider, no inputs, no reference.
    """
    if search.case.provider.runner != "onnxruntime":
        raise CaseError(
            f"{search.case.case_id}: {search.case.provider.name} is a program of its own, which gives no values from "
            f"inside the graph; take the case of a provider of ONNX Runtime, such as tensorrt",
            stage="settings",
            kind="session error",
        )
    search.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ortperf-bisect-") as work:
        return _Finder(search, Path(work)).find()


class _Finder:
    def __init__(self, search: Search, work: Path) -> None:
        # held on to, because it keeps the model's file from being evicted
        self._prepared = prepare_model(search.case, search.settings)
        case = assume_shapes(search.case, self._prepared, search.settings, search.hooks)
        self._search = search = dataclasses.replace(search, case=case)
        source = Path(self._prepared.source)
        reference = search.settings.given.reference_model or search.case.model.path
        self._graph = Graph(source)
        self._sessions = Sessions(search.case, search.settings, search.hooks, search.timeout_s)
        self._allowed = allowed_sessions(len(self._graph))
        self._judge = Judge(
            case_tolerance(search.case, search.settings, self._prepared),
            frozenset(self._graph.outputs),
            is_quantised=self._prepared.fact.precision == "int8",
        )
        self._ending: Ending = ending_of(self._sessions, source, reference, self._judge, search.data_set)
        self._values = GraphValues(self._graph, Graph(reference), self._ending.data.inputs, self._sessions, work)
        self._probes = Probes(self._ending, self._values, self._judge, self._tell)

    def find(self) -> tuple[Bisection, Part | None]:
        """Return the answer."""
        places = self._places()
        bracket = Bracket(places)
        if self._probes.end(places) is CutVerdict.WELL:
            return bisection_of(self._findings()), None
        narrow(bracket, lambda place: self._probes.probe(bracket, place), lambda: self._left() > 1)
        suspected = suspicion(bracket, self._values, self._probes.judged.get(bracket.wrong))
        smallest, part, refusal = self._part(places, bracket, suspected)
        found = dataclasses.replace(
            self._findings(),
            is_closed=bracket.is_closed,
            well=bracket.well,
            wrong=bracket.wrong,
            suspicion=(smallest and smallest.origin) or suspected,
            smallest=smallest,
            part=part,
            no_reference=refusal,
        )
        return bisection_of(found), part

    def _findings(self) -> Findings:
        return Findings(
            case=self._search.case,
            source=self._prepared.source,
            reference=reference_name(self._search.settings),
            ending=self._ending,
            values=self._values,
            points=tuple(self._probes.points[place] for place in sorted(self._probes.points)),
            judged=self._probes.judged,
            computed=self._probes.computed,
            sessions=self._sessions.count,
            sessions_allowed=self._allowed,
        )

    def _places(self) -> list[int]:
        """Return the positions after which a cut has something to compare that the node made; the last is the end."""
        graph, last = self._graph, len(self._graph) - 1
        if last < 0:
            raise CaseError(
                f"{self._prepared.source} has no nodes; there is nothing to search", stage="model", kind="model error"
            )

        def shows(position: int) -> bool:
            made = (name for name in graph.writes[position] if name in self._values.comparable)
            return any(graph.is_read_after(name, position) and not graph.is_constant(name) for name in made)

        return [*filter(shows, range(last)), last]

    def _part(
        self, places: list[int], bracket: Bracket, suspected: Suspicion
    ) -> tuple[Smallest | None, Part | None, str | None]:
        """Return how small a failing part was found, the part to keep, and why there is none."""
        try:
            smallest = self._smallest(places, bracket, suspected)
            part = smallest.part if smallest and smallest.part else self._from_inputs(bracket.wrong)
        except CaseError as error:
            if error.stage != "reference" or self._ending.broken is None:
                raise
            return None, None, str(error)
        write_data(part)
        return smallest, part, None

    def _smallest(self, places: list[int], bracket: Bracket, suspected: Suspicion) -> Smallest | None:
        if suspected.position is None or not suspected.targets:
            return None
        alone = self._trial.alone([suspected.position], suspected.targets, self._left())
        if alone.part is not None or alone.fails_alone is None:
            return alone
        rounding = case_rounding(self._search.case, self._search.settings, self._prepared)
        origin = Origin(self._probes, self._values, self._trial, self._left, rounding)
        return origin.find(places, bracket.wrong, suspected) or self._trial.grown(
            [suspected.position], suspected.targets, self._left()
        )

    def _from_inputs(self, place: int) -> Part:
        """Return the model that was seen to fail at a cut, with the inputs of the data set."""
        if place in self._probes.computed:
            answer: Answer = Computed(outputs=self._probes.computed[place])
            names = list(self._probes.computed[place])
            complaint = wrong_outputs(self._probes.judged[place]) or ""
        else:
            answer = self._probes.broken[place]
            names = self._values.cut(place) or list(self._graph.writes[place])
            complaint = self._probes.broken[place].text
        return self._trial.from_inputs(names, answer, complaint)

    @property
    def _trial(self) -> PartTrial:
        return PartTrial(
            values=self._values,
            judge=self._judge,
            sessions=self._sessions,
            path=self._search.folder / "model.onnx",
            wants_crash=self._ending.broken is not None,
        )

    def _tell(self, line: str) -> None:
        self._search.tell(f"session {self._sessions.count} of at most {self._allowed}: {line}")

    def _left(self) -> int:
        return self._allowed - self._sessions.count
