"""Named attack files: each is refused at once, in few words, without memory for what it claims to be."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fuzzing.readers import READERS
from pytest_ortperf.errors import OrtPerfError

Attack = tuple[str, Callable[[Path], object]]
MOST_S, MOST_BYTE = 5.0, 400 << 20


def content(data: bytes | str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data.encode() if isinstance(data, str) else data)


def gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


def model(**places: str) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in places.items():
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph([], "g", [], [], [weight])
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def tensor(location: str = "", **changes: object) -> bytes:
    proto = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[1, 3])
    if location:
        proto.data_location = TensorProto.EXTERNAL
        proto.external_data.add(key="location", value=location)
    for key, value in changes.items():
        getattr(proto, key).extend(value) if isinstance(value, list) else setattr(proto, key, value)
    data: bytes = proto.SerializeToString()
    return data


def array_header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(data: bytes, name: str = "x.npy", *, declared: int | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, data)
    found = bytearray(file.getvalue())
    if declared is not None:
        place = found.rindex(b"PK\x01\x02") + 24
        found[place : place + 4] = struct.pack("<I", declared)
    return bytes(found)


def pickled() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.array([{"a": 1}], dtype=object))
    return file.getvalue()


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path.name),
    "sparse gigabytes": gigabytes,
}
OF_KINDS = ("model list", "model", "pb", "npz", "records", "pairs", "csv", "pytest-benchmark")
NESTED, DIGITS = "[" * 100_000, f"[{'9' * 5_000}]"

ATTACKS: dict[str, Attack] = {
    **{f"{name}: {kind}": (name, make) for name in OF_KINDS for kind, make in KINDS.items()},
    **{
        f"{name}: {what}": (name, content(data))
        for name in ("model list", "records", "pairs", "pytest-benchmark", "profile")
        for what, data in (("nested deeply", NESTED), ("a number of 5,000 digits", DIGITS), ("binary", bytes(300)))
    },
    "model list: a name of 5 MB with an unknown key": (
        "model list",
        content(f'[{{"name":"{"n" * 5_000_000}","pth":1}}]'),
    ),
    "model list: half a surrogate pair": ("model list", content('[{"name":"a","path":"\\ud800.onnx"}]')),
    "model list: a NUL in a path": ("model list", content('[{"name":"a","path":"a\\u0000.onnx"}]')),
    "model list: 2**63 threads": (
        "model list",
        content('[{"name":"a","path":"a","session":{"intra_op_threads":9223372036854775808}}]'),
    ),
    "model list: 1e300 seconds": ("model list", content('[{"name":"a","path":"a","timeout":1e300}]')),
    "model: external data with a NUL": ("model", content(model(location="w.bin\0x"))),
    "model: external data is absolute": ("model", content(model(location="/etc/passwd"))),
    "model: external data is a device": ("model", content(model(location="/dev/zero"))),
    "model: external data leads out": ("model", content(model(location="../w.bin"))),
    "model: external data leads out, hidden": ("model", content(model(location="a/../../w.bin"))),
    "model: external data of Windows": ("model", content(model(location="C:\\w.bin"))),
    "model: external data without a name": ("model", content(model(offset="0"))),
    "model: external data is a folder": ("model", content(model(location="."))),
    "model: external data is missing": ("model", content(model(location="gone.bin"))),
    "model: external data beyond its end": ("model", content(model(location="w.bin", offset="9999"))),
    "model: external data before its beginning": ("model", content(model(location="w.bin", offset="-1"))),
    "model: external data of 8 EiB": ("model", content(model(location="w.bin", length="9223372036854775807"))),
    "model: a Git LFS pointer": ("model", content("version https://git-lfs.github.com/spec/v1\nsize 12345\n")),
    "pb: external data is absolute": ("pb", content(tensor("/etc/passwd"))),
    "pb: external data leads out": ("pb", content(tensor("../../models.json"))),
    "pb: dimensions of 2**40": ("pb", content(tensor(dims=[1 << 40, 1 << 20]))),
    "pb: a negative dimension": ("pb", content(tensor(dims=[-1]))),
    "pb: a type that there is not": ("pb", content(tensor(data_type=999))),
    "npz: pickled objects": ("npz", content(pickled())),
    "npz: a header of 4 TB": ("npz", content(archive(array_header("(1099511627776,)")))),
    "npz: a header of 2**80 elements": ("npz", content(archive(array_header("(1048576, 1048576, 1048576, 1048576)")))),
    "npz: a negative shape": ("npz", content(archive(array_header("(-5,)") + bytes(20)))),
    "npz: declared 4 GB, and has few": ("npz", content(archive(array_header("(3,)"), declared=(1 << 32) - 1))),
    "npz: code as a type": ("npz", content(archive(array_header("(3,)", "__import__('os')")))),
    "npz: a name that leads out": ("npz", content(archive(array_header("(3,)"), "../../../x.npy"))),
    "npz: compressed zeros in the thousandfold": (
        "npz",
        content(archive(array_header("(33554432, 1)") + bytes(4 << 25))),
    ),
    "csv: a cell of 5 MB": ("csv", content(f'Model,ORT-CPUFp32 mean (ms)\n"{"x" * 5_000_000}",1\n')),
    "csv: no table": ("csv", content("a,b\n1,2\n")),
}


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where it takes long, or more memory than a sound file could need."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < MOST_S
    assert peak < MOST_BYTE


def test_there_are_more_than_sixty() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_file_is_refused(name: str, tmp_path: Path) -> None:
    reader_name, make = ATTACKS[name]
    reader = READERS[reader_name]
    path = tmp_path / "inner" / reader.file
    path.parent.mkdir(parents=True)
    make(path)
    with bounded(), pytest.raises(OrtPerfError) as caught:
        reader.read(path)
    assert len(str(caught.value)) < 3_000
    assert [each.name for each in tmp_path.iterdir()] == ["inner"]
    assert json.dumps(str(caught.value))
