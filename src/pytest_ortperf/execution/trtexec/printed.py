"""What one run of trtexec printed, as numbers with names.

What trtexec warned of that bears on its numbers, as advice for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ENQUEUE = "enqueue-bound: launching kernels takes longer than computing, so the GPU waits; compare with the mode graph"
COPIES = "copies dominate: moving {what} takes longer than computing; compare with the mode bound"
UNSTABLE = "unstable GPU compute time{how}: lock the GPU's clock"
STREAMS = "layers run on several streams at once: times of layers do not add up"
SEVERAL = "several queries run at once (infStreams): each waits for the others, so latencies are not those of one alone"
PROFILED = (
    "a profiler was attached, which waits after each layer: times are too long; separateProfileRun keeps it apart"
)
OVERRIDDEN = "a shape was not given, and trtexec chose one: {text}"

_GRAPH_IGNORED = re.compile(
    r"useCudaGraph flag has been ignored|Ignored --useCudaGraph|without using CUDA graph"
    r"|CUDA graph capture (?:on the stream )?(?:has )?failed"
)
_WARNINGS = (
    (re.compile(r"bound by Enqueue Time"), ENQUEUE),
    (re.compile(r"bound by host-to-device transfers"), COPIES.format(what="the inputs to the device")),
    (re.compile(r"bound by device-to-host transfers"), COPIES.format(what="the outputs to the host")),
    (re.compile(r"GPU compute time is unstable"), UNSTABLE),
    (re.compile(r"auxiliary streams"), STREAMS),
    (re.compile(r"Multiple inference streams are used"), SEVERAL),
    (re.compile(r"timing report will not be accurate due to extra synchronizations"), PROFILED),
    (re.compile(r"overriding shape to|Automatically setting shape to"), OVERRIDDEN),
)


def advice_of(log: TrtexecLog) -> list[str]:
    """Return one line a warning that bears on the numbers, in the order printed, each once."""
    variation = f" (coefficient of variance {log.gpu_cv_percent:g} %)" if log.gpu_cv_percent is not None else ""
    found = [
        advice.replace("{how}", variation).replace("{text}", warning)
        for warning in log.warnings
        for pattern, advice in _WARNINGS
        if pattern.search(warning)
    ]
    return list(dict.fromkeys(found))


def graph_refusal(log: TrtexecLog) -> str | None:
    """Return how trtexec says that it runs without the CUDA graph asked for."""
    if log.options.get("cuda_graph") == "Disabled":
        return "trtexec says of its options: CUDA Graph: Disabled"
    return " ".join(filter(_GRAPH_IGNORED.search, log.warnings)) or None


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
