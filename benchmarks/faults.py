"""Faults planted into a model or into its outputs, as a broken provider would make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, numpy_helper

Array = npt.NDArray[Any]
Outputs = dict[str, Any]
LARGEST_FP16 = 65504.0
_TWO = 2
"""Fewest that can be swapped, turned or cut."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    kind: str
    where: str
    """Weight or output."""

    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with what it gives when all is right."""

    name: str
    model: ModelProto
    inputs: Mapping[str, Any]
    other_inputs: Mapping[str, Any]
    """Of the run before, whose outputs a stale buffer still holds."""

    clean: Outputs


def run_model(model: ModelProto, inputs: Mapping[str, Any]) -> Outputs:
    """Return the outputs of a model on the CPU, graph optimisation off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def load_subject(name: str, path: Path, data_sets: list[Path]) -> Subject:
    """Return a model of this repository with its first data set."""
    model = onnx.load(path)
    read = [_read_inputs(model, folder) for folder in data_sets]
    other = read[1] if len(read) > 1 else {key: np.array(np.flip(value)) for key, value in read[0].items()}
    return Subject(name, model, read[0], other, run_model(model, read[0]))


def planted(subject: Subject) -> Iterator[Fault]:
    """Yield every fault that the model has a place for."""
    for kind, change in WEIGHT_FAULTS.items():
        for tensor, values in _changed_weights(subject.model, kind, change):
            model = ModelProto()
            model.CopyFrom(subject.model)
            _set(model, tensor, values)
            yield Fault(kind, tensor, run_model(model, subject.inputs))
    stale = run_model(subject.model, subject.other_inputs)
    for kind, spoil in OUTPUT_FAULTS.items():
        for name, value in subject.clean.items():
            if not isinstance(value, np.ndarray):
                continue
            wrong = stale.get(name) if kind == STALE else spoil(value.copy())
            if wrong is not None and not _equal(wrong, value):
                yield Fault(kind, name, {**subject.clean, name: wrong})


def made_small(outputs: Outputs) -> Outputs:
    """Return outputs whose floats are multiplied by `SMALL`."""
    return {
        name: value * value.dtype.type(SMALL) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for name, value in outputs.items()
    }


def planted_small(small: Outputs) -> Iterator[Fault]:
    """Yield faults in outputs that are as large as the absolute tolerance."""
    for kind in (SIGN, SCALED, CONSTANT):
        for name, value in small.items():
            wrong = OUTPUT_FAULTS[kind](value.copy()) if isinstance(value, np.ndarray) else None
            if wrong is not None and not _equal(wrong, value):
                yield Fault(f"{kind}, outputs of {SMALL:g}", name, {**small, name: wrong})


def _changed_weights(
    model: ModelProto, kind: str, change: Callable[[Array], Array | None]
) -> Iterator[tuple[str, Array]]:
    """Yield the first and the last weight that a kind of fault is about, changed."""
    found = [tensor for tensor in model.graph.initializer if _is_about(kind, model, tensor)]
    for tensor in {it.name: it for it in (*found[:1], *found[-1:])}.values():
        values = change(numpy_helper.to_array(tensor).copy())
        if values is not None:
            yield tensor.name, values


def _is_about(kind: str, model: ModelProto, tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT:
        return False
    scales = {node.input[1] for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}}
    if kind == SCALE:
        return tensor.name in scales
    if tensor.name in scales:
        return False
    is_bias = len(tensor.dims) == 1 and tensor.dims[0] > 1
    return is_bias if kind == BIAS else len(tensor.dims) > 1


def _set(model: ModelProto, name: str, values: Array) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(values, name))


