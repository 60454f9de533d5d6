"""Values inside the graph: as the CPU computes them, asked for in few sessions, and as the provider does."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_ortperf.execution.bisection.graph import Graph, remove, save
from pytest_ortperf.execution.bisection.sessions import Answer, Computed, Sessions
from pytest_ortperf.execution.inputs.tensor_types import Value


class GraphValues:
    """Computes any values of two graphs from the same inputs.

    Attributes:
        candidate: The graph as the case runs it.
        reference: The graph that says what is right; its values have the same names.
        inputs: Of both.
        comparable: Names of the values that both graphs make.
    """

    def __init__(
        self, candidate: Graph, reference: Graph, inputs: Mapping[str, Value], sessions: Sessions, folder: Path
    ) -> None:
        """Keep what computes.

        Args:
            candidate: As above.
            reference: As above.
            inputs: As above.
            sessions: Makes the sessions.
            folder: For the files of partial models; each is removed once it has been run.
        """
        self.candidate = candidate
        self.reference = reference
        self.inputs = inputs
        self.comparable = frozenset(candidate.made_by) & frozenset(reference.made_by)
        self._sessions = sessions
        self._folder = folder
        self._known: dict[str, Value] = {}
        self._shown: Mapping[str, Value] = {}
        self._number = itertools.count()

    def know(self, references: Mapping[str, Value], computed: Mapping[str, Value]) -> None:
        """Take values that need no further session: the reference's, and the provider's."""
        self._known.update(references)
        self._shown = computed

    def references(self, names: Iterable[str]) -> Mapping[str, Value]:
        """Return the reference's values, computed in one session where they are not known yet.

        Raises:
            CaseError: Stage `reference`, if the CPU cannot compute them.
        """
        wanted = list(dict.fromkeys(names))
        lacking = [name for name in wanted if name not in self._known and name not in self.inputs]
        if lacking:
            path = self._write(self.reference, self.reference.ancestors(lacking), lacking)
            self._known.update(self._sessions.reference(path, self.inputs, lacking))
            remove(path)
        return {name: self._known[name] if name in self._known else self.inputs[name] for name in wanted}

    def knows(self, names: Iterable[str]) -> bool:
        """Whether no session is needed for these values of the reference."""
        return all(name in self._known or name in self.inputs for name in names)

    def forget(self, but: Iterable[str]) -> None:
        """Let go of the reference's values that are no longer needed."""
        kept = set(but)
        self._known = {name: value for name, value in self._known.items() if name in kept}

    def places(self) -> list[int]:
        """Return the positions after which a cut has something to compare that the node made; the last is the end."""
        graph, last = self.candidate, len(self.candidate) - 1

        def shows(position: int) -> bool:
            made = (name for name in graph.writes[position] if name in self.comparable)
            return any(graph.is_read_after(name, position) and not graph.is_constant(name) for name in made)

        return [*filter(shows, range(last)), last]

    def cut(self, position: int) -> list[str]:
        """Return the comparable values of a cut; see `Graph.cut`."""
        return [name for name in self.candidate.cut(position) if name in self.comparable]

    def compute(self, names: Sequence[str]) -> Answer:
        """Return values as the provider computes them from the model's inputs, and no more than they need."""
        if self._shown.keys() >= set(names):
            return Computed(outputs={name: self._shown[name] for name in names})
        path = self._write(self.candidate, self.candidate.ancestors(names), names)
        answer = self._sessions.candidate(path, self.inputs, names)
        remove(path)
        return answer

    def _write(self, graph: Graph, positions: Sequence[int], outputs: Sequence[str]) -> Path:
        path = self._folder / f"part_{next(self._number)}.onnx"
        save(graph.part(positions, outputs, self.inputs), path)
        return path
