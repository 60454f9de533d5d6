"""A deadline for a child that somebody else forks and waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from pytest_ortperf.execution.facts import Journal


class Watchdog:
    """Kills the process named in a journal once the deadline has passed."""

    def __init__(self, journal: Journal, timeout_s: float) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._over = False
        self.fired = False
        self._timer = threading.Timer(timeout_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        pid = None
        while pid is None and not self._over:
            pid = self._journal.latest("pid")
            if pid is None:
                threading.Event().wait(0.05)  # the child has not come to its first line yet
        with self._lock:
            if pid is not None and not self._over:
                self.fired = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def disarm(self) -> None:
        """End the watch; from here on no process is killed."""
        with self._lock:
            self._over = True
        self._timer.cancel()
