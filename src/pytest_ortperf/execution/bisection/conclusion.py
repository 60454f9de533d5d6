"""What a search says, in words: no more than what was seen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_ortperf.records.bisection import GrowthPoint, NodeFact

if TYPE_CHECKING:
    from pytest_ortperf.execution.bisection.answer import Findings

_JUMP = 10
"""Times that an error has to grow to be worth a word."""

_SMALLEST = 1e-7
"""An error below this is rounding in float32."""

_BREAKS = {"crash": "crashes", "timeout": "does not end", "error": "fails"}


def conclusion(found: Findings, suspect: NodeFact | None) -> str:
    """Return the conclusion of a search that points at a node, or at none."""
    if found.wrong is None:
        return _nothing_wrong(found)
    if suspect is None:
        return (
            "The values that cross each cut are within tolerance when the graph ends there, and only the whole graph "
            "leaves it: what is wrong comes of how the provider joins nodes, which a cut keeps it from. Try "
            "--ortperf-graph-optimization=disable; if the outputs are right then, it is an optimisation."
        )
    broken = found.ending.broken is not None
    sentences = [_place(found, broken=broken), _alone(found, broken=broken), _steepest(found.points, suspect.position)]
    if not found.is_closed:
        sentences.append("The search ended early: one of the nodes named beside it may be meant instead.")
    return " ".join(sentence for sentence in sentences if sentence)


def _nothing_wrong(found: Findings) -> str:
    provider, reference = found.case.provider.full_name, found.reference
    if found.ending.leaves_stored:
        return (
            f"{provider} computes what the reference computes ({reference}), within tolerance: only the stored outputs "
            f"differ ({found.ending.leaves_stored}). They belong to another model or other inputs, or both are wrong."
        )
    return f"The outputs are within tolerance of the reference ({reference}): there is nothing to search."


def _place(found: Findings, *, broken: bool) -> str:
    if found.smallest is not None and found.smallest.origin is not None:
        return "What crosses the cut before it is right, or off by little of the later error."
    if found.well is None:
        before = "No cut before it can be compared"
    elif broken:
        before = "The graph up to the node before it runs"
    else:
        before = "All that the graph from here on reads of earlier nodes is within tolerance"
    after = f"with this node it {_BREAKS[found.ending.symptom]}" if broken else "what this node makes is not"
    return f"{before}; {after}."


def _alone(found: Findings, *, broken: bool) -> str:
    smallest = found.smallest
    if found.no_reference:
        return f"The CPU cannot compute it either, so the model or its inputs may be wrong: {found.no_reference}"
    if smallest is None or smallest.fails_alone is None:
        return "It was not tried by itself."
    if smallest.fails_alone:
        with_beside = " (with the nodes named beside it)" if found.suspicion and found.suspicion.beside else ""
        verb = _BREAKS[found.ending.symptom] if broken else "is wrong"
        return f"By itself{with_beside}, on the reference's inputs, it {verb} too."
    return _origin(found) if smallest.origin is not None else _with_earlier(found, broken=broken)


def _with_earlier(found: Findings, *, broken: bool) -> str:
    if found.smallest is not None and found.smallest.part is not None:
        count = len(found.smallest.part.positions)
        return f"By itself it is right; the smallest part seen to fail has {count} nodes and ends with it."
    if broken:
        return "By itself it runs, and so does each smaller part that was tried: it takes the graph before it."
    return (
        "By itself, on the reference's inputs, it is right, and so is each smaller part that was tried: the error "
        "comes from before it, where it is still within tolerance. See above where it grows."
    )


def _steepest(points: Sequence[GrowthPoint], suspect: int) -> str:
    """Return where the error grows most, if that is elsewhere: a tight tolerance is left before anything is wrong."""
    known = [(point, max(point.error, _SMALLEST)) for point in points if point.error is not None]
    pairs = [(after[1] / before[1], before[0], after[0]) for before, after in itertools.pairwise(known)]
    factor, before, after = max(pairs, key=lambda pair: pair[0], default=(0.0, None, None))
    if before is None or after is None or factor < _JUMP or before.node.position < suspect <= after.node.position:
        return ""
    between = "" if after.node.position - before.node.position == 1 else f"between {before.node.name} and "
    return (
        f"The error grows most elsewhere, {factor:.0f} times: {between or 'at '}{after.node.name} "
        f"({after.node.op_type}, node {after.node.position})."
    )


def _origin(found: Findings) -> str:
    if found.smallest is None or found.wrong is None:
        raise RuntimeError("no search for an origin")
    later = found.values.candidate.fact(found.wrong)
    return (
        f"By itself, on the reference's inputs, it makes an error of {found.smallest.own_error:.2g}, still within "
        f"tolerance. The error leaves tolerance at {later.name} ({later.op_type}, node {later.position}), which is "
        f"right by itself."
    )
