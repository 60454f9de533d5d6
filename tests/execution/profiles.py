"""Profiles as ONNX Runtime writes them, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pytest_ortperf.execution.session.profile_events import Event

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


def event(category: str, name: str, start: int, duration: int, thread: int = 1) -> Event:
    """Return an event that is not a node's call."""
    return Event(category, name, thread, start, duration)


def node(name: str, start: int, duration: int, op_type: str = "Add", **given: Any) -> Event:
    """Return the call of a node; `given` are its `provider`, `thread` and `index`."""
    where = {"provider": CPU, "thread": 1, "index": 0, **given}
    name = f"{name}_kernel_time"
    return Event("Node", name, where["thread"], start, duration, where["provider"], op_type, str(where["index"]))


def run(start: int, duration: int, *inside: Event) -> list[Event]:
    """Return a run with its events, as the runtime writes them: each after what is inside."""
    graph = event("Session", "SequentialExecutor::Execute", start + 1, duration - 2)
    return [*inside, graph, event("Session", "model_run", start, duration)]


def graph_call(start: int, duration: int, thread: int = 1) -> Event:
    """Return the event around a subgraph."""
    return event("Session", "SequentialExecutor::Execute", start, duration, thread)


def kernel(start: int, duration: int, op_type: str | None) -> Event:
    """Return what a device did."""
    return Event("Kernel", "kernel", -1, start, duration, None, op_type)


def whole() -> list[Event]:
    """Return a warm-up run and three steady ones of two operators."""
    starts = (10, 200, 300, 400)
    return [
        it
        for start in starts
        for it in run(start, 80, node("a", start + 2, 30, "Conv"), node("b", start + 40, 20, "Relu", index=1))
    ]


def text_of(events: Iterable[Event]) -> str:
    """Return a profile's text: an event a line."""
    lines = []
    for it in events:
        args = {"provider": it.provider, "op_name": it.op_type, "node_index": it.node_index}
        entry = {"cat": it.category, "pid": 1, "tid": it.thread, "dur": it.duration, "ts": it.start, "ph": "X"}
        given = {key: value for key, value in args.items() if value is not None}
        lines.append(json.dumps({**entry, "name": it.name, "args": given}))
    return "[\n" + ",\n".join(lines) + "\n]\n"
