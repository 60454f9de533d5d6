"""What a benchmark measures: the first run, then each timing mode, one session at a time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A case that is to be measured: what it is, how, and where what is found goes."""

    case: Case
    settings: ExecutionSettings
    facts: Facts
    hooks: SessionHooks
    open: Callable[[], onnxruntime.InferenceSession]
    """Returns a new session of the case, proved and noted in the facts."""

    source: Callable[[], str | bytes]
    """Returns what sessions are made of, for one with other provider options."""


def measure(bench: Bench) -> None:
    """Measure a case on its first data set; everything found goes to its facts.

    Raises:
        CaseError: Stage `session`, `placement`, `inputs`, `first_run`, `warm_up` or `timing`.
    """
    facts = bench.facts
    session = bench.open()
    with facts.entering("inputs"):
        data = next(iter(case_data(session, bench.case, bench.settings)))
        facts.inputs = tensor_facts(data)
        runner = Runner(session, wanted_outputs(session, bench.case), data.inputs)
    _note_first_run(session, runner, bench)
    batch = batch_of(session, data.inputs)
    facts.latencies = (latency_of("host", runner.call, bench, batch),)


def _note_first_run(session: onnxruntime.InferenceSession, runner: Runner, bench: Bench) -> None:
    facts = bench.facts
    with facts.entering("first_run"):
        bench.hooks.before_first_run(session)
        with running(facts):
            first_run_ns = timed(runner.call)
    if facts.session is not None:
        facts.session = dataclasses.replace(facts.session, first_run_ns=first_run_ns)


def latency_of(timing: str, call: Callable[[], object], bench: Bench, batch: int | None) -> Latency:
    """Return warm-up and samples of one timing mode."""
    facts, settings = bench.facts, bench.settings
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
