"""A small zoo: models with their places in the catalogue, on a hub that the test runs, and archives good and bad."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from provision.zoo_hub import LocalHub, sha256

ORGANISATION = "onnxmodelzoo"
LEGACY = f"{ORGANISATION}/legacy_models"
FOLDER = "vision/classification"


def content_of(seed: str, size: int = 50_000) -> bytes:
    """Return bytes that no compression makes smaller."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same each time


def legacy_path(name: str, suffix: str = ".onnx") -> str:
    return f"validated/{FOLDER}/{name}/model/{name}{suffix}"


def tar_of(files: Mapping[str, bytes], *, packed: bool = True) -> bytes:
    """Return a tar archive, gzipped unless said otherwise."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if packed else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_with(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """Return a tar archive of a harmless file and members of any kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        first = tarfile.TarInfo("net/model.onnx")
        archive.addfile(first, io.BytesIO())
        for member in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_with(name: str, content: bytes, mode: int = 0, flags: int = 0) -> bytes:
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/model.onnx", b"")
        archive.writestr(member, content)
    data = bytearray(buffer.getvalue())
    if flags:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.rfind(mark) + at
            data[place : place + 2] = struct.pack("<H", flags)
    return bytes(data)


def forged_header() -> bytes:
    """Return an archive whose extended header asks for 8 GiB of memory; a gzip stream of zeros would deliver them."""
    member = tarfile.TarInfo("PaxHeaders/x")
    member.type, member.size = tarfile.XHDTYPE, 8 << 30
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))


def forged_size() -> bytes:
    member = tarfile.TarInfo("net/model.onnx")
    member.size = 1 << 42
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))


def _other_model() -> bytes:
    return tar_with(tarfile.TarInfo("net/model.onnx"), content=b"other")


def _with_bad_header() -> bytes:
    whole = tar_of({"net/model.onnx": content_of("x", 200_000), "net/b": b"b"}, packed=False)
    return whole[:200_704] + b"\xff" * 512 + whole[201_216:]


LARGE = 4_100_000
BOMB = bytes(3_500_000)
"""Sizes for limits of 4 MB in all, and 1 MB before the ratio counts."""

BAD_ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "parent.tar.gz": (lambda: tar_of({"../evil.onnx": b"x"}), "'../evil.onnx' leads outside"),
    "absolute.tar.gz": (lambda: tar_of({"/evil.onnx": b"x"}), "'/evil.onnx' leads outside"),
    "hidden-parent.tar.gz": (lambda: tar_of({"a/b/../../../evil.onnx": b"x"}), "leads outside"),
    "link.tar.gz": (lambda: tar_with(special("net/out", tarfile.SYMTYPE, "/etc")), "'net/out' is a link"),
    "hard-link.tar.gz": (lambda: tar_with(special("net/out", tarfile.LNKTYPE, "/etc/passwd")), "'net/out' is a link"),
    "device.tar.gz": (lambda: tar_with(special("net/null", tarfile.CHRTYPE)), "'net/null' is a device or pipe"),
    "pipe.tar.gz": (lambda: tar_with(special("net/pipe", tarfile.FIFOTYPE)), "'net/pipe' is a device or pipe"),
    "bomb.tar.gz": (lambda: tar_of({"net/model.onnx": BOMB}), "as a decompression bomb does"),
    "bomb-behind.tar.gz": (
        lambda: tar_of({"net/model.onnx": b""}) + gzip.compress(BOMB),
        "as a decompression bomb does",
    ),
    "many.tar.gz": (lambda: tar_of({f"net/{number}": b"" for number in range(101)}), "more than 100 members"),
    "large.tar.gz": (lambda: tar_of({"net/b": content_of("b", LARGE)}), "unpacks to more than"),
    "forged-header.tar.gz": (forged_header, "a header asks for"),
    "forged-size.tar.gz": (forged_size, "unpacks to more than"),
    "twice.tar.gz": (_other_model, "'net/model.onnx' comes twice"),
    "file-and-folder.tar.gz": (lambda: tar_of({"net": b"x", "net/model.onnx": b"x"}), "members collide"),
    "control.tar.gz": (lambda: tar_of({"net/\x1b[31m.onnx": b"x"}), "is no name for a file"),
    "cut.tar.gz": (lambda: tar_of({"net/model.onnx": content_of("x")})[:30_000], "it is damaged"),
    "checksum.tar.gz": (lambda: tar_of({"net/model.onnx": b"x"})[:-8] + bytes(8), "it is damaged"),
    "cut.tar": (lambda: tar_of({"net/model.onnx": content_of("x")}, packed=False)[:30_000], "it is damaged"),
    "cut-between.tar": (lambda: tar_of({"a": b"a", "b": b"b"}, packed=False)[:1024], "it is damaged or cut short"),
    "header.tar": (_with_bad_header, "it is damaged or cut short"),
    "parent.zip": (lambda: zip_with("../evil.onnx", b"x"), "'../evil.onnx' leads outside"),
    "absolute.zip": (lambda: zip_with("/evil.onnx", b"x"), "'/evil.onnx' leads outside"),
    "backslash.zip": (lambda: zip_with("..\\evil.onnx", b"x"), "is no name for a file"),
    "link.zip": (lambda: zip_with("net/out", b"/etc", stat.S_IFLNK | 0o777), "'net/out' is a link"),
    "bomb.zip": (lambda: zip_with("net/other.onnx", BOMB), "as a decompression bomb does"),
    "encrypted.zip": (lambda: zip_with("net/secret.onnx", b"x", flags=1), "'net/secret.onnx' is encrypted"),
    "cut.zip": (lambda: zip_of({"net/model.onnx": content_of("x")})[:30_000], "it is damaged"),
    "empty.tar": (lambda: bytes(10_240), "holds nothing"),
}
"""Archives that must not be unpacked, with what the message says of each."""


def data_archive(name: str, model: bytes) -> bytes:
    """Return an archive as the zoo has them."""
    files = {f"{name}/model.onnx": model, f"{name}/._model.onnx": b"fork", f"__MACOSX/{name}/x.onnx": b"fork"}
    files |= {f"{name}/test_data_set_{number}/input_0.pb": b"data" for number in range(2)}
    return tar_of(files)


def write_catalogue(path: Path, models: Mapping[str, bytes], archives: Mapping[str, bytes], original: set[str]) -> None:
    """Write a catalogue of the form that is shipped."""
    rows = []
    for name, content in models.items():
        archive = archives.get(name)
        place = legacy_path(name).removeprefix("validated/")
        facts = (None, None) if archive is None else (len(archive), sha256(archive))
        rows.append([place, len(content), sha256(content), 7, *facts, int(name in original)])
    path.write_text(json.dumps({"models": rows}), "utf-8")


PROGRAM = """\
import sys
from pathlib import Path
from pytest_ortperf import cli
from pytest_ortperf.provision.zoo import catalogue
catalogue.SHIPPED = Path(sys.argv[1])
sys.exit(cli.main(sys.argv[2:]))
"""


def environment_of(hub: LocalHub, home: Path) -> dict[str, str]:
    """Return the variables that have the client ask this hub."""
    return {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": "hf_secret",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def start(hub: LocalHub, catalogue: Path, folder: Path, *arguments: str, **more: object) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(catalogue), *arguments],
        cwd=folder,
        env=os.environ | environment_of(hub, folder / "home") | {"PYTHONPATH": os.pathsep.join(sys.path)},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},  # type: ignore[call-overload]
        text=True,
    )
