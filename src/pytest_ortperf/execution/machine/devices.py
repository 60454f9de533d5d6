"""GPUs as NVML sees them. NVML needs no CUDA context, so it may be asked in the process that forks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pytest_ortperf.records.environment.host import GpuSurvey
from pytest_ortperf.records.environment.run_header import GpuFact

T = TypeVar("T")


def nvml_gpus() -> GpuSurvey:
    """Return GPUs and driver, or the reason why NVML tells none; never raises."""
    try:
        import pynvml
    except ImportError as error:
        return GpuSurvey(reason=f"nvidia-ml-py cannot be imported: {error}")
    return survey(pynvml)


def survey(nvml: Any) -> GpuSurvey:
    """Return what an NVML module tells.

    Args:
        nvml: The module `pynvml`, or one that behaves like it.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return GpuSurvey(reason=str(error))
    try:
        return _asked(nvml)
    except nvml.NVMLError as error:
        return GpuSurvey(driver=_or_none(nvml, nvml.nvmlSystemGetDriverVersion, _text), reason=str(error))
    finally:
        _or_none(nvml, nvml.nvmlShutdown, bool)


def _asked(nvml: Any) -> GpuSurvey:
    count = int(nvml.nvmlDeviceGetCount())
    return GpuSurvey(
        gpus=tuple(_gpu(nvml, index) for index in range(count)),
        driver=_or_none(nvml, nvml.nvmlSystemGetDriverVersion, _text),
        cuda_driver_max=_or_none(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2, _cuda_version),
        reason=None if count else "NVML lists no GPU",
    )


def _gpu(nvml: Any, index: int) -> GpuFact:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return GpuFact(
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        uuid=_or_none(nvml, lambda: nvml.nvmlDeviceGetUUID(handle), _text),
        memory_byte=_or_none(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total, int),
    )


def _or_none(nvml: Any, ask: Callable[[], Any], convert: Callable[[Any], T]) -> T | None:
    """Return one fact; some drivers and GPUs (MIG, Jetson) do not support every question."""
    try:
        return convert(ask())
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _cuda_version(number: int) -> str:
    """Return `12.4` for 12040."""
    return f"{number // 1000}.{number % 1000 // 10}"
