"""A model's external data files: which it names, and that they are files below its folder."""

from __future__ import annotations

import errno
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import helper

from pytest_ortperf.errors import CaseError
from pytest_ortperf.safe_files import open_regular, shortened

_SUB_BYTE = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6}
_BITS = {number: _SUB_BYTE[name] for name, number in onnx.TensorProto.DataType.items() if name in _SUB_BYTE}


def external_files(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the external data files that a model names, relative to its folder, each once."""
    names = (
        os.fsdecode(entry.value)  # what is not UTF-8 comes as bytes
        for tensor in _all_tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    )
    return tuple(dict.fromkeys(names))


def check_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Refuse external data that is not a file below the model's folder; links are followed.

    A missing file is for ONNX Runtime to name.

    Args:
        model: Without its external data.
        path: Its file.

    Raises:
        CaseError: Stage `model`, with the name and what it may be.
    """
    for name in external_files(model):
        problem = problem_of(name, path.parent)
        if problem:
            raise CaseError(
                f"{path}: the external data {shortened(ascii(name))} {problem}; external data has to be in files "
                f"beside the model or in folders below it. Save the model again with onnx.save_model",
                stage="model",
                kind="model error",
            )


def load_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Read a model's external data into it; unlike onnx's own function, links to elsewhere are followed.

    Raises:
        CaseError: Stage `model`, if data is missing, refused, or not as large as its tensor.
    """
    for tensor in _all_tensors(model):
        load_tensor(tensor, folder)


def load_tensor(tensor: onnx.TensorProto, folder: Path) -> None:
    """Read the external data of one tensor into it; one without any stays as it is.

    Raises:
        CaseError: As `load_external_data`.
    """
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    given = {entry.key: os.fsdecode(entry.value) for entry in tensor.external_data}
    name = given.get("location", "")
    what = f"the external data of tensor {shortened(ascii(tensor.name))} in {shortened(ascii(name))}"
    problem = problem_of(name, folder)
    if problem:
        raise _refused(f"{what} {problem}")
    try:
        offset, needed = int(given.get("offset") or 0), _byte_of(tensor)
        length = int(given.get("length") or needed)
    except (ValueError, TypeError, KeyError) as error:
        raise _refused(f"{what} is described wrongly ({shortened(str(error))})") from error
    try:
        with open_regular(folder / name) as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 <= offset <= size - length or length != needed:
                raise _refused(
                    f"{what} does not fit: the tensor has {needed:,} bytes, and {length:,} are said to stand at "
                    f"{offset:,} of {size:,}"
                )
            if length > _physical_byte():
                raise _refused(f"{what} has {length:,} bytes, more than this machine's memory")
            file.seek(offset)
            tensor.raw_data = file.read(length)
    except OSError as error:
        raise _refused(f"{what} cannot be read: {error.strerror}") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _byte_of(tensor: onnx.TensorProto) -> int:
    """Return how many bytes the elements of a tensor take; several of less than 8 bits share one."""
    if any(dim < 0 for dim in tensor.dims):
        raise ValueError("a dimension is negative")
    elements: int = math.prod(tensor.dims)
    bits: int = _BITS.get(tensor.data_type) or 8 * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return -(-elements * bits // 8)


def _physical_byte() -> int:
    return os.sysconf("SC_PAGESIZE") * os.sysconf("SC_PHYS_PAGES")


def _refused(message: str) -> CaseError:
    return CaseError(message, stage="model", kind="model error")


def problem_of(name: str, folder: Path) -> str | None:
    """Return what is wrong with the name of an external data file; `None` if it is a file or missing."""
    if not name:
        return "has no name"
    if "\0" in name:
        return "has a NUL character in its name"
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        return "is an absolute path"
    if ".." in (*PurePosixPath(name).parts, *PureWindowsPath(name).parts):
        return "leads out of the model's folder"
    try:
        open_regular(folder / name).close()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return f"cannot be opened ({error.strerror})"
        return f"cannot be read: {error.strerror}"
    return None


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the graphs inside its nodes, such as the branches of an `If`."""
    yield graph
    for attribute in _attributes(graph):
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from graphs(inner)


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the initialisers of a graph and the tensors in its nodes' attributes, inner graphs included."""
    for inner in graphs(graph):
        yield from inner.initializer
        for attribute in _attributes(inner):
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors


def _all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    of_functions = (_of_attribute(each) for it in model.functions for node in it.node for each in node.attribute)
    return itertools.chain(tensors(model.graph), _of_sparse(model.graph), *of_functions)


def _of_attribute(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of a local function's attribute."""
    yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
    for graph in (attribute.g, *attribute.graphs):
        yield from tensors(graph)
        yield from _of_sparse(graph)


def _of_sparse(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for inner in graphs(graph):
        in_nodes = (
            it for attribute in _attributes(inner) for it in (attribute.sparse_tensor, *attribute.sparse_tensors)
        )
        for sparse in (*inner.sparse_initializer, *in_nodes):
            yield from (sparse.values, sparse.indices)


def _attributes(graph: onnx.GraphProto) -> Iterator[onnx.AttributeProto]:
    for node in graph.node:
        yield from node.attribute
