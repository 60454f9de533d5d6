"""NVML on one GPU: questions that may go unanswered, and which GPU a CUDA device number means.

Opened in the process that asks and closed before it forks. NVML itself makes no CUDA context; `cuda_uuid` starts the
CUDA driver and is for the process of a case alone.
"""

from __future__ import annotations

import ctypes
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NoGpu:
    """Why NVML answers nothing about a GPU."""

    reason: str


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process with a CUDA context on a GPU."""

    pid: int
    """As NVML numbers it: in a container that may be another number than the process's own."""

    used_byte: int | None


class Gpu:
    """One GPU or MIG instance; `refusals` tells why a question had `None` for an answer.

    Args:
        nvml: The module `pynvml`, or one that behaves like it, initialised.
        handle: NVML's of the GPU.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self.refusals: dict[str, str] = {}

    def ask(self, question: str, *arguments: object) -> Any | None:
        """Return NVML's answer to one question about this GPU; `None` if it has none.

        Args:
            question: Name without its prefix: `GetPowerUsage` for `nvmlDeviceGetPowerUsage`.
            arguments: After the handle.
        """
        function = getattr(self._nvml, f"nvmlDevice{question}", None)
        if function is None:
            self.refusals[question] = "not known to this nvidia-ml-py"
            return None
        try:
            return function(self._handle, *arguments)
        except self._nvml.NVMLError as error:
            self.refusals[question] = str(error)
            return None

    def constant(self, name: str) -> Any:
        """Return one of NVML's numbers, such as that of `NVML_CLOCK_MEM`."""
        return getattr(self._nvml, name)

    @property
    def uuid(self) -> str | None:
        """Of the GPU or MIG instance."""
        answer = self.ask("GetUUID")
        return answer.decode("ascii", "replace") if isinstance(answer, bytes) else answer

    @property
    def sm_clock_mhz(self) -> int | None:
        """Now."""
        return self.ask("GetClockInfo", self._nvml.NVML_CLOCK_SM)

    @property
    def clock_event_reasons(self) -> int | None:
        """Bits that say why the clocks are not higher; drivers before R535 call them throttle reasons."""
        answer = self.ask("GetCurrentClocksEventReasons")
        return answer if answer is not None else self.ask("GetCurrentClocksThrottleReasons")

    @property
    def total_energy_mj(self) -> int | None:
        """Millijoules since the driver was loaded, of the whole board; Volta and later."""
        return self.ask("GetTotalEnergyConsumption")

    @property
    def used_memory_byte(self) -> int | None:
        """Of the whole GPU, by all processes."""
        answer = self.ask("GetMemoryInfo")
        return None if answer is None else int(answer.used)

    @property
    def processes(self) -> tuple[GpuProcess, ...] | None:
        """Those that NVML lists with a CUDA context."""
        answer = self.ask("GetComputeRunningProcesses")
        return None if answer is None else tuple(GpuProcess(item.pid, item.usedGpuMemory) for item in answer)


@contextmanager
def opened_gpu(
    device: int = 0,
    *,
    uuid_of: Callable[[int], str | None] | None = None,
    environ: Mapping[str, str] = os.environ,
    nvml: Any | None = None,
) -> Iterator[Gpu | NoGpu]:
    """Open NVML and give the GPU that a CUDA device number means; NVML is closed afterwards.

    Args:
        device: As CUDA counts, what `CUDA_VISIBLE_DEVICES` hides left out.
        uuid_of: Asked for the GPU of a device number where the variable does not settle it: `cuda_uuid`, in the
            process of a case. Without it devices count in NVML's order, which is CUDA's where all GPUs are alike.
        environ: Where the variable is looked for.
        nvml: For tests.
    """
    module = nvml or _imported()
    if isinstance(module, NoGpu):
        yield module
        return
    try:
        module.nvmlInit()
    except module.NVMLError as error:
        yield NoGpu(str(error))
        return
    try:
        yield _found(module, device, uuid_of, environ)
    finally:
        _shut_down(module)


def cuda_uuid(device: int) -> str | None:
    """Return the UUID of a CUDA device, as the driver tells; it starts the driver, which no fork survives."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        number, answer = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        failed = (
            driver.cuInit(0)
            or driver.cuDeviceGet(ctypes.byref(number), device)
            or driver.cuDeviceGetUuid_v2(ctypes.byref(answer), number)
        )
    except (OSError, AttributeError):  # no driver, or one older than the last of these functions
        return None
    return None if failed else str(uuid.UUID(bytes=bytes(answer)))


def _imported() -> Any:
    try:
        import pynvml
    except ImportError as error:
        return NoGpu(f"nvidia-ml-py cannot be imported: {error}")
    return pynvml


def _shut_down(nvml: Any) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return  # the GPU fell off: nothing is left to close


def _found(
    nvml: Any, device: int, uuid_of: Callable[[int], str | None] | None, environ: Mapping[str, str]
) -> Gpu | NoGpu:
    names = _visible(device, environ)
    # the driver takes its time to start, which belongs to the first session: it is not asked without need
    told = uuid_of(device) if uuid_of and names and _order_matters(nvml, names[0], environ) else None
    names = [f"{kind}-{told}" for kind in ("GPU", "MIG")] if told else names
    if not names:
        return NoGpu(f"CUDA_VISIBLE_DEVICES={environ.get('CUDA_VISIBLE_DEVICES')} hides CUDA device {device}")
    reason = ""
    for name in names:
        try:
            return Gpu(nvml, _handle(nvml, name))
        except nvml.NVMLError as error:
            reason = f"NVML does not open GPU {name}: {error}"
    return NoGpu(reason)


def _visible(device: int, environ: Mapping[str, str]) -> list[str]:
    """Return the index or UUID of a device in the variable's list, which ends at its first entry that is none."""
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(device)]
    entries = [entry.strip() for entry in listed.split(",")]
    end = next((place for place, entry in enumerate(entries) if not _is_device(entry)), len(entries))
    return entries[:end][device : device + 1]


def _order_matters(nvml: Any, name: str, environ: Mapping[str, str]) -> bool:
    """Whether CUDA may number another GPU so than NVML: they are unlike, the fastest being first, or parts of one."""
    if not name.isdecimal():
        return False
    try:
        gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        kinds = {nvml.nvmlDeviceGetName(gpu) for gpu in gpus}
    except nvml.NVMLError:
        return True
    unlike = len(kinds) > 1 and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    return unlike or any(_is_divided(nvml, gpu) for gpu in gpus)


def _is_divided(nvml: Any, gpu: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(gpu)
    except nvml.NVMLError:  # a GPU that cannot be
        return False
    return bool(current)


def _is_device(entry: str) -> bool:
    return entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))


def _handle(nvml: Any, name: str) -> Any:
    if name.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    return nvml.nvmlDeviceGetHandleByUUID(name)
