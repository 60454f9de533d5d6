from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ortperf.execution.process.external_program import Program, end_program, folder_of
from pytest_ortperf.execution.record_builder import Journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    found = Journal()
    yield found
    found.close()


def shell(script: str, folder: Path, journal: Journal) -> Program:
    return Program(["/bin/sh", "-c", script], folder, journal)


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped is dead."""
    for _ in range(40):
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_output_is_kept_and_passed_on(tmp_path: Path, journal: Journal) -> None:
    with journal.capture_output():
        ended = shell("pwd; echo wrong >&2; exit 3", tmp_path, journal).wait()
    assert ended.output == f"{tmp_path}\nwrong\n"
    assert (ended.exit_code, ended.signal) == (3, None)
    assert journal.log_tail() == (str(tmp_path), "wrong")
    assert journal.latest("program") is None


def test_signal_is_told(tmp_path: Path, journal: Journal) -> None:
    with journal.capture_output():
        ended = shell("kill -SEGV $$", tmp_path, journal).wait()
    assert (ended.exit_code, ended.signal) == (None, signal.SIGSEGV)


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path, journal: Journal) -> None:
    start = time.monotonic()
    with journal.capture_output():
        ended = shell("sleep 60 & echo $!", tmp_path, journal).wait()
    assert time.monotonic() - start < 10
    assert not lives(int(ended.output))


def test_much_output_does_not_block(tmp_path: Path, journal: Journal) -> None:
    with journal.capture_output():
        ended = shell("head -c 3000000 /dev/zero | tr '\\0' x", tmp_path, journal).wait()
    assert len(ended.output) == 3_000_000


def test_program_that_is_not_there_is_an_error(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(FileNotFoundError):
        Program([str(tmp_path / "nothing")], tmp_path, journal)


def test_program_dies_with_the_process_that_started_it(tmp_path: Path, journal: Journal) -> None:
    pid = os.fork()
    if pid == 0:
        Program(["/bin/sleep", "60"], tmp_path, journal)
        time.sleep(60)
        os._exit(0)
    while journal.latest("program") is None:
        time.sleep(0.01)
    program = journal.latest("program")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not lives(program)


def test_whoever_killed_that_process_ends_the_whole_group_and_removes_its_folder(journal: Journal) -> None:
    pid = os.fork()
    if pid == 0:
        with folder_of(journal) as folder:
            Program(["/bin/sh", "-c", "sleep 60 & echo $! > other; wait"], folder, journal)
            time.sleep(60)
        os._exit(0)
    while journal.latest("program") is None:
        time.sleep(0.01)
    folder = Path(journal.latest("program_folder"))
    while not (folder / "other").exists() or not (folder / "other").read_text("ascii").strip():
        time.sleep(0.01)
    other = int((folder / "other").read_text("ascii"))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end_program(journal)
    assert not lives(other)
    assert not folder.exists()
