"""One `.pb` file of a data set: a value and the name it was stored under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.tensor_types import TensorKind, TypeInfo, Value

_LFS_POINTER = b"version https://git-lfs"
_PROTOS: dict[TensorKind, Any] = {
    "tensor": onnx.TensorProto,
    "sequence": onnx.SequenceProto,
    "optional": onnx.OptionalProto,
    "map": onnx.MapProto,
}


@dataclass(frozen=True, slots=True)
class ProtoFile:
    """A file as read, not yet parsed: what it holds depends on the model's type for it."""

    path: Path
    content: bytes
    stage: str
    """Of the errors it raises: `inputs` or `reference`."""

    def fail(self, problem: str, cause: Exception | None = None) -> NoReturn:
        """Raise the error of this file."""
        raise CaseError(f"{self.path}: {problem}", stage=self.stage, kind="input error") from cause


def load(path: Path, stage: str) -> ProtoFile:
    """Return a file's content.

    Raises:
        CaseError: If it cannot be read or is a Git LFS pointer.
    """
    try:
        file = ProtoFile(path, path.read_bytes(), stage)
    except OSError as error:
        ProtoFile(path, b"", stage).fail(
            f"cannot be read ({error.strerror}); check that it exists and may be read", error
        )
    if file.content.startswith(_LFS_POINTER):
        file.fail("is a Git LFS pointer, not a tensor; fetch the data with `git lfs pull`")
    return file


def stored_name(file: ProtoFile, types: Mapping[str, TypeInfo]) -> str | None:
    """Return the name in a file if the model has a value of that name and kind, else `None`."""
    for kind in _kinds(types.values()):
        proto = _parsed(file.content, kind)
        if not isinstance(proto, DecodeError) and proto.name in types and types[proto.name].kind == kind:
            return str(proto.name)
    return None


def read_value(file: ProtoFile, info: TypeInfo) -> Value:
    """Return the value in a file.

    Args:
        file: A TensorProto, SequenceProto, OptionalProto or MapProto, as `info` says. Data outside the file
            is looked for in its folder.
        info: The model's type for it.

    Raises:
        CaseError: If the file does not hold that.
    """
    if info.kind not in _PROTOS:
        file.fail(f"no {info.text} can be stored; known are {', '.join(_PROTOS)}")
    proto = _parsed(file.content, info.kind)
    if isinstance(proto, DecodeError):
        _fail_to_parse(file, info, proto)
    try:
        return _to_value(proto, info.kind, file.path.parent)
    # numpy_helper has no error of its own: these are what missing, short and unknown contents end in.
    except (ValueError, TypeError, KeyError, IndexError, OSError, onnx.checker.ValidationError) as error:
        _fail_to_parse(file, info, error)


def _to_value(proto: Any, kind: TensorKind, folder: Path) -> Value:
    if kind == "tensor":
        return numpy_helper.to_array(proto, base_dir=str(folder))
    if kind == "sequence" and proto.elem_type == onnx.SequenceProto.TENSOR:
        return [numpy_helper.to_array(tensor, base_dir=str(folder)) for tensor in proto.tensor_values]
    if kind == "sequence":
        return numpy_helper.to_list(proto)
    if kind == "map":
        return numpy_helper.to_dict(proto)
    value: Value = numpy_helper.to_optional(proto)
    return value


def _parsed(content: bytes, kind: TensorKind) -> Any:
    """Return the message, or the error that says why there is none."""
    proto = _PROTOS[kind]()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        return error
    return proto


def _kinds(types: Iterable[TypeInfo]) -> set[TensorKind]:
    return {info.kind for info in types if info.kind in _PROTOS}


def _fail_to_parse(file: ProtoFile, info: TypeInfo, error: Exception) -> NoReturn:
    proto = _PROTOS[info.kind].DESCRIPTOR.name
    file.fail(
        f"{len(file.content)} bytes do not hold a {proto} ({error}), which the model's {info.text} needs; "
        "the file is truncated or holds something else: write or download it again",
        error,
    )
