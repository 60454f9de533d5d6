"""Archives unpacked safely: tar, tar with any compression that Python reads, and zip.

Only plain files and folders come out, below the folder that was named; everything else is refused with the member that
is to blame. Sizes are counted as they come, so that no header is believed.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from pytest_ortperf.provision.zoo.catalogue import ZooError
from pytest_ortperf.reports.terminal.inspection_text import byte_text

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")

_CHUNK = 1 << 20
_AT_ONCE = 1 << 21
"""More is never read in one piece: a header that asks for it is forged."""

_ENCRYPTED = 0x1
_RESOURCE_FORK = "._"
_MAC_FOLDER = "__MACOSX"
_BROKEN = (
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_BY_MEMBERS = {None, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR}
"""Error numbers that the archive is to blame for; the decompressors raise `OSError` without a number."""

_OPENERS: tuple[tuple[bytes, Callable[[IO[bytes]], AbstractContextManager[Any]]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
)
_ZIP_MAGIC = b"PK\x03\x04"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257


class ArchiveError(ZooError):
    """An archive that is broken, or holds what has no place in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may hold."""

    byte: int = 64 << 30
    members: int = 20_000
    ratio: int = 200
    """Unpacked bytes by packed ones, for what is larger than `small_byte`."""

    small_byte: int = 1 << 30


@dataclass(slots=True)
class _Counter:
    """Counts what comes out of one archive."""

    name: str
    limits: Limits
    packed_byte: int
    room: Callable[[int], None]
    byte: int = 0
    members: int = 0
    files: set[str] = field(default_factory=set)

    def member(self, byte: int) -> None:
        """Count a member before anything of it is read."""
        self.members += 1
        if self.members > self.limits.members:
            raise ArchiveError(f"{self.name}: has more than {self.limits.members} members; not unpacked")
        self.check(self.byte + byte)
        self.room(byte)

    def grown(self, byte: int) -> None:
        self.byte += byte
        self.check(self.byte)

    def check(self, byte: int) -> None:
        if byte > self.limits.byte:
            raise ArchiveError(f"{self.name}: unpacks to more than {byte_text(self.limits.byte)}; not unpacked")
        if byte > self.limits.small_byte and byte > self.limits.ratio * self.packed_byte:
            raise ArchiveError(
                f"{self.name}: unpacks to more than {self.limits.ratio} times its {byte_text(self.packed_byte)}, as a "
                f"decompression bomb does; not unpacked"
            )


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its content."""
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    packed = any(head.startswith(magic) for magic, _ in _OPENERS)
    return packed or head.startswith(_ZIP_MAGIC) or head[_TAR_MAGIC_AT:] == _TAR_MAGIC


def archive_stem(file_name: str) -> str | None:
    """Return the name of an archive without its suffix; `None` if it is not named like one."""
    lower = file_name.lower()
    return next((file_name[: -len(suffix)] for suffix in SUFFIXES if lower.endswith(suffix)), None)


def unpack(
    path: Path, folder: Path, *, name: str, limits: Limits | None = None, room: Callable[[int], None] = lambda _: None
) -> None:
    """Unpack an archive into an empty folder.

    Members named `._*` and `__MACOSX`, which macOS adds, are left out.

    Args:
        path: The archive.
        folder: An empty folder; what lies in it after an error is to be thrown away.
        name: For messages.
        limits: What it may hold.
        room: Raises if so many bytes do not fit on the disk.

    Raises:
        ArchiveError: If it is broken, or holds what has no place in it.
        OSError: If it cannot be read or written.
    """
    counter = _Counter(name, limits or Limits(), path.stat().st_size, room)
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        try:
            if head.startswith(_ZIP_MAGIC):
                _unpack_zip(file, folder, counter)
            else:
                _unpack_tar(file, head, folder, counter)
        except ArchiveError:
            raise
        except _BROKEN as error:
            raise ArchiveError(f"{name}: cannot be unpacked, it is damaged or no archive ({_reason(error)})") from error
        except OSError as error:
            if error.errno not in _BY_MEMBERS:
                raise
            raise ArchiveError(f"{name}: cannot be unpacked, it is damaged or members collide ({error})") from error
    if not counter.members:
        raise ArchiveError(f"{name}: holds nothing")


