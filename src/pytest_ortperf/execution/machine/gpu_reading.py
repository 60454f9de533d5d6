"""The GPU at one moment beside a timed part, and what two such moments tell.

Why the clock is held down is asked twice: as bits, which are of this moment alone, and as counters of time, which miss
nothing in between and need nobody to look while the clock is running.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ortperf.execution.machine.gpu_checks import judge_processes, other_processes
from pytest_ortperf.execution.machine.host_checks import ROOT
from pytest_ortperf.execution.machine.nvml import Gpu
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, GpuReading, Level
from pytest_ortperf.records.resources import Clocks

IDLE, APPLICATION_CLOCKS, POWER_CAP = 0x1, 0x2, 0x4
REASONS: Mapping[int, str] = {
    IDLE: "idle",
    APPLICATION_CLOCKS: "clock setting",
    POWER_CAP: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software heat slowdown",
    0x40: "hardware heat slowdown",
    0x80: "hardware power brake",
    0x100: "display clock setting",
}
"""NVML's bits of why the clock is not higher (nvml.h, nvmlClocksEventReasons)."""

SPOILING = 0x8 | 0x20 | 0x40 | 0x80
"""Samples taken under any of these are of a GPU that protects itself."""

POWER_COUNTER, HEAT_COUNTER = "power cap", "heat slowdown"
COUNTERS: Mapping[str, int] = {POWER_COUNTER: 74, HEAT_COUNTER: 75}
"""Reason -> NVML's field of the ns spent under it (nvml.h, NVML_FI_DEV_PERF_POLICY_...).

There are newer fields for each kind of heat slowdown and for the power brake, but their numbers changed from one
driver to the next: 251 to 253 mean these to some, and power smoothing to others.
"""

LEAST_CLOCK = 0.75
MOST_SPREAD = 0.05
POWER_CAP_SHARE = 0.01
NEAR_SLOWDOWN_C = 5
LONGEST_HEAT_NS = 1_000_000


def read_gpu(gpu: Gpu, own: Collection[int], root: Path = ROOT) -> GpuReading:
    """Return what of the GPU changes, as far as NVML tells; the asking process holds a CUDA context.

    Args:
        gpu: Which.
        own: Ids of processes that are no neighbours.
        root: Folder that stands for `/`.
    """
    others = other_processes(gpu, own, root, holds_one=True)
    sm, temperature = gpu.constant("NVML_CLOCK_SM"), gpu.constant("NVML_TEMPERATURE_GPU")
    return GpuReading(
        # the moments first: what follows takes time
        clock_event_reasons=gpu.clock_event_reasons,
        sm_clock_mhz=gpu.sm_clock_mhz,
        pcie_generation=gpu.ask("GetCurrPcieLinkGeneration"),
        pcie_width=gpu.ask("GetCurrPcieLinkWidth"),
        temperature_c=gpu.ask("GetTemperature", temperature),
        limited_ns=_limited(gpu),
        default_sm_clock_mhz=gpu.ask("GetDefaultApplicationsClock", sm),
        slowdown_temperature_c=gpu.ask("GetTemperatureThreshold", gpu.constant("NVML_TEMPERATURE_THRESHOLD_SLOWDOWN")),
        max_pcie_generation=gpu.ask("GetMaxPcieLinkGeneration"),
        max_pcie_width=gpu.ask("GetMaxPcieLinkWidth"),
        other_processes=None if others is None else tuple(others),
    )


def _limited(gpu: Gpu) -> dict[str, int]:
    answers = gpu.ask("GetFieldValues", list(COUNTERS.values())) or []
    named = zip(COUNTERS, answers, strict=False)
    return {name: _number(answer) for name, answer in named if answer.nvmlReturn == 0}


def _number(answer: Any) -> int:
    """Return an answer's value; NVML says which member of the union it is in."""
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal")
    return int(getattr(answer.value, members[answer.valueType] if answer.valueType < len(members) else "ullVal"))


def reason_words(bits: int) -> list[str]:
    """Return the reasons in a number of bits."""
    return [word for bit, word in REASONS.items() if bits & bit]


def gpu_changes(label: str, before: GpuReading, after: GpuReading, elapsed_ns: int) -> Iterator[Finding]:
    """Yield what two readings around a timed part tell.

    Args:
        label: Of the GPU, for messages.
        before: Just before it.
        after: Just after it.
        elapsed_ns: Time between them.
    """
    yield _judge_slowdown(label, before, after)
    yield _judge_power_cap(label, before, after, elapsed_ns)
    yield _judge_clock(label, after)
    yield _judge_temperature(label, after)
    yield _judge_pcie(label, before, after)
    known = [others for others in (before.other_processes, after.other_processes) if others is not None]
    yield judge_processes(label, sorted({word for others in known for word in others}) if known else None)


