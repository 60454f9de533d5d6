"""What a search says, in words: no more than what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ortperf.records.bisection import NodeFact

if TYPE_CHECKING:
    from pytest_ortperf.execution.bisection.answer import Findings

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
    sentences = [_place(found, broken=broken), _alone(found, broken=broken)]
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


def _origin(found: Findings) -> str:
    if found.smallest is None or found.wrong is None:
        raise RuntimeError("no search for an origin")
    later = found.values.candidate.fact(found.wrong)
    return (
        f"By itself, on the reference's inputs, it makes an error of {found.smallest.own_error:.2g}, still within "
        f"tolerance. The error leaves tolerance at {later.name} ({later.op_type}, node {later.position}), which is "
        f"right by itself."
    )
