"""The machine's fingerprint: its hardware in words, the same however its clocks, drivers and names change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pytest_ortperf.records.environment.run_header import GpuFact

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
