"""Resident memory of this process, with a peak that starts anew."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.records.resources import HostMemory

SELF = Path("/proc/self")

_RESET_PEAK = "5"
_KIB = 1024
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (?P<rights>\S+) \S+ \S+ (?P<inode>\d+) +(?P<path>.*)$")


class UnreadableError(Exception):
    """The kernel does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """Resident memory at one moment, pages of libraries' files left out."""

    now_byte: int
    peak_byte: int
    """Since the peak was reset, else since the process began."""


class HostMemoryMeter:
    """Growth of this process, from before its first session; each method is one moment.

    Args:
        proc: Folder that stands for `/proc/self`.
    """

    def __init__(self, proc: Path = SELF) -> None:
        self._proc = proc
        self._baseline: Resident | None = None
        self._created: Resident | None = None
        self._ran: Resident | None = None
        self._peaks = True
        self.reason: str | None = None
        """Why nothing, or no peak, is known."""

    def before_creation(self) -> None:
        """Give free memory back to the system, so that growth is not hidden in it, and start the peak."""
        give_back_free_memory()
        self._baseline = self._read()
        self.restart_peak()

    def after_creation(self) -> None:
        """Note what the creation took."""
        self._created = self._read()

    def after_runs(self) -> None:
        """Note what the runs took since the peak was last restarted."""
        self._ran = self._read()

    def restart_peak(self) -> None:
        """Let the next moment's peak count from now."""
        try:
            (self._proc / "clear_refs").write_text(_RESET_PEAK)
        except OSError as error:
            self._peaks = False
            self.reason = f"the peak cannot be reset: {self._proc / 'clear_refs'}: {error.strerror}"

    @property
    def fact(self) -> HostMemory | None:
        """What is known so far."""
        base, created, ran = self._baseline, self._created, self._ran
        if base is None or created is None:
            return None
        return HostMemory(
            baseline_byte=base.now_byte,
            creation_peak_byte=created.peak_byte - base.now_byte if self._peaks else None,
            creation_byte=created.now_byte - base.now_byte,
            run_peak_byte=ran.peak_byte - base.now_byte if ran and self._peaks else None,
            run_byte=ran.now_byte - base.now_byte if ran else None,
        )

    def _read(self) -> Resident | None:
        try:
            return read_resident(self._proc)
        except UnreadableError as error:
            self.reason = str(error)
            return None


def read_resident(proc: Path = SELF) -> Resident:
    """Return this process's resident memory.

    What is resident now is counted mapping by mapping: the sums in `status` may lag behind it. The kernel keeps one
    peak of everything resident. The libraries' pages of now are taken off it: their number hardly shrinks, so that the
    peak is short by what was mapped of them after it.

    Raises:
        UnreadableError: If the kernel does not tell, as in gVisor.
    """
    try:
        # names of programs and files are any bytes
        status = (proc / "status").read_text(errors="surrogateescape")
        # line by line: the whole text, some MB with many mappings, would be memory that this process grew by
        with (proc / "smaps").open(errors="surrogateescape") as lines:
            resident, libraries = resident_and_library_byte(lines)
    except OSError as error:
        raise UnreadableError(f"{proc}: {error.strerror}") from error
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if peak is None or not resident:
        raise UnreadableError(f"{proc}: tells no VmHWM in status, or no Rss in smaps")
    return Resident(now_byte=resident - libraries, peak_byte=max(resident, int(peak[1]) * _KIB) - libraries)


def resident_and_library_byte(smaps: Iterable[str]) -> tuple[int, int]:
    """Return the resident pages of all mappings, and of these the file pages of those files that have code mapped.

    Args:
        smaps: Lines like those of `/proc/self/smaps`.
    """
    resident = 0
    pages: dict[str, int] = {}
    code: set[str] = set()
    for path, rights, here, anonymous in _mappings(smaps):
        resident += here
        if path:
            # pages of a private mapping that were written to belong to the process
            pages[path] = pages.get(path, 0) + here - anonymous
            if "x" in rights:
                code.add(path)
    return resident, sum(size for path, size in pages.items() if path in code)


def _mappings(smaps: Iterable[str]) -> Iterator[tuple[str, str, int, int]]:
    """Yield path (empty without a file), rights, resident and anonymous pages in bytes, of each mapping."""
    path = rights = ""
    resident = 0
    for line in smaps:
        if line.startswith("Rss:"):
            resident = _size(line)
        elif line.startswith("Anonymous:"):
            yield path, rights, resident, _size(line)
        elif match := _MAPPING.match(line):
            path, rights = (match["path"] if match["inode"] != "0" else ""), match["rights"]


def _size(line: str) -> int:
    return int(line.split()[1]) * _KIB


def give_back_free_memory() -> None:
    """Have the C library return free memory to the system; only glibc can."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
