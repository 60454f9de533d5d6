"""numpy's files of a data set: `.npy`, and the arrays of an `.npz`. Pickles are never loaded."""

from __future__ import annotations

import lzma
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from pytest_ortperf.execution.inputs.proto_files import StoredFile
from pytest_ortperf.execution.inputs.tensor_types import Array, Meta, TypeInfo, Value
from pytest_ortperf.safe_files import open_regular, shortened

NPY, NPZ = ".npy", ".npz"
WORDS = {"inputs": "input", "reference": "output"}
"""Stage -> what its files and arrays are called."""

_NUMBERED = re.compile(r"(input|output)s?_?(\d+)", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs"
MOST_BYTE = 1 << 32
"""Of an array in an `.npz` file, which may be compressed to a thousandth; an `.npy` file has all its bytes."""

_HEADER_BYTE = 1 << 16
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    RecursionError,
    RuntimeError,  # an encrypted archive
    SyntaxError,
    UnicodeError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
    lzma.LZMAError,
    tokenize.TokenError,
)
"""What reading a file ends in that numpy did not write, or only a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray(StoredFile):
    """An array, with the name it was stored under, if that is one of the model's."""

    name: str | None = None
    array: Array

    def stored_name(self, types: Mapping[str, TypeInfo]) -> str | None:
        return self.name if self.name in types else None

    def read(self, info: TypeInfo) -> Value:
        if info.kind == "optional" and info.inner is not None:
            return self.read(info.inner)
        if info.kind == "sequence" and info.inner is not None:
            return [_as_typed(item, info.inner) for item in self.array]
        if info.kind != "tensor":
            self.fail(f"no {info.text} can be stored as an array; store it as .pb")
        return _as_typed(self.array, info)


def load_array(path: Path, stage: str) -> StoredArray:
    """Return the array of an `.npy` file, named by the file unless that is numbered.

    Raises:
        CaseError: If it cannot be read, or holds Python objects.
    """
    file = StoredFile(path=path, stage=stage)
    with _opened(file) as array:
        if not isinstance(array, np.ndarray):
            file.fail("holds several arrays, as .npz files do; rename it to .npz")
    name = None if is_numbered(path.stem) else path.stem
    return StoredArray(path=path, stage=stage, name=name, array=array)


def load_arrays(path: Path, stage: str, metas: Sequence[Meta]) -> list[StoredArray]:
    """Return the inputs or the outputs in an `.npz` file.

    They are the arrays named as the model's values; else those in `inputs` or `outputs`, along its first axis, as
    the ONNX Model Zoo stored them; else the arrays `input_0`, `input_1` ...

    Args:
        path: The file.
        stage: `inputs` or `reference`.
        metas: All inputs, or all outputs, that may be in it.

    Raises:
        CaseError: If it cannot be read, or what is wanted holds Python objects.
    """
    file = StoredFile(path=path, stage=stage)
    with _opened(file) as archive:
        if isinstance(archive, np.ndarray):
            file.fail("holds a single array, as .npy files do; rename it to .npy")
        stacked = f"{WORDS[stage]}s"
        ranks = {meta.name: len(meta.shape) for meta in metas}
        named = [name for name in archive.files if name in ranks]
        if named == [stacked] and _member(file, archive, stacked).ndim == ranks[stacked] + 1:
            named = []  # the zoo's array, of a model that calls its input so too
        if named:
            return [
                StoredArray(path=path, stage=stage, name=name, array=_member(file, archive, name)) for name in named
            ]
        if stacked in archive.files:
            whole = _member(file, archive, stacked)
            if whole.ndim == 0:
                file.fail(f"the array '{stacked}' is a single number; stack one array for each {WORDS[stage]}")
            return [StoredArray(path=path, stage=stage, array=np.asarray(item)) for item in whole]
        numbered = sorted((found, name) for name in archive.files if (found := _number(name, stage)) is not None)
        return [StoredArray(path=path, stage=stage, array=_member(file, archive, name)) for _, name in numbered]


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in an `.npz` file that belong to the model by their name alone, if at all.

    Raises:
        CaseError: If it cannot be read.
    """
    with _opened(StoredFile(path=path, stage="inputs")) as archive:
        names = [] if isinstance(archive, np.ndarray) else archive.files
        return [name for name in names if name not in {"inputs", "outputs"} and not is_numbered(name)]


def is_numbered(name: str) -> bool:
    """Whether a name is one as `input_0`, which tells the place of a value alone."""
    return _NUMBERED.fullmatch(name) is not None


def _number(name: str, stage: str) -> int | None:
    match = _NUMBERED.fullmatch(name)
    return int(match[2]) if match and match[1].lower() == WORDS[stage] else None


@contextmanager
def _opened(file: StoredFile) -> Iterator[Array | np.lib.npyio.NpzFile]:
    try:
        opened = open_regular(file.path)
    except OSError as error:
        file.fail(f"cannot be read ({error.strerror}); check that it exists and may be read", error)
    # opened here: numpy leaves it open where it is no archive
    with opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            file.fail("is a Git LFS pointer, not a tensor; fetch the data with `git lfs pull`")
        opened.seek(0)
        try:
            _check_size(opened, os.fstat(opened.fileno()).st_size)
            opened.seek(0)
            found = np.load(opened, allow_pickle=False)
        except _DAMAGE as error:
            _refuse(file, error, "the array", "np.save(path, np.asarray(x, np.float32))")
        yield found


def _member(file: StoredFile, archive: np.lib.npyio.NpzFile, name: str) -> Array:
    try:
        if archive.zip is not None:
            _check_member(archive.zip, name)
        array: Array = archive[name]
        if not isinstance(array, np.ndarray):
            raise TypeError("it is no array")
    except _DAMAGE as error:
        _refuse(file, error, f"the array '{name}'", "np.savez(path, x=..., y=...)")
    return array


def _check_member(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse an array of an archive whose declared size is not what its header says, before anything is unpacked."""
    known = archive.namelist()
    info = archive.getinfo(name if name in known else f"{name}.npy")
    if info.file_size > MOST_BYTE:
        raise ValueError(f"it has {info.file_size:,} bytes, and at most {MOST_BYTE:,} are unpacked; store it as .npy")
    with archive.open(info) as member:
        _check_size(member, info.file_size)


def _check_size(opened: IO[bytes], size: int) -> None:
    """Refuse what begins as an array and is not as large as its header says, for numpy believes the header."""
    if opened.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
        return
    is_first = opened.read(2) == b"\x01\x00"
    # version 3 differs from 2 in the encoding of names alone
    read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened, max_header_size=_HEADER_BYTE)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"it has {size:,} bytes, too few for the shape {shortened(str(shape))} of {dtype}")


def _refuse(file: StoredFile, error: Exception, what: str, way: str) -> NoReturn:
    if "Object arrays" in str(error):
        file.fail(
            f"{what} holds Python objects, which only pickle could read, and no pickle is ever loaded; values of "
            f"different shapes go into one array each, under the names of the model's inputs and outputs: {way}",
            error,
        )
    file.fail(
        f"{what} cannot be read ({shortened(str(error))}); the file is damaged or holds something else: write it again",
        error,
    )


def _as_typed(array: Array, info: TypeInfo) -> Array:
    """Return text as objects, and bytes of a type that numpy's files do not know as that type."""
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8").astype(object)
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind == "V" and info.dtype is not None and array.dtype.itemsize == info.dtype.itemsize:
        return array.view(info.dtype)
    return array
