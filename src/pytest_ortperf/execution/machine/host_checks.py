"""Checks of the host that hold for a whole run: clocks, cores, threads, memory, load."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.execution.machine.machine_files import (
    CPU,
    cores_text,
    is_virtual,
    number_after,
    read_list,
    read_number,
    read_word,
)
from pytest_ortperf.records.environment.host import read_quota
from pytest_ortperf.records.environment.libraries import read_text
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, Level

ROOT = Path("/")
LOAD_WARNING = 1 / 8
LOAD_REJECT = 1 / 2
"""Shares of the machine's cores."""

SLOWER = 0.8
"""A core below this share of the fastest one's clock or capacity is of another kind; less is binning."""


def own_cores() -> frozenset[int]:
    """Return the cores that this process may use, as its affinity says; none if the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host to look at."""

    root: Path = ROOT
    cores: frozenset[int]
    """That this process may use."""

    threads: int | None = None
    """Intra-op threads asked for; `None` is ONNX Runtime's choice."""

    @property
    def online(self) -> frozenset[int]:
        """Cores that are switched on; those of this process where the kernel does not tell."""
        return read_list(self.root / CPU / "online") or self.cores

    @property
    def default_threads(self) -> int:
        """Threads that ONNX Runtime makes by itself: one for each core of the machine, whatever this process may use.

        A core that runs two threads counts once, where the kernel tells which do.
        """
        return len(physical_cores(self.root, self.online))

    @property
    def virtual_text(self) -> str:
        """Said beside what a virtual machine does not show."""
        return "; a virtual machine does not see its host's" if is_virtual(self.root) else ""

    def of_core(self, core: int, name: str) -> Path:
        """Return a file of one core."""
        return self.root / CPU / f"cpu{core}" / name


def host_findings(host: Host) -> tuple[Finding, ...]:
    """Return one finding of each check."""
    return tuple(check(host) for check in HOST_CHECKS)


def governor(host: Host) -> Finding:
    """Check the clock governor of each core."""
    words = [read_word(host.of_core(core, "cpufreq/scaling_governor")) for core in host.cores]
    counts = Counter(word for word in words if word)
    if not counts:
        return finding("governor", "unknown", f"no clock governor is shown{host.virtual_text}")
    text = ", ".join(f"{name} on {count} of {len(words)} cores" for name, count in counts.most_common())
    return finding("governor", "ok" if set(counts) == {"performance"} else "warning", text)


def turbo(host: Host) -> Finding:
    """Check whether the clock may rise above its nominal value."""
    no_turbo = read_number(host.root / CPU / "intel_pstate/no_turbo")
    boost = read_number(host.root / CPU / "cpufreq/boost")
    if boost is None:
        boost = next(
            (n for core in sorted(host.cores) if (n := read_number(host.of_core(core, "cpufreq/boost")))), None
        )
    if no_turbo is None and boost is None:
        return finding("turbo", "unknown", f"no turbo setting is shown{host.virtual_text}")
    on = not no_turbo if no_turbo is not None else bool(boost)
    return finding("turbo", "advice" if on else "ok", "turbo boost is on" if on else "turbo boost is off")


def smt(host: Host) -> Finding:
    """Check whether two threads can share a core."""
    active = read_number(host.root / CPU / "smt/active")
    if active:
        return finding("smt", "advice", "cores run two or more threads each (SMT is on)")
    if active is None or is_virtual(host.root):
        return finding("smt", "unknown", f"no multithreading is shown{host.virtual_text}")
    return finding("smt", "ok", "a core runs one thread (SMT is off)")


def isolated_cores(host: Host) -> Finding:
    """Check whether this process's threads would pile up on isolated cores."""
    isolated = read_list(host.root / CPU / "isolated")
    if isolated is None:
        return finding("isolated-cores", "unknown", "the kernel does not tell")
    used = isolated & host.cores
    if not isolated:
        return finding("isolated-cores", "ok", "none are isolated")
    text = f"cores {cores_text(isolated)} are isolated, this process may use {cores_text(host.cores)}"
    return finding("isolated-cores", "warning" if len(used) > 1 else "ok", text)


