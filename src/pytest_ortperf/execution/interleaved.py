"""One case that is measured turn by turn, when it is told to: the half of a pair that lives in a process of its own."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_flow import Execution
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import kind_of
from pytest_ortperf.execution.machine.nvml import Gpu, NoGpu, cuda_uuid, opened_gpu
from pytest_ortperf.execution.machine.resource_meter import device_number
from pytest_ortperf.execution.measure import BenchmarkContext, bound_graph, first_run
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.run_errors import running
from pytest_ortperf.execution.timing.io_binding import Bound, Call, CannotBind
from pytest_ortperf.execution.timing.measured_session import MeasuredSession
from pytest_ortperf.execution.timing.timing_loop import time_calls
from pytest_ortperf.execution.timing.timing_modes import modes_of

WARM_S = 0.1
WARM_RUNS = 2
"""Least warm-up before the first turn. It need not be long: both sides go through it in turns, and alike."""

MOST_WARM_S = 2.0
"""Of a GPU whose clock does not settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A case that is ready for its first turn."""

    timing: str
    run_ns: float
    """Median time of a run at the end of the warm-up."""

    session_creation_ns: int | None
    first_run_ns: int | None


class InterleavedWorker:
    """A session of one case, kept open from turn to turn."""

    def __init__(self, case: Case, settings: ExecutionSettings, facts: RecordBuilder, hooks: SessionHooks) -> None:
        self._case = case
        self._settings = settings
        self._facts = facts
        self._hooks = hooks
        self._held = ExitStack()
        self._gpu: Gpu | NoGpu = NoGpu(f"{case.provider.full_name} uses no NVIDIA GPU")
        self._call: Call | None = None
        self._graph: Bound | None = None

    def open(self) -> Opened:
        """Make the session, run it for the first time, and warm it up in the timing mode that stands for the case.

        Raises:
            CaseError: As a benchmark.
        """
        if self._case.provider.runner != "onnxruntime":
            raise CaseError(
                f"{self._case.provider.name} runs a program of its own, which cannot be stopped between two "
                f"iterations; pairs are of ONNX Runtime's providers",
                stage="settings",
                kind="timing unavailable",
            )
        execution: Execution = kind_of(self._case)(self._case, self._settings, self._facts, self._hooks)
        bench = execution.bench()
        live = first_run(bench)
        timing = modes_of(self._case.provider, self._settings.timing)[0]
        try:
            self._call = self._call_of(timing, live, bench)
        except CannotBind as error:
            raise CaseError(
                f"{timing} cannot be measured: {error}. Try --ortperf-timing=host",
                stage="timing",
                kind="timing unavailable",
            ) from error
        with self._facts.entering("warm_up"):
            self._watch_gpu()
            run_ns = self._warm_up(self._call)
        # for good: this process lives for one pair
        gc.collect()
        gc.disable()
        fact = self._facts.session
        return Opened(
            timing=timing,
            run_ns=run_ns,
            session_creation_ns=fact.creation_ns if fact else None,
            first_run_ns=fact.first_run_ns if fact else None,
        )

    def turn(self, runs: int, lead_in: int) -> dict[str, Any]:
        """Return the time of each of some runs in ns, after a few that nobody times: the other side used the caches.

        Raises:
            CaseError: If a run fails.
        """
        call = self._call
        if call is None:
            raise RuntimeError("the case is not open")
        with self._facts.entering("timing"), running(self._facts):
            time_calls(call, lead_in)
            samples = time_calls(call, runs).tolist()
        clock = self._gpu.sm_clock_mhz if isinstance(self._gpu, Gpu) else None
        return {"ns": samples, "sm_clock_mhz": clock}

    def _call_of(self, timing: str, live: MeasuredSession, bench: BenchmarkContext) -> Call:
        if timing == "graph":
            live.close()
            self._graph = bound_graph(live, bench)
            return self._graph.run_call()
        with self._facts.entering("warm_up"):
            call, note = live.call(timing)
        if note:
            self._facts.timing_notes[timing] = note
        return call

    def _watch_gpu(self) -> None:
        if self._case.provider.loads_cuda:
            number = device_number(self._case, self._settings)
            self._gpu = self._held.enter_context(opened_gpu(number, uuid_of=cuda_uuid))

    def _warm_up(self, call: Call) -> float:
        seen: list[int] = []
        clocks: list[int | None] = []
        with running(self._facts):
            while len(seen) < WARM_RUNS or sum(seen) < WARM_S * 1e9 or not self._is_steady(clocks, sum(seen)):
                seen += time_calls(call, max(1, len(seen) // 4))
        return statistics.median(seen[len(seen) // 2 :])

    def _is_steady(self, clocks: list[int | None], spent_ns: int) -> bool:
        """Whether the GPU's clock has stopped rising; without one there is nothing to wait for."""
        if not isinstance(self._gpu, Gpu):
            return True
        clocks.append(self._gpu.sm_clock_mhz)
        return spent_ns > MOST_WARM_S * 1e9 or _settled(clocks)


def _settled(clocks: Sequence[int | None]) -> bool:
    last = [clock for clock in clocks[-3:] if clock]
    return len(last) < len(clocks[-3:]) or (len(last) == 3 and max(last) - min(last) <= 0.02 * max(last))  # noqa: PLR2004