def judge_spread(label: str, clocks: Clocks | str) -> Finding:
    """Return what the clocks of iterations that were watched tell; a text is why they are not known."""
    if isinstance(clocks, str):
        return finding("gpu-clock-spread", "unknown", f"{label}: {clocks}")
    text = f"{label}: {clocks.min_sm_mhz} to {clocks.max_sm_mhz} MHz in {clocks.samples} samples"
    moved = clocks.max_sm_mhz - clocks.min_sm_mhz > MOST_SPREAD * clocks.max_sm_mhz
    return finding("gpu-clock-spread", "warning" if moved else "ok", text)


def is_spoiled(reading: GpuReading) -> bool:
    """Whether the GPU protects itself at this moment."""
    return bool((reading.clock_event_reasons or 0) & SPOILING)


def _judge_slowdown(label: str, before: GpuReading, after: GpuReading) -> Finding:
    known = [bits for bits in (before.clock_event_reasons, after.clock_event_reasons) if bits is not None]
    grown = _grown(before, after)
    if not known and HEAT_COUNTER not in grown:
        return finding("gpu-hardware-slowdown", "unknown", f"{label}: NVML does not tell")
    words = reason_words(sum(bit for bit in REASONS if bit & SPOILING and any(bit & bits for bits in known)))
    heat_ns = grown.get(HEAT_COUNTER, 0)
    counted = [f"{HEAT_COUNTER} for {heat_ns / 1e6:.1f} ms"] if heat_ns > LONGEST_HEAT_NS else []
    if words or counted:
        return finding("gpu-hardware-slowdown", "reject", f"{label}: {', '.join([*words, *counted])}")
    return finding("gpu-hardware-slowdown", "ok", f"{label}: none")


def _grown(before: GpuReading, after: GpuReading) -> dict[str, int]:
    return {name: ns - before.limited_ns[name] for name, ns in after.limited_ns.items() if name in before.limited_ns}


def _judge_power_cap(label: str, before: GpuReading, after: GpuReading, elapsed_ns: int) -> Finding:
    held = _grown(before, after).get(POWER_COUNTER)
    if held is not None and elapsed_ns > 0:
        share = min(1.0, held / elapsed_ns)
        level: Level = "warning" if share > POWER_CAP_SHARE else "ok"
        return finding("gpu-power-cap", level, f"{label}: for {share:.0%} of the time")
    if after.clock_event_reasons is None:
        return finding("gpu-power-cap", "unknown", f"{label}: NVML does not tell")
    capped = after.clock_event_reasons & POWER_CAP
    return finding("gpu-power-cap", "warning" if capped else "ok", f"{label}: {'at the end' if capped else 'none'}")


def _judge_clock(label: str, after: GpuReading) -> Finding:
    clock, default, bits = after.sm_clock_mhz, after.default_sm_clock_mhz, after.clock_event_reasons
    if clock is None or not default:
        return finding("gpu-clock", "unknown", f"{label}: NVML does not tell")
    text = f"{label}: {clock} MHz, {clock / default:.0%} of the default {default} MHz"
    if bits is not None and bits & (IDLE | APPLICATION_CLOCKS):
        return finding("gpu-clock", "ok", f"{text} ({', '.join(reason_words(bits))})")
    return finding("gpu-clock", "reject" if clock < LEAST_CLOCK * default else "ok", text)


def _judge_temperature(label: str, after: GpuReading) -> Finding:
    now, limit = after.temperature_c, after.slowdown_temperature_c
    if now is None:
        return finding("gpu-temperature", "unknown", f"{label}: NVML does not tell")
    if not limit:
        return finding("gpu-temperature", "unknown", f"{label}: {now} degrees, where it slows down is not known")
    near = now > limit - NEAR_SLOWDOWN_C
    text = f"{label}: {now} degrees, slows down at {limit}"
    return finding("gpu-temperature", "warning" if near else "ok", text)


def _judge_pcie(label: str, before: GpuReading, after: GpuReading) -> Finding:
    generations = [value for value in (before.pcie_generation, after.pcie_generation) if value is not None]
    now = max(generations, default=None), after.pcie_width
    best = after.max_pcie_generation, after.max_pcie_width
    if None in (*now, *best):
        return finding("gpu-pcie", "unknown", f"{label}: NVML does not tell")
    text = f"{label}: generation {now[0]} x{now[1]} of {best[0]} x{best[1]}"
    lower = any(have < can for have, can in zip(now, best, strict=True) if have is not None and can is not None)
    return finding("gpu-pcie", "warning" if lower else "ok", text)
