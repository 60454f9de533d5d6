"""What a search for the wrong node found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_ortperf.records.pictures import ErrorPicture

MISMATCH = "mismatch"
"""Outputs leave their tolerance; the other symptoms are `crash`, `timeout` and `error`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFact:
    """The range of one tensor that goes into a node or comes out of it."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    origin: str
    """`input` of the model, `constant`, or `computed`."""

    low: float | None = None
    """Smallest finite element; `None` where there is none, and for text."""

    high: float | None = None
    not_finite: int = 0
    """Elements that are NaN or infinite."""

    reference_low: float | None = None
    """The same of the reference, of outputs."""

    reference_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFact:
    """One node of the graph."""

    position: int
    """In the graph's own order, from 0."""

    name: str
    """Its own, or operator type and position where it has none: `Conv_12`."""

    op_type: str
    domain: str = ""
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerNode:
    """A node in a subgraph of the node that a search found, or of the inner node before."""

    subgraph: str
    """What holds it: `then_branch`, `else_branch` or `body`."""

    iteration: int | None = None
    """Of a body, from 0: the first whose outputs leave tolerance, or where it crashes."""

    node: NodeFact
    """Its position is that in the subgraph."""

    fails_alone: bool | None
    """As that of the suspect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSuspect:
    """The node where the error grows most, if that is not the suspect."""

    node: NodeFact
    growth: float
    """How many times the error grows from the cut before it to the one after it."""

    fails_alone: bool | None
    """As that of the suspect."""

    part_folder: str | None = None
    """Folder of a model of it that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPoint:
    """How far off the tensors are that the graph from here on reads."""

    node: NodeFact
    """The last node that was computed."""

    tensor: str | None
    """The one that is furthest off; `None` if nothing was computed."""

    error: float | None
    """Largest absolute error over the root mean square of the reference; `None` if not finite or not computed."""

    max_abs_error: float | None
    is_within: bool
    """Whether all of these tensors are within their tolerance."""

    problem: str | None = None
    """Why nothing was computed: a crash, a time-out, an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """The answer, and how it was found."""

    case_id: str
    provider_full_name: str
    reference: str
    """What was compared with: `CPU, graph optimisation off`, or another model on it."""

    model: str
    """Path of the model as it ran, converted or not."""

    data_set: str
    symptom: str
    """`mismatch`, `crash`, `timeout` or `error`."""

    complaint: str
    """What is wrong at the end of the graph, for people."""

    nodes: int
    """In the graph; a node with a subgraph is one."""

    sessions: int
    """Created, for the provider and the reference together."""

    sessions_allowed: int
    points: tuple[GrowthPoint, ...]
    """In the order of the graph."""

    suspect: NodeFact | None
    """The node whose outputs leave tolerance, or where it crashes; `None` if none was found."""

    beside: tuple[NodeFact, ...] = ()
    """Nodes that may be meant too: nothing between them and the suspect could be compared."""

    inputs: tuple[ValueFact, ...] = ()
    outputs: tuple[ValueFact, ...] = ()
    fails_alone: bool | None = None
    """Whether the suspect fails by itself on the reference's inputs; `None` if that was not tried."""

    inside: tuple[InnerNode, ...] = ()
    """Where the suspect runs subgraphs: the path to the node that is wrong inside, from the outside in."""

    inside_folder: str | None = None
    """Folder of a model of that node that fails."""

    other: OtherSuspect | None = None
    part: tuple[NodeFact, ...] = ()
    """Nodes of the smallest model that was seen to fail."""

    part_folder: str | None = None
    part_complaint: str | None = None
    """What is wrong with that model's outputs, for people."""

    conclusion: str
    """What all of this says, for people."""

    pictures: tuple[ErrorPicture, ...] = ()

    @property
    def path(self) -> str | None:
        """The suspect and the nodes inside it, such as `node 'if_1' > then_branch > node 'mul_3'`."""
        return path_text(self.suspect, self.inside) if self.suspect else None


def path_text(node: NodeFact, inside: Iterable[InnerNode]) -> str:
    """Return a node and those inside it, from the outside in."""
    return " > ".join([f"node '{node.name}'", *(f"{it.subgraph} > node '{it.node.name}'" for it in inside)])
