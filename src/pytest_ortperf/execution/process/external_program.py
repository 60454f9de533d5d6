"""An external program that runs for a case: it never outlives the process of its case, and its output is kept twice.

It leads a process group of its own, whose number is in the journal: whoever kills the case's process at its deadline
kills that group too. Should nobody do it, the kernel kills the program with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ortperf.execution.process.child import PR_SET_PDEATHSIG
from pytest_ortperf.execution.record_builder import Journal

_POLL_MS = 50
_NOTE = "program"
_FOLDER = "program_folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended, and all that it printed."""

    output: str
    exit_code: int | None
    signal: int | None
    wall_ns: int


class Program:
    """A program that has been started; `wait` returns how it ended.

    Args:
        command: Program and arguments; no shell reads them.
        folder: Where it runs.
        journal: Told its process group.
        environment: Added to this process's own.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, journal: Journal, environment: Mapping[str, str] | None = None
    ) -> None:
        self._journal = journal
        self._start_ns = time.perf_counter_ns()
        with warnings.catch_warnings():
            # Python 3.12 warns of other threads, of which ONNX Runtime and numpy have some: none holds a lock of ours
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            self._process = subprocess.Popen(  # noqa: S603 - what the user named
                command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dying_with(os.getpid()),  # noqa: PLW1509 - one system call
            )
        journal.note(**{_NOTE: self._process.pid})

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    def wait(self) -> Ended:
        """Wait for its end; return it with what was printed, which has gone to standard output as it came."""
        try:
            output = b"".join(self._chunks())
            code = self._process.wait()
        finally:
            self._end_group()
        return Ended(
            output=output.decode("utf-8", "replace"),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            wall_ns=time.perf_counter_ns() - self._start_ns,
        )

    def _chunks(self) -> Iterator[bytes]:
        """Yield what it prints until it has ended, whoever else holds its pipe open."""
        pipe = self._process.stdout
        if pipe is None:
            return
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        ended = False
        while True:
            ready = poll.poll(0 if ended else _POLL_MS)
            chunk = os.read(pipe.fileno(), 1 << 16) if ready else None
            if chunk:
                _print(chunk)
                yield chunk
            elif ended or chunk == b"":
                return
            else:
                ended = self._process.poll() is not None

    def _end_group(self) -> None:
        kill_group(self._process.pid)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._journal.note(**{_NOTE: None})


@contextlib.contextmanager
def folder_of(journal: Journal) -> Iterator[Path]:
    """Give a folder for the programs of one case; it goes with the case, whatever becomes of its process."""
    with tempfile.TemporaryDirectory(prefix="ortperf-program-", ignore_cleanup_errors=True) as folder:
        journal.note(**{_FOLDER: folder})
        yield Path(folder)


def end_program(journal: Journal) -> None:
    """Kill the program that a case's process, killed before, did not see the end of, and remove its folder."""
    entries = journal.entries()
    groups = [entry[_NOTE] for entry in entries if _NOTE in entry]
    if groups and groups[-1] is not None:
        kill_group(groups[-1])
    for entry in entries:
        if _FOLDER in entry:
            shutil.rmtree(entry[_FOLDER], ignore_errors=True)


def kill_group(group: int) -> None:
    """Kill every process of a group; none left is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _print(chunk: bytes) -> None:
    # by descriptor, where a journal takes the output of native code
    sys.stdout.flush()
    with contextlib.suppress(OSError):
        view = memoryview(chunk)
        while view:
            view = view[os.write(1, view) :]


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _dying_with(parent: int) -> Callable[[], None]:
    """Return what the new process does before it becomes the program: be killed when its parent ends."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)

    return prepare
