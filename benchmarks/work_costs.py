"""How long planted work takes, and which work takes so long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from planting import CHAIN, FEWEST_INPUTS, MAXIMA, Work

MOST_STRETCH = 3
_LONG_NS = 25_000
_MOST_NODES = 12


@dataclass(frozen=True, slots=True)
class Costs:
    """What work took on an AMD EPYC in a model of 60 us, in ns; only a first guess, which measuring corrects."""

    around_chain: float = 7900.0
    chain_node: float = 400.0
    element: float = 2.76
    maxima_node: float = 530.0
    """With two inputs."""

    maxima_input: float = 312.0
    """Each further one."""

    def work(self, target_ns: float, known: Mapping[Work, float] = MappingProxyType({})) -> Work | None:
        """Return the work that takes a time, as closely as there is one; `None` if it cannot be that short.

        Args:
            target_ns: The time.
            known: What some maxima were found to take: it counts more than their costs.
        """
        nodes = min(_MOST_NODES, 1 + int(target_ns / _LONG_NS))
        size = (target_ns - self.around_chain - nodes * self.chain_node) / nodes / self.element
        if size >= 1:
            return Work(CHAIN, nodes, round(size))
        choices = [Work(MAXIMA, nodes, size) for nodes in range(1, 9) for size in range(2 * nodes, 6 * nodes + 1)]
        missed = {work: abs(known.get(work, self.of(work)) - target_ns) for work in choices}
        best = min(choices, key=missed.__getitem__)
        return best if missed[best] < target_ns / 2 else None

    def of(self, work: Work) -> float:
        """Return what work takes."""
        if work.kind == CHAIN:
            return self.around_chain + work.nodes * (self.chain_node + work.size * self.element)
        return work.nodes * self.maxima_node + _further(work) * self.maxima_input

    def corrected(self, came_to: Sequence[tuple[Work, float]]) -> Costs:
        """Return costs that fit what work came to: chains by one factor, nodes and inputs of maxima each by itself."""
        chains = [(self.of(work), taken) for work, taken in came_to if work.kind == CHAIN]
        factor = (
            sum(guess * taken for guess, taken in chains) / sum(guess * guess for guess, _ in chains) if chains else 1
        )
        factor = min(max(factor, 1 / MOST_STRETCH), MOST_STRETCH)
        node, further = self._fitted([(work, taken) for work, taken in came_to if work.kind == MAXIMA])
        return Costs(self.around_chain * factor, self.chain_node * factor, self.element * factor, node, further)

    def _fitted(self, came_to: Sequence[tuple[Work, float]]) -> tuple[float, float]:
        """Return what a Max and a further input take, by least squares; the costs so far count as one measurement."""
        rows = [
            (1.0, 0.0, self.maxima_node),
            (0.0, 1.0, self.maxima_input),
            *((float(work.nodes), float(_further(work)), taken) for work, taken in came_to),
        ]
        nodes, inputs, both = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (1, 1), (0, 1)))
        node_sum, input_sum = (sum(row[i] * row[2] for row in rows) for i in (0, 1))
        divisor = nodes * inputs - both * both
        node = (node_sum * inputs - input_sum * both) / divisor
        further = (input_sum * nodes - node_sum * both) / divisor
        return max(node, self.maxima_node / MOST_STRETCH), max(further, self.maxima_input / MOST_STRETCH)


def _further(work: Work) -> int:
    """Return the inputs of the Max nodes beyond two each."""
    return work.size - FEWEST_INPUTS * work.nodes
