"""A deadline for a child that somebody else forks and waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from pytest_ortperf.execution.record_builder import Journal, waited_s


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
