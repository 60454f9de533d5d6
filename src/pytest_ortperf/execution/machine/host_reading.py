"""The host at one moment beside a timed part: read in well under a millisecond, and what two such moments tell."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ortperf.execution.machine.host_checks import ROOT, read_load
from pytest_ortperf.execution.machine.machine_files import CPU, number_after, read_number
from pytest_ortperf.records.environment.host import control_groups
from pytest_ortperf.records.environment.libraries import read_text
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, HostReading, Level

RUNNABLE = OTHER_LOAD = 1 / 4
"""Shares of the machine's cores."""

STEAL = 0.02
SHORTEST_NS = 200_000_000
"""Below it the kernel's ticks of 10 ms are too coarse for shares of CPU time."""

MOST_HEAT_FILES = 16


def read_host(root: Path = ROOT, *, cores: Sequence[int] = ()) -> HostReading:
    """Return what of the host changes.

    Args:
        root: Folder that stands for `/`.
        cores: Whose heat events count; of many, some spread over all.
    """
    stat = read_text(root / "proc/stat")
    busy, steal = _cpu_times(stat)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    swapped = read_text(root / "proc/vmstat")
    pages = [number_after(swapped, name) for name in ("pswpin", "pswpout")]
    return HostReading(
        at_ns=time.monotonic_ns(),
        own_cpu_ns=int((usage.ru_utime + usage.ru_stime) * 1e9),
        busy_ns=busy,
        steal_ns=steal,
        cores=_online(stat),
        runnable=_others_runnable(root, stat),
        load1=read_load(root),
        swapped_pages=None if None in pages else sum(page for page in pages if page),
        quota_throttled_ns=_throttled(root),
        thermal_events=_heat(root, cores),
    )


def _online(stat: str) -> int | None:
    """Return the number of cores with a line of their own."""
    return len(re.findall(r"^cpu\d+ ", stat, re.MULTILINE)) or None


def _cpu_times(stat: str) -> tuple[int | None, int | None]:
    """Return busy and stolen time over all cores, in ns; guests are inside `user` already."""
    match = re.match(r"cpu +(\d+(?: \d+)*)", stat)
    ticks = [int(word) for word in match[1].split()] if match else []
    if len(ticks) < 8:  # noqa: PLR2004 - steal is the eighth
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) * tick_ns, steal * tick_ns


def _others_runnable(root: Path, stat: str) -> int | None:
    running = number_after(stat, "procs_running")
    if running is None or running <= 1:
        return None if running is None else 0
    # our own threads, the reading one and those of a session that still spin, are not others
    return max(0, running - max(1, _own_runnable(root)))


def _own_runnable(root: Path) -> int:
    states = (read_text(path).rpartition(")")[2].split() for path in (root / "proc/self/task").glob("*/stat"))
    return sum(words[:1] == ["R"] for words in states)


def _throttled(root: Path) -> int | None:
    """Return the time that quotas took, in ns: of this group or one around it, whichever lost most."""
    found = []
    for folder in control_groups(root, "cpu"):
        text = read_text(folder / "cpu.stat")
        micro, nano = number_after(text, "throttled_usec"), number_after(text, "throttled_time")
        found += [micro * 1000] if micro is not None else [nano] if nano is not None else []
    return max(found) if found else None


def _heat(root: Path, cores: Sequence[int]) -> int | None:
    step = -(-len(cores) // MOST_HEAT_FILES) or 1
    folders = [root / CPU / f"cpu{core}" / "thermal_throttle" for core in sorted(cores)[::step]]
    counts = [
        number
        for folder in folders
        for name in ("core_throttle_count", "package_throttle_count")
        if (number := read_number(folder / name)) is not None
    ]
    return sum(counts) if counts else None


def host_changes(before: HostReading, after: HostReading, cores: int, *, virtual: bool) -> Iterator[Finding]:
    """Yield what two readings around a timed part tell.

    Args:
        before: Just before it.
        after: Just after it.
        cores: Of the machine.
        virtual: Whether it is a virtual one.
    """
    yield _judge_runnable(before, cores)
    yield _judge_other_load(before, after, cores)
    yield _judge_steal(before, after, virtual=virtual)
    yield _judge_quota(before, after)
    yield _judge_count("swapping", before.swapped_pages, after.swapped_pages, "{} pages were swapped", "warning")
    yield _judge_count(
        "cpu-heat", before.thermal_events, after.thermal_events, "the CPU lowered its clock {} times", "reject"
    )


def _judge_runnable(before: HostReading, cores: int) -> Finding:
    if before.runnable is None:
        return finding("runnable", "unknown", "the kernel does not tell")
    off = before.runnable > cores * RUNNABLE
    return finding("runnable", "warning" if off else "ok", f"{before.runnable} other threads on {cores} cores")


def _judge_other_load(before: HostReading, after: HostReading, cores: int) -> Finding:
    elapsed = after.at_ns - before.at_ns
    if before.busy_ns is None or after.busy_ns is None:
        return finding("other-load", "unknown", "the kernel does not tell")
    if elapsed < SHORTEST_NS:
        return finding("other-load", "unknown", f"{elapsed / 1e6:.0f} ms are too short to tell")
    own = after.own_cpu_ns - before.own_cpu_ns
    others = max(0.0, (after.busy_ns - before.busy_ns - own) / elapsed)
    off = others > cores * OTHER_LOAD
    return finding("other-load", "warning" if off else "ok", f"others kept {others:.1f} of {cores} cores busy")


def _judge_steal(before: HostReading, after: HostReading, *, virtual: bool) -> Finding:
    if None in (before.steal_ns, after.steal_ns, before.busy_ns, after.busy_ns):
        return finding("steal", "unknown", "the kernel does not tell")
    if virtual and not after.steal_ns:
        return finding("steal", "unknown", "nothing since this virtual machine started: its host may not tell")
    if after.at_ns - before.at_ns < SHORTEST_NS:
        return finding("steal", "unknown", f"{(after.at_ns - before.at_ns) / 1e6:.0f} ms are too short to tell")
    stolen = (after.steal_ns or 0) - (before.steal_ns or 0)
    wanted = stolen + (after.busy_ns or 0) - (before.busy_ns or 0)
    share = stolen / wanted if wanted > 0 else 0.0
    return finding("steal", "warning" if share > STEAL else "ok", f"{share:.1%} of the CPU time was stolen")


def _judge_quota(before: HostReading, after: HostReading) -> Finding:
    if before.quota_throttled_ns is None or after.quota_throttled_ns is None:
        return finding("quota", "unknown", "no control group tells")
    held_ms = (after.quota_throttled_ns - before.quota_throttled_ns) / 1e6
    return finding("quota", "warning" if held_ms > 0 else "ok", f"threads were held back for {held_ms:.1f} ms")


def _judge_count(check: str, before: int | None, after: int | None, text: str, level: Level) -> Finding:
    if before is None or after is None:
        return finding(check, "unknown", "the kernel does not tell")
    count = after - before
    return finding(check, level if count > 0 else "ok", text.format(count))
