"""What a run of pairs says while it goes on, on a terminal and without one."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from typing import TextIO, cast

import pytest

from plugin.test_interrupts import wait_for
from pytest_ortperf.pairing.status_line import StatusLine
from pytest_ortperf.plain_text import PlainOutput


def without_times(text: str) -> list[str]:
    return re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", text).splitlines()


def test_without_a_terminal_a_line_says_where_it_stands_only_after_a_while() -> None:
    stream = io.StringIO()
    with StatusLine(stream) as line:
        line.tell("starting both sides")
        line.show("screen 1 of 3: bert[cpu], 1 of 2", 90)
        line.tell("screen 1 of 3: 2 cases in 3.0 s")
    assert without_times(stream.getvalue()) == ["starting both sides", "screen 1 of 3: 2 cases in 3.0 s"]


def test_without_a_terminal_a_silence_is_broken() -> None:
    stream = io.StringIO()
    with StatusLine(stream, sparse_s=0.01) as line:
        line.show("screen 1 of 3: bert[cpu], 1 of 2", 1000)
        wait_for(lambda: stream.getvalue().count("\n") >= 2, "two lines")
    assert set(without_times(stream.getvalue())) == {"screen 1 of 3: bert[cpu], 1 of 2, about 17 min left"}
    assert re.match(r"\d\d:\d\d:\d\d screen", stream.getvalue())


def test_an_estimate_that_was_too_low_is_not_repeated() -> None:
    stream = io.StringIO()
    with StatusLine(stream, sparse_s=0.01) as line:
        line.show("screen 1 of 3: bert[cpu], 1 of 2", 0)
        wait_for(lambda: stream.getvalue().count("\n") >= 1, "a line")
    assert set(without_times(stream.getvalue())) == {"screen 1 of 3: bert[cpu], 1 of 2, longer than expected"}


def test_before_and_after_it_is_entered_only_what_happens_is_said() -> None:
    stream = io.StringIO()
    line = StatusLine(stream, sparse_s=0.01)
    line.show("screen", 1)
    line.tell("before")
    with line:
        pass
    line.tell("after")
    assert [text for text in without_times(stream.getvalue()) if text in ("before", "after")] == ["before", "after"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """Give a terminal of a usual kind, and the descriptor that shows what is written to it."""
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stream:
        yield stream, master
    os.close(master)


ERASE = "\r\x1b[K"


def shown(master: int, end: str) -> str:
    """Return what is written until it ends so."""
    text = ""
    while not text.endswith(end):
        text += os.read(master, 65536).decode().replace("\r\n", "\n")
    return text


def test_on_a_terminal_one_line_is_written_over_and_erased(terminal: tuple[TextIO, int]) -> None:
    stream, master = terminal
    with StatusLine(stream) as line:
        line.show("screen 1 of 3: bert[cpu], 1 of 2", 42)
        line.tell("screen 1 of 3: 2 cases in 3.0 s")
        line.show("screen 2 of 3: starting both sides", 30)
    text = re.sub(r"\d\d:\d\d:\d\d ", "", shown(master, f"about 30 s left{ERASE}"))
    assert text.startswith(
        f"{ERASE}screen 1 of 3: bert[cpu], 1 of 2, about 42 s left{ERASE}screen 1 of 3: 2 cases in 3.0 s\n"
        f"{ERASE}screen 2 of 3: starting both sides, about 30 s left"
    )


def test_a_place_that_does_not_fit_a_terminal_is_cut(terminal: tuple[TextIO, int]) -> None:
    stream, master = terminal
    with StatusLine(stream) as line:
        line.show("x" * 200, 42)
    first = shown(master, ERASE).split(ERASE)[1]
    assert first == "x" * 76 + "..."


def test_a_dumb_terminal_gets_lines_alone(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream, master = terminal
    with StatusLine(stream) as line:
        line.show("screen", 42)
        line.tell("done")
    assert without_times(shown(master, "\n")) == ["done"]


def test_through_the_command_a_line_is_written_over_and_texts_of_others_are_plain(
    terminal: tuple[TextIO, int],
) -> None:
    stream, master = terminal
    with StatusLine(cast("TextIO", PlainOutput(stream))) as line:
        line.show("screen\x1b[2J 1", None)
        line.tell("said\x1b]0;title\x07")
    text = re.sub(r"\d\d:\d\d:\d\d ", "", shown(master, "said\n"))
    assert text == f"{ERASE}screen 1{ERASE}said\n"
