"""Checks of one NVIDIA GPU that hold for a whole run: driver, memory errors, modes, limits, neighbours."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.execution.machine.host_checks import ROOT
from pytest_ortperf.execution.machine.machine_files import CPU, cores_text, read_list, read_number, read_word
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, Level

ECC_ON = PERSISTENCE_ON = MIG_ON = 1
UNCORRECTED, VOLATILE = "NVML_MEMORY_ERROR_TYPE_UNCORRECTED", "NVML_VOLATILE_ECC"
_LINUX_COMM = "proc/{}/comm"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSubject:
    """One GPU to look at."""

    gpu: Gpu
    label: str
    """For messages, such as `GPU 0`."""

    driver: str | None = None
    cores: frozenset[int] = frozenset()
    """That this process may use."""

    own: Collection[int] = ()
    """Ids of processes that are no neighbours."""

    root: Path = ROOT


def gpu_findings(subject: GpuSubject | NoGpu) -> tuple[Finding, ...]:
    """Return one finding of each check; one alone where NVML opens no GPU."""
    if isinstance(subject, NoGpu):
        return (finding("gpu-driver", "unknown", f"NVML tells nothing: {subject.reason}"),)
    return tuple(check(subject) for check in GPU_CHECKS)


def driver(subject: GpuSubject) -> Finding:
    """Name the driver."""
    level: Level = "ok" if subject.driver else "unknown"
    return finding("gpu-driver", level, f"{subject.label}: driver {subject.driver or 'of unknown version'}")


def ecc(subject: GpuSubject) -> Finding:
    """Check for uncorrected memory errors."""
    mode = subject.gpu.ask("GetEccMode")
    if mode is None:
        return _refused("gpu-ecc", subject, "GetEccMode")
    if mode[0] != ECC_ON:
        return finding("gpu-ecc", "ok", f"{subject.label}: error correction is off")
    kinds = subject.gpu.constant(UNCORRECTED), subject.gpu.constant(VOLATILE)
    errors = subject.gpu.ask("GetTotalEccErrors", *kinds)
    if errors is None:
        return _refused("gpu-ecc", subject, "GetTotalEccErrors")
    text = f"{subject.label}: error correction is on, {errors} uncorrected errors"
    return finding("gpu-ecc", "reject" if errors else "ok", text)


def mig(subject: GpuSubject) -> Finding:
    """Check multi-instance mode."""
    mode = subject.gpu.ask("GetMigMode")
    if mode is None:
        return _refused("gpu-mig", subject, "GetMigMode")
    on = mode[0] == MIG_ON
    return finding("gpu-mig", "advice" if on else "ok", f"{subject.label}: MIG is {'on' if on else 'off'}")


def persistence(subject: GpuSubject) -> Finding:
    """Check persistence mode."""
    mode = subject.gpu.ask("GetPersistenceMode")
    if mode is None:
        return _refused("gpu-persistence", subject, "GetPersistenceMode")
    on = mode == PERSISTENCE_ON
    level: Level = "ok" if on else "advice"
    return finding("gpu-persistence", level, f"{subject.label}: persistence mode is {'on' if on else 'off'}")


def power_limit(subject: GpuSubject) -> Finding:
    """Check the power limit that was set against the one in force and the board's own."""
    names = ("GetPowerManagementLimit", "GetEnforcedPowerLimit", "GetPowerManagementDefaultLimit")
    requested, in_force, default = (subject.gpu.ask(name) for name in names)
    if in_force is None:
        return _refused("gpu-power-limit", subject, names[1])
    known = {"set": requested, "in force": in_force, "the board's own": default}
    watts = ", ".join(f"{value / 1000:.0f} W {name}" for name, value in known.items() if value is not None)
    lower = any(value is not None and in_force < value for value in (requested, default))
    return finding("gpu-power-limit", "warning" if lower else "ok", f"{subject.label}: {watts}")


