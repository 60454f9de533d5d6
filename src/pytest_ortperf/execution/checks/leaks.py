"""Leaks of a case: runs on one session, and sessions created and destroyed, each in a child of its own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ortperf.execution.checks.checked_case import CheckedCase, Opened
from pytest_ortperf.execution.checks.growth import Reading, watch
from pytest_ortperf.execution.inputs.case_data import case_data, tensor_facts
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.machine.device_monitor import sample_memory
from pytest_ortperf.execution.machine.host_memory import UnreadableError, read_resident
from pytest_ortperf.execution.machine.nvml import Gpu, cuda_uuid, opened_gpu
from pytest_ortperf.execution.machine.resource_meter import device_number
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.run_errors import running, wanted_outputs
from pytest_ortperf.records.checks import LEAK, NO_LEAK, RUNS, SESSIONS, UNSURE, Growth, LeakCheck

if TYPE_CHECKING:
    import onnxruntime

HEAP, MEMORY, GPU_MEMORY, WHOLE_GPU = "heap", "resident memory", "GPU memory", "memory of the whole GPU"

_FIRST: Mapping[str, int] = {RUNS: 200, SESSIONS: 5}
"""Calls of the first round; the sixth has six times as many."""

_OWN: Mapping[str, float] = {RUNS: 16, SESSIONS: 512}
"""Bytes of host memory that a call may leave: ONNX Runtime 1.32 itself leaves some 100 with each session."""

_NOISE: Mapping[str, float] = {HEAP: 2048, MEMORY: 256 * 1024, GPU_MEMORY: 2 * 2**20, WHOLE_GPU: 16 * 2**20}
"""Growth of a round that says nothing: our own lists, pages, NVML's steps, and other programs."""

_SHARES: Mapping[str, float] = {RUNS: 0.35, SESSIONS: 0.35}
"""Of the seconds; the rest is for the same again with the arena off."""

_AGAIN_SHARE = 0.15


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def check_leaks(checked: CheckedCase, seconds: float, deadline_s: float) -> LeakCheck:
    """Return what grows with each run of a case, and with each session.

    Args:
        checked: The case.
        seconds: For all calls together.
        deadline_s: For the preparation of the case, beside them.

    Raises:
        CheckEndedError: If the case cannot be run, or its process ended.
    """
    growths: list[Growth] = []
    absent: dict[str, str] = {}
    for calls_of in (RUNS, SESSIONS):
        limit = seconds * _SHARES[calls_of]
        known = _known(growths)
        found, reasons = checked.in_child(
            lambda opened, of=calls_of, s=limit, known=known: _phase(opened, of, s, known),  # type: ignore[misc]
            deadline_s + 2 * limit,
        )
        absent |= reasons
        if any(growth.verdict == LEAK and growth.name in (HEAP, MEMORY) for growth in found):
            found = _again_without_arena(checked, found, calls_of, known, seconds * _AGAIN_SHARE, deadline_s)
        growths += found
    return LeakCheck(growths=tuple(growths), absent=absent, advice=tuple(_advice(growths, seconds)))


def _known(growths: Sequence[Growth]) -> Mapping[str, float]:
    """Return what a run is known to leak, by reading: each session has one."""
    return {each.name: each.per_call for each in growths if each.calls_of == RUNS and each.verdict == LEAK}


def _again_without_arena(
    checked: CheckedCase,
    found: Sequence[Growth],
    calls_of: str,
    known: Mapping[str, float],
    seconds: float,
    deadline_s: float,
) -> tuple[Growth, ...]:
    """Repeat what seems to leak with the arena off; what stops then is the arena's, which only holds memory."""
    again, _ = checked.in_child(
        lambda opened: _phase(opened, calls_of, seconds, known, "without the arena"),
        deadline_s + 2 * seconds,
        _WithoutArena(checked.hooks),
    )
    verdicts = {growth.name: growth.verdict for growth in again}
    judged = []
    for growth in found:
        without = verdicts.get(growth.name) if growth.name in (HEAP, MEMORY) and growth.verdict == LEAK else None
        judged.append(replace(growth, without_arena=without, verdict=UNSURE if without == NO_LEAK else growth.verdict))
    return tuple(judged)


class _WithoutArena:
    """Hooks that let ONNX Runtime take and give back each block of host memory by itself."""

    def __init__(self, hooks: SessionHooks) -> None:
        self._hooks = hooks

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        self._hooks.configure_session(session_options)
        session_options.enable_cpu_mem_arena = False
        session_options.enable_mem_pattern = False

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        self._hooks.before_first_run(session)


