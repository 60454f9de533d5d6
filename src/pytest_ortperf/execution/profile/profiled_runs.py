"""Events of a profile -> runs, with the own time of each node, so that no time is counted twice."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_ortperf.execution.session.profile_events import KERNEL, Event, unreadable

SLACK = 1
"""In us: an event ends up to that much after the one it is in, since starts and durations are rounded down apart."""

_WITH_SUBGRAPHS = frozenset({"If", "Loop", "Scan", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})


class NodeKey(NamedTuple):
    """What tells a node from others, as far as a profile does: two subgraphs may have nodes of one name."""

    provider: str
    op_type: str
    name: str
    node_index: str | None


@dataclass(slots=True)
class NodeTime:
    """A node in one run."""

    own_us: int = 0
    """Over all its calls; without the nodes of its subgraphs."""

    containers: set[str | None] = field(default_factory=set)
    """Names of the nodes whose subgraphs it was called in; `None` is the model's own graph."""


@dataclass(frozen=True, slots=True)
class ProfiledRun:
    """One run of the session."""

    duration_us: int
    nodes: Mapping[NodeKey, NodeTime]
    overlapping: bool
    """Whether a node ran in another thread than the run's."""

    kernel_us: Mapping[str | None, int]
    """Time of the device's kernels by operator type; `None` for those that name no operator."""


@dataclass(slots=True)
class _Window:
    run: Event
    nodes: list[Event] = field(default_factory=list)
    graphs: list[Event] = field(default_factory=list)
    kernels: list[Event] = field(default_factory=list)

    def members(self, event: Event) -> list[Event] | None:
        """Return the list an event belongs to; `None` if nothing is to be known from it."""
        if event.is_node:
            return self.nodes
        if event.is_graph:
            return self.graphs
        return self.kernels if event.category == KERNEL else None


def profiled_runs(events: Iterable[Event]) -> list[ProfiledRun]:
    """Return the runs that have ended, in order. Events of one that has not, behind them, are left out.

    Raises:
        CaseError: Stage `profile`, if runs overlap, or an event is in none or names no provider.
    """
    events = list(events)
    runs = sorted((event for event in events if event.is_run), key=lambda run: run.start)
    windows = [_Window(run) for run in runs]
    for one, other in itertools.pairwise(windows):
        if other.run.start < one.run.end:
            raise unreadable("its runs overlap")
    _fill(windows, events)
    return [_profiled(window) for window in windows]


def _fill(windows: Sequence[_Window], events: Iterable[Event]) -> None:
    starts = [window.run.start for window in windows]
    stray = False
    for event in events:
        number = bisect.bisect_right(starts, event.start) - 1
        window = windows[number] if number >= 0 else None
        if window is not None and event.end <= window.run.end + SLACK:
            members = window.members(event)
            if members is not None:
                members.append(event)
        elif event.category == KERNEL:
            stray = stray or window is not None
        elif event.is_node and (window is None or window is not windows[-1] or event.start < window.run.end):
            raise unreadable(f"node {event.name!r} is in none of its runs")
    if stray:
        # by a clock of its own, it seems: what lies in a run need not belong to it
        for window in windows:
            window.kernels.clear()


def _profiled(window: _Window) -> ProfiledRun:
    nodes = _node_times(window)
    overlapping = any(node.thread != window.run.thread for node in window.nodes)
    taken = sum(time.own_us for time in nodes.values())
    if not overlapping and taken > window.run.duration + SLACK * len(window.nodes):
        raise unreadable("the nodes of a run took longer than the run")
    kernels: dict[str | None, int] = defaultdict(int)
    for kernel in window.kernels:
        kernels[kernel.op_type] += kernel.duration
    return ProfiledRun(duration_us=window.run.duration, nodes=nodes, overlapping=overlapping, kernel_us=dict(kernels))


def _node_times(window: _Window) -> dict[NodeKey, NodeTime]:
    containers = _containers(window)
    own = {id(node): node.duration for node in window.nodes}
    for node in window.nodes:
        container = containers.get(id(node))
        if container is not None:
            own[id(container)] = max(own[id(container)] - node.duration, 0)
    nodes: dict[NodeKey, NodeTime] = defaultdict(NodeTime)
    for node in window.nodes:
        container = containers.get(id(node))
        time = nodes[_key(node)]
        time.own_us += own[id(node)]
        time.containers.add(container.name if container else None)
    return dict(nodes)


def _key(node: Event) -> NodeKey:
    if node.provider is None or node.op_type is None:
        raise unreadable(f"node {node.name!r} names no provider or operator")
    return NodeKey(node.provider, node.op_type, node.name, node.node_index)


def _containers(window: _Window) -> dict[int, Event]:
    """Return, by the `id` of a node within a subgraph, the node that has the subgraph.

    A subgraph runs in the thread of its node, inside an event around all its nodes: nodes are in such events, and
    these in nodes. That is how a node which merely starts in the same us is told from one inside.
    """
    found: dict[int, Event] = {}
    owners: dict[int, Event] = {}
    open_events: list[Event] = []
    for event in sorted([*window.nodes, *_subgraph_calls(window)], key=_outer_first):
        open_events = [it for it in open_events if it.thread == event.thread and it.end + SLACK >= event.start]
        around = next((it for it in reversed(open_events) if _is_around(it, event)), None)
        if around is not None and event.is_graph:
            owners[id(event)] = around
        elif around is not None and id(around) in owners:
            found[id(event)] = owners[id(around)]
        open_events.append(event)
    return found


def _is_around(outer: Event, inner: Event) -> bool:
    if outer.is_graph == inner.is_graph or inner.end > outer.end + SLACK:
        return False
    # a node goes on after its subgraph
    return inner.start <= outer.end if outer.is_graph else inner.start < outer.end


def _subgraph_calls(window: _Window) -> list[Event]:
    """Return the events around graphs, without the one around the model's own."""
    ours = [graph for graph in window.graphs if graph.thread == window.run.thread]
    whole = max(ours, key=lambda graph: (graph.duration, -graph.start), default=None)
    return [graph for graph in window.graphs if graph is not whole]


def _outer_first(event: Event) -> tuple[int, int, int, int]:
    level = 1 if event.is_graph else 0 if event.op_type in _WITH_SUBGRAPHS else 2
    return event.thread, event.start, -event.duration, level
