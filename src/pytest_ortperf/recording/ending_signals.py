"""SIGTERM and SIGHUP end a run as Ctrl-C does: children are killed, what is known is written and shown.

A signal waits while a record is written, so that each is on disk whole.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from pytest_ortperf.execution.process.child import ENDING_SIGNALS


class EndingSignals:
    """The handlers of one session, in the process that writes its results."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._busy = False
        self._waiting: str | None = None
        self.reason: str | None = None
        """Why the session ends, once a signal has come."""

    def install(self) -> None:
        """Take over those signals that are nobody's yet; what is ignored, as under `nohup`, stays so."""
        if threading.current_thread() is not threading.main_thread():
            return
        usual = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING_SIGNALS, signal.SIG_DFL)}
        for number, handler in usual.items():
            if signal.getsignal(number) is handler:
                self._before[number] = signal.signal(number, self._take)

    def restore(self) -> None:
        """Give the signals back."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals wait meanwhile."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        if self._waiting is not None:
            self._end(self._waiting)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        for each in ENDING_SIGNALS:
            # whoever ends a process often sends more than one; a second must not cut off the writing
            if each in self._before:
                signal.signal(each, signal.SIG_IGN)
        if self._busy:
            self._waiting = name
        else:
            self._end(name)

    def _end(self, name: str) -> NoReturn:
        self._waiting = None
        self.reason = f"interrupted by {name}"
        raise KeyboardInterrupt(*([] if name == "Ctrl-C" else [self.reason]))
