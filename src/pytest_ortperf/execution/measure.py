"""What a benchmark measures on a ready session: the first run, then each timing mode."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.calls import running, wanted_outputs
from pytest_ortperf.execution.case_data import batch_of, case_data, tensor_facts
from pytest_ortperf.execution.facts import Facts
from pytest_ortperf.execution.latency import sample, warm_up
from pytest_ortperf.execution.session import SessionHooks
from pytest_ortperf.execution.settings import ExecutionSettings
from pytest_ortperf.execution.values import Runner
from pytest_ortperf.records.record import Latency

TIMING = "host"
"""Arrays in, arrays out, as `InferenceSession.run` does it: copies to and from a device are inside."""


def measure(
    session: onnxruntime.InferenceSession,
    case: Case,
    settings: ExecutionSettings,
    facts: Facts,
    hooks: SessionHooks,
) -> None:
    """Measure a session on the case's first data set; everything found goes to `facts`.

    Raises:
        CaseError: Stage `inputs`, `first_run`, `warm_up` or `timing`.
    """
    with facts.entering("inputs"):
        data = next(iter(case_data(session, case, settings)))
        facts.inputs = tensor_facts(data)
        runner = Runner(session, wanted_outputs(session, case), data.inputs)
    with facts.entering("first_run"):
        hooks.before_first_run(session)
        with running(facts):
            first_run_ns = timed(runner.call)
    if facts.session is not None:
        facts.session = dataclasses.replace(facts.session, first_run_ns=first_run_ns)
    batch = batch_of(session, data.inputs)
    facts.latencies = (_latency(TIMING, runner.call, settings, facts, batch),)


def _latency(
    timing: str, call: Callable[[], object], settings: ExecutionSettings, facts: Facts, batch: int | None
) -> Latency:
    """Return warm-up and samples of one timing mode."""
    with facts.entering("warm_up"), running(facts):
        warmup = warm_up(call, settings)
    with facts.entering("timing"), running(facts):
        samples = sample(call, settings, lambda new: facts.sampled(timing, new, warmup_iterations=warmup))
    return Latency(timing=timing, samples_ns=samples, warmup_iterations=warmup, batch=batch)


def timed(call: Callable[[], object]) -> int:
    """Return how long one call takes, in ns."""
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start
