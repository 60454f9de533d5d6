"""What the clock covers in each timing mode, and which modes a case is measured in.

`host`          `InferenceSession.run`: numpy arrays in, new numpy arrays out.
`bound`         `run_with_iobinding`, then wait for the device. Inputs lie in the memory of the device before the clock
                starts, outputs are written to memory there that was bound before: nothing is copied.
`bound+copies`  as `bound`, and inside the clock the input arrays are copied to that memory before the run, and the
                outputs to new arrays after it.
`graph`         as `bound`, in a session of its own that captures its kernels as one CUDA graph and replays it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import PROVIDERS, Provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.execution.timing.io_binding import HOST, Bound, CannotBind, Memory

GRAPH_WARM_RUNS = 3
"""ONNX Runtime captures in the first or second run with the same addresses; each later one replays."""


def modes_of(provider: Provider, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the timing modes of a case, the headline first.

    Those asked for, else `bound` where the provider has memory of its own. Such a provider is measured in `host`
    too, whatever was asked for, so that there is a number to compare with every other provider; without such memory
    `host` is all, unless others were asked for.
    """
    if provider.memory is None:
        return tuple(asked) or ("host",)
    return tuple(dict.fromkeys((*(asked or ("bound",)), "host")))


def memory_of(provider: Provider, session: onnxruntime.InferenceSession) -> Memory:
    """Return the memory that inputs and outputs of a provider's session are bound to.

    Raises:
        CannotBind: If it has memory of its own, but nobody knows how ONNX Runtime calls it.
    """
    if provider.memory is not None:
        options = session.get_provider_options().get(provider.full_name, {})
        return Memory(provider.memory, int(options.get(provider.device_option or "", 0)))
    if provider.device == "gpu":
        raise CannotBind(
            f"how inputs are bound to the memory of {provider.full_name} was never tried by this project; "
            f"bound to the host's memory, copies would hide in the time"
        )
    return Memory(HOST)


def graph_session(
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks
) -> onnxruntime.InferenceSession:
    """Return a session that captures and replays a CUDA graph.

    Raises:
        CannotBind: If the provider has no such graphs, or ONNX Runtime refuses the model; in its words.
    """
    if case.provider.graph_option is None:
        others = " and ".join(row.name for row in PROVIDERS if row.graph_option)
        raise CannotBind(f"{case.provider.full_name} has no CUDA graphs; {others} have")
    try:
        return create_session(source, case, dataclasses.replace(settings, device_graph=True), hooks).session
    except CaseError as error:
        raise CannotBind(str(error)) from error


def captured(
    session: onnxruntime.InferenceSession,
    shapes: Mapping[str, tuple[int, ...] | None],
    feeds: Mapping[str, Value],
    memory: Memory,
) -> Bound:
    """Return a bound session whose graph has been captured: each later run replays it.

    Raises:
        CannotBind: If a graph cannot hold what the model does; in ONNX Runtime's words, if it was the one to say so.
    """
    bound = Bound(session, shapes, [feeds], memory)
    if bound.unshaped:
        raise CannotBind(
            f"a CUDA graph writes to the same memory each time, but only a run tells the shape of "
            f"{_quoted(bound.unshaped)}; where symbolic dimensions are the cause, --ortperf-fix-dims makes them static"
        )
    if bound.on_host:
        raise CannotBind(f"a CUDA graph holds no work of the host, and {_quoted(bound.on_host)} stay in its memory")
    call = bound.run_call()
    try:
        for _ in range(GRAPH_WARM_RUNS):
            call()
    except Exception as error:  # ONNX Runtime's classes have no common base
        raise CannotBind(f"the graph could not be captured: {type(error).__name__}: {str(error).strip()}") from error
    return bound


def note_of(bound: Bound) -> str | None:
    """Return what is to be known of the numbers of a bound session."""
    notes = []
    if bound.unshaped:
        notes.append(
            f"only a run tells the shape of {_quoted(bound.unshaped)}: bound by device, allocated by ONNX Runtime"
        )
    if bound.on_host:
        notes.append(f"{_quoted(bound.on_host)} stay in the host's memory, where the nodes that use them run")
    return "; ".join(notes) or None


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
