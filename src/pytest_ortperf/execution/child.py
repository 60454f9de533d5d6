"""A forked child that works on request and can be ended at any moment: pipes, a deadline, and the truth of its end.

No pytest here. The parent keeps the deadline with SIGKILL, which also ends native code that holds the GIL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SIZE = struct.Struct("!Q")
_POLL_MS = 50
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child ended without an answer."""

    signal: int | None
    exit_code: int | None
    timed_out: bool = False


class Child:
    """One forked child that answers requests until it is ended."""

    def __init__(self, serve: Callable[[Any], Any]) -> None:
        """Fork a child in which `serve(request)` makes each answer; both are pickled."""
        request_read, self._request_write = os.pipe()
        self._answer_read, answer_write = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            os.close(self._request_write)
            os.close(self._answer_read)
            _serve_forever(serve, request_read, answer_write)
        os.close(request_read)
        os.close(answer_write)
        self._status: int | None = None

    def ask(self, request: Any, timeout_s: float) -> Any | ChildEnd:
        """Return the child's answer, or how it ended instead; at the deadline it is killed.

        A request is anything but `None`, which is how the child sees the end of its work.
        """
        deadline = time.monotonic() + timeout_s
        try:
            _write(self._request_write, request)
        except BrokenPipeError:
            return self._end()
        answer = bytearray()
        while True:
            if time.monotonic() >= deadline:
                return self._kill_at_deadline()
            if not self._readable(deadline):
                if self._dead():
                    return self._end()
                continue
            chunk = os.read(self._answer_read, 1 << 20)
            if not chunk:
                return self._end()
            answer += chunk
            if len(answer) >= _SIZE.size and len(answer) == _SIZE.size + _SIZE.unpack(answer[: _SIZE.size])[0]:
                return pickle.loads(answer[_SIZE.size :])  # noqa: S301 - from our own child

    def end(self) -> None:
        """Kill the child if it lives, and reap it."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap()
        for descriptor in (self._request_write, self._answer_read):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._request_write = self._answer_read = -1

    def _readable(self, deadline: float) -> bool:
        # a grandchild may hold the pipe open after the child's death, hence the poll in steps
        left_ms = max(0.0, deadline - time.monotonic()) * 1000
        poll = select.poll()
        poll.register(self._answer_read, select.POLLIN | select.POLLHUP)
        return bool(poll.poll(min(_POLL_MS, left_ms)))

    def _dead(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def _reap(self) -> None:
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)

    def _kill_at_deadline(self) -> ChildEnd:
        if not self._dead():
            os.kill(self.pid, signal.SIGKILL)
        self._reap()
        return ChildEnd(signal=int(signal.SIGKILL), exit_code=None, timed_out=True)

    def _end(self) -> ChildEnd:
        self._reap()
        code = os.waitstatus_to_exitcode(self._status or 0)
        return ChildEnd(signal=-code if code < 0 else None, exit_code=code if code >= 0 else None)


def fork() -> int:
    """Fork without Python 3.12's warning that other threads exist.

    Those of ONNX Runtime and numpy do, always; the parent has no session, so none of them holds a lock of ours.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        die_with_parent()
    return pid


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that forked it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _serve_forever(serve: Callable[[Any], Any], request_read: int, answer_write: int) -> None:
    # always leave by _exit: this process shares its parent's open files, exit handlers and pytest itself
    try:
        while True:
            request = _read(request_read)
            if request is None:
                os._exit(0)
            _write(answer_write, serve(request))
    except BaseException:  # noqa: BLE001 - reported by the log and the exit status
        traceback.print_exc()
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(70)


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
