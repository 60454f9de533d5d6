"""What one run of trtexec printed, as numbers with names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["PASSED", "FAILED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedRow:
    """One row of a performance summary, in ms; what was not printed is absent."""

    min: float | None = None
    max: float | None = None
    mean: float | None = None
    median: float | None = None
    percentiles: Mapping[float, float] = field(default_factory=dict)
    """Percent -> ms; which ones is an option of trtexec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrtexecLog:
    """One run as its log tells it."""

    version: tuple[int, int, int] | None = None
    build_tag: str | None = None
    """Such as `b31`."""

    command: str | None = None
    status: Status | None = None
    """What trtexec itself said at the end; `None` if it did not come to say it. `PASSED` is not "measured"."""

    errors: tuple[str, ...] = ()
    """Lines that report an error, whole; a run can pass with some."""

    cause: str | None = None
    """Why it failed: the first error that says something, with the lines that belong to it."""

    warnings: tuple[str, ...] = ()
    """Texts of warnings, without their tags."""

    rows: Mapping[str, PrintedRow] = field(default_factory=dict)
    """`latency`, `gpu_compute`, `h2d`, `d2h`, `enqueue`, `end_to_end` -> numbers of the last summary printed."""

    throughput_qps: float | None = None
    """As printed; with an implicit batch it counts samples instead of queries."""

    warmup_queries: int | None = None
    queries: int | None = None
    trace_s: float | None = None
    walltime_s: float | None = None
    gpu_total_s: float | None = None
    gpu_cv_percent: float | None = None
    """Coefficient of variance, where trtexec warns of it."""

    build_s: float | None = None
    deserialize_s: float | None = None
    engine_mib: float | None = None
    context_mib: float | None = None
    """Device memory of the execution context: activations and scratch, without the weights."""

    builder_peak_gpu_mib: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """What the option section says of `OPTIONS`."""

    @property
    def measured(self) -> bool:
        """Whether the log holds a latency or a compute time."""
        return any(self.rows.get(name, PrintedRow()).median is not None for name in ("latency", "gpu_compute"))
