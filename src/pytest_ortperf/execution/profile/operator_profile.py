"""Where the time of a benchmark's runs goes: from a session of its own, never from the measured one.

Steady runs of a profile -> time by provider and operator type.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import CPU, PROVIDERS
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.profile.profiled_runs import NodeKey, ProfiledRun, profiled_runs
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.inspection import InspectionHooks, case_folder, inspect
from pytest_ortperf.execution.session.profile_events import Event, read_events, unreadable
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime
from pytest_ortperf.records.resources import Arena
from pytest_ortperf.records.statistics import summarize

EVENTS_KEPT = 1_000_000
"""ONNX Runtime drops events beyond (`Profiler::global_max_num_events_` in its `core/common/profiler.cc`)."""

MOST_BYTE = 2**28
"""Of a profile that is read: about 300,000 calls of nodes."""

_COMPILED = re.compile(
    rf"(?P<name>{'|'.join(row.subgraph_name for row in PROVIDERS if row.subgraph_name)})_.*"
    r"|(?P<plugin>\w+ExecutionProvider)_\d+_\d+",
    re.DOTALL,
)
"""Names of subgraphs that a provider compiled, with a hash or number of this process behind; those of a plugin have its
own name."""

Key = tuple[str, str]
"""Full provider name and operator type."""


def read_operators(path: Path, *, warm: int, runs: int) -> OperatorProfile:
    """Return the operators of a profile.

    Args:
        path: What `InferenceSession.end_profiling` named.
        warm: Runs at the start that do not count.
        runs: All runs that were made, one after the other.

    Raises:
        CaseError: Stage `profile`, if it is too large, cut off or not all there.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if size > MOST_BYTE:
        raise unreadable(f"it has {size / 2**20:.0f} MiB, {MOST_BYTE / 2**20:.0f} are read; one run has too many calls")
    events = read_events(path.read_text(encoding="utf-8"))
    return dataclasses.replace(operators_of(events, warm=warm, runs=runs), arenas=arenas_of(events))


def arenas_of(events: Iterable[Event]) -> tuple[Arena, ...]:
    """Return the most that the arena of each provider held and had in use, over all runs."""
    held: dict[str, int] = {}
    used: dict[str, int] = {}
    for event in events:
        if event.is_node and event.provider and event.arena_held is not None and event.arena_used is not None:
            held[event.provider] = max(held.get(event.provider, 0), event.arena_held)
            used[event.provider] = max(used.get(event.provider, 0), event.arena_used)
    return tuple(Arena(provider=name, held_byte=held[name], in_use_byte=used[name]) for name in held)


def operators_of(events: Sequence[Event], *, warm: int, runs: int) -> OperatorProfile:
    """Return the operators of the events of a profile; see `read_operators`.

    Time of a node is its median over the runs, so that one disturbed run does not count; a sum of medians stays the
    time of one run.
    """
    found = profiled_runs(events)
    notes = _missing_runs(len(found), runs, full=len(events) >= EVENTS_KEPT)
    steady = found[warm:]
    if not steady:
        raise unreadable(f"it holds {len(found)} of {runs} runs, {warm} of them to warm up")
    times, counts = _by_type(steady)
    if not times:
        raise unreadable("it names no operator")
    kernels, kernel_notes = _kernels(steady, times)
    operators = [
        OperatorTime(
            provider=key[0],
            op_type=key[1],
            nodes=counts[key],
            time_ns=round(time_us * 1000),
            kernel_ns=kernels.get(key),
        )
        for key, time_us in times.items()
    ]
    return OperatorProfile(
        runs=len(steady),
        run_ns=round(statistics.median(run.duration_us for run in steady) * 1000),
        operators=tuple(sorted(operators, key=lambda it: (-it.time_ns, it.provider, it.op_type))),
        overlapping=any(run.overlapping for run in steady),
        notes=(*notes, *kernel_notes),
    )


def _missing_runs(found: int, made: int, *, full: bool) -> tuple[str, ...]:
    if found == made:
        return ()
    if found > made or not full:
        raise unreadable(f"it holds {found} of {made} runs")
    return (f"{found} of {made} runs are in the profile: ONNX Runtime keeps {EVENTS_KEPT} events",)


def _by_type(runs: Sequence[ProfiledRun]) -> tuple[dict[Key, float], dict[Key, int]]:
    """Return time in us and number of nodes by provider and operator type."""
    times: dict[Key, float] = defaultdict(float)
    counts: dict[Key, int] = defaultdict(int)
    nodes = dict.fromkeys(key for run in runs for key in run.nodes)
    for node in nodes:
        seen = [run.nodes[node] for run in runs if node in run.nodes]
        absent = [0] * (len(runs) - len(seen))  # in a branch that was not taken
        times[_key(node)] += statistics.median([*(it.own_us for it in seen), *absent])
        # two subgraphs may each have a node of that name
        counts[_key(node)] += statistics.median_low(len(it.containers) for it in seen)
    return dict(times), dict(counts)


def _key(node: NodeKey) -> Key:
    return node.provider, type_name(node.op_type)


def type_name(op_type: str) -> str:
    """Return an operator type, and of a compiled subgraph what is the same in each process."""
    match = _COMPILED.fullmatch(op_type)
    return match["name"] or match["plugin"] if match else op_type


