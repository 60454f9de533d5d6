"""A small model that fails by itself: the suspect alone, else with as many of the nodes before it as it takes.

Which node a closed search points at, and which of its values are wrong.

The data set of a part, in the files that a model directory has.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.bisection.graph import save
from pytest_ortperf.execution.bisection.judgement import Judge, Judgement, wrong_outputs
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.probing import Bracket
from pytest_ortperf.execution.bisection.sessions import Answer, Broken, Sessions
from pytest_ortperf.execution.inputs.tensor_types import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Between the last good cut and the first bad one."""

    position: int | None
    """Of the node; `None` if no node in between makes what is wrong."""

    beside: tuple[int, ...]
    """Nodes that may be meant too."""

    targets: tuple[str, ...]
    """Values that the node makes and that are wrong; of a crash, all that the rest of the graph reads."""


def suspicion(
    bracket: Bracket, values: GraphValues, judged: Sequence[Judgement] | None, limit: float | None = None
) -> Suspicion:
    """Return what lies between the ends of a search.

    Args:
        bracket: The search, at its end.
        values: Of the graph that was searched.
        judged: The values of the first bad cut; `None` if it broke.
        limit: Errors above this are wrong; `None` is what lies outside the tolerance.
    """
    graph = values.candidate
    first = -1 if bracket.well is None else bracket.well
    between = range(first + 1, bracket.wrong + 1)
    if judged is None:
        targets = [name for name in graph.writes[bracket.wrong] if name in values.comparable]
        return Suspicion(position=bracket.wrong, beside=_beside(values, between, bracket.wrong), targets=tuple(targets))
    wrong = {it.name for it in judged if (not it.is_within if limit is None else it.size > limit)}
    makers = [position for position in between if wrong & set(graph.writes[position])]
    if not makers:
        return Suspicion(position=None, beside=(), targets=tuple(sorted(wrong)))
    position = makers[0]
    targets = [name for name in graph.writes[position] if name in wrong]
    return Suspicion(position=position, beside=_beside(values, between, position), targets=tuple(targets))


def _beside(values: GraphValues, between: range, position: int) -> tuple[int, ...]:
    """Return the other nodes in between on which the suspect depends; constants are never wrong."""
    graph = values.candidate
    before = set(graph.ancestors(graph.writes[position]))
    return tuple(
        other
        for other in between
        if other != position and other in before and not any(map(graph.is_constant, graph.writes[other]))
    )


DATA_SET = "test_data_set_0"


def write_data(part: Part) -> Path:
    """Write what a part is fed and what the reference gives; return the folder.

    A value that no file can hold, such as a map of strings, is left out.
    """
    folder = part.path.parent / DATA_SET
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*put_*.pb"):
        old.unlink()
    for kind, values in (("input", part.inputs), ("output", part.expected)):
        _write_all(folder, kind, values)
    return folder


def _write_all(folder: Path, kind: str, values: Mapping[str, Value]) -> None:
    protos = [proto for name, value in values.items() if (proto := _proto(name, value)) is not None]
    for number, proto in enumerate(protos):
        (folder / f"{kind}_{number}.pb").write_bytes(proto.SerializeToString())


