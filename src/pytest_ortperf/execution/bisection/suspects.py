"""Which node a closed search points at, and which of its values are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ortperf.execution.bisection.bracket import Bracket
from pytest_ortperf.execution.bisection.judgement import Judgement
from pytest_ortperf.execution.bisection.values import GraphValues


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
