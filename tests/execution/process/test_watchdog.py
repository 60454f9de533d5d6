from __future__ import annotations

import os
import signal
import time

from pytest_ortperf.execution.process.child import Watchdog
from pytest_ortperf.execution.record_builder import Journal


def forked_sleeper(journal: Journal, *, note_after_s: float = 0) -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(note_after_s)
        journal.note(pid=os.getpid())
        time.sleep(1000)
        os._exit(0)
    return pid


def test_the_process_that_the_journal_names_is_killed_at_the_deadline() -> None:
    journal = Journal()
    pid = forked_sleeper(journal)
    watchdog = Watchdog(journal, 0.2)
    _, status = os.waitpid(pid, 0)
    watchdog.disarm()
    assert (os.waitstatus_to_exitcode(status), watchdog.fired) == (-signal.SIGKILL, True)
    journal.close()


def test_a_process_that_names_itself_after_the_deadline_is_killed_then() -> None:
    journal = Journal()
    pid = forked_sleeper(journal, note_after_s=0.3)
    watchdog = Watchdog(journal, 0.05)
    _, status = os.waitpid(pid, 0)
    watchdog.disarm()
    assert (os.waitstatus_to_exitcode(status), watchdog.fired) == (-signal.SIGKILL, True)
    journal.close()


def test_nothing_is_killed_once_the_case_has_ended() -> None:
    journal = Journal()
    pid = forked_sleeper(journal)
    watchdog = Watchdog(journal, 0.1)
    watchdog.disarm()
    time.sleep(0.25)
    assert (os.waitpid(pid, os.WNOHANG), watchdog.fired) == ((0, 0), False)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    journal.close()


def test_a_wait_for_hardware_moves_the_deadline() -> None:
    journal = Journal()
    pid = forked_sleeper(journal)
    begin = time.monotonic()
    journal.note(waiting=begin)
    watchdog = Watchdog(journal, 0.2)
    time.sleep(0.5)
    assert (os.waitpid(pid, os.WNOHANG), watchdog.fired) == ((0, 0), False)
    journal.note(waited_s=time.monotonic() - begin)
    _, status = os.waitpid(pid, 0)
    watchdog.disarm()
    assert (os.waitstatus_to_exitcode(status), watchdog.fired) == (-signal.SIGKILL, True)
    assert time.monotonic() - begin > 0.65
    journal.close()
