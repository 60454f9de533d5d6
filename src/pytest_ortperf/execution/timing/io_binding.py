"""Inputs and outputs of a session bound to memory, so that a run copies nothing in or out.

What of a session can be bound, where it has to lie, and what shape it has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.execution.inputs.tensor_types import ML_DTYPES, Array, Meta, Value, onnx_element_type, parse_type
from pytest_ortperf.execution.inputs.tensor_values import as_ort_value

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


__all__ = ["HOST", "Bound", "Call", "CannotBind", "Memory"]

Call = Callable[[], object]


class Bound:
    """A session whose inputs and outputs are bound, ready for any number of iterations.

    Attributes:
        unshaped: Outputs whose shape nothing tells before a run. ONNX Runtime allocates them in the first run and
            writes the later ones to the same memory.
        on_host: Inputs and outputs that lie in the host's memory because the nodes that use them run there.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        shapes: Mapping[str, tuple[int, ...] | None],
        feeds: Sequence[Mapping[str, Value]],
        memory: Memory,
    ) -> None:
        """Copy the inputs to the memory and allocate the outputs there.

        Args:
            session: Used for every call.
            shapes: Of the outputs to compute, by name, as a run with these inputs had them.
            feeds: Inputs by name, of the same shapes each; iterations take them in turn.
            memory: Where they are bound, but for those that the session uses on the host.

        Raises:
            CannotBind: If a type cannot be bound.
        """
        self._session = session
        self._places = Places(session, memory)
        self._feeds = [arrays_of(each) for each in feeds]
        metas = {meta.name: meta for meta in session.get_outputs()}
        for name in shapes:
            require_tensor(metas[name])
        self.output_names = list(shapes)
        sizes = symbol_sizes(session.get_inputs(), self._feeds[0])
        self._outputs = {name: self._allocated(metas[name], sizes, shapes[name]) for name in shapes}
        self.unshaped = tuple(name for name, value in self._outputs.items() if value is None)
        self._inputs = [{name: self._resident(name, array) for name, array in each.items()} for each in self._feeds]
        self._bindings = [self._binding(each) for each in self._inputs]
        self.on_host = () if memory.is_host else self._places.on_host((*self._feeds[0], *self.output_names))

    def run_call(self) -> Call:
        """Return one iteration: run and wait for its end; nothing is copied."""
        run = self._session.run_with_iobinding
        if len(self._bindings) == 1:
            (binding,) = self._bindings
            wait = binding.synchronize_outputs

            def call() -> None:
                run(binding)
                wait()

            return call
        following = itertools.cycle(self._bindings).__next__

        def call_next() -> None:
            binding = following()
            run(binding)
            binding.synchronize_outputs()

        return call_next

    def run_call_with_copies(self) -> Call:
        """Return one iteration with copies: arrays in, run, and new arrays out.

        Raises:
            CannotBind: If an element type has no arrays that ONNX Runtime copies.
        """
        in_turn = [self._copying_in(number) for number in range(len(self._bindings))]
        following = itertools.cycle(zip(in_turn, self._bindings, strict=True)).__next__
        run, read = self._session.run_with_iobinding, self._reader()

        def call() -> list[Array]:
            copy_in, binding = following()
            copy_in()
            run(binding)
            binding.synchronize_outputs()
            return read(binding)

        return call

    def copy_calls(self) -> tuple[Call, Call]:
        """Return the copies alone: of all inputs to the device, and of the outputs of a run that has been done.

        Raises:
            CannotBind: As `run_call_with_copies`.
        """
        read = self._reader()
        return self._copying_in(0), lambda: read(self._bindings[0])

    @property
    def buffers(self) -> int:
        """How many sets of inputs iterations take in turn."""
        return len(self._bindings)

    def update(self, feeds: Mapping[str, Value]) -> None:
        """Write other values of the same shapes to the bound inputs of the first buffer."""
        for name, array in arrays_of(feeds).items():
            self._inputs[0][name].update_inplace(np.ascontiguousarray(array))

    def outputs(self) -> dict[str, Array]:
        """Return copies of the outputs of the last run of the first buffer, by name."""
        return dict(zip(self.output_names, self._reader()(self._bindings[0]), strict=True))

    @property
    def input_byte(self) -> int:
        """Size of the inputs of one iteration."""
        return sum(value.tensor_size_in_bytes() for value in self._inputs[0].values())

    @property
    def output_byte(self) -> int:
        """Size of the outputs of one iteration that has been done."""
        return sum(value.tensor_size_in_bytes() for value in self._bindings[0].get_outputs())

    def _copying_in(self, number: int) -> Call:
        for name, array in self._feeds[number].items():
            require_copied("input", name, is_foreign=array.dtype in ML_DTYPES.values())
        pairs = [(self._inputs[number][name].update_inplace, array) for name, array in self._feeds[number].items()]

        def copy_in() -> None:
            for update, array in pairs:
                update(array)

        return copy_in

    def _reader(self) -> Callable[[onnxruntime.IOBinding], list[Array]]:
        metas = {meta.name: meta for meta in self._session.get_outputs()}
        for name in self.output_names:
            require_copied("output", name, is_foreign=parse_type(metas[name].type).element in ML_DTYPES)

        def read(binding: onnxruntime.IOBinding) -> list[Array]:
            # of the host's memory `numpy` is a view
            return [
                np.copy(value.numpy()) if value.device_name() == HOST else value.numpy()
                for value in binding.get_outputs()
            ]

        return read

    def _binding(self, inputs: Mapping[str, onnxruntime.OrtValue]) -> onnxruntime.IOBinding:
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            if value is None:
                where = self._places.of(name)
                binding.bind_output(name, where.device, where.number)
            else:
                binding.bind_ortvalue_output(name, value)
        return binding

    def _resident(self, name: str, array: Array) -> onnxruntime.OrtValue:
        if array.dtype in ML_DTYPES.values():
            return as_ort_value(array)  # binding copies it to where it is used
        where = self._places.of(name)
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            array.shape, array.dtype.type, where.device, where.number
        )
        value.update_inplace(array)
        return value

    def _allocated(
        self, meta: Meta, sizes: Mapping[str, int], shape: tuple[int, ...] | None
    ) -> onnxruntime.OrtValue | None:
        """Return memory for an output; `None` if only a run tells its shape."""
        info = parse_type(meta.type)
        if info.element is None or (info.element in ML_DTYPES and info.element != "bfloat16"):
            return None
        # of unknown rank ONNX Runtime says the shape of a scalar
        if known_shape(meta, sizes) != shape:
            return None
        kind = onnx_element_type(info.element) if info.dtype is None or info.element in ML_DTYPES else info.dtype.type
        where = self._places.of(meta.name)
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, where.device, where.number)
