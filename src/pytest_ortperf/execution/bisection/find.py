"""The first node of a case whose outputs leave tolerance, or where it crashes."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.answer import Findings, bisection_of
from pytest_ortperf.execution.bisection.graph import Graph
from pytest_ortperf.execution.bisection.inside import Inside, InsideSearch
from pytest_ortperf.execution.bisection.judgement import (
    Ending,
    Judge,
    case_rounding,
    case_tolerance,
    ending_of,
    wrong_outputs,
)
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.origin import Origin, steepest_behind
from pytest_ortperf.execution.bisection.probing import Bracket, CutVerdict, Probes, narrow
from pytest_ortperf.execution.bisection.sessions import Answer, Computed, Sessions
from pytest_ortperf.execution.bisection.smallest import Part, PartTrial, Smallest, Suspicion, suspicion, write_data
from pytest_ortperf.execution.bisection.subgraphs import is_control_flow
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import prepare_model
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.records.bisection import Bisection, OtherSuspect


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
        self._search = search
        # held on to, because it keeps the model's file from being evicted
        self._prepared = prepare_model(search.case, search.settings)
        source = Path(self._prepared.source)
        reference = search.settings.given.reference_model or search.case.model.path
        self._graph = Graph(source)
        self._sessions = Sessions(search.case, search.settings, search.hooks, search.timeout_s)
        self._allowed = allowed_sessions(self._graph.all_nodes)
        self._judge = Judge(
            case_tolerance(search.case, search.settings, self._prepared),
            frozenset(self._graph.outputs),
            is_quantised=self._prepared.fact.precision == "int8",
        )
        self._ending: Ending = ending_of(self._sessions, source, reference, self._judge, search.data_set)
        self._values = GraphValues(self._graph, Graph(reference), self._ending.data.inputs, self._sessions, work)
        self._probes = Probes(self._ending, self._values, self._judge, self._tell)
        self._work = work
        for name in ("inside", "elsewhere"):
            (work / name).mkdir()
        self._other: OtherSuspect | None = None

    def find(self) -> tuple[Bisection, Part | None]:
        """Return the answer."""
        places = self._values.places()
        if not len(self._graph):
            raise CaseError(
                f"{self._prepared.source} has no nodes; there is nothing to search", stage="model", kind="model error"
            )
        bracket = Bracket(places)
        if self._probes.end(places) is CutVerdict.WELL:
            return bisection_of(self._findings()), None
        narrow(bracket, lambda place: self._probes.probe(bracket, place), lambda: self._left() > 1)
        suspected = suspicion(bracket, self._values, self._probes.judged.get(bracket.wrong))
        wanted = [*self._values.cut(bracket.wrong), *suspected.targets]
        if suspected.position is not None:
            wanted += self._graph.reads[suspected.position]
        self._probes.pinned = tuple(wanted)
        smallest, part, refusal = self._part(places, bracket, suspected)
        inside = self._inside(suspected, smallest)
        if smallest is not None and smallest.fails_alone:
            self._look_elsewhere(places, suspected)
        found = dataclasses.replace(
            self._findings(),
            is_closed=bracket.is_closed,
            well=bracket.well,
            wrong=bracket.wrong,
            suspicion=(smallest and smallest.origin) or suspected,
            smallest=smallest,
            part=part,
            inside=inside,
            other=self._other,
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
        trial = self._trial
        alone = trial.alone([suspected.position], suspected.targets, self._left())
        if alone.part is not None or alone.fails_alone is None:
            return alone
        self._look_elsewhere(places, suspected)
        return self._origin.find(places, bracket.wrong, suspected) or trial.grown(
            [suspected.position], suspected.targets, self._left()
        )

    def _inside(self, suspected: Suspicion, smallest: Smallest | None) -> Inside | None:
        """Return what is wrong inside the suspect, where it runs subgraphs and fails by itself."""
        position = suspected.position
        if position is None or smallest is None or not smallest.fails_alone:
            return None
        if not is_control_flow(self._graph, position):
            return None
        search = InsideSearch(
            ending=self._ending,
            sessions=self._sessions,
            sessions_left=self._left,
            work=self._work,
            path=self._work / "inside" / "model.onnx",
            tell=self._tell,
        )
        found = search.search(self._values, self._judge, position, self._graph.fact(position))
        return dataclasses.replace(found, part=self._kept(found.part, "inside")) if found.part else found

    def _look_elsewhere(self, places: list[int], suspected: Suspicion) -> None:
        """Keep the node behind the suspect where the error grows most, if there is one."""
        points = [self._probes.points[place] for place in sorted(self._probes.points)]
        growth = None if suspected.position is None else steepest_behind(points, suspected.position)
        if growth is None:
            return
        trial = dataclasses.replace(self._trial, path=self._work / "elsewhere" / "model.onnx")
        found = self._origin.elsewhere(places, growth, trial)
        if found is None:
            return
        position, growth, alone = found
        part = self._kept(alone.part, "elsewhere") if alone.part else None
        self._other = OtherSuspect(
            node=self._graph.fact(position),
            growth=growth.factor,
            fails_alone=alone.fails_alone,
            part_folder=str(part.path.parent) if part else None,
        )

    def _kept(self, part: Part, name: str) -> Part:
        """Return a part as it is kept, beside the folder of the smallest."""
        folder = self._search.folder.with_name(name)
        folder.mkdir(exist_ok=True)
        for path in part.path.parent.iterdir():
            shutil.copyfile(path, folder / path.name)
        kept = dataclasses.replace(part, path=folder / part.path.name)
        write_data(kept)
        return kept

    @property
    def _origin(self) -> Origin:
        rounding = case_rounding(self._search.case, self._search.settings, self._prepared)
        return Origin(self._probes, self._values, self._trial, self._left, rounding)

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
