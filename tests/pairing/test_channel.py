"""Messages over two pipes: whole or not at all, and how the end of the other process is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_ortperf.pairing.channel import Channel, Silent


class Ends:
    """A channel, and the bare pipes at its other end."""

    def __init__(self) -> None:
        self.far_read, near_write = os.pipe()
        near_read, self.far_write = os.pipe()
        self.near = Channel(near_read, near_write)
        self._open = {self.far_read, self.far_write}

    def say(self, data: bytes) -> None:
        os.write(self.far_write, data)

    def hang_up(self, descriptor: int) -> None:
        os.close(descriptor)
        self._open.discard(descriptor)

    def close(self) -> None:
        self.near.close()
        for descriptor in self._open:
            os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_a_message_may_come_in_parts_and_several_at_once(ends: Ends) -> None:
    ends.say(b'{"a"')
    timer = threading.Timer(0.05, ends.say, [b': 1}\n{"b": [2]}\n{"c"'])
    timer.start()
    assert ends.near.hear(10) == {"a": 1}
    timer.join()
    assert ends.near.hear(0) == {"b": [2]}
    ends.say(b": 3}\n")
    assert ends.near.hear() == {"c": 3}


def test_the_deadline_is_kept_though_a_part_has_come(ends: Ends) -> None:
    ends.say(b'{"a"')
    start = time.monotonic()
    with pytest.raises(Silent, match=r"^it did not answer in time$"):
        ends.near.hear(0.1)
    assert 0.1 <= time.monotonic() - start < 5
    ends.say(b": 1}\n")
    assert ends.near.hear(10) == {"a": 1}


@pytest.mark.parametrize("timeout_s", [None, 10])
def test_an_end_is_told_after_what_was_said_before_it(ends: Ends, timeout_s: float | None) -> None:
    ends.say(b'{"a": 1}\n{"half')
    ends.hang_up(ends.far_write)
    assert ends.near.hear(timeout_s) == {"a": 1}
    for _ in range(2):
        with pytest.raises(Silent, match=r"^the process is gone$"):
            ends.near.hear(timeout_s)


def test_nobody_to_tell_is_told(ends: Ends) -> None:
    ends.hang_up(ends.far_read)
    with pytest.raises(Silent, match=r"^the process is gone$"):
        ends.near.tell({"do": "close"})


def test_a_message_may_be_larger_than_a_pipe(ends: Ends) -> None:
    far = Channel(os.dup(ends.far_read), os.dup(ends.far_write))
    message = {"ns": list(range(200_000)), "text": "µ\n"}
    heard = []
    reader = threading.Thread(target=lambda: heard.append(far.hear(30)))
    reader.start()
    ends.near.tell(message)
    reader.join()
    far.close()
    assert heard == [message]
