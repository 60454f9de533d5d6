"""Facts of the machine a run is made on: hardware, operating system, versions; unknown is `None`.

The machine's fingerprint: its hardware in words, the same however its clocks, drivers and names change.

Environment variables that change what is measured without a trace in any option.
"""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.records.environment.distributions import (
    first_version,
    onnxruntime_distributions,
    require_one_onnxruntime,
    versions,
)
from pytest_ortperf.records.environment.libraries import read_cuda, read_cudnn, read_driver, read_tensorrt, read_text
from pytest_ortperf.records.environment.run_header import Environment, GpuFact

_GIB = 2**30


def fingerprint(cpu: str | None, cores: int | None, memory_byte: int | None, gpus: Iterable[GpuFact]) -> str:
    """Return CPU, cores, memory and GPUs, such as `AMD EPYC 9654, 8 cores, 16 GiB, 1 x NVIDIA H100 80 GiB`.

    Memory is rounded up to the next eighth of a power of two, because what kernel and driver keep for themselves
    differs with their versions.
    """
    counts = Counter(" ".join([gpu.name, *_memory(gpu.memory_byte)]) for gpu in gpus)
    parts = [
        cpu or "unknown CPU",
        "unknown cores" if not cores else "1 core" if cores == 1 else f"{cores} cores",
        *(_memory(memory_byte) or ["unknown memory"]),
        *(f"{count} x {name}" for name, count in sorted(counts.items())),
    ]
    return ", ".join(parts)


def _memory(byte: int | None) -> list[str]:
    if not byte:
        return []
    step = max(1, 1 << max(0, byte.bit_length() - 4))
    return [f"{-(-byte // step) * step / _GIB:g} GiB"]


_NAMED = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES"})
_PREFIXED = ("CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "KMP_", "MKL_", "OMP_", "OPENBLAS_", "ORT_", "OV_", "TRT_")


def recorded_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that steer ONNX Runtime, CUDA, TensorRT, threads or the loader, sorted by name.

    `ORT_TENSORRT_*` are deprecated and still stand in for TensorRT's provider options.
    """
    return {name: environ[name] for name in sorted(environ) if name in _NAMED or name.startswith(_PREFIXED)}


__all__ = ["GpuSurvey", "collect_environment", "onnxruntime_distributions", "require_one_onnxruntime"]

ROOT = Path("/")

_NAMES = (
    "filelock",
    "numpy",
    "nvidia-ml-py",
    "onnx",
    "pandas",
    "pytest",
    "pytest-forked",
    "pytest-ortperf",
    "pytest-xdist",
)
_PREFIXES = ("nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn", "onnxruntime", "tensorrt")

_CUDA = r"nvidia-cuda-runtime(-cu\d+)?"
_CUDNN = r"nvidia-cudnn(-cu\d+)?"
_TENSORRT = r"tensorrt((-cu\d+)?(-libs)?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSurvey:
    """What NVML told about GPUs and driver."""

    gpus: tuple[GpuFact, ...] = ()
    driver: str | None = None
    cuda_driver_max: str | None = None
    """Highest CUDA version the driver takes, such as `12.4`."""

    reason: str | None = None
    """Why no GPU is listed, in NVML's words."""


def collect_environment(
    gpus: GpuSurvey | None = None, *, workspace: Path | None = None, root: Path = ROOT
) -> Environment:
    """Return the environment; imports none of the packages it names and makes no session.

    Args:
        gpus: What `execution.devices.nvml_gpus` found; `None` if nobody asked.
        workspace: Folder that may hold a TensorRT installation.
        root: Folder that stands for `/`.
    """
    survey = gpus or GpuSurvey()
    packages = versions(_NAMES, _PREFIXES)
    runtimes = [f"{name} {version}" for name, version in onnxruntime_distributions().items()]
    cpu, cores, memory = read_cpu_model(root), os.cpu_count(), read_memory(root)
    return Environment(
        cpu=cpu,
        logical_cores=cores,
        usable_cores=read_usable_cores(root),
        memory_byte=memory,
        gpus=survey.gpus,
        gpu_reason=survey.reason,
        driver=survey.driver or read_driver(root),
        cuda=first_version(packages, _CUDA) or read_cuda(root),
        cuda_driver_max=survey.cuda_driver_max,
        cudnn=first_version(packages, _CUDNN) or read_cudnn(root),
        tensorrt=first_version(packages, _TENSORRT) or read_tensorrt(root, workspace),
        os=read_os(),
        kernel=platform.release() or None,
        hostname=platform.node() or None,
        python=platform.python_version(),
        packages=packages,
        onnxruntime_distribution=", ".join(runtimes) or None,
        fingerprint=fingerprint(cpu, cores, memory, survey.gpus),
        environment_variables=recorded_environment(os.environ),
    )


def read_cpu_model(root: Path) -> str | None:
    """Return the processor's name; on machines that do not tell, its architecture."""
    match = re.search(r"^model name\s*:\s*(\S.*?)\s*$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine() or None


def read_memory(root: Path) -> int | None:
    """Return the main memory in bytes."""
    match = re.search(r"^MemTotal:\s*(\d+) kB$", read_text(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def read_os() -> str | None:
    """Return the distribution's name, such as `Ubuntu 24.04.1 LTS`, else the system's."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME") or platform.system()
    except OSError:
        return platform.system() or None


def read_usable_cores(root: Path) -> float | None:
    """Return how many cores this process may use: the smaller of its affinity and its group's quota."""
    allowed = [quota for quota in (_affinity(), read_quota(root)) if quota is not None]
    return min(allowed) if allowed else None


def read_quota(root: Path) -> float | None:
    """Return the control group's CPU quota in cores (version 2 or 1), or `None` if there is none."""
    quotas = [quota for folder in control_groups(root, "cpu") if (quota := _quota_of(folder)) is not None]
    return min(quotas) if quotas else None


def _affinity() -> float | None:
    try:
        return float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS or Windows
        return None


def control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group, then of those around it, for version 1 or 2.

    In a container the group's own path often is not mounted; then the mount's top is the container's group.
    """
    base = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number != "0" and controller not in controllers.split(","):
            continue
        mounts = [base, base / "unified"] if number == "0" else [base / controllers, base / controller]
        mounted = next((mount for mount in mounts if mount.is_dir()), base)
        inner = mounted / group.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(mounted))


def _quota_of(folder: Path) -> float | None:
    quota, _, period = read_text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = read_text(folder / "cpu.cfs_quota_us").strip()
        period = read_text(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None  # `max`, `-1`, or no such file
    return int(quota) / int(period)
