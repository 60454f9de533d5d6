"""The machine and the versions a run was made with; unknown is `None`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_ortperf.records.environment.machine_checks import Canary, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFact:
    """One GPU as NVML names it."""

    index: int
    name: str
    uuid: str | None = None
    memory_byte: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Hardware, operating system and versions."""

    cpu: str | None
    logical_cores: int | None
    usable_cores: float | None
    """What affinity and control-group quota leave of them."""

    memory_byte: int | None
    gpus: tuple[GpuFact, ...] = ()
    gpu_reason: str | None = None
    """Why no GPU is listed, in NVML's words."""

    driver: str | None = None
    cuda: str | None = None
    """Version of the CUDA runtime libraries found; the driver's own maximum is `cuda_driver_max`."""

    cuda_driver_max: str | None = None
    cudnn: str | None = None
    tensorrt: str | None = None
    os: str | None = None
    kernel: str | None = None
    hostname: str | None = None
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    """Distribution name -> version; the onnxruntime distribution is one of them."""

    onnxruntime_distribution: str | None = None
    """`onnxruntime-gpu 1.31.1`."""

    fingerprint: str | None = None
    """The hardware alone, in words: the same whatever its clocks, driver and name."""

    environment_variables: Mapping[str, str] = field(default_factory=dict)
    """Those that change what is measured, such as `CUDA_VISIBLE_DEVICES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which cases a run was asked for, besides the options that its header holds."""

    arguments: tuple[str, ...] = ()
    """Files, folders and node ids that were given, as node ids write them; empty is everything."""

    providers: tuple[str, ...] = ()
    """As they were asked for: `auto` stays `auto`."""

    keyword: str = ""
    """The expression of `-k`."""

    marker: str = ""
    """The expression of `-m`."""

    last_failed: bool = False
    """Whether `--lf` left out what had passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """First line of a records file."""

    schema: int
    run: str
    """Run id, such as `20261123-210146`; part of each file name of the run."""

    started: str
    """ISO 8601, UTC."""

    command: tuple[str, ...]
    options: Mapping[str, object]
    """Every option as it took effect, by its flag without `--ortperf-`."""

    labels: Mapping[str, str]
    """`branch`, `commit`, `date`, `url` and what `--ortperf-label` gave."""

    reference_provider: str | None
    """Short name, where the user chose one; else each provider's own."""

    providers: tuple[str, ...]
    """Short names this run was asked to use, in order."""

    unusable_providers: Mapping[str, str] = field(default_factory=dict)
    """Under `auto`: short name -> why it is left out."""

    environment: Environment
    machine: tuple[Finding, ...] = ()
    """What was found out about the machine before the first benchmark; empty if nobody asked."""

    selection: Selection | None = None
    """`None` in files of older versions."""

    collected: int | None = None
    """Cases collected and not deselected: what the file holds if the run comes to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """Last line of a records file, if the run came to its end."""

    ended: str
    duration_ns: int
    exit_status: int
    collected: int | None
    """Cases collected and not deselected."""

    canary_before: Canary | None = None
    canary_after: Canary | None = None
    machine: tuple[Finding, ...] = ()
    """What was found out about the machine over the whole run."""

    stopped: str | None = None
    """Why pytest stopped before all cases had run, such as `stopping after 1 failures`."""

    deselected: tuple[str, ...] = ()
    """Node ids of cases that were collected and left out, by `-k`, `-m`, `--deselect` or a plugin."""
