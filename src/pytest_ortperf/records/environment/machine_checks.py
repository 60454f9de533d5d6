"""What was found out about the machine's quiet: findings, readings around a timed part, and the canary's times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["ok", "advice", "warning", "reject", "unknown"]

LEVELS: tuple[Level, ...] = ("ok", "unknown", "advice", "warning", "reject")
"""From the best to the worst. `unknown` is never `ok`: nothing here could be read."""

OFF: tuple[Level, ...] = ("advice", "warning", "reject")
"""Levels of something that is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's answer."""

    check: str
    """Id of one of `pytest_ortperf.records.environment.machine_catalogue.CHECKS`."""

    level: Level
    seen: str
    """What was seen, with the value; of `unknown` why nothing was."""

    why: str | None = None
    """Why it matters; `None` where nothing is off."""

    advice: str | None = None
    """One thing to try, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReading:
    """What of the host changes while a benchmark runs; counters start at some time before it."""

    at_ns: int
    """On the monotonic clock."""

    own_cpu_ns: int
    """CPU time of this process so far, all threads."""

    busy_ns: int | None = None
    """CPU time of everything on the machine so far, over all cores; what was stolen is not in it."""

    steal_ns: int | None = None
    """CPU time that a hypervisor gave to others while this machine wanted it."""

    cores: int | None = None
    """Cores that were switched on; not in records of older versions."""

    runnable: int | None = None
    """Threads of others that were running or ready to run."""

    load1: float | None = None
    swapped_pages: int | None = None
    quota_throttled_ns: int | None = None
    """Time for which the control group's quota held its threads back."""

    thermal_events: int | None = None
    """How often the CPU lowered its clock because of heat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """What of the GPU changes while a benchmark runs."""

    sm_clock_mhz: int | None = None
    default_sm_clock_mhz: int | None = None
    temperature_c: int | None = None
    slowdown_temperature_c: int | None = None
    """Where the hardware lowers its clock."""

    clock_event_reasons: int | None = None
    """NVML's bits of why the clock is not higher, at this moment."""

    limited_ns: Mapping[str, int] = field(default_factory=dict)
    """Reason, such as `power cap` -> time so far that the clock was held down for it."""

    pcie_generation: int | None = None
    max_pcie_generation: int | None = None
    pcie_width: int | None = None
    max_pcie_width: int | None = None
    other_processes: tuple[str, ...] | None = None
    """Other processes with a CUDA context: `12345 (python, 730 MiB)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The machine at one moment beside a timed part."""

    host: HostReading
    gpu: GpuReading | None = None
    """`None` where the case uses no NVIDIA GPU, or NVML does not open it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The machine before and after one timed part."""

    timing: str
    """As of the `Latency` it belongs to."""

    before: Reading
    after: Reading
    discarded: int = 0
    """Earlier measurements of this part that were thrown away, because something of level `reject` spoiled them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """The machine while one benchmark was measured."""

    spans: tuple[Span, ...]
    findings: tuple[Finding, ...] = ()
    """What was off or could not be read; checks that were fine are left out."""

    @property
    def level(self) -> Level:
        """The worst of its findings; what is unknown beside nothing worse leaves it `unknown`."""
        return worst(self.findings)


HANDOFF = "handoff"
"""Part of the canary that shows how fast cores see each other's writes, not how fast they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPart:
    """Times of one small fixed piece of work."""

    fast_ns: int
    """Lower quartile: what the machine can do when nothing comes in between."""

    median_ns: int
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Fixed work on the host, by kind: `compute`, `memory`, `interpreter`, and with two cores `handoff`."""

    parts: Mapping[str, CanaryPart]


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level among findings; `ok` if there is none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding of each check, the worst one, in order of first appearance."""
    found: dict[str, Finding] = {}
    for finding in findings:
        known = found.get(finding.check)
        if known is None or LEVELS.index(finding.level) > LEVELS.index(known.level):
            found[finding.check] = finding
    return tuple(found.values())


def drift_percent(before: Canary, after: Canary) -> dict[str, float]:
    """Return by how much each part of the canary became slower, in percent; negative is faster."""
    return {
        name: 100 * (after.parts[name].fast_ns / part.fast_ns - 1)
        for name, part in before.parts.items()
        if name in after.parts
    }
