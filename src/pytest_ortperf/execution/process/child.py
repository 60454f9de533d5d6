"""A forked child that works on request and can be ended at any moment: pipes, a deadline, and the truth of its end.

No pytest here. The parent keeps the deadline with SIGKILL, which also ends native code that holds the GIL.

A deadline for a child that somebody else forks and waits for.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pytest_ortperf.execution.record_builder import Journal, waited_s

T = TypeVar("T")


class Watchdog:
    """Kills the process named in a journal once the deadline has passed; waiting for hardware does not count."""

    def __init__(self, journal: Journal, timeout_s: float) -> None:
        self._journal = journal
        self._deadline = time.monotonic() + timeout_s
        self._lock = threading.Lock()
        self._over = False
        self.fired = False
        self._timer = self._started(timeout_s)

    def _started(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        return timer

    def _expire(self) -> None:
        pid = None
        while pid is None and not self._over:
            pid = self._journal.latest("pid")
            if pid is None:
                threading.Event().wait(0.05)  # the child has not come to its first line yet
        left_s = self._deadline + waited_s(self._journal) - time.monotonic()
        with self._lock:
            if left_s > 0 and not self._over:
                self._timer = self._started(left_s)
            elif pid is not None and not self._over:
                self.fired = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def disarm(self) -> None:
        """End the watch; from here on no process is killed."""
        with self._lock:
            self._over = True
            self._timer.cancel()


_SIZE = struct.Struct("!Q")
_POLL_MS = 50
PR_SET_PDEATHSIG = 1
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""They end a run as Ctrl-C does, and a child at once."""

_parent_ends: set[int] = set()
"""Descriptors of this process's pipes to its children: a later child must not keep them open."""


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child ended without an answer."""

    signal: int | None
    exit_code: int | None
    timed_out: bool = False


class Child:
    """One forked child that answers requests until it is ended."""

    def __init__(self, serve: Callable[[Any], Any], excused_s: Callable[[], float] = float) -> None:
        """Fork a child.

        Args:
            serve: `serve(request)` makes each answer, in the child; both are pickled.
            excused_s: Returns, here in the parent, how long the child has waited since the request for what is not
                its fault; asked at the deadline, which moves by that. By default 0.0.
        """
        self._excused_s = excused_s
        request_read, self._request_write = os.pipe()
        self._answer_read, answer_write = os.pipe()
        self._status: int | None = None
        self._deadline = 0.0
        _parent_ends.update((self._request_write, self._answer_read))
        self.pid = fork(lambda: _serve_forever(serve, request_read, answer_write))
        os.close(request_read)
        os.close(answer_write)

    def ask(self, request: Any, timeout_s: float) -> Any | ChildEnd:
        """Return the child's answer, or how it ended instead; at the deadline it is killed.

        Args:
            request: Anything but `None`, which is how the child sees the end of its work.
            timeout_s: The deadline, from now.
        """
        self.give(request, timeout_s)
        return self.answer()

    def give(self, request: Any, timeout_s: float) -> None:
        """Let the child begin with a request; what `answer` waits for. The deadline counts from now."""
        self._deadline = time.monotonic() + timeout_s
        # a child that is dead already is found out about, and how it ended, by who waits for its answer
        with contextlib.suppress(BrokenPipeError):
            _write(self._request_write, request)

    def answer(self) -> Any | ChildEnd:
        """Return the answer to the request given last, or how the child ended instead; see `ask`."""
        return self._answer(self._deadline)

    def end(self) -> None:
        """Kill the child if it lives, and reap it."""
        self.kill()
        self._reap()

    def kill(self) -> None:
        """Kill the child if it lives, and do not wait until it has given its memory back; `dead` and `end` reap it."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        for descriptor in {self._request_write, self._answer_read} & _parent_ends:
            _parent_ends.discard(descriptor)
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._request_write = self._answer_read = -1

    def dead(self) -> bool:
        """Whether it has ended; it is reaped then."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def memory_byte(self) -> int | None:
        """Return how much memory the child has, pages that it shares with its parent included; `None` if not known."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return None
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def _answer(self, deadline: float) -> Any | ChildEnd:
        answer, end = bytearray(), deadline
        while True:
            # an answer in time counts also where this process comes for it late
            if not self._readable(end):
                if time.monotonic() >= end:
                    end = deadline + self._excused_s()
                if time.monotonic() >= end:
                    return self._kill_at_deadline()
                if self.dead():
                    return self._end()
                continue
            chunk = os.read(self._answer_read, 1 << 20)
            if not chunk:
                return self._end()
            answer += chunk
            if len(answer) >= _SIZE.size and len(answer) == _SIZE.size + _SIZE.unpack(answer[: _SIZE.size])[0]:
                return pickle.loads(answer[_SIZE.size :])  # noqa: S301 - from our own child

    def _readable(self, deadline: float) -> bool:
        # a grandchild may hold the pipe open after the child's death, hence the poll in steps
        left_ms = max(0.0, deadline - time.monotonic()) * 1000
        poll = select.poll()
        poll.register(self._answer_read, select.POLLIN | select.POLLHUP)
        return bool(poll.poll(min(_POLL_MS, left_ms)))

    def _reap(self) -> None:
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)

    def _kill_at_deadline(self) -> ChildEnd:
        if not self.dead():
            os.kill(self.pid, signal.SIGKILL)
        self._reap()
        return ChildEnd(signal=int(signal.SIGKILL), exit_code=None, timed_out=True)

    def _end(self) -> ChildEnd:
        self._reap()
        code = os.waitstatus_to_exitcode(self._status or 0)
        return ChildEnd(signal=-code if code < 0 else None, exit_code=code if code >= 0 else None)