def _unpack_tar(file: IO[bytes], head: bytes, folder: Path, counter: _Counter) -> None:
    opener = next((opener for magic, opener in _OPENERS if head.startswith(magic)), None)
    if opener is None:
        _read_tar(_Bounded(file, counter), folder, counter)
        return
    with opener(file) as stream:
        _read_tar(_Bounded(stream, counter), folder, counter)


def _read_tar(stream: _Bounded, folder: Path, counter: _Counter) -> None:
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as archive:
        for member in _members(archive):
            counter.member(member.size)
            parts = _parts(member.name, counter)
            if member.isdir():
                _make_folder(folder, parts)
                continue
            kind = _refused_kind(member)
            if kind is not None:
                raise _refused(counter, member.name, kind)
            if parts is None:
                continue
            source = archive.extractfile(member)
            if source is not None:
                _write(source, folder, parts, counter)
    if stream.last.strip(b"\0") or not stream.last:
        # tarfile takes a damaged header in the middle for the end
        raise ArchiveError(f"{counter.name}: cannot be unpacked, it is damaged or cut short")
    while stream.read(_CHUNK):  # up to the checksum at the end of what is compressed
        pass


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined] # it would keep them all
        yield member


def _refused(counter: _Counter, member: str, kind: str) -> ArchiveError:
    return ArchiveError(f"{counter.name}: {member!r} is a {kind}; only files and folders are unpacked")


def _refused_kind(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "link"
    if member.isdev():
        return "device or pipe"
    if not member.isreg() or member.issparse():
        return "special file"
    return None


def _unpack_zip(file: IO[bytes], folder: Path, counter: _Counter) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        counter.check(sum(member.file_size for member in members))
        for member in members:
            counter.member(member.file_size)
            parts = _parts(member.filename, counter)
            mode = member.external_attr >> 16
            if member.is_dir():
                _make_folder(folder, parts)
                continue
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                kind = "link" if stat.S_ISLNK(mode) else "special file"
                raise _refused(counter, member.filename, kind)
            if member.flag_bits & _ENCRYPTED:
                raise ArchiveError(f"{counter.name}: {member.filename!r} is encrypted; unpack it yourself")
            if parts is not None:
                with archive.open(member) as source:
                    _write(_Counted(source, counter), folder, parts, counter)


def _parts(name: str, counter: _Counter) -> tuple[str, ...] | None:
    """Return the path of a member below the folder; `None` for what macOS adds.

    Raises:
        ArchiveError: If it leads outside, or is no name for a file.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"{counter.name}: {name!r} leads outside of the archive; not unpacked")
    if not name.isprintable() or "\\" in name:
        raise ArchiveError(f"{counter.name}: {name!r} is no name for a file; not unpacked")
    if path.name.startswith(_RESOURCE_FORK) or _MAC_FOLDER in path.parts:
        return None
    return path.parts


def _make_folder(folder: Path, parts: tuple[str, ...] | None) -> None:
    if parts is not None:
        folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)


def _write(source: Any, folder: Path, parts: tuple[str, ...], counter: _Counter) -> None:
    name = "/".join(parts)
    if name in counter.files:
        raise ArchiveError(f"{counter.name}: {name!r} comes twice; not unpacked")
    counter.files.add(name)
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)


class _Counted:
    """A member of a zip file, of which each byte is counted."""

    def __init__(self, source: IO[bytes], counter: _Counter) -> None:
        self._source = source
        self._counter = counter

    def read(self, byte: int) -> bytes:
        chunk = self._source.read(byte)
        self._counter.grown(len(chunk))
        return chunk


class _Bounded:
    """An unpacked tar stream, of which each byte is counted and none is read in a piece that is too large."""

    def __init__(self, stream: Any, counter: _Counter) -> None:
        self._stream = stream
        self._counter = counter
        self._at = 0
        self.last = b""
        """What was read last."""

    def read(self, byte: int = -1) -> bytes:
        if not 0 <= byte <= _AT_ONCE:
            raise ArchiveError(f"{self._counter.name}: a header asks for {byte} bytes at once; not unpacked")
        chunk: bytes = self._stream.read(byte)
        self.last = chunk
        self._at += len(chunk)
        self._counter.grown(len(chunk))
        return chunk

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        """Read on to a position; never back, which would unpack everything again."""
        if position < self._at:
            raise ArchiveError(f"{self._counter.name}: cannot be read in one go; not unpacked")
        while self._at < position and self.read(min(_CHUNK, position - self._at)):
            pass
        return self._at


def _reason(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
