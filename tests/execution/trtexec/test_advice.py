"""Warnings of trtexec, in its words, and what is made of them."""

from __future__ import annotations

import pytest

from pytest_ortperf.execution.trtexec.log import parse_log
from pytest_ortperf.execution.trtexec.printed import advice_of, graph_refusal

STAMP = "[11/28/2026-10:00:00]"
WARNINGS = {
    "* Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be under-utilized.": (
        "enqueue-bound"
    ),
    "* Throughput may be bound by host-to-device transfers for the inputs rather than GPU Compute and the GPU may be "
    "under-utilized.": "copies dominate: moving the inputs to the device",
    "* Throughput may be bound by device-to-host transfers for the outputs rather than GPU Compute and the GPU may be "
    "under-utilized.": "copies dominate: moving the outputs to the host",
    "* GPU compute time is unstable, with coefficient of variance = 5.58977%.": (
        "unstable GPU compute time (coefficient of variance 5.58977 %)"
    ),
    "* Multiple inference streams are used. Latencies may not be accurate since inferences may run in   parallel. "
    'Please use "Throughput" as the performance metric instead.': "several queries run at once",
    "The network timing report will not be accurate due to extra synchronizations when profiler is enabled.": (
        "a profiler was attached"
    ),
    "Dynamic dimensions required for input: x, but no shapes were provided. Automatically overriding shape to: 1x3": (
        "a shape was not given, and trtexec chose one: Dynamic dimensions required for input: x"
    ),
}
IGNORED = (
    "The CUDA graph capture on the stream has failed.",
    "The specified --useCudaGraph flag has been ignored.",
    "The inference will be launched without using CUDA graph launch.",
    "Profiler does not work when CUDA graph is enabled. Ignored --useCudaGraph flag",
)


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_warning_that_bears_on_the_numbers_is_one_line_of_advice(warning: str) -> None:
    line = f"{STAMP} [W] {warning}"
    (advice,) = advice_of(parse_log(f"{line}\n{line}"))
    assert advice.startswith(WARNINGS[warning])


def test_other_warnings_are_no_advice() -> None:
    assert (
        advice_of(parse_log(f"{STAMP} [W] --plugins flag has been deprecated, use --staticPlugins flag instead.")) == []
    )


@pytest.mark.parametrize("warning", IGNORED)
def test_a_graph_that_is_not_there_is_told(warning: str) -> None:
    assert graph_refusal(parse_log(f"{STAMP} [W] {warning}")) == warning


def test_the_list_of_options_tells_of_a_graph_too() -> None:
    assert graph_refusal(parse_log(f"{STAMP} [I] CUDA Graph: Enabled")) is None
    assert graph_refusal(parse_log(f"{STAMP} [I] CUDA Graph: Disabled")) == (
        "trtexec says of its options: CUDA Graph: Disabled"
    )
