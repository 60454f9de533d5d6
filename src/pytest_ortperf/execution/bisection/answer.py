"""What a search found -> the answer that is kept and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.bisection.conclusion import conclusion
from pytest_ortperf.execution.bisection.ending import Ending, wrong_outputs
from pytest_ortperf.execution.bisection.judgement import Judgement, value_fact
from pytest_ortperf.execution.bisection.smallest import Part, Smallest
from pytest_ortperf.execution.bisection.suspects import Suspicion
from pytest_ortperf.execution.bisection.values import GraphValues
from pytest_ortperf.execution.error_pictures import error_picture
from pytest_ortperf.execution.tensor_types import Value
from pytest_ortperf.records.bisection import Bisection, GrowthPoint, NodeFact, ValueFact
from pytest_ortperf.records.pictures import ErrorPicture

MOST_PICTURES = 4


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
