"""What a search found -> the answer that is kept and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.accuracy.error_pictures import error_picture
from pytest_ortperf.execution.bisection.inside import Inside
from pytest_ortperf.execution.bisection.judgement import Ending, Judgement, value_fact, wrong_outputs
from pytest_ortperf.execution.bisection.node_values import GraphValues
from pytest_ortperf.execution.bisection.origin import steepest
from pytest_ortperf.execution.bisection.smallest import Part, Smallest, Suspicion
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.records.bisection import Bisection, GrowthPoint, NodeFact, OtherSuspect, ValueFact, path_text
from pytest_ortperf.records.pictures import ErrorPicture

MOST_PICTURES = 4

_BREAKS = {"crash": "crashes", "timeout": "does not end", "error": "fails"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that a search knows at its end."""

    case: Case
    source: str
    reference: str
    ending: Ending
    values: GraphValues
    points: tuple[GrowthPoint, ...]
    judged: Mapping[int, Sequence[Judgement]]
    """By the position of the cut."""

    computed: Mapping[int, Mapping[str, Value]]
    sessions: int
    sessions_allowed: int
    is_closed: bool = True
    """Whether the search came to its end before the sessions did."""

    well: int | None = None
    wrong: int | None = None
    """Position of the first bad cut; `None` if nothing is wrong."""

    suspicion: Suspicion | None = None
    smallest: Smallest | None = None
    part: Part | None = None
    inside: Inside | None = None
    other: OtherSuspect | None = None
    no_reference: str | None = None
    """Why the CPU cannot say what is right there."""


def bisection_of(found: Findings) -> Bisection:
    """Return the answer."""
    graph, suspicion = found.values.candidate, found.suspicion
    position = suspicion.position if suspicion else None
    suspect = None if position is None else graph.fact(position)
    part = found.part
    return Bisection(
        case_id=found.case.case_id,
        provider_full_name=found.case.provider.full_name,
        reference=found.reference,
        model=found.source,
        data_set=found.ending.data.name,
        symptom=found.ending.symptom,
        complaint=_complaint(found),
        nodes=len(graph),
        sessions=found.sessions,
        sessions_allowed=found.sessions_allowed,
        points=found.points,
        suspect=suspect,
        beside=_facts(found, suspicion.beside if suspicion else ()),
        inputs=() if position is None else tuple(_inputs(found, position)),
        outputs=() if position is None else tuple(_outputs(found, position)),
        fails_alone=found.smallest.fails_alone if found.smallest else None,
        inside=found.inside.path if found.inside else (),
        inside_folder=str(found.inside.part.path.parent) if found.inside and found.inside.part else None,
        other=found.other,
        part=_facts(found, part.positions if part else ()),
        part_folder=str(part.path.parent) if part else None,
        part_complaint=part.complaint if part else None,
        conclusion=conclusion(found, suspect),
        pictures=tuple(_pictures(found))[:MOST_PICTURES],
    )


def _complaint(found: Findings) -> str:
    if found.ending.broken is not None:
        return found.ending.broken.text
    last = len(found.values.candidate) - 1
    return wrong_outputs(found.judged.get(last, ())) or found.ending.leaves_stored or "nothing"


def _facts(found: Findings, positions: Sequence[int]) -> tuple[NodeFact, ...]:
    return tuple(found.values.candidate.fact(position) for position in positions)


def _inputs(found: Findings, position: int) -> Iterator[ValueFact]:
    graph = found.values.candidate
    for name in graph.reads[position]:
        if name in found.values.inputs:
            yield value_fact(name, found.values.inputs[name], "input")
        elif graph.is_constant(name):
            yield value_fact(name, graph.constant(name), "constant")
        else:
            values = _seen(found, name) or (
                [found.values.references([name])[name]] if found.values.knows([name]) else []
            )
            yield from (value_fact(name, value, "computed") for value in values)


def _outputs(found: Findings, position: int) -> Iterator[ValueFact]:
    for name in found.values.candidate.writes[position]:
        if found.values.knows([name]):
            reference = found.values.references([name])[name]
            yield from (value_fact(name, value, "computed", reference) for value in _seen(found, name))


def _seen(found: Findings, name: str) -> list[Value]:
    """Return a value as the provider computed it for a cut, as one or no element."""
    return [values[name] for values in found.computed.values() if name in values][:1]


def _pictures(found: Findings) -> Iterator[ErrorPicture]:
    last = len(found.values.candidate) - 1
    for place in dict.fromkeys(place for place in (found.wrong, last) if place is not None):
        computed = found.computed.get(place, {})
        for it in found.judged.get(place, ()):
            if it.is_within or not found.values.knows([it.name]):
                continue
            reference = found.values.references([it.name])[it.name]
            picture = error_picture(found.ending.data.name, it.name, computed[it.name], reference, (it.rtol, it.atol))
            if picture is not None:
                yield picture


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
    sentences = [
        _place(found, broken=broken),
        _alone(found, broken=broken),
        _inside(found, suspect, broken=broken),
        _steepest(found.points, suspect.position),
        _other(found, suspect.position),
    ]
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
    """Return where the error grows most, if that is elsewhere."""
    growth = steepest(points, suspect)
    if growth is None:
        return ""
    before, after = growth.before.node, growth.after.node
    between = "at " if after.position - before.position == 1 else f"between {before.name} and "
    return (
        f"The error grows most elsewhere, {growth.factor:.0f} times: {between}{after.name} "
        f"({after.op_type}, node {after.position})."
    )


def _other(found: Findings, suspect: int) -> str:
    other = found.other
    if other is None:
        return ""
    name, said = other.node.name, _steepest(found.points, suspect)
    where = f"{name} ({other.node.op_type}, node {other.node.position})"
    grows = "" if where in said else f"Behind it the error grows {other.growth:.0f} times at {where}. "
    alone = {
        True: f"{name} is a second suspect: by itself, on the reference's inputs, it is wrong.",
        False: f"{name} is right by itself, on the reference's inputs: it makes larger what comes in.",
        None: f"{name} was not tried by itself.",
    }
    return grows + alone[other.fails_alone]


def _inside(found: Findings, suspect: NodeFact, *, broken: bool) -> str:
    """Return what is wrong inside a node that runs subgraphs, or why nothing more is said."""
    inside = found.inside
    if inside is None:
        return ""
    if not inside.path:
        return f"Inside it no node is named: {inside.why}."
    last = inside.path[-1]
    verb = _BREAKS[found.ending.symptom] if broken else "is wrong"
    alone = {
        True: f"by itself, on the reference's inputs, that node {verb} too",
        False: f"by itself, on the reference's inputs, that node {'runs' if broken else 'is right'}",
        None: "that node was not tried by itself",
    }
    loops = [it for it in inside.path if it.iteration is not None]
    steps = ", then ".join(f"iteration {it.iteration} of the {it.subgraph} that holds '{it.node.name}'" for it in loops)
    first = f", in {steps} (counted from 0, the first that goes wrong)" if loops else ""
    why = f" Inside that one no node is named: {inside.why}." if inside.why else ""
    return f"Inside it, {path_text(suspect, inside.path)}{first}: {alone[last.fails_alone]}.{why}"


def _origin(found: Findings) -> str:
    if found.smallest is None or found.wrong is None:
        raise RuntimeError("no search for an origin")
    later = found.values.candidate.fact(found.wrong)
    return (
        f"By itself, on the reference's inputs, it makes an error of {found.smallest.own_error:.2g}, still within "
        f"tolerance. The error leaves tolerance at {later.name} ({later.op_type}, node {later.position}), which is "
        f"right by itself."
    )
