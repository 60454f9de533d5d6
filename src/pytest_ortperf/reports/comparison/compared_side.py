"""One side of a comparison: a run or several, each with its cases, whatever file they came from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.records.environment.machine_checks import HANDOFF, Finding, Span
from pytest_ortperf.records.environment.run_header import Environment, RunEnd, RunHeader
from pytest_ortperf.records.latency import UNSTABLE, Latency
from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.gains import counts, shape_difference

_DOUBTFUL = ("warning", "reject")
_MOMENTARY = "runnable"
_OTHER_LOAD, _STEAL = "other-load", "steal"
_MOST_STOLEN = 0.1
_OWN_SHARE = 0.25
"""Of a core: the kernel and this program itself have some work beside what is measured."""
"""Check of one moment: a thread that happened to be ready to run disturbs nothing for long."""

_OF_95_PERCENT = 1.96
_CUT_SHORT = (2, 3)
"""Exit statuses of pytest: interrupted, and an internal error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one process measured of one case in one timing mode."""

    mean_ns: float
    median_ns: float | None = None
    min_ns: float | None = None
    range_ns: tuple[float, float] | None = None
    """10th and 90th percentile of the iterations; fastest and slowest where a file has neither."""

    log_error: float | None = None
    """Standard error of the logarithm of the median, from blocks: what one process knows of its own noise."""

    sm_clock_mhz: float | None = None
    doubts: tuple[str, ...] = ()
    """What was seen that may make the number one of the machine rather than of the case."""

    not_seen: tuple[str, ...] = ()
    """What nobody looked at."""

    disturbed: bool = False
    """Whether something else worked on the machine, or held it back, while it was measured."""

    crowded: bool = False
    """Whether it was disturbed by more than work on cores that its threads do not need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case in one run."""

    record: Record
    """The last, where it ran more than once."""

    observations: Mapping[str, tuple[Observation, ...]] = field(default_factory=dict)
    """Timing mode -> one a process; `host, 4 threads` is the throughput of threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSide:
    """One run."""

    name: str
    cases: Mapping[str, CaseResult]
    """By `case_id`, or by node id where two model lists or tests of the run have the same."""

    environment: Environment | None = None
    fingerprint: str | None = None
    """The machine's hardware; `None` is unknown, and the same as nothing."""

    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    end: RunEnd | None = None
    canary_ns: Mapping[str, float] = field(default_factory=dict)
    """Part of the canary -> median over the canaries of the run; empty if it has none."""

    canary_spread: float | None = None
    """Standard deviation of the logarithm over the canaries of the run; `None` for fewer than two."""

    header: RunHeader | None = None
    """Of a records file; `None` for files of others and for pairs."""

    unfinished: str | None = None
    """What cut the run short; `None` if it came to its end."""

    deselected: frozenset[str] = frozenset()
    """Node ids of cases that the run left out on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is compared: runs that are meant to be the same thing."""

    name: str
    runs: tuple[RunSide, ...]
    notes: tuple[str, ...] = ()
    passed_over: str | None = None
    """Why the newest run that was named is not one of these."""

    @property
    def last(self) -> Mapping[str, CaseResult]:
        """Each case as the last run that has it knows it."""
        return {key: case for run in self.runs for key, case in run.cases.items()}

    @property
    def keyed_runs(self) -> list[tuple[str, RunSide]]:
        """Each run with a key that no other one has, oldest first."""
        return [(f"{number} {run.name}", run) for number, run in enumerate(self.runs)]

    def all_of(self, key: str) -> list[Record]:
        """Return the records of one case, oldest run first."""
        return [run.cases[key].record for run in self.runs if key in run.cases]

    def without(self, keys: Collection[str]) -> Side:
        """Return the side less some cases."""
        runs = [
            replace(run, cases={key: case for key, case in run.cases.items() if key not in keys}) for run in self.runs
        ]
        return replace(self, runs=tuple(runs))


def side_of(name: str, runs: Iterable[StoredRun]) -> Side:
    """Return a side made of runs that were read."""
    found = tuple(runs)
    return Side(name=name, runs=tuple(map(run_side, found)), notes=tuple(note for run in found for note in run.notes))


