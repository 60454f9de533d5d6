"""What is made from users' models, by content: each made once, whole or not at all, and not kept for ever.

A folder per artifact, named by the hash of everything it depends on. `filelock` lets one process make it; a shared
`flock` on its facts file, held by whoever uses it, keeps it from eviction. The facts file holds a checksum of each file
and of itself: what is damaged counts as absent, and is made again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.process.lock_wait import Wait
from pytest_ortperf.safe_files import open_regular, private_folder, read_regular

MODEL = "model.onnx"
"""What an artifact's model is called."""

_FACTS = "facts.json"
_MAKING = "making-"
_MOST_FACTS_BYTE = 1 << 26
_LOOK_S = 0.5
WAIT_S = 1800.0
"""For who makes an artifact: a conversion or an installation; a case's own deadline comes first."""

_ABANDONED_S = 86_400.0
"""What a killed process began to make is removed after this long."""

_UNUSABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EIO,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""What tells that a folder cannot be written, whatever is written."""

Make = Callable[[Path], Mapping[str, Any]]
"""Writes an artifact's files into the folder it is given; returns what to remember of it, fit for JSON."""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Artifact:
    """Files in the cache; they stay as long as this object is alive."""

    folder: Path
    facts: Mapping[str, Any]
    note: str | None = None
    """Why it is not where it was asked for."""

    @property
    def model(self) -> Path:
        """Its model file, if it has one."""
        return self.folder / MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A complete artifact that lies in the cache, in use or not."""

    folder: Path
    facts: Mapping[str, Any]
    byte: int
    used: float
    """When it was last used, in seconds since 1970."""


class ArtifactCache:
    """Artifacts by key, below one folder."""

    def __init__(self, folder: Path, limit_byte: int, note: str | None = None) -> None:
        self.folder = folder
        self.limit_byte = limit_byte
        self.note = note
        """Why this is not the folder asked for."""

    def get(self, key: Mapping[str, Any], make: Make, *, grows: bool = False) -> Artifact:
        """Return the artifact of a key, made now if there is none.

        Args:
            key: Everything the artifact depends on, fit for JSON: hashes, settings, versions.
            make: How to make it; what it raises comes through, and nothing is kept.
            grows: Whether its user adds files to it, so that the limit may be passed without anything being made.
        """
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        try:
            self._require_safe()
            artifact, made = self._found_or_made(name, make)
            if made or grows:
                self._evict()
        except OSError as error:
            if error.errno not in _UNUSABLE or self.note is not None:
                raise
            return self._elsewhere(error).get(key, make, grows=grows)
        return artifact

    def entries(self) -> Iterator[Entry]:
        """Yield the artifacts that are there."""
        for used, byte, folder in _entries_in(self._entries):
            with contextlib.suppress(OSError):  # removed meanwhile
                stored = _read_facts(folder)
                if stored is not None:
                    yield Entry(folder=folder, facts=stored["facts"], byte=byte, used=used)

    def memo_path(self, path: Path) -> Path:
        """Return where facts about a user's file are remembered."""
        return self.folder / "files" / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"

    def _found_or_made(self, name: str, make: Make) -> tuple[Artifact, bool]:
        folder = self._entries / name
        with self._lock(name):
            facts = whole_facts(folder)
            made = facts is None
            if facts is None:
                facts = self._make(folder, make)
            return self._held(folder, facts), made

    def _make(self, folder: Path, make: Make) -> Mapping[str, Any]:
        # on the same file system, so that the rename is one step
        work = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self._entries))
        try:
            facts = json.loads(json.dumps(dict(make(work))))
            write_whole(work / _FACTS, _facts_text(facts, _checksums(work)))
            for path in work.iterdir():
                _sync(path)
            _sync(work)
            if whole_facts(folder) is None:
                _remove(folder)  # what is damaged, or a killed process did not finish removing
                work.rename(folder)
            else:  # somebody else was faster, on a file system whose locks keep nobody out
                shutil.rmtree(work)
            _sync(self._entries)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return facts if isinstance(facts, dict) else {}

    def _held(self, folder: Path, facts: Mapping[str, Any]) -> Artifact:
        descriptor = os.open(folder / _FACTS, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(PermissionError):  # another user's, shared with us for reading
            os.utime(folder / _FACTS)
        artifact = Artifact(folder=folder, facts=facts, note=self.note)
        weakref.finalize(artifact, os.close, descriptor).atexit = False
        return artifact

    def _require_safe(self) -> None:
        """Refuse a folder that everybody may write to and that is not this user's: others could put models there."""
        status = self._entries.parent.stat()
        if status.st_mode & stat.S_IWOTH and status.st_uid != os.getuid():
            raise PermissionError(errno.EACCES, "everybody may write to it", str(self.folder))

    @property
    def _entries(self) -> Path:
        return _made(self.folder / "artifacts")

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold a lock; the wait is bounded, and an error names who has it.

        Raises:
            CaseError: Stage `model`, if it does not come free.
        """
        lock = filelock.FileLock(_made(self.folder / "locks") / f"{name}.lock", mode=0o600)
        wait = Wait(Path(lock.lock_file), WAIT_S)
        while True:
            try:
                lock.acquire(timeout=_LOOK_S)
                break
            except filelock.Timeout:
                problem = wait.problem()
                if problem:
                    raise CaseError(problem, stage="model", kind="environment") from None
        try:
            yield
        finally:
            lock.release()

    def _evict(self) -> None:
        """Remove what was used longest ago until the limit holds; what is in use stays."""
        with self._lock("evict"):
            _remove_abandoned(self._entries)
            entries = sorted(_entries_in(self._entries))
            total = sum(byte for _, byte, _ in entries)
            for _, byte, folder in entries:
                if total <= self.limit_byte:
                    return
                if self._removed(folder):
                    total -= byte

    def _removed(self, folder: Path) -> bool:
        try:
            lock = filelock.FileLock(_made(self.folder / "locks") / f"{folder.name}.lock", mode=0o600)
            with lock.acquire(blocking=False), (folder / _FACTS).open("rb") as facts:
                fcntl.flock(facts, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # without its facts it is no artifact, whenever the rest goes
                (folder / _FACTS).unlink()
                shutil.rmtree(folder)
        except (filelock.Timeout, OSError):  # somebody is making, using or removing it
            return False
        return True

    def _elsewhere(self, error: OSError) -> ArtifactCache:
        folder = temporary_folder()
        note = f"cache folder {self.folder} cannot be used ({error.strerror}); {folder} is used instead"
        return ArtifactCache(folder, self.limit_byte, note)


def default_folder() -> Path:
    """Return the folder of the user's caches that is ours."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG rules: a relative path counts as none
    base = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return base / "pytest-ortperf"


def temporary_folder() -> Path:
    """Return this user's folder among the temporary ones; it is bounded as the real cache is.

    One for all processes of the user: each case runs in a process of its own, and one that crashes cleans up nothing.
    """
    return private_folder("pytest-ortperf-cache") or Path(tempfile.mkdtemp(prefix="pytest-ortperf-cache-"))


def whole_facts(folder: Path) -> Mapping[str, Any] | None:
    """Return the facts of an artifact all of whose files are as they were made; `None` if it is absent or damaged."""
    stored = _read_facts(folder)
    if stored is None:
        return None
    try:
        whole = all(_checksum(folder / name) == known for name, known in stored["files"].items())
    except OSError:
        return None
    facts: Mapping[str, Any] = stored["facts"]
    return facts if whole else None


def _read_facts(folder: Path) -> dict[str, Any] | None:
    try:
        stored: dict[str, Any] = json.loads(read_regular(folder / _FACTS, _MOST_FACTS_BYTE))
        text = _facts_text(stored["facts"], stored["files"])
        is_whole = json.loads(text)["sha256"] == stored["sha256"] and isinstance(stored["facts"], dict)
    except PermissionError:
        raise  # whether another user's folder can be used at all is for others to decide
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return stored if is_whole else None


def _facts_text(facts: Any, files: Any) -> str:
    content = {"facts": facts, "files": files}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest})


def _checksums(folder: Path) -> dict[str, str]:
    """Return the checksums of all files below a folder; links are left out, for what they lead to is not ours."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): _checksum(path) for path in found if not path.is_symlink()}


def _checksum(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_MAKING, dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # so refuses /proc, or a home that is not mounted; by itself the error may be about a file of the user's
        raise PermissionError(errno.EACCES, error.strerror, str(folder)) from error
    return folder


def _entries_in(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield last use, size in bytes and folder of each artifact that is complete."""
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):  # removed meanwhile
            yield (entry / _FACTS).stat().st_mtime, _size_of(entry), entry


def _size_of(entry: Path) -> int:
    """Return the bytes of all files below a folder, less what links in it lead to."""
    return sum(os.lstat(Path(folder, name)).st_size for folder, _, names in os.walk(entry) for name in names)


def _remove_abandoned(folder: Path) -> None:
    for work in folder.glob(f"{_MAKING}*"):
        with contextlib.suppress(OSError):  # finished meanwhile
            if time.time() - work.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(work)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
