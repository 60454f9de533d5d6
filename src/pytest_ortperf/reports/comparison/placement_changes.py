"""Nodes that run on another provider than before: an exact comparison of counts by operator type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pytest_ortperf.records.record import Placement, Record
from pytest_ortperf.reports.comparison.change import BETTER, OTHER, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import Side

MOVED_OFF, MOVED_ON, OTHER_GRAPH = "moved off", "moved on", "another graph"

_MOST_TYPES = 6


def placement_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield cases whose nodes are on other providers, or are others; each once."""
    return once(_all(base, current))


def _all(base: Side, current: Side) -> Iterator[tuple[Record, Change]]:
    before = base.last
    for key, case in current.last.items():
        known = before.get(key)
        record = case.record
        if known is None or known.record.placement is None or record.placement is None:
            continue
        if known.record.placement.source != record.placement.source:
            continue
        said = _difference(known.record.placement, record.placement, record.provider_full_name)
        if said is not None:
            kind, direction, text = said
            yield (
                record,
                Change(topic="placement", kind=kind, direction=direction, case_id=key, nodeid=record.nodeid, text=text),
            )


def _difference(base: Placement, current: Placement, asked: str) -> tuple[str, str, str] | None:
    moved = _moved(base, current)
    if not moved:
        return None
    text = _text(moved)
    elsewhere = [placement.total_nodes - placement.nodes_by_provider.get(asked, 0) for placement in (base, current)]
    on_it = f"; {_on(base, asked)} -> {_on(current, asked)} on {_short(asked)}"
    if elsewhere[1] > elsewhere[0]:
        return MOVED_OFF, WORSE, text + on_it
    if elsewhere[1] < elsewhere[0]:
        return MOVED_ON, BETTER, text + on_it
    return OTHER_GRAPH, OTHER, text + on_it


def _moved(base: Placement, current: Placement) -> Mapping[str, Counter[str]]:
    """Return provider -> operator type -> nodes more or, negative, fewer; only what differs."""
    found = {}
    for name in dict.fromkeys([*base.op_types_by_provider, *current.op_types_by_provider]):
        counts = Counter(current.op_types_by_provider.get(name, {}))
        counts.subtract(base.op_types_by_provider.get(name, {}))
        changed = Counter({op_type: count for op_type, count in counts.items() if count})
        if changed:
            found[name] = changed
    return found


def _text(moved: Mapping[str, Counter[str]]) -> str:
    return ", ".join(
        f"{_short(name)} {_types(counts)}" for name, counts in sorted(moved.items(), key=lambda item: item[0])
    )


def _types(counts: Counter[str]) -> str:
    listed = sorted(counts.items(), key=lambda item: (-abs(item[1]), item[0]))
    text = " ".join(f"{count:+d} {op_type}" for op_type, count in listed[:_MOST_TYPES])
    more = len(listed) - _MOST_TYPES
    return f"{text} and {more} more types" if more > 0 else text


def _on(placement: Placement, asked: str) -> str:
    return f"{placement.nodes_by_provider.get(asked, 0)}/{placement.total_nodes}"


def _short(full_name: str) -> str:
    return full_name.removesuffix("ExecutionProvider") or full_name