def _phase(
    opened: Opened, calls_of: str, seconds: float, known: Mapping[str, float], how: str = ""
) -> tuple[tuple[Growth, ...], dict[str, str]]:
    facts, case, settings, hooks = opened.facts, opened.case, opened.bench.settings, opened.bench.hooks
    session = opened.bench.open()
    with facts.entering("inputs"):
        data = next(iter(case_data(session, case, settings)))
        facts.inputs = tensor_facts(data)
    wanted = wanted_outputs(session, case)
    hooks.before_first_run(session)

    def live() -> None:
        made = opened.create()
        hooks.before_first_run(made)
        ModelRunner(made, wanted, data.inputs).call()

    call = live if calls_of == SESSIONS else ModelRunner(session, wanted, data.inputs).call
    del session  # a run's call holds it
    with facts.entering("leaks"), running(facts), _readings(opened, _OWN[calls_of]) as (readings, absent):
        opened.tell(f"{calls_of}{f' {how}' if how else ''}: up to {seconds:.0f} s")
        rounds = watch(call, readings, most_first=_FIRST[calls_of], seconds=seconds)
    return rounds.growths(calls_of, known), absent


@contextmanager
def _readings(opened: Opened, own_byte: float) -> Iterator[tuple[list[Reading], dict[str, str]]]:
    """Yield what can be read here, and why the rest cannot.

    Args:
        opened: The case.
        own_byte: What a call may leave on the host.
    """
    found: list[Reading] = []
    absent: dict[str, str] = {}

    def add(name: str, read: Callable[[], int], unit: str = "B") -> None:
        per_call = own_byte if name in (HEAP, MEMORY) else 0.0
        found.append(
            Reading(name=name, unit=unit, read=read, noise_per_call=per_call, noise_per_round=_NOISE.get(name, 0.0))
        )

    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        absent[HEAP] = "the C library has no mallinfo2, which came with glibc 2.33"
    else:
        mallinfo2.restype = _Mallinfo2
        add(HEAP, lambda: _in_use(mallinfo2()))
    try:
        read_resident()
        add(MEMORY, lambda: read_resident().now_byte)
    except UnreadableError as error:
        absent[MEMORY] = str(error)
    for name, folder in (("file descriptors", "fd"), ("threads", "task")):
        path = Path("/proc/self") / folder
        if path.is_dir():
            add(name, lambda path=path: sum(1 for _ in path.iterdir()), "")  # type: ignore[misc]
        else:
            absent[name] = f"there is no {path}"
    if not opened.case.provider.loads_cuda:
        yield found, absent
        return
    with opened_gpu(device_number(opened.case, opened.bench.settings), uuid_of=cuda_uuid) as gpu:
        if not isinstance(gpu, Gpu):
            absent[GPU_MEMORY] = gpu.reason
        elif sample_memory(gpu).process_byte is not None:
            add(GPU_MEMORY, lambda: sample_memory(gpu).process_byte or 0)
        else:  # as in a container; what others do there is noise
            add(WHOLE_GPU, lambda: sample_memory(gpu).device_byte or 0)
        yield found, absent


def _in_use(info: _Mallinfo2) -> int:
    return int(info.uordblks + info.hblkhd)


def _advice(growths: Sequence[Growth], seconds: float) -> Iterator[str]:
    leaking = {growth.name for growth in growths if growth.verdict == LEAK}
    if any(growth.without_arena == NO_LEAK for growth in growths):
        yield (
            "what grows stops with the arena off: ONNX Runtime holds it and may use it again. Switch the arena off "
            "(enable_cpu_mem_arena), or let it shrink (memory.enable_memory_arena_shrinkage of the run options)"
        )
    if any(growth.without_arena == LEAK for growth in growths):
        yield "it grows with the arena off too: not the arena. --valgrind names the place where it is allocated"
    if MEMORY in leaking and HEAP not in leaking:
        yield (
            "the heap does not grow with the resident memory: free memory that glibc keeps in pieces (try with "
            "MALLOC_ARENA_MAX=1), or memory that does not come from malloc"
        )
    if leaking & {GPU_MEMORY, WHOLE_GPU}:
        yield (
            "GPU memory: try the provider option arena_extend_strategy=kSameAsRequested (--ortperf-ep-option); what "
            "still grows is no arena"
        )
    short = [growth for growth in growths if growth.verdict == UNSURE and growth.without_arena is None]
    if short:
        yield f"unsure in {seconds:g} s: --seconds={2 * seconds:g} makes more calls"
