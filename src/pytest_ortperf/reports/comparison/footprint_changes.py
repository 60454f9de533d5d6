"""Memory and session creation: few measurements each, so only what is seen again counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.resources import DeviceMemory, HostMemory
from pytest_ortperf.reports.comparison.change import BETTER, OTHER, WORSE, Change, once
from pytest_ortperf.reports.comparison.compared_side import Side
from pytest_ortperf.reports.comparison.fleet import same_machine
from pytest_ortperf.reports.tables.gains import counts

MEMORY_SHARE = 0.02
MEMORY_BYTE = 8 * 2**20
"""Memory changed if it did by more than both."""

CREATION_SHARE = 0.25
CREATION_NS = 50_000_000
"""Likewise session creation, which is measured once a run."""

MIN_RUNS = 6
"""On each side, all of one beyond all of the other, for session creation to be called SLOWER or FASTER.

By chance 2 in 924 cases are; with 3 runs it would be 1 in 10.
"""

_MIB = 2**20


def memory_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield cases that take more or less memory: so in both of a run's sessions, or in every run."""
    return once(_all(base, current, _memory))


def creation_changes(base: Side, current: Side) -> Iterator[Change]:
    """Yield cases whose sessions took another time to make; engines built and loaded are not held together."""
    if same_machine(base, current) is not None:
        return iter(())
    return once(_all(base, current, _creation))


Judge = Callable[[Sequence[Record], Sequence[Record]], Iterator[tuple[str, str, str, str]]]


def _all(base: Side, current: Side, judge: Judge) -> Iterator[tuple[Record, Change]]:
    for key, case in current.last.items():
        if case.record.mode != "benchmark":  # a validation's session is made to be right, not to be timed
            continue
        sides = [[record for record in side.all_of(key) if counts(record)] for side in (base, current)]
        if all(sides):
            for topic, kind, direction, text in judge(*sides):
                change = Change(
                    topic=topic, kind=kind, direction=direction, case_id=key, nodeid=case.record.nodeid, text=text
                )
                yield case.record, change


def _memory(base: Sequence[Record], current: Sequence[Record]) -> Iterator[tuple[str, str, str, str]]:
    for name, peaks in (("host", _host_peaks), ("GPU", _device_peaks)):
        before, after = ([peaks(record) for record in side] for side in (base, current))
        verdict = _repeated(before, after)
        if verdict is None:
            continue
        kind, direction = verdict
        old, new = (max(max(each.values()) for each in side if each) for side in (before, after))
        yield "memory", kind, direction, f"{name} peak {old / _MIB:.1f} -> {new / _MIB:.1f} MiB ({_percent(old, new)})"


def _host_peaks(record: Record) -> dict[str, int]:
    memory = record.resources.host_memory if record.resources else None
    return {} if memory is None else _known(memory)


def _device_peaks(record: Record) -> dict[str, int]:
    memory = record.resources.device_memory if record.resources else None
    return {} if memory is None else _known(memory)


def _known(memory: HostMemory | DeviceMemory) -> dict[str, int]:
    peaks = {"creation": memory.creation_peak_byte, "run": memory.run_peak_byte}
    return {name: peak for name, peak in peaks.items() if peak is not None}


def _repeated(before: Sequence[Mapping[str, int]], after: Sequence[Mapping[str, int]]) -> tuple[str, str] | None:
    """Return what happened to memory, from each session's peaks of each run; `None` if nothing."""
    names = [name for name in ("creation", "run") if all(name in each for each in (*before, *after))]
    values = [([each[name] for each in before], [each[name] for each in after]) for name in names]
    grew = [_exceeds(max(old), min(new)) for old, new in values]
    shrank = [_exceeds(max(new), min(old)) for old, new in values]
    seen_again = len(before) > 1 and len(after) > 1
    for moved, answer in ((grew, ("LARGER", WORSE)), (shrank, ("SMALLER", BETTER))):
        if any(moved):
            sure = len(moved) > 1 and all(moved) if not seen_again else True
            return answer if sure else ("UNSURE", OTHER)
    return None


def _exceeds(old: int, new: int) -> bool:
    return new - old > max(MEMORY_BYTE, MEMORY_SHARE * old)


def _creation(base: Sequence[Record], current: Sequence[Record]) -> Iterator[tuple[str, str, str, str]]:
    if {_engines(record) for record in base} != {_engines(record) for record in current}:
        return
    for name, get in (("session creation", _first), ("second session creation", _second)):
        before = [value for record in base if (value := get(record)) is not None]
        after = [value for record in current if (value := get(record)) is not None]
        if not before or not after:
            continue
        for kind, direction, old, new in (
            ("SLOWER", WORSE, max(before), min(after)),
            ("FASTER", BETTER, min(before), max(after)),
        ):
            if not _is_another_time(*sorted((old, new))) or (new > old) != (kind == "SLOWER"):
                continue
            sure = min(len(before), len(after)) >= MIN_RUNS
            text = f"{name} {old / 1e6:.1f} -> {new / 1e6:.1f} ms ({_percent(old, new)})"
            yield "creation", kind if sure else "UNSURE", direction if sure else OTHER, text


def _is_another_time(short: int, long: int) -> bool:
    return long - short > max(CREATION_NS, CREATION_SHARE * short)


def _engines(record: Record) -> str | None:
    return record.session.engines if record.session else None


def _first(record: Record) -> int | None:
    return record.session.creation_ns if record.session else None


def _second(record: Record) -> int | None:
    return record.session.second_creation_ns if record.session else None


def _percent(old: float, new: float) -> str:
    return f"{100 * (new / old - 1):+.1f} %" if old else "from nothing"
