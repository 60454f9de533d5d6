"""A terminal for tests: a process runs in it, and what stands on it is kept as it changes."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

_PIECES = re.compile(r"\x1b\[(?P<number>\d*)(?P<letter>[A-Za-z])|\x1b\[[\d;?]*[A-Za-z]|\r|\n|[^\x1b]")


class Screen:
    """What a terminal shows of what is written to it; as much of one as pytest and this package use."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        """All lines, those that have scrolled away too."""
        return ["".join(row).rstrip() for row in self._rows]

    def write(self, text: str) -> None:
        for piece in _PIECES.finditer(text):
            if piece["letter"]:
                self._obey(piece["letter"], int(piece["number"] or 0))
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._down()
            elif not piece[0].startswith("\x1b"):
                self._put(piece[0])

    def _obey(self, letter: str, number: int) -> None:
        if letter == "K":
            del self._rows[self._row][self._column :]
        elif letter == "J":
            del self._rows[self._row][self._column :]
            del self._rows[self._row + 1 :]
        elif letter == "A":
            self._row -= number or 1
        elif letter == "G":
            self._column = max(number, 1) - 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])

    def _put(self, character: str) -> None:
        if self._column == self._columns:
            self._down()
            self._column = 0
        row = self._rows[self._row]
        row.extend(" " * (self._column + 1 - len(row)))
        row[self._column] = character
        self._column += 1


class Terminal:
    """Runs pytest in a terminal.

    Attributes:
        screen: What stands there at the end.
        seen: Every line that stood there at some time.
        exit_code: pytest's.
    """

    def __init__(self, folder: Path, *args: str, columns: int = 90, interrupt_at: str | None = None) -> None:
        self.screen = Screen(columns)
        self.seen: set[str] = set()
        self._interrupt_at = interrupt_at
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "CI", "NO_COLOR"}}
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *args],
            cwd=folder,
            env=environment | {"TERM": "xterm", "TMPDIR": str(folder)},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - so that Ctrl-C reaches it
        )
        os.close(slave)
        self._read(time.monotonic() + 60)
        self.exit_code = process.wait(10)
        os.close(self._master)

    def _read(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return  # the last process that had the terminal open is gone
            if not data:
                return
            self.screen.write(data.decode())
            self.seen.update(self.screen.lines)
            if self._interrupt_at and any(self._interrupt_at in line for line in self.screen.lines):
                os.write(self._master, b"\x03")
                self._interrupt_at = None


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
