"""Hold the clock of the timing mode `bound` against CUDA events around the same runs.

    python scripts/cuda_event_check.py FOLDER [--results RESULTS] [--runs N] [--fp16] [MODEL ...]

FOLDER holds `models.json` and its networks, as `export_models.py` writes them. Each network gets one session on CUDA
whose work goes to a stream of torch's; its inputs and outputs are bound by the plugin's own code. Around each call of
the plugin's own iteration two events are recorded in that stream and the host's clock is read. The medians must agree
within 1 % + 10 us. Beside them stand, for information:

    own stream    the median of the host's clock in a session that has its own stream, as the plugin measures;
                  blocks of the two sessions alternate
    recorded      the median of the plugin's own records of CUDA in RESULTS, if given: another process

Needs torch and a CUDA build of onnxruntime. Exit status 1 if any network disagrees or could not be run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import case_data
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.model.precision import prepare_model
from pytest_ortperf.execution.timing.io_binding import Bound, Memory
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import find_run, read_run

CUDA = "CUDAExecutionProvider"
SETTINGS = ExecutionSettings(ep_options={})
RELATIVE, ABSOLUTE_US = 0.01, 10.0
ROUNDS = 5
WARM_S = 1.0

Session = onnxruntime.InferenceSession


@dataclass
class Found:
    """Times of one network in us."""

    on_stream: list[float] = field(default_factory=list)
    """The host's clock, in the session on torch's stream."""

    events: list[float] = field(default_factory=list)
    """CUDA events around the same runs."""

    own: list[float] = field(default_factory=list)


def bound_of(session: Session, case: Case) -> Bound:
    """Return a session's bound inputs and outputs after a first run."""
    data = next(iter(case_data(session, case, SETTINGS)))
    runner = ModelRunner(session, list(case.model.outputs) or None, data.inputs)
    return Bound(session, runner.shapes(runner.call()), [data.inputs], Memory("cuda"))


def make_session(source: str, **options: str) -> Session:
    """Return a session on CUDA alone; an error if it would not be there."""
    session = Session(source, providers=[(CUDA, {"device_id": "0", **options}), "CPUExecutionProvider"])
    if session.get_providers()[0] != CUDA:
        raise RuntimeError(f"asked for {CUDA}, got {session.get_providers()}")
    return session


def warm(call: Callable[[], object]) -> None:
    """Run until the GPU has its busy clock."""
    end = time.perf_counter() + WARM_S
    while time.perf_counter() < end:
        call()


def host_times(call: Callable[[], object], runs: int) -> list[float]:
    """Return the host's clock around each call, in us."""
    found = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - start) / 1e3)
    return found


def event_times(call: Callable[[], object], runs: int, stream: torch.cuda.Stream) -> tuple[list[float], list[float]]:
    """Return the host's clock and the events around the same calls, in us."""
    host, events = [], []
    for _ in range(runs):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        stream.synchronize()
        before.record(stream)
        start = time.perf_counter_ns()
        call()
        end = time.perf_counter_ns()
        after.record(stream)
        after.synchronize()
        host.append((end - start) / 1e3)
        events.append(before.elapsed_time(after) * 1e3)
    return host, events


def check(case: Case, runs: int) -> Found:
    """Return the times of one network."""
    source = prepare_model(case, SETTINGS).source
    stream = torch.cuda.Stream()
    found = Found()
    on_stream = make_session(source, user_compute_stream=str(stream.cuda_stream))
    own = make_session(source)
    bound, own_bound = bound_of(on_stream, case), bound_of(own, case)
    call, own_call = bound.run_call(), own_bound.run_call()
    for each in (own_call, call):
        warm(each)
    for _ in range(ROUNDS):
        host, events = event_times(call, runs // ROUNDS, stream)
        found.on_stream += host
        found.events += events
        found.own += host_times(own_call, runs // ROUNDS)
    return found


def recorded_us(results: Path | None, case: Case) -> float | None:
    """Return the plugin's own median of `bound`."""
    if results is None:
        return None
    for record in read_run(find_run(results)).records:
        mine = (record.model, record.provider, record.precision) == (case.model.name, "cuda", case.precision)
        for latency in record.latencies if mine and record.mode == "benchmark" else ():
            if latency.timing == "bound":
                return summarize(latency).p50_ns / 1e3
    return None


def row(case: Case, found: Found, recorded: float | None) -> tuple[str, bool]:
    """Return a line of the table, and whether clock and events agree."""
    clock, events = statistics.median(found.on_stream), statistics.median(found.events)
    limit = RELATIVE * events + ABSOLUTE_US
    agrees = abs(clock - events) <= limit
    numbers: list[Any] = [
        f"{clock:.1f}",
        f"{events:.1f}",
        f"{clock - events:+.1f}",
        f"{limit:.1f}",
        f"{statistics.median(found.own):.1f}",
        "" if recorded is None else f"{recorded:.1f}",
    ]
    name = f"{case.model.name}{'-fp16' if case.precision else ''}"
    return f"{name:<18}" + "".join(f"{number:>13}" for number in numbers) + (
        "  agrees" if agrees else "  DIFFERS"
    ), agrees


def cases(folder: Path, names: Sequence[str], *, fp16: bool) -> list[Case]:
    """Return benchmarks on CUDA of the networks asked for."""

    def case(model: Model, precision: str | None) -> Case:
        return Case(model=model, mode="benchmark", provider=find_provider("cuda"), precision=precision)

    models = [
        model for model in read_models(folder / "models.json", workspace=None) if not names or model.name in names
    ]
    return [case(model, precision) for model in models for precision in ((None, "fp16") if fp16 else (None,))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the networks of a folder; return the exit status."""
    parser = argparse.ArgumentParser(description="Hold the timing mode 'bound' against CUDA events.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="MODEL")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--fp16", action="store_true")
    given = parser.parse_args(arguments)
    titles = ("bound", "events", "difference", "limit", "own stream", "recorded")
    # prints a line for each library that it does not find; torch has loaded most of them
    onnxruntime.preload_dlls()
    print(f"{'median in us':<18}" + "".join(f"{title:>13}" for title in titles), flush=True)
    failed = 0
    checked = cases(given.folder, given.names, fp16=given.fp16)
    for case in checked:
        try:
            line, agrees = row(case, check(case, given.runs), recorded_us(given.results, case))
        except Exception:  # noqa: BLE001 - the other networks are checked too
            line, agrees = f"{case.model.name:<18}  FAILED, see above", False
            traceback.print_exc()
        print(line, flush=True)
        failed += not agrees
    print(f"events: {len(checked)} networks, {failed} of them differ by more than 1 % + 10 us or failed", flush=True)
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # no teardown: with torch and ONNX Runtime in one process, the latter aborts at its end (error 800 of cudaFreeHost)
    os._exit(status)
