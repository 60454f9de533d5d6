"""Runs one case, and makes the process ready that children are forked from: what the other packages call."""

from __future__ import annotations

import gc

import numpy as np
import onnx
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.case_flow import Execution
from pytest_ortperf.execution.case_settings import ExecutionSettings, KnownValidation
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.machine.canary import run_canary_in_child
from pytest_ortperf.execution.machine.lease import lease
from pytest_ortperf.execution.machine.resource_meter import resource_meter
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.placement import has_assignment_info, read_placement, record_placement
from pytest_ortperf.execution.session.probe import tiny_model
from pytest_ortperf.records.environment.machine_checks import Canary


def execute(
    case: Case,
    settings: ExecutionSettings,
    facts: RecordBuilder,
    hooks: SessionHooks,
    *,
    validate_first: bool = False,
    known: KnownValidation | None = None,
) -> None:
    """Run one case; everything it finds goes to `facts`, everything it prints to their journal's log.

    Args:
        case: What to run.
        settings: How.
        facts: Filled step by step, so that a failure keeps what came before it.
        hooks: The users'.
        validate_first: Whether a benchmark compares outputs by itself.
        known: What is known of a benchmark's validation; `None` if nobody asks.

    Raises:
        CaseError: With the stage and kind of what went wrong.
    """
    execution = kind_of(case)(case, settings, facts, hooks)
    execution.known = known if case.mode == "benchmark" else None
    with facts.journal.capture_output(), lease(case, settings, facts):
        try:
            if case.mode == "validate":
                execution.validate()
            else:
                facts.canary = canary_before(settings)
                with resource_meter(case, settings, facts) as execution.meter:
                    execution.benchmark(validate_first=validate_first)
                # outside: the memory of this session is not that of the case
                execution.profile()
        finally:
            execution.keep_files()


def canary_before(settings: ExecutionSettings) -> Canary | None:
    """Return the canary of one benchmark, while its lease is held and before it has a session or threads."""
    found = None if settings.environment == "off" else run_canary_in_child()
    return found if isinstance(found, Canary) else None


def kind_of(case: Case) -> type[Execution]:
    """Return what runs a case: sessions of ONNX Runtime, or an external program."""
    if case.provider.runner == "onnxruntime":
        return Execution
    from pytest_ortperf.execution.trtexec.runner import TrtexecExecution

    return TrtexecExecution


def prepare_process(*, uses_cuda: bool) -> None:
    """Import what cases need, load CUDA's libraries where a provider uses them, and make forks cheap."""
    if uses_cuda:
        # prints a line for each library that it does not find
        onnxruntime.preload_dlls()
    warm_process()
    gc.collect()
    gc.freeze()


def warm_process() -> None:
    """Make, run and let go of a tiny session on the CPU provider, with one thread.

    ONNX Runtime registers its operators and kernels at the first session of a process, protobuf and numpy fill their
    caches: about 7 ms that each forked child would pay again. Nothing is left of the session when this returns, and it
    had no thread of its own, so that children inherit neither.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    record_placement(options)
    model = tiny_model()
    onnx.load_model_from_string(model)
    session = onnxruntime.InferenceSession(model, options, providers=[CPU.full_name])
    if has_assignment_info():
        read_placement(session)
    runner = ModelRunner(session, None, {"x": np.ones((1, 3, 8, 8), np.float32)})
    outputs = dict(zip(runner.output_names, runner.run(), strict=True))
    compare(outputs, outputs, lambda _: Tolerance(rtol=1e-3, atol=1e-5, percent_mismatch=0.0))
