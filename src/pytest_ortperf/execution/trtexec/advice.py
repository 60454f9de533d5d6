"""What trtexec warned of that bears on its numbers, as advice for people."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_ortperf.execution.trtexec.log import TrtexecLog

ENQUEUE = "enqueue-bound: launching kernels takes longer than computing, so the GPU waits; compare with the mode graph"
COPIES = "copies dominate: moving {what} takes longer than computing; compare with the mode bound"
UNSTABLE = "unstable GPU compute time{how}: lock the GPU's clock"
STREAMS = "layers run on several streams at once: times of layers do not add up"
OVERRIDDEN = "a shape was not given, and trtexec chose one: {text}"

_GRAPH_IGNORED = re.compile(
    r"useCudaGraph flag has been ignored|Ignored --useCudaGraph|CUDA graph capture (?:has )?failed"
)
_WARNINGS = (
    (re.compile(r"bound by Enqueue Time"), ENQUEUE),
    (re.compile(r"bound by host-to-device transfers"), COPIES.format(what="the inputs to the device")),
    (re.compile(r"bound by device-to-host transfers"), COPIES.format(what="the outputs to the host")),
    (re.compile(r"GPU compute time is unstable"), UNSTABLE),
    (re.compile(r"auxiliary streams"), STREAMS),
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


def graph_refusal(warnings: Sequence[str]) -> str | None:
    """Return the warning by which trtexec says that it runs without the CUDA graph asked for."""
    return next((warning for warning in warnings if _GRAPH_IGNORED.search(warning)), None)