def shape_differences(base: Side, current: Side) -> dict[str, str]:
    """Return how the shapes of inputs differ, by case, for those whose results do not all have the same.

    A run whose result does not count has nothing to compare, so its shapes do not matter.
    """
    found = {}
    for key in current.last:
        before, after = ([record for record in side.all_of(key) if counts(record)] for side in (base, current))
        text = shape_difference(*before, *after) if before and after else None
        if text:
            found[key] = text
    return found


def run_side(run: StoredRun) -> RunSide:
    """Return one run as a side knows it."""
    header, times = run.header, _canary_times(run)
    return RunSide(
        name=header.run,
        cases=cases_of(run.records),
        environment=header.environment,
        fingerprint=header.environment.fingerprint,
        labels=header.labels,
        options=header.options,
        end=run.end,
        canary_ns={name: statistics.median(each) for name, each in times.items()},
        canary_spread=_canary_spread(times),
        header=header,
        unfinished=unfinished(run),
        deselected=frozenset(run.end.deselected if run.end else ()),
    )


def _canary_times(run: StoredRun) -> dict[str, list[int]]:
    """Return the times of each part of the canary in a run: before each benchmark, and at both ends."""
    found = [record.canary for record in run.records]
    found += [run.end.canary_before, run.end.canary_after] if run.end else []
    times: dict[str, list[int]] = {}
    for canary in found:
        for name, part in canary.parts.items() if canary else ():
            times.setdefault(name, []).append(part.fast_ns)
    return times


def _canary_spread(times: Mapping[str, Sequence[int]]) -> float | None:
    """Return how much the machine's speed moved within a run: the median over the parts, as copies always move."""
    found = [statistics.stdev(map(math.log, each)) for name, each in times.items() if name != HANDOFF and len(each) > 1]
    return statistics.median(found) if found else None


def unfinished(run: StoredRun) -> str | None:
    """Return what cut a run short, and how far it came; `None` if it came to its end."""
    collected = run.end.collected if run.end else run.header.collected
    # of a model list; calls in tests are not collected
    done = len({record.nodeid for record in run.records if collected is None or CaseId.parse(record.nodeid)})
    count = f"{done} of {collected} cases" if collected else "1 case" if done == 1 else f"{done} cases"
    if run.end is None:
        return f"its records file has no end line, so it was killed or is still running; it holds {count}"
    if run.end.exit_status in _CUT_SHORT or (run.end.stopped and (collected is None or done < collected)):
        return f"it was stopped ({run.end.stopped or 'interrupted'}); it holds {count}"
    return None


def cases_of(records: Iterable[Record]) -> dict[str, CaseResult]:
    """Return records by the key that pairs them, those of one case joined."""
    found: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        found.setdefault(record.case_id, {}).setdefault(record.nodeid, []).append(record)
    return {
        case_id if len(by_node) == 1 else _long_key(each[-1]): _joined(each)
        for case_id, by_node in found.items()
        for each in by_node.values()
    }


def _long_key(record: Record) -> str:
    """Return the node id; of a test, which may run several cases, with the case."""
    return record.nodeid if CaseId.parse(record.nodeid) else f"{record.nodeid} {record.case_id}"


def with_common_keys(base: Side, current: Side) -> tuple[Side, Side]:
    """Return both sides with the same key for the same case: a long one where any run has several of its case id."""
    cases = [
        (key, case.record.case_id) for side in (base, current) for run in side.runs for key, case in run.cases.items()
    ]
    several = {case_id for key, case_id in cases if key != case_id}
    if not several:
        return base, current

    def renamed(side: Side) -> Side:
        runs = (
            replace(
                run,
                cases={
                    _long_key(case.record) if case.record.case_id in several else key: case
                    for key, case in run.cases.items()
                },
            )
            for run in side.runs
        )
        return replace(side, runs=tuple(runs))

    return renamed(base), renamed(current)


