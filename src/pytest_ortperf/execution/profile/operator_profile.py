"""Where the time of a benchmark's runs goes: from a session of its own, never from the measured one."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.profile.operator_times import read_operators
from pytest_ortperf.execution.record_builder import Facts
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.inspection import InspectionHooks, case_folder, inspect
from pytest_ortperf.records.operators import OperatorProfile
from pytest_ortperf.records.statistics import summarize

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
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks, facts: Facts
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


def _why_not(settings: ExecutionSettings, facts: Facts) -> str | None:
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


def _with_slowdown(profile: OperatorProfile, facts: Facts) -> OperatorProfile:
    """Return the profile with a note if a run took much longer in it: its cost is in each operator and between them."""
    host = next((latency for latency in facts.latencies if latency.timing == "host"), None)
    if host is None:
        return profile
    factor = profile.run_ns / summarize(host).p50_ns
    if factor < NOTED_SLOWDOWN:
        return profile
    note = f"a run took {factor:.1f} times as long under the profile: short operators look longer than they are"
    return dataclasses.replace(profile, notes=(*profile.notes, note))


def _expected_s(facts: Facts) -> float:
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
