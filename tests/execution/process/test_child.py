from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

import model_examples as examples
from pytest_ortperf.execution.process.child import Child, ChildEnd

LONG_S = 30


@pytest.fixture
def child_of() -> Iterator[Callable[[Callable[[Any], Any]], Child]]:
    children = []

    def make(serve: Callable[[Any], Any]) -> Child:
        children.append(Child(serve))
        return children[-1]

    yield make
    for child in children:
        child.end()


def test_a_child_answers_one_request_after_the_other(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    child = child_of(lambda request: (request * 2, os.getpid()))
    assert child.ask("a", LONG_S) == ("aa", child.pid)
    assert child.ask([1], LONG_S) == ([1, 1], child.pid)


def test_requests_and_answers_may_be_larger_than_a_pipe(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    data = os.urandom(3_000_000)
    assert child_of(lambda request: request + request).ask(data, LONG_S) == data + data


def test_a_child_does_not_collect_what_its_parent_left_as_garbage(
    child_of: Callable[[Callable[[Any], Any]], Child], tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 4
    gc.disable()
    try:
        holder: dict[str, Any] = {"session": onnxruntime.InferenceSession(examples.relu(tmp_path / "m.onnx"), options)}
        holder["itself"] = holder
        del holder
        child = child_of(lambda _: gc.collect())
        assert isinstance(child.ask("collect", LONG_S), int)
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), ChildEnd(signal=15, exit_code=None)),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), ChildEnd(signal=9, exit_code=None)),
        (lambda _: os._exit(0), ChildEnd(signal=None, exit_code=0)),
        (lambda _: os._exit(4), ChildEnd(signal=None, exit_code=4)),
        (lambda _: sys.exit(3), ChildEnd(signal=None, exit_code=70)),
        (lambda _: lambda: None, ChildEnd(signal=None, exit_code=70)),  # cannot be pickled
    ],
)
def test_a_death_is_told_as_it_was(
    child_of: Callable[[Callable[[Any], Any]], Child], end: Callable[[Any], Any], expected: ChildEnd
) -> None:
    assert child_of(end).ask("go", LONG_S) == expected


@pytest.mark.parametrize(
    "hang",
    [lambda _: time.sleep(1000), lambda _: ctypes.PyDLL(None).sleep(1000)],
    ids=["python", "native with the GIL"],
)
def test_the_deadline_ends_a_child_that_hangs(
    child_of: Callable[[Callable[[Any], Any]], Child], hang: Callable[[Any], Any]
) -> None:
    child = child_of(hang)
    start = time.monotonic()
    assert child.ask("go", 0.2) == ChildEnd(signal=9, exit_code=None, timed_out=True)
    assert 0.2 <= time.monotonic() - start < 5
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hide_a_death(
    child_of: Callable[[Callable[[Any], Any]], Child],
) -> None:
    def leave_one_behind(_: Any) -> None:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        os._exit(5)

    start = time.monotonic()
    assert child_of(leave_one_behind).ask("go", LONG_S) == ChildEnd(signal=None, exit_code=5)
    assert time.monotonic() - start < 2.5


def test_a_child_that_died_between_requests_is_told(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    child = child_of(lambda request: request)
    assert child.ask(1, LONG_S) == 1
    os.kill(child.pid, signal.SIGTERM)
    assert child.ask(2, LONG_S) == ChildEnd(signal=15, exit_code=None)


def test_the_parent_does_something_else_while_the_child_works(
    child_of: Callable[[Callable[[Any], Any]], Child],
) -> None:
    read, write = os.pipe()
    # the answer is what the parent writes meanwhile: without it, none comes
    child = child_of(lambda _: os.read(read, 9))
    child.give("go", LONG_S)
    os.write(write, b"meanwhile")
    assert child.answer() == b"meanwhile"
    os.close(read)
    os.close(write)


def test_an_answer_that_waited_for_the_parent_past_the_deadline_counts(
    child_of: Callable[[Callable[[Any], Any]], Child],
) -> None:
    read, write = os.pipe()
    child = child_of(lambda request: os.write(write, b"done") and request)
    os.close(write)  # a child that dies ends the read
    child.give("go", 0.0)
    assert os.read(read, 4) == b"done"
    time.sleep(0.2)  # the answer follows at once
    assert child.answer() == "go"
    os.close(read)


def test_a_deadline_counts_from_the_request(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    child = child_of(lambda _: time.sleep(LONG_S))
    child.give("go", 0.2)
    time.sleep(0.2)
    start = time.monotonic()
    assert child.answer() == ChildEnd(signal=9, exit_code=None, timed_out=True)
    assert time.monotonic() - start < LONG_S / 2


def test_a_later_child_has_no_end_of_an_earlier_one_s_pipes(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    before = open_pipes()
    child_of(lambda request: request)
    of_first = open_pipes() - before
    assert len(of_first) == 2
    assert not of_first & child_of(lambda _: open_pipes()).ask("go", LONG_S)


def test_a_killed_child_need_not_be_waited_for(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    before = open_pipes()
    child = child_of(lambda request: request)
    assert not child.dead()
    child.kill()
    assert open_pipes() <= before
    deadline = time.monotonic() + LONG_S
    while not child.dead():
        assert time.monotonic() < deadline
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_ctrl_c_ends_a_child_without_a_word(
    child_of: Callable[[Callable[[Any], Any]], Child], capfd: pytest.CaptureFixture[str]
) -> None:
    child = child_of(lambda request: request)
    assert child.ask(1, LONG_S) == 1
    os.kill(child.pid, signal.SIGINT)
    assert child.ask(2, LONG_S) == ChildEnd(signal=None, exit_code=130)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_memory_of_a_child_is_known_while_it_lives(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    held = []
    child = child_of(lambda size: held.append(b"x" * size))
    before = child.memory_byte()
    child.ask(50_000_000, LONG_S)
    after = child.memory_byte()
    assert before is not None
    assert after is not None
    assert 45_000_000 < after - before < 60_000_000
    child.end()
    assert child.memory_byte() is None


def test_the_end_leaves_no_process_and_no_open_file(child_of: Callable[[Callable[[Any], Any]], Child]) -> None:
    before = open_pipes()
    child = child_of(lambda request: request)
    child.ask(1, LONG_S)
    child.end()
    child.end()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    assert open_pipes() <= before


def open_pipes() -> frozenset[str]:
    """Return the pipes that this process has an end of; other files come and go with what is collected meanwhile."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            found.append(str(entry.readlink()))
    return frozenset(name for name in found if name.startswith("pipe:"))