def _kernels(runs: Sequence[ProfiledRun], times: dict[Key, float]) -> tuple[dict[Key, int], tuple[str, ...]]:
    """Return the device's time by provider and operator type, where the build of ONNX Runtime notes kernels."""
    types = dict.fromkeys(op_type for run in runs for op_type in run.kernel_us)
    on_device = {key[1]: key for key in times if key[0] != CPU.full_name}
    found: dict[Key, int] = defaultdict(int)
    unnamed = 0.0
    for op_type in types:
        median_us = statistics.median(run.kernel_us.get(op_type, 0) for run in runs)
        key = on_device.get(type_name(op_type)) if op_type else None
        if key is None:
            unnamed += median_us
        else:
            found[key] += round(median_us * 1000)
    notes = (f"{unnamed:g} us of kernels belong to no operator",) if unnamed else ()
    return dict(found), notes


WARM_RUNS = 2
"""The first creates what later ones reuse, and some providers choose their algorithms in it."""

MOST_RUNS = 10
"""Steady runs, as long as they fit `MAX_S`."""

MAX_S = 1.0
"""Of steady runs; one that takes longer is the only one."""

NOTED_SLOWDOWN = 1.3
"""Time of a run under the profile over its time without, from which on it is told."""

AUTO_LIMIT_S = 10.0
"""What another session and its runs may take where nobody asked for the profile."""


def note_operators(
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks, facts: RecordBuilder
) -> None:
    """Add the operators of a benchmark that has been measured to its facts.

    Whatever goes wrong here, the latency stays: the reason is noted, and the case is none the worse for it.
    """
    refused = _why_not(settings, facts)
    if refused is None:
        stage, keep = facts.stage, "profile" in settings.keep
        path = case_folder(case, settings) / "profile.json" if keep else None
        try:
            with facts.entering("profile"):
                found = profile_operators(source, case, settings, hooks, path)
            facts.operators = _with_slowdown(found, facts)
        except Exception as error:  # noqa: BLE001 - of ONNX Runtime, the file system or a hook of the user
            facts.stage = stage
            refused = f"{error}".strip().partition("\n")[0] or type(error).__name__
        if path is not None and path.exists():
            facts.kept = {**facts.kept, "profile": str(path)}
    if refused and facts.reason is None:
        facts.reason = f"operators not profiled: {refused}"


def _why_not(settings: ExecutionSettings, facts: RecordBuilder) -> str | None:
    """Return why there is nothing to do; empty if nobody needs to know."""
    if settings.operators == "off" or (facts.placement is not None and facts.placement.total_nodes == 0):
        return ""
    if settings.operators == "on":
        return None
    expected = _expected_s(facts)
    if expected <= AUTO_LIMIT_S:
        return None
    return (
        f"another session and its runs would take about {expected:.0f} s, over {AUTO_LIMIT_S:g} s; "
        "--ortperf-operators=on does it"
    )


def _with_slowdown(profile: OperatorProfile, facts: RecordBuilder) -> OperatorProfile:
    """Return the profile with a note if a run took much longer in it: its cost is in each operator and between them."""
    host = next((latency for latency in facts.latencies if latency.timing == "host"), None)
    if host is None:
        return profile
    factor = profile.run_ns / summarize(host).p50_ns
    if factor < NOTED_SLOWDOWN:
        return profile
    note = f"a run took {factor:.1f} times as long under the profile: short operators look longer than they are"
    return dataclasses.replace(profile, notes=(*profile.notes, note))


def _expected_s(facts: RecordBuilder) -> float:
    """Return what profiling takes, from what the last session and its runs took."""
    creation_ns, run_ns = 0, 0.0
    if facts.session is not None:
        creation_ns = facts.session.second_creation_ns or facts.session.creation_ns
    if facts.latencies:
        run_ns = summarize(facts.latencies[0]).p50_ns
    steady_ns = max(min(MOST_RUNS * run_ns, MAX_S * 1e9), run_ns)
    return (creation_ns + WARM_RUNS * run_ns + steady_ns) / 1e9


def profile_operators(
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks, keep_as: Path | None = None
) -> OperatorProfile:
    """Return the operators of a case, from steady runs in a session of its own.

    Args:
        source: Path or serialised model.
        case: What to run; its first data set.
        settings: Options for every case.
        hooks: The users'.
        keep_as: Where the profile goes; `None` deletes it.

    Raises:
        CaseError: No session, a run that failed, or a profile that does not tell the times for certain.
        OSError: If the profile cannot be written or read.
    """
    with tempfile.TemporaryDirectory(prefix="ortperf-profile-") as name:
        writing = InspectionHooks(hooks, frozenset({"profile"}), Path(name))
        done = inspect(source, case, settings, writing, _runs())
        path = writing.profile
        if keep_as is not None:
            keep_as.parent.mkdir(parents=True, exist_ok=True)
            path = Path(shutil.move(path, keep_as))
        return read_operators(path, warm=WARM_RUNS, runs=done)


def _runs() -> Iterator[int]:
    yield from range(WARM_RUNS)
    start = time.perf_counter()
    for number in range(MOST_RUNS):
        yield number
        if time.perf_counter() - start > MAX_S:
            return
