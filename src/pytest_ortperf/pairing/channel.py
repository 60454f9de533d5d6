"""Messages between the process that leads and the interpreter of a side: one JSON object a line, over two pipes.

JSON, because the two interpreters may be of different versions.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any

Message = dict[str, Any]


class Silent(Exception):  # noqa: N818 - a fact about the other end, for who waits for it
    """The other end said nothing until the deadline, or is gone."""


class Channel:
    """One end.

    Args:
        read: Descriptor that messages come in by.
        write: Descriptor that they go out by.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read = read
        self._write = write
        self._rest = b""

    def tell(self, message: Message) -> None:
        """Send one message.

        Raises:
            Silent: If nobody is there.
        """
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._write, data) :]
        except BrokenPipeError as error:
            raise Silent("the process is gone") from error

    def hear(self, timeout_s: float | None = None) -> Message:
        """Return the next message.

        Args:
            timeout_s: How long to wait; `None` is for ever.

        Raises:
            Silent: If none comes.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            self._wait(deadline)
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise Silent("the process is gone")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Close both pipes."""
        os.close(self._read)
        os.close(self._write)

    def _wait(self, deadline: float | None) -> None:
        if deadline is None:
            return
        poll = select.poll()
        poll.register(self._read, select.POLLIN | select.POLLHUP)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Silent("it did not answer in time")
