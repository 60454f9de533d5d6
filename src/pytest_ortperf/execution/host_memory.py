"""Resident memory of this process, with a peak that starts anew."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
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

    The kernel keeps one peak of everything resident. The libraries' pages of now are taken off it: their number hardly
    shrinks, so that the peak is short by what was mapped of them after it.

    Raises:
        UnreadableError: If the kernel does not tell, as in gVisor.
    """
    try:
        status = (proc / "status").read_text()
        mappings = (proc / "smaps").read_text()
    except OSError as error:
        raise UnreadableError(f"{proc}: {error.strerror}") from error
    sizes = {name: int(size) * _KIB for name, size in re.findall(r"^(VmHWM|VmRSS):\s*(\d+) kB$", status, re.MULTILINE)}
    if len(sizes) < 2:  # noqa: PLR2004 - both of them
        raise UnreadableError(f"{proc / 'status'}: tells no VmHWM and VmRSS")
    libraries = library_byte(mappings)
    now, peak = sizes["VmRSS"], max(sizes.values())
    return Resident(now_byte=now - libraries, peak_byte=peak - libraries)


def library_byte(smaps: str) -> int:
    """Return the resident file pages of those files that have code mapped, of a text like `/proc/self/smaps`."""
    pages: dict[str, int] = {}
    code: set[str] = set()
    for path, rights, resident in _file_mappings(smaps):
        pages[path] = pages.get(path, 0) + resident
        if "x" in rights:
            code.add(path)
    return sum(size for path, size in pages.items() if path in code)


def _file_mappings(smaps: str) -> Iterator[tuple[str, str, int]]:
    """Yield path, rights and resident file pages in bytes, of each mapping of a file."""
    path = rights = ""
    resident = 0
    for line in smaps.splitlines():
        if line.startswith("Rss:"):
            resident = _size(line)
        elif line.startswith("Anonymous:"):
            # pages of a private mapping that were written to belong to the process
            if path:
                yield path, rights, resident - _size(line)
        elif match := _MAPPING.match(line):
            path, rights = (match["path"] if match["inode"] != "0" else ""), match["rights"]


def _size(line: str) -> int:
    return int(line.split()[1]) * _KIB


def give_back_free_memory() -> None:
    """Have the C library return free memory to the system; only glibc can."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
