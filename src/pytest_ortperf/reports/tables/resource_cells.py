"""Cells of memory, energy and clocks, and of what sessions take beside runs.

Cells of what ran a case: ONNX Runtime, or a program beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.record import Record, SessionFact
from pytest_ortperf.records.resources import Clocks, DeviceMemory, Energy, HostMemory


def engine_name(record: Record) -> str:
    """Return `onnxruntime`, or the short name of the program."""
    return record.provider if record.program else "onnxruntime"


def version_of(record: Record, environment: Environment) -> str | None:
    """Return the version of the program, else the one out of `onnxruntime-gpu 1.31.1`."""
    if record.program:
        return record.program.version
    text = environment.onnxruntime_distribution
    return text.rpartition(" ")[2] if text else None


def program_of(record: Record, get: Callable[[ProgramFact], str | None]) -> str | None:
    """Return a text of the program, if one ran the case."""
    return get(record.program) if record.program else None


def size_of(record: Record, get: Callable[[ProgramFact], int | None]) -> float | None:
    """Return a size that a program told, in MiB."""
    return mib(get(record.program)) if record.program else None


def engines_of(record: Record) -> str | None:
    """Return whether TensorRT's engines were built or loaded."""
    if record.program:
        return record.program.engine
    return record.session.engines if record.session else None


def build_ns(record: Record) -> int | None:
    """Return how long it took to build them."""
    if record.program:
        return record.program.build_ns
    return engine_build_ns(record.session) if record.session else None


def throughput_of(record: Record, timing: str) -> float | None:
    """Return queries per second as a program printed them."""
    return record.program.throughput_per_s.get(timing) if record.program else None


_MIB = 2**20


class MeasuredRow(Protocol):
    """One timing mode of one benchmark."""

    @property
    def record(self) -> Record:
        """Of the benchmark."""

    @property
    def latency(self) -> Latency:
        """In the mode."""


def mib(byte: int | None) -> float | None:
    """Return bytes as MiB."""
    return None if byte is None else round(byte / _MIB, 2)


def host_of(record: Record, get: Callable[[HostMemory], int | None]) -> float | None:
    """Return a fact of the host memory in MiB, if it is known."""
    memory = record.resources.host_memory if record.resources else None
    return mib(get(memory)) if memory else None


def device_of(record: Record, get: Callable[[DeviceMemory], int | None]) -> float | None:
    """Return a fact of the GPU memory in MiB, if it is known."""
    memory = record.resources.device_memory if record.resources else None
    return mib(get(memory)) if memory else None


def device_source(record: Record) -> str | None:
    """Return what GPU memory was counted: of the process, or of the whole device."""
    memory = record.resources.device_memory if record.resources else None
    return memory.source if memory else None


def arena_held(record: Record) -> float | None:
    """Return what the arena of the provider asked for held at most, in MiB."""
    arenas = record.operators.arenas if record.operators else ()
    held = [arena.held_byte for arena in arenas if arena.provider == record.provider_full_name]
    return mib(max(held)) if held else None


def absent_text(record: Record) -> str | None:
    """Return what was looked for and not found, with the reason."""
    absent = record.resources.absent if record.resources else {}
    return "; ".join(f"{name}: {reason}" for name, reason in absent.items()) or None


def energy_of(row: MeasuredRow, get: Callable[[Energy], float | str]) -> float | str | None:
    """Return a fact of the energy, in the row of the timing mode that it was taken in."""
    found = row.record.resources
    if found is None or found.energy is None or found.timing != row.latency.timing:
        return None
    value = get(found.energy)
    return round(value, 4) if isinstance(value, float) else value


def clocks_of(row: MeasuredRow, get: Callable[[Clocks], float | str]) -> float | str | None:
    """Return a fact of the clocks, in the row of the timing mode that they were taken in."""
    found = row.record.resources
    if found is None or found.clocks is None or found.timing != row.latency.timing:
        return None
    value = get(found.clocks)
    return round(value, 1) if isinstance(value, float) else value or None


def engine_build_ns(session: SessionFact) -> int | None:
    """Return by how much the first creation, which built the engines, took longer than the second, which read them."""
    if session.engines != "built" or session.second_creation_ns is None:
        return None
    return session.creation_ns - session.second_creation_ns