def _joined(records: list[Record]) -> CaseResult:
    observed: dict[str, tuple[Observation, ...]] = {}
    for record in records:
        if not counts(record):
            continue
        for timing, one in _observations(record):
            observed[timing] = (*observed.get(timing, ()), one)
    return CaseResult(record=records[-1], observations=observed)


def _observations(record: Record) -> Iterator[tuple[str, Observation]]:
    for latency in record.latencies:
        yield latency.label, _observation(record, latency)
    if record.concurrent is not None:
        yield _of_threads(record.concurrent)


def _observation(record: Record, latency: Latency) -> Observation:
    summary = summarize(latency)
    clocks = record.resources.clocks if record.resources else None
    of_this = clocks is not None and record.resources is not None and record.resources.timing == latency.label
    half = summary.half_width
    disturbing = _disturbing(record)
    return Observation(
        mean_ns=summary.mean_ns,
        median_ns=summary.p50_ns,
        min_ns=summary.min_ns,
        range_ns=(
            summary.min_ns if summary.p10_ns is None else summary.p10_ns,
            summary.max_ns if summary.p90_ns is None else summary.p90_ns,
        ),
        log_error=None if half is None else half / _OF_95_PERCENT,
        sm_clock_mhz=clocks.mean_sm_mhz if clocks and of_this else None,
        doubts=tuple(_doubts(record, latency)),
        not_seen=tuple(_not_seen(record, half)),
        disturbed=bool(disturbing),
        crowded=_is_crowded(record, disturbing),
    )


def _disturbing(record: Record) -> set[str]:
    """Return the checks that saw something disturb a case."""
    return {it.check for it in _findings(record) if it.level in _DOUBTFUL} - {_MOMENTARY}


def _is_crowded(record: Record, disturbing: set[str]) -> bool:
    """Return whether others left a case fewer cores than it has threads, or something else held it back."""
    if not disturbing <= {_OTHER_LOAD, _STEAL} or record.machine is None:
        return bool(disturbing)
    threads = record.session.intra_op_threads if record.session else None
    return bool(disturbing) and any(_is_short_of_cores(span, threads) for span in record.machine.spans)


def _is_short_of_cores(span: Span, threads: int | None) -> bool:
    before, after = span.before.host, span.after.host
    if before.busy_ns is None or after.busy_ns is None or not after.cores or after.at_ns <= before.at_ns:
        return True
    busy, stolen = after.busy_ns - before.busy_ns, (after.steal_ns or 0) - (before.steal_ns or 0)
    others = (busy - (after.own_cpu_ns - before.own_cpu_ns)) / (after.at_ns - before.at_ns)
    return others + (threads or after.cores) > after.cores + _OWN_SHARE or stolen > _MOST_STOLEN * (busy + stolen)


def _doubts(record: Record, latency: Latency) -> Iterator[str]:
    if latency.status == UNSTABLE:
        yield "its median is not precise (unstable)"
    if latency.steady is False:
        yield "its warm-up did not become steady"
    for found in _findings(record):
        if found.level in _DOUBTFUL:
            yield f"the machine: {found.seen}"


def _findings(record: Record) -> tuple[Finding, ...]:
    return record.machine.findings if record.machine else ()


def _not_seen(record: Record, half_width: float | None) -> Iterator[str]:
    if record.machine is None:
        yield "nobody looked at the machine meanwhile (--ortperf-env=off)"
    if half_width is None:
        yield "its samples are too few for an interval"


def _of_threads(found: Concurrent) -> tuple[str, Observation]:
    per_iteration = 1e9 / found.iterations_per_s
    return f"{found.timing}, {len(found.iterations)} threads", Observation(mean_ns=per_iteration)


def log_latency(observations: Iterable[Observation], *, medians: bool) -> float:
    """Return the mean over processes of the logarithm of the latency in ns.

    Args:
        observations: At least one.
        medians: Whether of medians; else of means, where a side has nothing else.
    """
    return statistics.fmean(math.log(_typical(one, medians=medians)) for one in observations)


def _typical(one: Observation, *, medians: bool) -> float:
    value = one.median_ns if medians and one.median_ns is not None else one.mean_ns
    return max(value, 1e-3)
