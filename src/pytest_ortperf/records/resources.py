"""What a case took besides time: memory of host and device, energy, clocks; what is absent has its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """Resident memory of the case's process over what was there before its first session.

    Pages of libraries' files are left out on both sides: a fork does not hand them down, so that a child maps again
    what its parent had. Weights that ONNX Runtime maps from a file count, as far as they were read.
    """

    baseline_byte: int
    """Before the first session: in a forked child its parent's share, which none of the others holds."""

    creation_peak_byte: int | None
    """Highest while the first session was made; `None` where the kernel does not let the peak be reset."""

    creation_byte: int
    """What stayed once it was made."""

    run_peak_byte: int | None
    """Highest from the second session's creation on, through its first runs with one set of inputs."""

    run_byte: int | None
    """What was there after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Memory of the GPU, sampled while the first session was made and in runs that nobody timed."""

    source: str
    """`process`, as NVML counts this process, its CUDA context included; `device`: growth of the whole GPU's use."""

    baseline_byte: int
    """What the same source told before the first session."""

    creation_peak_byte: int | None
    """Over the baseline."""

    run_peak_byte: int | None
    """Over the baseline; `None` if the case did not come to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """An allocator of ONNX Runtime, as the profile of a run tells."""

    provider: str
    """Full name of the provider whose nodes allocate there."""

    held_byte: int
    """Most that it held of the system's or the device's memory."""

    in_use_byte: int
    """Most that was in use of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy in a window of iterations that nobody timed, all of the device counted: idle power and neighbours too."""

    source: str
    """`NVML` for the GPU's board, `RAPL` for the processors' packages."""

    power_w: float
    """Mean between the first and the last change of the counter in the window."""

    updates: int
    """How often the counter changed in it."""

    window_ns: int
    iterations: int

    @property
    def per_iteration_mj(self) -> float:
        """Millijoules."""
        return self.power_w * self.window_ns / 1e6 / self.iterations


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The GPU's SM clock in that window, of samples in which it was not idle."""

    mean_sm_mhz: float
    min_sm_mhz: int
    max_sm_mhz: int
    samples: int
    event_reasons: tuple[str, ...] = ()
    """Why the clock was not higher, in any of the samples, such as `power cap`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Everything of that kind."""

    host_memory: HostMemory | None = None
    device_memory: DeviceMemory | None = None
    energy: Energy | None = None
    clocks: Clocks | None = None
    timing: str | None = None
    """Timing mode of the window that energy and clocks are of."""

    absent: Mapping[str, str] = field(default_factory=dict)
    """Field -> why it or a part of it is absent, for those that were looked for."""
