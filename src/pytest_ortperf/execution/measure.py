"""What a benchmark measures: the first run, then each timing mode, one session at a time.

While the clock runs there is no other session in the process: the threads of an idle one spin for a while and take
the cores that are measured.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import (
    GENERATED,
    CaseData,
    batch_of,
    case_data,
    stored_sets,
    tensor_facts,
)
from pytest_ortperf.execution.inputs.reference_facts import shows_nothing
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.machine.machine_state import MachineWatch, refuse_state, unwatched, watched_machine
from pytest_ortperf.execution.machine.resource_meter import ResourceMeter
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.assumed_shapes import livelier
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.run_errors import running, undeclared_shapes, wanted_outputs
from pytest_ortperf.execution.timing.io_binding import Bound, Call, CannotBind
from pytest_ortperf.execution.timing.measured_session import MeasuredSession
from pytest_ortperf.execution.timing.sampling import Progress, sample
from pytest_ortperf.execution.timing.timing_modes import captured, graph_session, modes_of
from pytest_ortperf.execution.timing.warm_up import WarmUp, warm_up
from pytest_ortperf.records.latency import Latency

NOTHING_COMPUTED = (
    "latency of empty work: all outputs are empty or not finite with every generated input; give real ones with "
    '"test_data", or ranges with "inputs" in the model list'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkContext:
    """A case that is to be measured: what it is, how, and where what is found goes."""

    case: Case
    settings: ExecutionSettings
    facts: RecordBuilder
    hooks: SessionHooks
    meter: ResourceMeter
    open: Callable[[], onnxruntime.InferenceSession]
    """Returns a new session of the case, proved and noted in the facts."""

    source: Callable[[], str | bytes]
    """Returns what sessions are made of, for one with other provider options."""

    watch: MachineWatch = field(default_factory=unwatched)
    """Reads the machine around each timed part."""


def measure(bench: BenchmarkContext) -> None:
    """Measure a case on its first data set, or on each; everything found goes to its facts.

    Raises:
        CaseError: Stage `session`, `placement`, `inputs`, `first_run`, `warm_up`, `timing` or `concurrency`.
    """
    with watched_machine(bench.case, bench.settings) as watch:
        try:
            _measure(dataclasses.replace(bench, watch=watch))
        finally:
            bench.facts.machine = watch.state
    refuse_state(bench.facts.machine, bench.settings)


def _measure(bench: BenchmarkContext) -> None:
    facts, settings = bench.facts, bench.settings
    modes = modes_of(bench.case.provider, settings.timing)
    live = first_run(bench)
    _measure_modes(modes, live, bench)
    _watch(live, bench)
    facts.copies = live.copies()
    if settings.concurrency:
        with facts.entering("concurrency"), running(facts):
            facts.concurrent = live.concurrent(settings.concurrency, min(settings.min_time_s, settings.max_time_s))
    measured = [live]
    for further in _further(live, bench):
        _measure_modes(modes, further, bench)
        measured.append(further)
    if "graph" in modes:
        for each in measured:
            each.close()
        for each in measured:
            latency = _measured_graph(each, bench)
            facts.latencies += (latency,) if latency else ()
    place = {(each.data_set, timing): number for number, (each, timing) in enumerate(product(measured, modes))}
    facts.latencies = tuple(sorted(facts.latencies, key=lambda it: place[it.data_set or "", it.timing]))
    _require_measured(bench)


def _measure_modes(modes: Sequence[str], live: MeasuredSession, bench: BenchmarkContext) -> None:
    """Measure all timing modes but that of CUDA graphs, which needs a session of its own."""
    for timing in modes:
        if timing != "graph":
            _measured(timing, live, bench)


def _further(live: MeasuredSession, bench: BenchmarkContext) -> Iterator[MeasuredSession]:
    """Yield the session with each stored data set after the first, if they are to be timed; else say that there are."""
    case, settings, facts = bench.case, bench.settings, bench.facts
    with facts.entering("inputs"):
        count = stored_sets(case, settings)
        found = case_data(live.open_session, case, settings)
        next(found)
    if settings.data_sets == "first" and count > 1:
        facts.note(f"timed on {live.data_set}, the first of {count} data sets; --ortperf-data-sets=each times each")
    for _ in range(count - 1 if settings.data_sets == "each" else 0):
        with facts.entering("inputs"):
            data = next(found)
            runner = ModelRunner(live.open_session, wanted_outputs(live.open_session, case), data.inputs)
        with facts.entering("first_run"), running(facts):
            outputs = runner.call()
        yield _session_of(live.open_session, bench, data, runner, outputs, is_further=True)


def first_run(bench: BenchmarkContext) -> MeasuredSession:
    """Return a new session with its inputs, after its first run, which is timed."""
    facts = bench.facts
    session = bench.open()
    with facts.entering("inputs"):
        data, runner = _fed(session, bench)
    with facts.entering("first_run"):
        bench.hooks.before_first_run(session)
        with running(facts):
            first_run_ns, outputs = timed(runner.call)
    if data.origin == GENERATED and shows_nothing(runner.read(outputs)):
        data, runner = _livelier(session, bench) or (data, runner)
        with running(facts):
            outputs = runner.call()
    facts.note(*undeclared_shapes(session.get_outputs(), runner.shapes(outputs)))
    if facts.session is not None:
        facts.session = dataclasses.replace(facts.session, first_run_ns=first_run_ns)
    with facts.entering("resources"), running(facts):
        bench.meter.first_runs(runner.call)
    return _session_of(session, bench, data, runner, outputs)


def _session_of(
    session: onnxruntime.InferenceSession,
    bench: BenchmarkContext,
    data: CaseData,
    runner: ModelRunner,
    outputs: list[object],
    *,
    is_further: bool = False,
) -> MeasuredSession:
    return MeasuredSession(
        session=session,
        runner=runner,
        data=data,
        shapes=runner.shapes(outputs),
        batch=batch_of(session, data.inputs, bench.case.model.batch_dim),
        provider=bench.case.provider,
        rotate=bench.settings.rotate_inputs,
        is_further=is_further,
    )


def _fed(session: onnxruntime.InferenceSession, bench: BenchmarkContext) -> tuple[CaseData, ModelRunner]:
    data = next(iter(case_data(session, bench.case, bench.settings)))
    bench.facts.inputs = tensor_facts(data)
    bench.facts.note(data.note)
    return data, ModelRunner(session, wanted_outputs(session, bench.case), data.inputs)


def _livelier(session: onnxruntime.InferenceSession, bench: BenchmarkContext) -> tuple[CaseData, ModelRunner] | None:
    """Return inputs with which the model has something to compute; none, with a note, if no values do that."""
    with bench.facts.entering("inputs"):
        case = livelier(bench.case, bench.settings, bench.hooks)
        if case is not None:
            return _fed(session, dataclasses.replace(bench, case=case))
    bench.facts.note(NOTHING_COMPUTED)
    return None


def _measured(timing: str, live: MeasuredSession, bench: BenchmarkContext) -> Latency | None:
    """Return the latency in one timing mode; `None` if the case cannot be measured so, for a reason in its facts."""
    try:
        with bench.facts.entering("warm_up"):
            call, note = live.call(timing)
    except CannotBind as error:
        bench.facts.refused_timings[live.label(timing)] = str(error)
        return None
    if note:
        bench.facts.timing_notes[live.label(timing)] = note
    latency = latency_of(timing, call, bench, live)
    bench.facts.latencies += (latency,)
    return latency


def _watch(live: MeasuredSession, bench: BenchmarkContext) -> None:
    """Take what iterations need besides time, in the first mode that was measured; nobody times them."""
    timing = next((latency.timing for latency in bench.facts.latencies), "host")
    with bench.facts.entering("resources"), running(bench.facts):
        call, _ = live.call(timing)
        bench.meter.window(call, timing)
    found = bench.facts.resources
    if found is not None:
        bench.watch.note_clocks(found.clocks or found.absent.get("clocks", "it was not looked at"))


def _measured_graph(live: MeasuredSession, bench: BenchmarkContext) -> Latency | None:
    """Return the latency of a replayed CUDA graph, in a session made for it; `None` as `_measured`."""
    try:
        bound = bound_graph(live, bench)
    except CannotBind as error:
        bench.facts.refused_timings[live.label("graph")] = str(error)
        return None
    return latency_of("graph", bound.run_call(), bench, live)


def bound_graph(live: MeasuredSession, bench: BenchmarkContext) -> Bound:
    """Return a session that has captured its kernels as a CUDA graph; that of the stand is to be closed before.

    Raises:
        CannotBind: If there is no such graph.
    """
    with bench.facts.entering("session"):
        session = graph_session(bench.source(), bench.case, bench.settings, bench.hooks)
    with bench.facts.entering("first_run"):
        bench.hooks.before_first_run(session)
        return captured(session, live.shapes, live.feeds, live.memory(session))


def latency_of(timing: str, call: Call, bench: BenchmarkContext, live: MeasuredSession) -> Latency:
    """Return warm-up and samples of one timing mode."""
    facts, settings, label = bench.facts, bench.settings, live.label(timing)
    with facts.entering("warm_up"), running(facts):
        warm = warm_up(call, settings, ready=bench.meter.clock_is_steady)
    with facts.entering("timing"), running(facts):
        sampled = bench.watch.take(
            label,
            lambda: sample(
                call,
                settings,
                lambda new, progress: _tell(facts, label, new, progress, warm),
                warm.run_ns,
            ),
            lambda: warm_up(call, settings, ready=bench.meter.clock_is_steady),
        )
    found = sampled.latency(timing, warm, live.batch, keep_samples=settings.keep_samples)
    return dataclasses.replace(found, data_set=live.data_set, is_further=live.is_further)


def _tell(facts: RecordBuilder, timing: str, new: Sequence[int], progress: Progress, warm: WarmUp) -> None:
    facts.sampled(timing, new, warmup_iterations=warm.iterations)
    # after the samples, which are long: who shows it reads the end of the journal alone
    facts.journal.note(progress={"timing": timing, **dataclasses.asdict(progress)})


def _require_measured(bench: BenchmarkContext) -> None:
    """Fail a case in which none of the modes that the user asked for could be measured."""
    refused: Mapping[str, str] = bench.facts.refused_timings
    asked = bench.settings.timing
    if asked and all(timing in refused for timing in asked):
        reasons = "\n".join(f"--ortperf-timing={timing} cannot be measured: {refused[timing]}" for timing in asked)
        raise CaseError(reasons, stage="timing", kind="timing unavailable")


def timed(call: Callable[[], list[object]]) -> tuple[int, list[object]]:
    """Return how long one call takes, in ns, and what it returns."""
    start = time.perf_counter_ns()
    result = call()
    return time.perf_counter_ns() - start, result
