from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_ortperf.execution.record_builder import LOG_LINE_CHARACTERS, LOG_TAIL_LINES, Journal, RecordBuilder


@pytest.fixture
def journal() -> Iterator[Journal]:
    new = Journal()
    yield new
    new.close()


def test_notes_come_back_in_order_and_the_latest_is_found(journal: Journal) -> None:
    journal.note(pid=1)
    journal.note(stage="model")
    journal.note(stage="session")
    assert journal.entries() == [{"pid": 1}, {"stage": "model"}, {"stage": "session"}]
    assert (journal.latest("pid"), journal.latest("stage"), journal.latest("samples")) == (1, "session", None)


def test_notes_of_a_child_are_read_by_its_parent_whatever_ended_it(journal: Journal) -> None:
    pid = os.fork()
    if pid == 0:
        journal.note(stage="first_run")
        os._exit(7)
    os.waitpid(pid, 0)
    assert journal.latest("stage") == "first_run"


def test_a_child_from_before_a_reset_appends_to_what_comes_after_it(journal: Journal) -> None:
    journal.note(stage="model")
    journal.reset()
    assert journal.entries() == []
    journal.note(stage="session")
    assert journal.entries() == [{"stage": "session"}]


def test_a_cut_last_note_is_left_out(journal: Journal) -> None:
    journal.note(stage="model")
    os.write(journal._notes.fileno(), b'{"stage": "ses')  # noqa: SLF001 - as a killed child leaves it
    assert journal.entries() == [{"stage": "model"}]


def test_output_of_python_and_of_native_code_goes_to_the_log_in_order(journal: Journal) -> None:
    with journal.capture_output():
        sys.stdout.write("python\n")
        os.write(1, b"native out\n")
        os.write(2, b"native err\n")
        sys.stderr.write("python again\n")
    sys.stdout.write("not in the log\n")
    assert journal.log_tail() == ("python", "native out", "native err", "python again")


def test_output_is_left_alone_where_a_debugger_may_be(capfd: pytest.CaptureFixture[str]) -> None:
    journal = Journal(captures=False)
    with journal.capture_output():
        os.write(2, b"native\n")
    assert (journal.log_tail(), capfd.readouterr().err) == ((), "native\n")
    journal.close()


def test_output_goes_where_it_went_before_after_an_error(journal: Journal, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), journal.capture_output():
        raise ValueError("no")
    os.write(1, b"visible\n")
    assert capfd.readouterr().out == "visible\n"


def test_the_tail_of_a_log_has_its_last_lines_each_cut(journal: Journal) -> None:
    with journal.capture_output():
        sys.stdout.writelines(f"{number}\n" for number in range(100))
        sys.stdout.write("x" * 2000)
    *lines, last = journal.log_tail()
    assert lines == [str(number) for number in range(101 - LOG_TAIL_LINES, 100)]
    assert last == "x" * LOG_LINE_CHARACTERS + " ... (2000 characters)"


def test_the_stack_at_a_fatal_signal_ends_the_log() -> None:
    program = (
        "import os, sys\n"
        "from pytest_ortperf.execution.record_builder import Journal\n"
        "journal = Journal()\n"
        "if os.fork() == 0:\n"
        "    journal.catch_faults()\n"
        "    with journal.capture_output():\n"
        "        print('last words')\n"
        "        os.abort()\n"
        "os.wait()\n"
        "print(*journal.log_tail(), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["last words", "Fatal Python error: Aborted"]
    assert lines[-1] == '  File "<string>", line 8 in <module>'
    assert done.stderr == ""


def test_stages_are_noted_and_their_times_add_up(journal: Journal) -> None:
    facts = RecordBuilder(journal=journal)
    for _ in range(2):
        with facts.entering("inputs"):
            assert facts.stage == "inputs"
    with pytest.raises(ValueError, match="no"), facts.entering("session"):
        raise ValueError("no")
    assert facts.stage == "session"
    assert [entry["stage"] for entry in journal.entries()] == ["inputs", "inputs", "session"]
    assert set(facts.stage_ns) == {"inputs", "session"}
    assert 0 < sum(facts.stage_ns.values()) < facts.duration_ns
