"""What of a session can be bound, where it has to lie, and what shape it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.execution.inputs.tensor_types import Array, Meta, Value, parse_type

HOST = "cpu"
"""What ONNX Runtime calls the host's memory."""


class CannotBind(OrtPerfError):  # noqa: N818 - not an error of the case, which can still be measured otherwise
    """Inputs or outputs that cannot be bound; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where bound inputs and outputs lie."""

    device: str
    """As ONNX Runtime names it: `cpu`, `cuda`."""

    number: int = 0

    @property
    def is_host(self) -> bool:
        """Whether the CPU reads it."""
        return self.device == HOST


class Places:
    """Where a session wants each input and has each output."""

    def __init__(self, session: onnxruntime.InferenceSession, memory: Memory) -> None:
        self._memory = memory
        self._host = set() if memory.is_host else _on_host(session)

    def of(self, name: str) -> Memory:
        return Memory(HOST) if name in self._host else self._memory

    def on_host(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self._host)


def _on_host(session: onnxruntime.InferenceSession) -> set[str]:
    found = set()
    for metas, ask in (
        (session.get_inputs(), "get_input_memory_infos"),
        (session.get_outputs(), "get_output_memory_infos"),
    ):
        if hasattr(session, ask):  # came with ONNX Runtime 1.23
            infos = getattr(session, ask)()
            found |= {meta.name for meta, info in zip(metas, infos, strict=True) if _is_host_memory(info.name)}
    return found


def _is_host_memory(name: str) -> bool:
    return name.lower().startswith(HOST) or "pinned" in name.lower()


def symbol_sizes(inputs: Sequence[Meta], feeds: Mapping[str, Array]) -> dict[str, int]:
    """Return the values of symbolic dimensions that the inputs show; one they disagree on is left out."""
    seen: dict[str, set[int]] = {}
    for meta in inputs:
        array = feeds.get(meta.name)
        if array is not None and len(meta.shape) == array.ndim:
            for declared, size in zip(meta.shape, array.shape, strict=True):
                if isinstance(declared, str):
                    seen.setdefault(declared, set()).add(size)
    return {name: values.pop() for name, values in seen.items() if len(values) == 1}


def known_shape(meta: Meta, sizes: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return the shape that an output must have, or `None` where only a run tells."""
    found = [size if isinstance(size, int) else sizes.get(size) for size in meta.shape]
    return None if any(size is None for size in found) else tuple(size for size in found if size is not None)


def arrays_of(feeds: Mapping[str, Value]) -> dict[str, Array]:
    """Return inputs as contiguous arrays in native byte order.

    Raises:
        CannotBind: If one is no tensor of numbers.
    """
    found = {}
    for name, value in feeds.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind in "OSU":
            what = (
                "holds strings"
                if isinstance(value, np.ndarray)
                else "has no value"
                if value is None
                else "is no tensor"
            )
            raise CannotBind(f"input '{name}' {what}, which IO binding does not take")
        native = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
        found[name] = np.asarray(native, order="C")
    return found


def require_tensor(meta: Meta) -> None:
    """Refuse an output that is no tensor of numbers.

    Raises:
        CannotBind: If it is none.
    """
    info = parse_type(meta.type)
    if info.kind != "tensor" or info.element == "string":
        raise CannotBind(f"output '{meta.name}' is a {meta.type}, which IO binding does not take")


def require_copied(kind: str, name: str, *, is_foreign: bool) -> None:
    """Refuse an element type that ONNX Runtime does not copy between arrays and bound memory.

    Raises:
        CannotBind: If `is_foreign`.
    """
    if is_foreign:
        raise CannotBind(f"{kind} '{name}' has an element type that numpy does not have; ONNX Runtime does not copy it")
