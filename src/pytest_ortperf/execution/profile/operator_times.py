"""Steady runs of a profile -> time by provider and operator type."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_ortperf.execution.profile.profiled_runs import NodeKey, ProfiledRun, profiled_runs
from pytest_ortperf.execution.session.creation import CPU
from pytest_ortperf.execution.session.profile_events import Event, read_events, unreadable
from pytest_ortperf.records.operators import OperatorProfile, OperatorTime
from pytest_ortperf.records.resources import Arena

EVENTS_KEPT = 1_000_000
"""ONNX Runtime drops events beyond (`Profiler::global_max_num_events_` in its `core/common/profiler.cc`)."""

MOST_BYTE = 2**28
"""Of a profile that is read: about 300,000 calls of nodes."""

_COMPILED = re.compile(
    r"(?P<name>TRTKernel_graph|MGXKernel_graph|OpenVINO-EP-subgraph|DmlFusedNode|QNN|NNAPI)_.*"
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
    on_device = {key[1]: key for key in times if key[0] != CPU}
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
