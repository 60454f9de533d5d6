"""Which provider got which nodes, and whether the one asked for got any."""

from __future__ import annotations

from collections import Counter

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.records.record import Placement


def read_placement(session: onnxruntime.InferenceSession) -> Placement:
    """Return the assignment of every node of the session's optimised graph.

    Source: `InferenceSession.get_provider_graph_assignment_info`, of a session made with the config entry
    `session.record_ep_graph_assignment_info` (ONNX Runtime 1.24 and later).
    """
    nodes: Counter[str] = Counter()
    op_types: dict[str, Counter[str]] = {}
    for subgraph in session.get_provider_graph_assignment_info():
        names = [node.op_type for node in subgraph.get_nodes()]
        nodes[subgraph.ep_name] += len(names)
        op_types.setdefault(subgraph.ep_name, Counter()).update(names)
    return Placement(
        nodes_by_provider=dict(nodes),
        op_types_by_provider={name: dict(counts) for name, counts in op_types.items()},
        source="assignment info",
    )


def require_placement(case: Case, placement: Placement) -> None:
    """Refuse a case whose provider got no node.

    Raises:
        CaseError: Stage `placement`, kind `fallback`. A graph without nodes (all folded to constants) passes.
    """
    asked = case.provider.full_name
    if placement.total_nodes == 0 or placement.nodes_by_provider.get(asked):
        return
    elsewhere = ", ".join(f"{count} on {name}" for name, count in sorted(placement.nodes_by_provider.items()))
    raise CaseError(
        f"asked for {asked}, 0 of {placement.total_nodes} nodes ran there ({elsewhere})",
        stage="placement",
        kind="fallback",
    )
