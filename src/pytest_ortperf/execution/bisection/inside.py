"""The search goes on inside the node that it has found, where that runs subgraphs, and inside nodes in there."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.graph import Graph, save
from pytest_ortperf.execution.bisection.judgement import Ending, Judge
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.probing import Bracket, CutVerdict, Probes, narrow
from pytest_ortperf.execution.bisection.sessions import Broken, Sessions, Shown, Step
from pytest_ortperf.execution.bisection.smallest import Part, PartTrial, Suspicion, suspicion
from pytest_ortperf.execution.bisection.subgraphs import NotSearchable, Run, is_control_flow, run_of
from pytest_ortperf.records.bisection import InnerNode, NodeFact, path_text

MOST_SHOWN = 200
"""Values of a subgraph that one session shows together. Where they hide the error, cuts are made as outside."""

_NUMBERS = itertools.count()
"""Of the files that are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What was found inside a node."""

    path: tuple[InnerNode, ...] = ()
    part: Part | None = None
    """Of the last node of the path."""

    why: str | None = None
    """Why the path does not go on, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideSearch:
    """Searches the subgraphs of nodes."""

    ending: Ending
    """Of the whole model."""

    sessions: Sessions
    sessions_left: Callable[[], int]
    work: Path
    """Folder for the models of subgraphs."""

    path: Path
    """Where the model of the innermost node is written."""

    tell: Callable[[str], None]

    def search(
        self, values: GraphValues, judge: Judge, position: int, outer: NodeFact, path: tuple[InnerNode, ...] = ()
    ) -> Inside:
        """Return the node that is wrong inside another.

        Args:
            values: Of the graph that holds the other node.
            judge: Of these values.
            position: Of that node in that graph.
            outer: The node of the model itself that all is in.
            path: From there to that node.
        """
        try:
            run = run_of(values, position)
            inside = judge.inside(run.outside)
            return self._node(self._first_step(run, inside), inside, outer, path)
        except (NotSearchable, CaseError) as reason:
            return Inside(path=path, why=str(reason))

    def _first_step(self, run: Run, judge: Judge) -> _Inner:
        """Return the first step that is wrong on the reference's values, or that breaks."""
        candidate, reference = (self._written(it) for it in (run.candidate, run.reference))
        shared = [name for name in candidate.made_by if name in reference.made_by and not candidate.is_constant(name)]
        outputs = [name for name in candidate.outputs if name in shared]
        shown = [*dict.fromkeys([*outputs, *shared])]
        if not outputs:
            raise NotSearchable("nothing that its subgraph makes can be compared")

        def is_wrong(step: Step) -> bool:
            judged = (judge.judge(name, step.computed[name], step.right[name]) for name in outputs)
            return self.ending.broken is None and not all(it.is_within for it in judged)

        # showing all of them tells at once where it begins, but keeps the provider from joining nodes
        for mine in (shown, outputs) if len(shown) <= MOST_SHOWN and self.ending.broken is None else (outputs,):
            if self.sessions_left() < 2:  # noqa: PLR2004 - side by side
                raise NotSearchable("too few sessions were left to look into it")
            state = [name for name in reference.outputs if name in reference.made_by]
            right = self._shown(reference, [*dict.fromkeys([*state, *mine])], run)
            found = self.sessions.first_step(run.steps, right, self._shown(candidate, mine, run), is_wrong)
            if isinstance(found, Broken) and self.ending.broken is not None and found.step is not None:
                first = Step(number=0, feeds=run.steps.first, right={})
                step = self.sessions.step_at(run.steps, right, found.step) if found.step else first
                return _Inner(run, candidate, reference, step, found)
            if isinstance(found, Step):
                return _Inner(run, candidate, reference, found, None)
        what = "each iteration" if run.is_loop else "what it runs"
        raise NotSearchable(f"{what} is right by itself, on the reference's values")

    def _node(self, inner: _Inner, judge: Judge, outer: NodeFact, path: tuple[InnerNode, ...]) -> Inside:
        step = inner.step
        feeds = {name: inner.candidate.in_type(name, value) for name, value in step.feeds.items()}
        values = GraphValues(inner.candidate, inner.reference, feeds, self.sessions, self.work)
        values.know(step.right, step.computed if len(step.computed) > len(inner.candidate.outputs) else {})
        where = f"{path_text(outer, path)} > {inner.run.attribute}"
        ending = dataclasses.replace(self.ending, outputs=step.computed, broken=inner.broken)
        probes = Probes(ending, values, judge, lambda line: self.tell(f"in {where}: {line}"))
        places = values.places()
        bracket = Bracket(places)
        if probes.end(places) is CutVerdict.WELL:
            return Inside(path=path, why="what it runs is right by itself, on the reference's values")
        narrow(bracket, lambda place: probes.probe(bracket, place), lambda: self.sessions_left() > 0)
        suspected = suspicion(bracket, values, probes.judged.get(bracket.wrong))
        if suspected.position is None or not bracket.is_closed:
            return Inside(path=path, why=f"the search inside its {inner.run.attribute} did not end at one node")
        found = InnerNode(
            subgraph=inner.run.attribute,
            iteration=step.number if inner.run.is_loop else None,
            node=inner.candidate.fact(suspected.position),
            fails_alone=True,
        )
        further = Inside(path=(*path, found))
        if is_control_flow(inner.candidate, suspected.position):
            further = self.search(values, judge, suspected.position, outer, further.path)
            if len(further.path) > len(path) + 1:
                return further
        return self._alone(further, values, judge, suspected)

    def _alone(self, found: Inside, values: GraphValues, judge: Judge, suspected: Suspicion) -> Inside:
        trial = PartTrial(
            values=values,
            judge=judge,
            sessions=self.sessions,
            path=self.path,
            wants_crash=self.ending.broken is not None,
        )
        positions = [] if suspected.position is None else [suspected.position]
        alone = trial.alone(positions, suspected.targets, self.sessions_left())
        *before, last = found.path
        last = dataclasses.replace(last, fails_alone=alone.fails_alone)
        return dataclasses.replace(found, path=(*before, last), part=alone.part)

    def _written(self, model: onnx.ModelProto) -> Graph:
        path = self.work / f"subgraph_{next(_NUMBERS)}.onnx"
        save(model, path)
        return Graph(path)

    def _shown(self, graph: Graph, names: Sequence[str], run: Run) -> Shown:
        path = self.work / f"shown_{next(_NUMBERS)}.onnx"
        save(graph.part(range(len(graph)), names, run.steps.first), path)
        return Shown(path, names)


@dataclass(frozen=True, slots=True)
class _Inner:
    """A step that is wrong."""

    run: Run
    candidate: Graph
    reference: Graph
    step: Step
    broken: Broken | None
