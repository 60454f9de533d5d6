"""A profile that ONNX Runtime wrote, as events; what cannot be read for certain is an error, never a number."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pytest_ortperf.errors import CaseError

NODE, SESSION, KERNEL = "Node", "Session", "Kernel"
NODE_SUFFIX = "_kernel_time"
"""Of the event around a node's call. Older versions have others, around their waiting for inputs and outputs."""

RUN = "model_run"
EXECUTE = "::Execute"
"""End of the name of the event around a whole graph, such as a run's or that of a loop's body."""

_SHOWN = 60


class Event(NamedTuple):
    """One event; times in whole us since the profile's start, rounded down."""

    category: str
    name: str
    thread: int
    start: int
    duration: int
    provider: str | None = None
    op_type: str | None = None
    node_index: str | None = None
    arena_held: int | None = None
    """Bytes in the arena of the node's provider, after it; likewise what of it was in use at most so far."""

    arena_used: int | None = None

    @property
    def end(self) -> int:
        """Where it ends; up to 1 us early, since both parts are rounded down."""
        return self.start + self.duration

    @property
    def is_node(self) -> bool:
        """Whether it is around a node's call."""
        return self.category == NODE and self.name.endswith(NODE_SUFFIX)

    @property
    def is_run(self) -> bool:
        """Whether it is around a run."""
        return self.category == SESSION and self.name == RUN

    @property
    def is_graph(self) -> bool:
        """Whether it is around all nodes of a graph or of a node's subgraph."""
        return self.category == SESSION and self.name.endswith(EXECUTE)


def read_events(text: str) -> list[Event]:
    """Return the events of a profile, in the file's order, which differs from version to version.

    Source: `Profiler::EndProfiling` in ONNX Runtime's `core/common/profiler.cc`. A provider's kernels on its device
    are events of their own (category `Kernel`).

    Args:
        text: Of the file that `InferenceSession.end_profiling` names.

    Raises:
        CaseError: Stage `profile`, if it was cut off or is not such a file.
    """
    try:
        # events become small as they are read: shapes and thread statistics are most of the file
        entries = json.loads(text, object_hook=_event_or_dict)
    except (ValueError, RecursionError) as error:
        raise unreadable(f"it is not JSON ({error})") from error
    if not isinstance(entries, list):
        raise unreadable("it is not a list of events")
    for entry in entries:
        if not isinstance(entry, Event):
            raise unreadable(f"{str(entry)[:_SHOWN]!r} is not an event")
    return entries


def unreadable(why: str) -> CaseError:
    """Return the error of a profile that gives no numbers."""
    return CaseError(f"ONNX Runtime's profile cannot be read: {why}", stage="profile", kind="runtime error")


def _event_or_dict(entry: dict[str, Any]) -> Any:
    if "cat" not in entry:
        return entry
    args = entry.get("args", {})
    if not isinstance(args, dict):
        raise unreadable(f"'args' of an event is {str(args)[:_SHOWN]!r}")
    return Event(
        category=_text(entry, "cat"),
        name=_text(entry, "name"),
        thread=_number(entry, "tid", least=None),
        # a device's clock may start before the profile's
        start=_number(entry, "ts", least=None if entry["cat"] == KERNEL else 0),
        duration=_number(entry, "dur", least=0),
        provider=_optional_text(args, "provider"),
        op_type=_optional_text(args, "op_name"),
        node_index=_optional_text(args, "node_index"),
        arena_held=_bytes(args.get("mem_arena_held")),
        arena_used=_bytes(args.get("mem_in_use_peak", args.get("mem_bytes_in_use"))),
    )


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise unreadable(f"'{key}' of an event is {str(value)[:_SHOWN]!r}")
    return value


def _optional_text(args: dict[str, Any], key: str) -> str | None:
    return _text(args, key) if args.get(key) not in (None, "") else None


def _bytes(value: object) -> int | None:
    """Return a size, which versions before 1.32 do not tell, as the text that ONNX Runtime writes it as."""
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _number(entry: dict[str, Any], key: str, least: int | None) -> int:
    value = entry.get(key)
    if type(value) is not int or (least is not None and value < least):
        raise unreadable(f"'{key}' of an event is {str(value)[:_SHOWN]!r}")
    return value