def numa(subject: GpuSubject) -> Finding:
    """Check whether this process may run far from the GPU."""
    info = subject.gpu.ask("GetPciInfo")
    if info is None:
        return _refused("gpu-numa", subject, "GetPciInfo")
    folder = subject.root / "sys/bus/pci/devices" / _pci_folder(_text(info.busId))
    node = read_number(folder / "numa_node")
    near = None if node is None else read_list(subject.root / f"sys/devices/system/node/node{node}/cpulist")
    nodes = read_word(subject.root / "sys/devices/system/node/online")
    if near is None or node is None:
        level: Level = "ok" if nodes == "0" else "unknown"
        text = "the machine has one node" if nodes == "0" else f"the node of {folder.name} is not shown"
        return finding("gpu-numa", level, f"{subject.label}: {text}")
    far = (subject.cores or read_list(subject.root / CPU / "online") or frozenset()) - near
    text = f"{subject.label} is at node {node} (cores {cores_text(near)})"
    if not far:
        return finding("gpu-numa", "ok", text)
    advice = f"numactl --cpunodebind={node} --membind={node} pytest ..."
    return finding("gpu-numa", "advice", f"{text}, this process may use {cores_text(far)} too", advice=advice)


def processes(subject: GpuSubject) -> Finding:
    """Check for other processes on the GPU."""
    others = other_processes(subject.gpu, subject.own, subject.root)
    return judge_processes(subject.label, others)


def judge_processes(label: str, others: Collection[str] | None) -> Finding:
    """Return what other processes on a GPU mean; `None` is that NVML does not tell."""
    if others is None:
        return finding("gpu-processes", "unknown", f"{label}: NVML does not list processes")
    if not others:
        return finding("gpu-processes", "ok", f"{label}: no other process")
    return finding("gpu-processes", "reject", f"{label}: {', '.join(others)}")


def other_processes(gpu: Gpu, own: Collection[int], root: Path = ROOT, *, holds_one: bool = False) -> list[str] | None:
    """Return the processes on a GPU besides one's own, as words; `None` if NVML does not tell.

    Args:
        gpu: Where.
        own: Ids that do not count.
        root: Folder that stands for `/`.
        holds_one: Whether this process has a CUDA context. If none of the ids is listed then, NVML counts processes
            as the host does and one of those it lists is this one.
    """
    listed = gpu.processes
    if listed is None:
        return None
    others = [process for process in listed if process.pid not in own]
    words = [_process_text(process.pid, process.used_byte, root) for process in others]
    hidden = holds_one and len(others) == len(listed)
    if hidden and len(words) > 1:
        return [f"{len(words) - 1} of the processes {', '.join(words)}"]
    return [] if hidden else words


def own_family(pid: int, root: Path = ROOT) -> frozenset[int]:
    """Return a process and those it descends from, as far as the system tells."""
    family = {pid}
    while pid > 1:
        fields = _stat_fields(root / f"proc/{pid}/stat")
        if not fields or fields[1] in family:
            break
        pid = fields[1]
        family.add(pid)
    return frozenset(family)


def _stat_fields(path: Path) -> tuple[str, int] | None:
    """Return state and parent of a process; its name before them may hold anything."""
    text = read_word(path)
    words = text.rpartition(")")[2].split() if text else []
    return (words[0], int(words[1])) if len(words) > 1 and words[1].isdecimal() else None


def _process_text(pid: int, used_byte: int | None, root: Path) -> str:
    name = read_word(root / _LINUX_COMM.format(pid))
    memory = None if used_byte is None else f"{used_byte >> 20} MiB"
    about = ", ".join(part for part in (name, memory) if part)
    return f"process {pid}" + (f" ({about})" if about else "")


def _pci_folder(bus_id: str) -> str:
    """Return the kernel's name of a device: NVML writes the domain with eight digits, the kernel with four."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _refused(check: str, subject: GpuSubject, question: str) -> Finding:
    reason = subject.gpu.refusals.get(question, "no answer")
    return finding(check, "unknown", f"{subject.label}: NVML does not tell: {reason}")


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def own_processes() -> frozenset[int]:
    """Return this process and those it descends from."""
    return own_family(os.getpid())


GPU_CHECKS: tuple[Callable[[GpuSubject], Finding], ...] = (
    driver,
    ecc,
    mig,
    persistence,
    power_limit,
    numa,
    processes,
)
