"""What trtexec warned of that bears on its numbers, as advice for people."""

from __future__ import annotations

import re

from pytest_ortperf.execution.trtexec.printed import TrtexecLog

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
