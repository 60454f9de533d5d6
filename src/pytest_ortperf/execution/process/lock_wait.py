"""Who holds a lock that somebody waits for, and when waiting has no sense any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

STOPPED_S = 10.0
"""A holder that is stopped for so long, by Ctrl-Z say, does not go on by itself."""

_SHOWN = 100


class Wait:
    """One wait for a `flock`, looked at from time to time by whoever waits."""

    def __init__(self, path: Path, most_s: float) -> None:
        """Begin a wait.

        Args:
            path: Of the lock.
            most_s: How long it may take.
        """
        self._path = path
        self._most_s = most_s
        self._began = time.monotonic()
        self._running = self._began

    def problem(self) -> str | None:
        """Return why not to wait any longer, with the holder and the way out; `None` to go on."""
        now = time.monotonic()
        found = holders(self._path)
        stopped = [pid for pid in found if state_of(pid) in ("T", "t")]
        if not found or len(stopped) < len(found):
            self._running = now
        if now - self._running >= STOPPED_S:
            pid = stopped[0]
            return (
                f"{self._path}: held by {_named(pid)}, which is stopped. Let it go on with 'kill -CONT {pid}', or "
                f"end it with 'kill -KILL {pid}'"
            )
        if now - self._began >= self._most_s:
            who = " and ".join(map(_named, found)) or "a process that this machine does not show"
            return f"{self._path}: still held by {who} after {now - self._began:.0f} s. Wait for its end, or end it"
        return None


def holders(path: Path) -> list[int]:
    """Return the processes that hold a `flock` on a file, as far as the kernel shows them."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        # number: FLOCK ADVISORY WRITE pid major:minor:inode start end; who waits has an arrow
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode) and int(fields[4]) > 0:
            found.append(int(fields[4]))
    return [pid for pid in dict.fromkeys(found) if pid != os.getpid()]


def state_of(pid: int) -> str | None:
    """Return the letter of a process's state; `None` if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[0]


def _named(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        words = ""
    shown = words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
    return f"process {pid} ({shown})" if shown else f"process {pid}"
