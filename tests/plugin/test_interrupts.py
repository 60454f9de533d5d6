"""Runs that are cut off: what was measured is on disk, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin.project import PLAIN, Project, read_records

CONFTEST = """
import os, pathlib, time

def pytest_ortperf_before_first_run(case, session):
    if case.model.name == "hangs":
        pathlib.Path(__file__).with_name("pid").write_text(f"{os.getpid()}\\n")
        time.sleep(1000)
"""
WAIT_S = 40

IN_TERMINAL = """
import os, pty, select, sys, time

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
while not os.path.exists("pid"):
    if select.select([terminal], [], [], 0.05)[0]:
        os.read(terminal, 4096)
time.sleep(0.2)
os.close(terminal)
os.waitpid(pid, 0)
"""
"""Runs pytest in a terminal that is closed once the item hangs."""


@pytest.fixture
def hanging(project: Project) -> Project:
    project.write("conftest.py", CONFTEST)
    project.models("good", "hangs", "never")
    return project


class Started:
    """A pytest run in a process group of its own that has come to the item that hangs."""

    def __init__(self, project: Project, *args: str) -> None:
        self.project = project
        command = [sys.executable, "-m", "pytest", *PLAIN, "--ortperf-mode=validate", *args]
        with (project.path / "out").open("w") as out:
            self.process = subprocess.Popen(
                command, cwd=project.path, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        pid_file = project.path / "pid"
        wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), "the item to hang")
        wait_for(self.has_a_record, "the record of the first item")
        self.child = int(pid_file.read_text())
        self.children = children_of(self.process.pid)

    def has_a_record(self) -> bool:
        files = list((self.project.path / "result").glob("records_*.jsonl"))
        return any('"type":"record"' in path.read_text() for path in files)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and output."""
        code = self.process.wait(WAIT_S)
        return code, (self.project.path / "out").read_text()


@pytest.fixture(autouse=True)
def hangups_end_programs() -> Iterator[None]:
    """Let SIGHUP end what tests start, also where nohup or a daemon has these tests ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_S} s for {what}"
        time.sleep(0.05)


def children_of(pid: int) -> set[int]:
    """Return the processes that descend from one: a case's own, and the one that waits for the next case."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text().split()):
            found |= {child, *children_of(child)}
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent to look at it does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


FORKED, POOL, OWN, WORKER = (
    ("--forked",),
    ("--ortperf-isolation=pool",),
    ("--ortperf-isolation=forked",),
    ("-n", "1"),
)
TERMINAL, ALONE = True, False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("args", "whole_group"),
    [
        (FORKED, TERMINAL),
        (WORKER, TERMINAL),
        *(
            pytest.param(args, whole_group, marks=pytest.mark.slow)
            for args, whole_group in [
                (OWN, TERMINAL),
                (POOL, ALONE),
                (FORKED, ALONE),
                (POOL, TERMINAL),
                (OWN, ALONE),
                (WORKER, ALONE),
            ]
        ),
    ],
)
def test_ctrl_c_ends_with_summary_and_tables(hanging: Project, args: tuple[str, ...], *, whole_group: bool) -> None:
    run = Started(hanging, *args)
    if whole_group:
        os.killpg(run.process.pid, signal.SIGINT)
    else:
        os.kill(run.process.pid, signal.SIGINT)
    code, out = run.end()
    assert code == 2, out
    assert "KeyboardInterrupt" in out
    assert "Traceback" not in out
    assert "= ortperf =" in out
    assert ": 1 passed, 2 not run in " in out.partition("= ortperf =")[2]
    results = hanging.path / "result"
    (path,) = results.glob("records_*.jsonl")
    records, end = read_records(path)
    assert records[0]["case_id"] == "good::validate[cpu]"
    assert end
    assert end["exit_status"] == 2
    assert len(list(results.glob("benchmark_success_*.csv"))) == 1
    wait_for(lambda: not any(map(is_alive, run.children)), "the children to end")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("number", "args", "whole_group"),
    [
        (signal.SIGTERM, OWN, ALONE),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [
                (signal.SIGTERM, POOL, TERMINAL),
                (signal.SIGTERM, FORKED, ALONE),
                (signal.SIGTERM, WORKER, ALONE),
                (signal.SIGTERM, WORKER, TERMINAL),
                (signal.SIGHUP, POOL, ALONE),
                (signal.SIGHUP, FORKED, TERMINAL),
                (signal.SIGHUP, WORKER, TERMINAL),
            ]
        ),
    ],
)
def test_signals_that_end_programs_end_a_run_as_ctrl_c_does(
    hanging: Project, number: signal.Signals, args: tuple[str, ...], *, whole_group: bool
) -> None:
    run = Started(hanging, *args)
    (os.killpg if whole_group else os.kill)(run.process.pid, number)
    code, out = run.end()
    assert code == 2, out
    assert f"interrupted by {number.name}" in out
    assert "the same command with --ortperf-resume" in out
    assert "Traceback" not in out
    assert ": 1 passed, 2 not run in " in out.partition("= ortperf =")[2]
    results = hanging.path / "result"
    (path,) = results.glob("records_*.jsonl")
    records, end = read_records(path)
    assert [record["case_id"] for record in records] == ["good::validate[cpu]"]
    assert end
    assert (end["exit_status"], end["stopped"]) == (2, f"interrupted by {number.name}")
    assert len(list(results.glob("benchmark_success_*.csv"))) == 1
    wait_for(lambda: not any(map(is_alive, run.children)), "the children to end")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "args",
    [FORKED, OWN, *(pytest.param(each, marks=pytest.mark.slow) for each in (POOL, WORKER))],
)
def test_a_killed_controller_leaves_whole_records_and_no_orphan(hanging: Project, args: tuple[str, ...]) -> None:
    run = Started(hanging, *args)
    os.kill(run.process.pid, signal.SIGKILL)
    code, _ = run.end()
    assert code == -signal.SIGKILL
    (path,) = (hanging.path / "result").glob("records_*.jsonl")
    records, end = read_records(path)
    assert [record["case_id"] for record in records] == ["good::validate[cpu]"]
    assert end is None
    wait_for(lambda: not any(map(is_alive, run.children)), "the children to end")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="how a closed terminal fails differs")
@pytest.mark.parametrize("args", [OWN, WORKER])
def test_a_terminal_that_is_closed_costs_no_result(hanging: Project, args: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", IN_TERMINAL, *PLAIN, "--ortperf-mode=validate", *args]
    subprocess.run(command, cwd=hanging.path, timeout=WAIT_S, check=True)
    results = hanging.path / "result"
    (path,) = results.glob("records_*.jsonl")
    records, end = read_records(path)
    assert [record["case_id"] for record in records] == ["good::validate[cpu]"]
    assert end
    assert (end["exit_status"], end["stopped"]) == (2, "interrupted by SIGHUP")
    assert len(list(results.glob("benchmark_success_*.csv"))) == 1
