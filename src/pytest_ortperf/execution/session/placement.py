"""Which provider got which nodes, and whether the one asked for got enough of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.session.profile_events import read_events
from pytest_ortperf.execution.session.runtime_log import reason
from pytest_ortperf.records.record import Placement

FOLDED = "the graph folded to constants: no node is left to run on any provider"
"""Reason of a validation that passes and shows nothing of its provider, and of a benchmark with nothing to time."""

_SHOWN = 6
_RECORDS = "session.record_ep_graph_assignment_info"
_CPU = "CPUExecutionProvider"
_INSERTED = "InsertedPrecisionFreeCast_"
"""Start of the name of a cast that ONNX Runtime adds after assignment, so that a float16 node runs in float32."""


def has_assignment_info() -> bool:
    """Whether this ONNX Runtime tells placement itself (1.24 and later)."""
    return hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")


def assignment_is_complete() -> bool:
    """Whether it tells all of it: before 1.27, nodes are missing that no provider claimed before casts were added."""
    return tuple(map(int, re.findall(r"\d+", onnxruntime.__version__)[:2])) >= (1, 27)


def record_placement(options: onnxruntime.SessionOptions) -> None:
    """Have a session keep what `read_placement` returns."""
    options.add_session_config_entry(_RECORDS, "1")


def require_recorded(options: onnxruntime.SessionOptions) -> None:
    """Refuse options in which somebody has switched off what `record_placement` switched on.

    Raises:
        CaseError: Stage `session`.
    """
    if options.get_session_config_entry(_RECORDS) != "1":
        raise CaseError(
            f"the session config entry {_RECORDS} has been switched off; it shows where nodes ran, and no result is "
            f"given without: leave it out of options, model list and hooks",
            stage="session",
            kind="session error",
        )


def read_placement(session: onnxruntime.InferenceSession) -> Placement:
    """Return the assignment of every node of the session's graph.

    Source: `InferenceSession.get_provider_graph_assignment_info`, of a session whose options
    `record_placement` has prepared (ONNX Runtime 1.24 and later).
    """
    return _counted(
        (
            (subgraph.ep_name, node.op_type)
            for subgraph in session.get_provider_graph_assignment_info()
            for node in subgraph.get_nodes()
        ),
        "assignment info",
    )


def placement_of_profile(text: str) -> Placement:
    """Return the assignment from a profile of at least one run, for an ONNX Runtime older than 1.24.

    Each node counts once, by its name, however often it ran; a subgraph that a provider took whole is one node there.

    Args:
        text: Of the file that `InferenceSession.end_profiling` names.

    Raises:
        CaseError: If it was cut off or is not such a file.
    """
    nodes = {event.name: event for event in read_events(text) if event.is_node}
    return _counted(
        (
            (event.provider, event.op_type or "?")
            for event in nodes.values()
            if event.provider is not None and not event.name.startswith(_INSERTED)
        ),
        "profile",
    )


def completed(told: Placement, told_when_profiled: Placement, profiled: Placement) -> Placement:
    """Return what a session told, with the nodes that ran without being told of; these are on the CPU provider.

    Args:
        told: By the session of the case.
        told_when_profiled: By a session that fuses no nodes, so that those on the CPU provider can be counted.
        profiled: Of a run of that session.
    """
    ran, known = (it.op_types_by_provider.get(_CPU, {}) for it in (profiled, told_when_profiled))
    missing = Counter(ran) - Counter(known)
    if not missing:
        return told
    on_cpu = Counter(told.op_types_by_provider.get(_CPU, {})) + missing
    return Placement(
        nodes_by_provider={**told.nodes_by_provider, _CPU: on_cpu.total()},
        op_types_by_provider={**told.op_types_by_provider, _CPU: dict(on_cpu)},
        source=f"{told.source} and {profiled.source}",
    )


def require_placement(
    case: Case, placement: Placement, max_fallback_percent: float, log: Callable[[], Sequence[str]] = tuple
) -> None:
    """Refuse a case whose provider got no node, or fewer than it should.

    Args:
        case: Says which provider was asked for.
        placement: What it got.
        max_fallback_percent: Share of nodes that may lie elsewhere.
        log: Returns what ONNX Runtime has printed so far; an error there can say why a provider took nothing.

    Raises:
        CaseError: Stage `placement`, kind `fallback`. A graph without nodes (all folded to constants) passes.
    """
    asked, total = case.provider.full_name, placement.total_nodes
    there = placement.nodes_by_provider.get(asked, 0)
    if total == 0:
        return
    elsewhere = elsewhere_text(placement, asked)
    if there == 0:
        why = reason(log())
        raise _fallback(f"asked for {asked}, 0 of {total} nodes ran there; {elsewhere}" + (f"; {why}" if why else ""))
    share = 100.0 * (total - there) / total
    if share > max_fallback_percent:
        raise _fallback(
            f"asked for {asked}, {there} of {total} nodes ran there: {share:.3g} % elsewhere, "
            f"{max_fallback_percent:g} % allowed by --ortperf-fallback; {elsewhere}"
        )


def refuse_unknown_placement(
    case: Case, told: Placement | None, active: Sequence[str], max_fallback_percent: float, why: str
) -> None:
    """Refuse a case whose placement is unknown where it matters.

    Args:
        case: Says which provider was asked for.
        told: What the session told, with nodes missing.
        active: Providers of the session; on a single one, all nodes are there.
        max_fallback_percent: Share of nodes that may lie elsewhere.
        why: Why placement is unknown.

    Raises:
        CaseError: As `require_placement`.
    """
    asked = case.provider.full_name
    if list(active) == [asked]:
        return
    if told is None or not told.nodes_by_provider.get(asked):
        raise _fallback(f"asked for {asked}, and whether any node ran there is unknown: {why}")
    if max_fallback_percent < 100:  # noqa: PLR2004 - all
        raise _fallback(
            f"asked for {asked}, and how many nodes ran elsewhere is unknown, while --ortperf-fallback allows "
            f"{max_fallback_percent:g} %: {why}"
        )


def elsewhere_text(placement: Placement, asked: str) -> str:
    """Return which operator types went to other providers than the one asked for, most frequent first."""
    others = {name: types for name, types in placement.op_types_by_provider.items() if name != asked}
    return "; ".join(f"{name} got {_most(types)}" for name, types in sorted(others.items()))


def _most(types: Mapping[str, int]) -> str:
    ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{count} {name}" for name, count in ordered[:_SHOWN])
    return f"{shown} and {len(ordered) - _SHOWN} more types" if len(ordered) > _SHOWN else shown


def _counted(assigned: Iterable[tuple[str, str]], source: str) -> Placement:
    op_types: dict[str, Counter[str]] = {}
    for provider, op_type in assigned:
        op_types.setdefault(provider, Counter())[op_type] += 1
    return Placement(
        nodes_by_provider={name: counts.total() for name, counts in op_types.items()},
        op_types_by_provider={name: dict(counts) for name, counts in op_types.items()},
        source=source,
    )


def _fallback(message: str) -> CaseError:
    return CaseError(message, stage="placement", kind="fallback")
