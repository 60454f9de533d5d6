"""The model file of a case: is it there, is it a model, and of which precision are its weights."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from pytest_ortperf.cases.model import Model
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.external_data import graphs, tensors
from pytest_ortperf.safe_files import open_regular

ENGINE = "engine"
"""Precision of an EPContext model: fixed when it was compiled, and not to be seen from outside."""

LFS_MARK = b"version https://git-lfs"
MOST_BYTE = 2**31 - 1
"""Of a protobuf message."""

_FLOATS = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
    onnx.TensorProto.DOUBLE: "fp64",
}
_INTEGER_KERNELS = {"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def check_model_file(path: Path, model: Model) -> int:
    """Return the file's size in bytes.

    Raises:
        CaseError: Stage `model`, if it cannot be read, is a Git-LFS pointer, empty or too large.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _model_error(f"{path} is not UTF-8, and ONNX Runtime opens no other paths; rename it") from error
    try:
        with open_regular(path) as file:
            start = file.read(len(LFS_MARK))
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise _model_error(f"{path} does not exist (named by {model.origin})") from error
    except OSError as error:
        raise _model_error(f"{path} cannot be read: {error.strerror} (named by {model.origin})") from error
    if start == LFS_MARK:
        raise _model_error(f"{path} is a Git-LFS pointer, not the model; fetch it with: git lfs pull")
    if size == 0:
        raise _model_error(f"{path} is empty (0 bytes); write or download it again")
    if size > MOST_BYTE:
        raise _model_error(
            f"{path} has {size:,} bytes, and no ONNX model has more than {MOST_BYTE:,}; larger weights belong into "
            f"external data"
        )
    return size


def load_graph(path: Path, size: int) -> onnx.ModelProto:
    """Return the model without its external data.

    Args:
        path: The model.
        size: Of the file, in bytes.

    Raises:
        CaseError: Stage `model`, if the file is no ONNX model.
    """
    try:
        return onnx.load_model(path, load_external_data=False)
    except DecodeError as error:
        raise unreadable_model(path, size) from error


def inspect_precision(model: onnx.ModelProto) -> str | None:
    """Return what most weights are: `fp32`, `fp16`, `bf16`, `fp64`.

    A quantised model is `int8`, one with parts that a provider compiled before is `engine`.

    Returns:
        `None` for a model without float weights.
    """
    if is_ep_context(model):
        return ENGINE
    if any(node.op_type in _INTEGER_KERNELS for node in model.graph.node):
        return "int8"
    return weights_precision(model)


def is_ep_context(model: onnx.ModelProto) -> bool:
    """Whether a model holds parts that a provider compiled before, as `EPContext` nodes."""
    return any(node.op_type == "EPContext" and node.domain == "com.microsoft" for node in model.graph.node)


def weights_precision(model: onnx.ModelProto) -> str | None:
    """Return the float type that holds most elements of the weights, else that of most inputs and outputs."""
    types = (value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output))
    ends = Counter(_FLOATS[it] for it in types if it in _FLOATS)
    return constants_precision(model) or (ends.most_common(1)[0][0] if ends else None)


def constants_precision(model: onnx.ModelProto) -> str | None:
    """Return the float type that holds most elements of initialisers and constants; `None` if none does."""
    inner = list(graphs(model.graph))
    nodes = (node for graph in inner for node in graph.node if node.op_type == "Constant")
    constants = (attribute.t for node in nodes for attribute in node.attribute if attribute.name == "value")
    elements: Counter[str] = Counter()
    for tensor in (*(it for graph in inner for it in graph.initializer), *constants):
        if tensor.data_type in _FLOATS:
            elements[_FLOATS[tensor.data_type]] += int(np.prod(tensor.dims, dtype=np.int64))
    return elements.most_common(1)[0][0] if elements else None


def mentions_half(path: Path) -> bool:
    """Whether anything in a model is float16."""
    model = onnx.load_model(path, load_external_data=False)
    half = onnx.TensorProto.FLOAT16
    ends = (*model.graph.input, *model.graph.output)
    casts = (it for graph in graphs(model.graph) for node in graph.node for it in node.attribute if it.name == "to")
    return (
        any(tensor.data_type == half for tensor in tensors(model.graph))
        or any(value.type.tensor_type.elem_type == half for value in ends)
        or any(attribute.i == half for attribute in casts)
    )


def unreadable_model(path: Path, size: int) -> CaseError:
    """Return the error of a file that does not parse; `size` is in bytes."""
    return _model_error(
        f"{path} is no ONNX model, or is cut short ({size} bytes): it does not parse; write or download it again"
    )


def _model_error(message: str) -> CaseError:
    return CaseError(message, stage="model", kind="model error")