def threads(host: Host) -> Finding:
    """Check intra-op threads against the cores that are left.

    ONNX Runtime's own choice of them knows neither affinity nor quota, and puts each thread on a core of its own,
    outside the affinity too: seen with 1.32, where `taskset -c 0` on two cores gave a thread on core 1.
    """
    quota = read_quota(host.root)
    left = min(float(len(host.cores)), quota if quota is not None else float("inf"))
    if not left:
        return finding("threads", "unknown", "the system does not tell which cores this process may use")
    asked = host.threads or host.default_threads
    whose = f"{asked} intra-op threads" + ("" if host.threads else ", ONNX Runtime's choice")
    limit = f", the control group's quota is {quota:g} cores" if quota is not None else ""
    text = f"{whose}; this process may use {len(host.cores)} of {len(host.online)} cores{limit}"
    fits = asked <= left
    return finding("threads", "ok" if fits else "warning", text, advice=f"--ortperf-threads={max(1, int(left))}")


def core_kinds(host: Host) -> Finding:
    """Check whether fast and slow cores are mixed."""
    for name, unit in (("cpu_capacity", "capacity"), ("cpufreq/cpuinfo_max_freq", "kHz")):
        values = {core: number for core in host.cores if (number := read_number(host.of_core(core, name)))}
        if values:
            return _kinds(values, unit, host)
    return finding("core-kinds", "unknown", f"neither capacity nor clock of the cores is shown{host.virtual_text}")


def _kinds(values: dict[int, int], unit: str, host: Host) -> Finding:
    fastest = max(values.values())
    slow = {core for core, value in values.items() if value < SLOWER * fastest}
    if not slow:
        level: Level = "unknown" if is_virtual(host.root) else "ok"
        return finding("core-kinds", level, f"all cores look alike ({unit} {fastest})")
    fast = frozenset(values.keys() - slow)
    text = f"cores {cores_text(fast)} are faster than {cores_text(slow)} ({unit} {fastest} and {min(values.values())})"
    # without the number ONNX Runtime puts its threads on the slow ones too
    number = len(physical_cores(host.root, fast))
    advice = f"taskset -c {cores_text(fast)} pytest --ortperf-threads={number} ..."
    return finding("core-kinds", "warning", text, advice=advice)


def physical_cores(root: Path, cores: frozenset[int]) -> frozenset[tuple[int, ...]]:
    """Return the physical cores behind some; each is one of its own where the kernel does not tell."""
    found: set[tuple[int, ...]] = set()
    for core in cores:
        place = [read_number(root / CPU / f"cpu{core}/topology/{name}") for name in ("physical_package_id", "core_id")]
        known = [number for number in place if number is not None]
        found.add(tuple(known) if len(known) == len(place) else (core,))
    return frozenset(found)


def aslr(host: Host) -> Finding:
    """Check address space randomisation."""
    value = read_number(host.root / "proc/sys/kernel/randomize_va_space")
    if value is None:
        return finding("aslr", "unknown", "the kernel does not tell")
    return finding("aslr", "advice" if value else "ok", f"randomize_va_space is {value}")


def swap(host: Host) -> Finding:
    """Check whether swap space is in use."""
    text = read_text(host.root / "proc/meminfo")
    total, free = number_after(text, "SwapTotal"), number_after(text, "SwapFree")
    if total is None or free is None:
        return finding("swap", "unknown", "the kernel does not tell")
    if total == free:
        return finding("swap", "ok", f"none of {total // 1024} MiB is used" if total else "there is none")
    return finding("swap", "advice", f"{(total - free) // 1024} of {total // 1024} MiB are used")


def load(host: Host) -> Finding:
    """Check the load average."""
    average, cores = read_load(host.root), len(host.online)
    if average is None or not cores:
        return finding("load", "unknown", "the kernel does not tell")
    text = f"{average:g} on {cores} cores"
    if average > LOAD_REJECT * cores:
        return finding("load", "reject", text)
    return finding("load", "warning" if average > LOAD_WARNING * cores else "ok", text)


def read_load(root: Path) -> float | None:
    """Return the load average of the last minute."""
    words = read_text(root / "proc/loadavg").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


HOST_CHECKS: tuple[Callable[[Host], Finding], ...] = (
    governor,
    turbo,
    smt,
    isolated_cores,
    threads,
    core_kinds,
    aslr,
    swap,
    load,
)