def _proto(name: str, value: Value) -> Any:
    if isinstance(value, np.ndarray):
        return numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
    if isinstance(value, list) and all(isinstance(item, np.ndarray) for item in value):
        return numpy_helper.from_list(value, name)
    return onnx.OptionalProto(name=name, elem_type=onnx.OptionalProto.TENSOR) if value is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A model of some of the nodes, and its data."""

    positions: tuple[int, ...]
    inputs: Mapping[str, Value]
    expected: Mapping[str, Value]
    """Of the reference, in the types that the model gives."""

    limits: Mapping[str, Tolerance]
    """What values are held to against what is expected."""

    answer: Answer
    complaint: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """What was found."""

    part: Part | None
    fails_alone: bool | None
    """Whether the suspect itself does; `None` if that could not be tried."""

    origin: Suspicion | None = None
    """An earlier node, where the error comes from while it is still within tolerance."""

    own_error: float | None = None
    """What that node makes of it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTrial:
    """Makes parts and looks whether they fail."""

    values: GraphValues
    judge: Judge
    sessions: Sessions
    path: Path
    """Where the model of a part is written."""

    wants_crash: bool
    """Whether failing means to break, not to give wrong values."""

    def alone(self, suspects: Sequence[int], targets: Sequence[str], sessions: int) -> Smallest:
        """Return whether some nodes fail by themselves, on the reference's inputs.

        Args:
            suspects: Positions of the nodes.
            targets: Values that they make wrong.
            sessions: How many may still be made.

        Raises:
            CaseError: Stage `reference`, if the CPU cannot compute what the part is fed.
        """
        positions = self._closed(suspects)
        if sessions < self._cost(positions, targets):
            return Smallest(part=None, fails_alone=None)
        part = self._failing(positions, targets)
        return Smallest(part=part, fails_alone=part is not None)

    def grown(self, suspects: Sequence[int], targets: Sequence[str], sessions: int) -> Smallest:
        """Return the smallest part that fails, of sizes that double, of some nodes and those before them.

        Args:
            suspects: As `alone`.
            targets: As `alone`.
            sessions: As `alone`.

        Raises:
            CaseError: As `alone`.
        """
        before = self.values.candidate.ancestors(targets)
        sizes = _sizes(len(suspects), len(before), sessions - 1)
        chosen = [self._closed({*suspects, *before[-size:]}) for size in sizes]
        # of all sizes at once: one session
        if chosen:
            self.values.references(name for positions in chosen for name in self._fed(positions))
        for positions in chosen:
            part = self._failing(positions, targets)
            if part is not None:
                return Smallest(part=part, fails_alone=False)
        return Smallest(part=None, fails_alone=False)

    def errors(self, positions: Sequence[int], targets: Sequence[str], sessions: int) -> list[Judgement] | None:
        """Return how values of some nodes stand to the reference, on its inputs; `None` if that cannot be said.

        Args:
            positions: Of the nodes.
            targets: Values that they make.
            sessions: As `alone`.
        """
        closed = self._closed(positions)
        if sessions < self._cost(closed, targets):
            return None
        part = self._part(closed, targets, None)
        return None if isinstance(part.answer, Broken) else self._judged(part.answer.outputs)

    def from_inputs(self, targets: Sequence[str], answer: Answer, complaint: str) -> Part:
        """Return the part that begins at the inputs of the model, whose answer is known."""
        positions = self.values.candidate.ancestors(targets)
        part = self._part(positions, targets, answer)
        return dataclasses.replace(part, complaint=complaint)

    def _failing(self, positions: Sequence[int], targets: Sequence[str]) -> Part | None:
        part = self._part(positions, targets, None)
        complaint = self._complaint(part)
        if complaint is None:
            return None
        # again, now that the types of its outputs are known
        return dataclasses.replace(self._part(positions, targets, part.answer), complaint=complaint)

    def _part(self, positions: Sequence[int], targets: Sequence[str], answer: Answer | None) -> Part:
        # of both at once: one session
        self.values.references([*self._fed(positions), *targets])
        fed, references = self._fed_values(positions), self.values.references(targets)
        expected = {name: self.values.candidate.in_type(name, value) for name, value in references.items()}
        shown = expected if answer is not None and not isinstance(answer, Broken) else None
        save(self.values.candidate.part(positions, targets, fed, shown), self.path)
        if answer is None:
            answer = self.sessions.candidate(self.path, fed, targets)
        return Part(
            positions=tuple(positions),
            inputs=fed,
            expected=expected,
            limits={name: self.judge.limits(name, value) for name, value in references.items()},
            answer=answer,
            complaint="",
            path=self.path,
        )

    def _complaint(self, part: Part) -> str | None:
        if isinstance(part.answer, Broken):
            return part.answer.text if self.wants_crash else None
        if self.wants_crash:
            return None
        return wrong_outputs(self._judged(part.answer.outputs))

    def _judged(self, outputs: Mapping[str, Value]) -> list[Judgement]:
        references = self.values.references(outputs)
        return [self.judge.judge(name, value, references[name]) for name, value in outputs.items()]

    def _fed(self, positions: Iterable[int]) -> list[str]:
        """Return what a part has to be fed, without initialisers that need not be."""
        return [name for name in self.values.candidate.fed_names(positions) if name not in self.values.inputs]

    def _fed_values(self, positions: Sequence[int]) -> dict[str, Value]:
        graph = self.values.candidate
        own = [name for name in graph.fed_names(positions) if name in self.values.inputs]
        own += [name for name in graph.optional_inputs(positions) if name in self.values.inputs]
        inside = self.values.references(self._fed(positions))
        return {
            **{name: self.values.inputs[name] for name in own},
            **{name: self.values.candidate.in_type(name, value) for name, value in inside.items()},
        }

    def _closed(self, positions: Iterable[int]) -> list[int]:
        """Return the positions with those of the nodes whose values have no reference, and of constants."""
        graph = self.values.candidate
        found = set(positions)
        while True:
            lacking = {
                graph.made_by[name]
                for name in graph.fed_names(sorted(found))
                if name in graph.made_by and (name not in self.values.comparable or graph.is_constant(name))
            }
            if lacking <= found:
                return sorted(found)
            found |= lacking

    def _cost(self, positions: Sequence[int], targets: Sequence[str]) -> int:
        return 1 if self.values.knows({*self._fed(positions), *targets}) else 2


def _sizes(smallest: int, largest: int, sessions: int) -> list[int]:
    """Return sizes between two, in equal ratios, as many as there may be sessions."""
    if sessions < 1 or largest <= smallest + 1:
        return []
    count = min(sessions - 1, math.ceil(math.log2(largest / smallest)))
    ratio = (largest / smallest) ** (1 / (count + 1))
    sizes = [round(smallest * ratio**step) for step in range(1, count + 1)]
    return sorted({size for size in sizes if smallest < size < largest})