def answer_of(work: Callable[[], T], timeout_s: float) -> T | ChildEnd:
    """Return what work returns in a child of its own, or how that ended instead; at the deadline it is killed."""
    child = Child(lambda _: work())
    try:
        answer: T | ChildEnd = child.ask("begin", timeout_s)
    finally:
        child.end()
    return answer


def fork(work: Callable[[], NoReturn]) -> int:
    """Fork; the child does its work, which never returns, and this process gets the child's id.

    Python 3.12's warning that other threads exist is left out: those of ONNX Runtime and numpy do, always; the parent
    has no session, so none of them holds a lock of ours. What the parent left as garbage is never collected in the
    child: a session in it would be destroyed without its threads, which crashes. Ctrl-C waits until the child is where
    it cannot take the child back into the parent's own code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDING_SIGNALS})
    collects = gc.isenabled()
    # also what Python itself runs in the child after the fork could start a collection
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            gc.freeze()
            if collects:
                gc.enable()
            _live(work, parent, signals)
    finally:
        if collects:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    return pid


def _live(work: Callable[[], NoReturn], parent: int, signals: Iterable[int]) -> NoReturn:
    # always leave by _exit: this process shares its parent's open files, exit handlers and pytest itself
    try:
        die_with_parent()
        if os.getppid() != parent:
            os._exit(0)
        for descriptor in _parent_ends:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _parent_ends.clear()
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        work()
    except KeyboardInterrupt:
        # the terminal interrupts every process, and the parent tells of it
        os._exit(130)
    except BaseException:  # noqa: BLE001 - reported by the log and the exit status
        traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stderr.flush()
    finally:
        os._exit(70)


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that forked it ends (Linux), and by the signals for that."""
    for number in ENDING_SIGNALS:
        if callable(signal.getsignal(number)):
            # of the parent, which ends a whole run in good order
            signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _serve_forever(serve: Callable[[Any], Any], request_read: int, answer_write: int) -> NoReturn:
    while True:
        request = _read(request_read)
        if request is None:
            os._exit(0)
        _write(answer_write, serve(request))


def _write(descriptor: int, message: Any) -> None:
    data = pickle.dumps(message)
    view = memoryview(_SIZE.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read(descriptor: int) -> Any:
    head = _read_exactly(descriptor, _SIZE.size)
    if head is None:
        return None
    body = _read_exactly(descriptor, _SIZE.unpack(head)[0])
    return None if body is None else pickle.loads(body)  # noqa: S301 - from our own parent


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)
