"""The folder that models are put into: one command writes to it at a time, and what is finished is remembered.

Its hidden folder `.zoo` holds part files, the lock, and the checksum of each finished file with the file's state.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ortperf.execution.model.artifact_cache import write_whole
from pytest_ortperf.provision.zoo.catalogue import FileFacts, ZooError
from pytest_ortperf.reports.terminal.inspection_text import byte_text

HIDDEN = ".zoo"
IDLE_S = 300.0
"""Another command that fetches nothing for this long is no longer waited for."""

_EXTRACTING = "extracting-"


class ModelFolder:
    """Where models go, below one folder; use it while it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hidden = path / HIDDEN
        self._state = self._hidden / "finished.json"
        self._finished: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def held(self, tell: Callable[[str], None], idle_s: float = IDLE_S) -> Iterator[None]:
        """Keep other commands out; wait for one that gets on with its work.

        Raises:
            ZooError: If the folder cannot be used, or another command holds it and gets nowhere.
        """
        try:
            self._hidden.mkdir(parents=True, exist_ok=True)
            (self._hidden / ".gitignore").write_text("*\n", encoding="utf-8")
            lock = (self._hidden / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise ZooError(f"{self.path} cannot be written ({error.strerror}); choose another with --folder") from error
        with lock:
            self._wait(lock.fileno(), tell, idle_s)
            lock.seek(0)
            lock.truncate()
            lock.write(f"process {os.getpid()} on {platform.node()}")
            lock.flush()
            self._read()
            for left in self._hidden.glob(f"{_EXTRACTING}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def part(self, target: Path) -> Path:
        """Return where a file grows before it gets its final name."""
        mark = hashlib.sha256(str(target.relative_to(self.path)).encode()).hexdigest()[:12]
        return self._hidden / f"{target.name[-80:]}-{mark}.part"

    def archive(self, name: str) -> Path:
        """Return where an archive lies until it is unpacked."""
        return self._hidden / "archives" / name

    @contextlib.contextmanager
    def unpacking(self) -> Iterator[Path]:
        """Give an empty folder on the same file system, and remove what is left in it."""
        work = Path(tempfile.mkdtemp(prefix=_EXTRACTING, dir=self._hidden))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def has(self, target: Path, facts: FileFacts) -> bool:
        """Whether a file is there under its final name with the right content; it is read once and then remembered.

        Raises:
            ZooError: If another file is there.
        """
        try:
            status = target.stat()
        except OSError:
            return False
        key = str(target.relative_to(self.path))
        known = self._finished.get(key, {})
        sha256 = known["sha256"] if known.get("state") == _state(status) else file_sha256(target)
        if facts.sha256 is not None and sha256 != facts.sha256:
            raise ZooError(
                f"{target} is there with other content (SHA-256 {sha256[:12]}..., wanted {facts.sha256[:12]}...); "
                f"move or delete it, or choose another folder with --folder"
            )
        if facts.sha256 is None and "state" not in known:
            raise ZooError(f"{target} is there, and nothing tells whether it is right; delete it to fetch it")
        self.remember(target, sha256, known.get("source", "found there"))
        return True

    def remember(self, target: Path, sha256: str, source: str) -> None:
        """Note that a file or unpacked archive is complete.

        Raises:
            ZooError: If that cannot be written down.
        """
        key = str(target.relative_to(self.path))
        state = _state(target.stat()) if target.is_file() else []
        found = {"sha256": sha256, "source": source, "state": state}
        if self._finished.get(key) != found:
            self._finished[key] = found
            try:
                write_whole(self._state, json.dumps(self._finished, indent=1, sort_keys=True))
            except OSError as error:
                raise ZooError(f"{self._state}: not written: {error.strerror or error}") from error

    def unpacked(self, target: Path) -> Mapping[str, Any] | None:
        """Return checksum and source of the archive that a folder was unpacked from, if it is still there."""
        known = self._finished.get(str(target.relative_to(self.path)))
        return known if known is not None and target.is_dir() else None

    def check_room(self, byte: int) -> None:
        """See that so many bytes fit on the disk.

        Raises:
            ZooError: If they do not.
        """
        free = shutil.disk_usage(self._hidden).free
        if byte > free:
            raise ZooError(
                f"{byte_text(byte)} are to be written and {self.path} has {byte_text(free)} left; make room, choose "
                f"fewer models, or another folder with --folder"
            )

    def _wait(self, descriptor: int, tell: Callable[[str], None], idle_s: float) -> None:
        grown, since, told = -1, time.monotonic(), False
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            holder = (self._hidden / "lock").read_text("utf-8") or "another process"
            if not told:
                tell(f"{holder} writes to {self.path}; waiting for it")
                told = True
            if (size := self._size()) != grown:
                grown, since = size, time.monotonic()
            elif time.monotonic() - since > idle_s:
                raise ZooError(
                    f"{holder} holds {self.path} and has fetched nothing for {idle_s:.0f} s; end it, or choose another "
                    f"folder with --folder"
                )
            time.sleep(0.2)

    def _size(self) -> int:
        """Return what grows while another command gets on: its part files and what it unpacks."""
        total = 0
        for folder, _, names in os.walk(self._hidden):
            for name in names:
                with contextlib.suppress(OSError):  # finished meanwhile
                    total += os.lstat(Path(folder, name)).st_size
        return total

    def _read(self) -> None:
        self._finished = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._state.read_text("utf-8"))
            if isinstance(found, dict):
                self._finished = {key: value for key, value in found.items() if isinstance(value, dict)}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ino]
