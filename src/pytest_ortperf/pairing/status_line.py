"""What a run of pairs says while it goes on: lines with their time, and where it stands.

On a terminal, where it stands is one line that is written over every second. Elsewhere, as in a CI log, it is a line of
its own, but only after a while in which nothing else was said.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TextIO

from pytest_ortperf.pairing.plan import duration_text
from pytest_ortperf.plain_text import PlainOutput, plain, plain_line

PERIOD_S = 1.0
SPARSE_S = 30.0
"""Without a terminal, silence after which a line says where the run stands."""

_USUAL = 80
_ERASE = "\r\x1b[K"


class StatusLine:
    """Says what happens; while it is entered, a thread says where the run stands too."""

    def __init__(self, stream: TextIO, *, sparse_s: float = SPARSE_S) -> None:
        # a line that is written over takes control characters
        self._stream = stream.stream if isinstance(stream, PlainOutput) else stream
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._sparse_s = sparse_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ortperf-status", daemon=True)
        self._place = ""
        self._said_s = time.monotonic()
        self._ends_s: float | None = self._said_s
        self._is_shown = False

    def tell(self, text: str) -> None:
        """Say what happened, in a line that stays."""
        with self._lock:
            self._say(text)

    def show(self, place: str, left_s: float | None) -> None:
        """Say where the run stands until something else is said, and how long what is known of it takes yet."""
        with self._lock:
            self._place = plain_line(place)
            self._ends_s = None if left_s is None else time.monotonic() + left_s
            if self._is_terminal:
                self._write_over()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with self._lock:
            self._place = ""
            self._erase()

    def _watch(self) -> None:
        while not self._over.wait(min(PERIOD_S, self._sparse_s)):
            with self._lock:
                if self._place and self._is_terminal:
                    self._write_over()
                elif self._place and time.monotonic() - self._said_s >= self._sparse_s:
                    self._say(self._text)

    @property
    def _text(self) -> str:
        if self._ends_s is None:
            return self._place
        left_s = self._ends_s - time.monotonic()
        return f"{self._place}, {f'{duration_text(left_s)} left' if left_s > 0 else 'longer than expected'}"

    def _say(self, text: str) -> None:
        self._erase()
        stamp = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        self._stream.write(f"{stamp} {plain(text)}\n")
        self._stream.flush()
        self._said_s = time.monotonic()

    def _write_over(self) -> None:
        text = self._text
        columns = self._columns
        self._stream.write(f"{_ERASE}{text if len(text) < columns else f'{text[: columns - 4]}...'}")
        self._stream.flush()
        self._is_shown = True

    def _erase(self) -> None:
        if self._is_shown:
            self._stream.write(_ERASE)
            self._stream.flush()
            self._is_shown = False

    @property
    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL
        except OSError:
            return _USUAL