def _one_weight(factor: float) -> Callable[[Array], Array]:
    def change(values: Array) -> Array:
        # the median of the absolute values: neither a weight that hardly counts nor the one that counts most
        flat = values.reshape(-1)
        index = int(np.argsort(np.abs(flat), kind="stable")[flat.size * 3 // 4])
        flat[index] *= factor
        return flat.reshape(values.shape)

    return change


def _clipped(values: Array) -> Array:
    largest = np.abs(values).max(initial=0) / 2
    return np.clip(values, -largest, largest)


def _swapped_channels(values: Array) -> Array | None:
    if values.shape[0] < _TWO:
        return None
    values[[0, 1]] = values[[1, 0]]
    return values


BIAS, SCALE, STALE = "bias dropped", "int8 scale off by 2", "stale output buffer"
SIGN, SCALED, CONSTANT = "sign of every element", "every element 10 % too large", "constant output"
SMALL = 1e-6
"""What outputs are multiplied by to lie within an absolute tolerance of 1e-5 altogether."""

WEIGHT_FAULTS: Mapping[str, Callable[[Array], Array | None]] = {
    "one weight off by 1 %": _one_weight(1.01),
    "one weight off by 10 %": _one_weight(1.1),
    "sign of one weight": _one_weight(-1.0),
    "two channels swapped": _swapped_channels,
    "weight clipped to half its largest": _clipped,
    "weight 10 % too large": lambda values: values * np.float32(1.1),
    BIAS: np.zeros_like,
    SCALE: lambda values: values * np.float32(2),
}


def _wrong_class(value: Array) -> Array | None:
    rows = _rows(value)
    if rows is None or not (np.allclose(rows.sum(axis=1), 1, atol=1e-3) and (rows >= 0).all()):
        return None
    first, second = np.argsort(rows[0])[-1], np.argsort(rows[0])[-2]
    rows[0, [first, second]] = rows[0, [second, first]]
    return rows.reshape(value.shape)


def _rows(value: Array) -> Array | None:
    if value.dtype.kind != "f" or value.ndim < _TWO or value.shape[-1] < _TWO:
        return None
    return value.reshape(-1, value.shape[-1])


def _nan(value: Array) -> Array | None:
    if value.dtype.kind != "f" or not value.size:
        return None
    value.reshape(-1)[value.size // 2] = np.nan
    return value


def _overflow(value: Array) -> Array | None:
    if value.dtype.kind != "f" or not value.size:
        return None
    index = int(np.abs(value).argmax())
    value.reshape(-1)[index] = np.copysign(np.inf, value.reshape(-1)[index])
    return value


def _saturated(value: Array) -> Array | None:
    if value.dtype.kind != "f" or not value.size:
        return None
    index = int(np.abs(value).argmax())
    value.reshape(-1)[index] = np.copysign(LARGEST_FP16, value.reshape(-1)[index])
    return value


def _shifted(value: Array) -> Array | None:
    return np.roll(value, 1, -1) if value.ndim and value.shape[-1] > 1 else None


def _transposed(value: Array) -> Array | None:
    if value.ndim < _TWO or min(value.shape[-2:]) < _TWO:
        return None
    return np.ascontiguousarray(np.swapaxes(value, -1, -2)).reshape(value.shape)


def _truncated(value: Array) -> Array | None:
    return value[..., :-1] if value.ndim and value.shape[-1] > 1 else None


def _half_done(value: Array) -> Array:
    value.reshape(-1)[value.size // 2 :] = 0 if value.dtype.kind != "O" else ""
    return value


def _one_off(value: Array) -> Array | None:
    if value.dtype.kind not in "iub" or not value.size:
        return None
    flat = value.reshape(-1)
    flat[-1] = not flat[-1] if value.dtype.kind == "b" else flat[-1] + 1
    return value


def _one_element(value: Array) -> Array | None:
    if value.dtype.kind != "f" or value.size < _TWO:
        return None
    flat = value.reshape(-1)
    flat[-1] += np.float32(0.1) * np.abs(value).max()
    return value


def _scaled(value: Array) -> Array | None:
    return value * value.dtype.type(1.1) if value.dtype.kind == "f" else None


def _negated(value: Array) -> Array | None:
    return -value if value.dtype.kind == "f" else None


def _constant(value: Array) -> Array | None:
    if value.dtype.kind != "f" or not value.size or np.ptp(value) == 0:
        return None
    return np.full_like(value, value.mean())


def _all_nan(value: Array) -> Array | None:
    return np.full_like(value, np.nan) if value.dtype.kind == "f" and value.size else None


def _no_elements(value: Array) -> Array | None:
    return value[..., :0] if value.ndim else None


def _other_dtype(value: Array) -> Array | None:
    return value.astype({"float32": "float64", "int64": "int32"}.get(value.dtype.name, value.dtype))


OUTPUT_FAULTS: Mapping[str, Callable[[Array], Array | None]] = {
    "wrong class on a softmax": _wrong_class,
    "NaN in one element": _nan,
    "fp16 overflow to infinity": _overflow,
    "fp16 overflow, saturated": _saturated,
    "slice off by one": _shifted,
    "transposed output": _transposed,
    "last column missing": _truncated,
    "second half not written": _half_done,
    "one element off by 10 % of the largest": _one_element,
    "one integer or bool wrong": _one_off,
    "another dtype": _other_dtype,
    SCALED: _scaled,
    SIGN: _negated,
    CONSTANT: _constant,
    "NaN in every element": _all_nan,
    "no elements": _no_elements,
    STALE: lambda value: value,
}


def _equal(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def _read_inputs(model: ModelProto, folder: Path) -> dict[str, Any]:
    names = [it.name for it in model.graph.input if it.name not in {tensor.name for tensor in model.graph.initializer}]
    tensors = [onnx.load_tensor(path) for path in sorted(folder.glob("input_*.pb"))]
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    if set(named) <= set(names):
        return named
    return dict(zip(names, named.values(), strict=True))
