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

_HOST_TO_DEVICE = re.compile(r"bound by host-to-device transfers")
_DEVICE_TO_HOST = re.compile(r"bound by device-to-host transfers")
_GRAPH_IGNORED = re.compile(
    r"useCudaGraph flag has been ignored|Ignored --useCudaGraph|CUDA graph capture (?:has )?failed"
)


def advice_of(log: TrtexecLog) -> list[str]:
    """Return one line a warning that bears on the numbers, in the order printed, each once."""
    return list(dict.fromkeys(text for warning in log.warnings if (text := _advice(warning, log))))


def graph_refusal(warnings: Sequence[str]) -> str | None:
    """Return the warning by which trtexec says that it runs without the CUDA graph asked for."""
    return next((warning for warning in warnings if _GRAPH_IGNORED.search(warning)), None)


def _advice(warning: str, log: TrtexecLog) -> str | None:
    if "bound by Enqueue Time" in warning:
        return ENQUEUE
    if _HOST_TO_DEVICE.search(warning):
        return COPIES.format(what="the inputs to the device")
    if _DEVICE_TO_HOST.search(warning):
        return COPIES.format(what="the outputs to the host")
    if "GPU compute time is unstable" in warning:
        how = f" (coefficient of variance {log.gpu_cv_percent:g} %)" if log.gpu_cv_percent is not None else ""
        return UNSTABLE.format(how=how)
    if "auxiliary streams" in warning:
        return STREAMS
    if re.search(r"overriding shape to|Automatically setting shape to", warning):
        return OVERRIDDEN.format(text=warning)
    return None
