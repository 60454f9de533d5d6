"""Cells of what ran a case: ONNX Runtime, or a program beside it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ortperf.records.environment.run_header import Environment
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.resource_cells import engine_build_ns, mib


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
