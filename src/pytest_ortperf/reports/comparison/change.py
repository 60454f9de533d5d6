"""What else changed than latency: one entry a change, in one class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_ortperf.records.record import Record

TOPICS = ("latency", "failures", "accuracy", "placement", "memory", "creation", "missing", "incomplete")
"""What a comparison can fail on."""

DEFAULT_FAIL_ON = ("latency", "failures", "missing", "incomplete")

WORSE, BETTER, OTHER = "worse", "better", "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not as it was."""

    topic: str
    """One of `TOPICS`."""

    kind: str
    """Its class within the topic, such as `new failure`."""

    direction: str
    """`worse`, `better` or `other`; only `worse` can fail a comparison."""

    case_id: str
    """Of the case; the model's name where all of its cases are gone or new."""

    nodeid: str
    text: str
    """What, for people, in a line."""


def subject_of(record: Record) -> tuple[object, ...]:
    """Return what validation and benchmark of a case have in common."""
    return record.model, record.provider, record.precision, tuple(sorted(record.dims.items()))


def once(found: Iterable[tuple[Record, Change]]) -> Iterator[Change]:
    """Yield changes; the same one in validation and benchmark once, as the benchmark's."""
    seen = set()
    for record, change in sorted(found, key=lambda pair: pair[0].mode):
        same = (subject_of(record), change.kind, change.text)
        if same not in seen:
            seen.add(same)
            yield change
