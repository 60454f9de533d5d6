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
from pytest_ortperf.execution.model.external_data import load_tensor
from pytest_ortperf.safe_files import read_regular, shortened

_LFS_POINTER = b"version https://git-lfs"
_PROTOS: dict[TensorKind, Any] = {
    "tensor": onnx.TensorProto,
    "sequence": onnx.SequenceProto,
    "optional": onnx.OptionalProto,
    "map": onnx.MapProto,
}
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OSError,
    OverflowError,
    MemoryError,
    RecursionError,
    onnx.checker.ValidationError,
)
MOST_BYTE = 2**31 - 1
"""Of a protobuf message."""

_FIELDS: dict[int, tuple[TensorKind, str]] = {
    onnx.SequenceProto.TENSOR: ("tensor", "tensor"),
    onnx.SequenceProto.SEQUENCE: ("sequence", "sequence"),
    onnx.SequenceProto.MAP: ("map", "map"),
    onnx.SequenceProto.OPTIONAL: ("optional", "optional"),
}
"""Element type of a sequence or optional -> its kind, and what the field begins with; the numbers are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One stored value."""

    path: Path
    stage: str
    """Of the errors it raises: `inputs` or `reference`."""

    def fail(self, problem: str, cause: Exception | None = None) -> NoReturn:
        """Raise the error of this file."""
        raise CaseError(f"{self.path}: {problem}", stage=self.stage, kind="input error") from cause

    def stored_name(self, types: Mapping[str, TypeInfo]) -> str | None:
        """Return the name in the file if the model has a value of that name and kind, else `None`."""
        raise NotImplementedError

    def read(self, info: TypeInfo) -> Value:
        """Return the value as the model's type for it says.

        Raises:
            CaseError: If the file does not hold that.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtoFile(StoredFile):
    """A file as read, not yet parsed: what it holds depends on the model's type for it."""

    content: bytes

    def stored_name(self, types: Mapping[str, TypeInfo]) -> str | None:
        for kind in _kinds(types.values()):
            proto = _parsed(self.content, kind)
            if not isinstance(proto, DecodeError) and proto.name in types and types[proto.name].kind == kind:
                return str(proto.name)
        return None

    def read(self, info: TypeInfo) -> Value:
        """Return the value: a TensorProto, SequenceProto, OptionalProto or MapProto, as the type says.

        Data outside the file is looked for in its folder.
        """
        if info.kind not in _PROTOS:
            self.fail(f"no {info.text} can be stored; known are {', '.join(_PROTOS)}")
        proto = _parsed(self.content, info.kind)
        if isinstance(proto, DecodeError):
            _fail_to_parse(self, info, proto)
        try:
            return _to_value(proto, info.kind, self.path.parent)
        # numpy_helper has no error of its own: these are what missing, short and unknown contents end in.
        except (*_DAMAGE, CaseError) as error:
            _fail_to_parse(self, info, error)


def load(path: Path, stage: str) -> ProtoFile:
    """Return a file's content.

    Raises:
        CaseError: If it cannot be read or is a Git LFS pointer.
    """
    try:
        file = ProtoFile(path=path, content=read_regular(path, MOST_BYTE), stage=stage)
    except OSError as error:
        StoredFile(path=path, stage=stage).fail(
            f"cannot be read ({error.strerror}); check that it exists and may be read", error
        )
    if file.content.startswith(_LFS_POINTER):
        file.fail("is a Git LFS pointer, not a tensor; fetch the data with `git lfs pull`")
    return file


def _to_value(proto: Any, kind: TensorKind, folder: Path) -> Value:
    if kind == "tensor":
        load_tensor(proto, folder)
        return numpy_helper.to_array(proto)
    if kind == "map":
        return _to_map(proto, folder)
    if kind == "optional" and not proto.elem_type:
        return None
    if proto.elem_type not in _FIELDS:
        raise TypeError(f"the element type {proto.elem_type} of a {kind} is not supported")
    inner, name = _FIELDS[proto.elem_type]
    if kind == "sequence":
        return [_to_value(each, inner, folder) for each in getattr(proto, f"{name}_values")]
    return _to_value(getattr(proto, f"{name}_value"), inner, folder)


def _to_map(proto: Any, folder: Path) -> dict[Any, Any]:
    """Return a map; ONNX Runtime's string keys are text, those of a MapProto bytes."""
    keys = [key.decode() for key in proto.string_keys] or list(proto.keys)
    values = _to_value(proto.values, "sequence", folder) if keys else []
    return dict(zip(keys, values, strict=True)) if isinstance(values, list) else {}


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
        f"{len(file.content)} bytes do not hold a {proto} ({shortened(str(error))}), which the model's {info.text} "
        "needs; the file is truncated or holds something else: write or download it again",
        error,
    )
