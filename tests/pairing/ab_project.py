"""A folder with models that is measured in turns by `ortperf ab`, and the processes it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugin.project import MODEL
from plugin.test_interrupts import is_alive, wait_for
from pytest_ortperf.records.pairs import Pair
from pytest_ortperf.records.pairs_file import StoredPairs, read_pairs

TIMEOUT_S = 240
CURRENT = "--current-option=--ortperf-threads=3"
"""What `CONFTEST` knows the current side by."""

QUICK = ("--ortperf-ep=cpu", "--pair-time=0.02", "-pno:hypothesispytest")

CONFTEST = """
import gc, os, pathlib, signal, time
import onnxruntime

run = onnxruntime.InferenceSession.run

def pytest_ortperf_configure_session(case, session_options):
    side = "current" if session_options.intra_op_num_threads == 3 else "base"
    what, _, where = case.model.name.partition("_on_")
    if where in (side, "both"):
        ACTS[what]()

def segv():
    os.kill(os.getpid(), signal.SIGSEGV)

def fail():
    raise RuntimeError("no more")

def in_a_turn(act):
    # the garbage collector is off once the warm-up is over
    left = [20]
    def run_or_act(*args):
        left[0] -= not gc.isenabled()
        if left[0] < 0:
            act()
        return run(*args)
    onnxruntime.InferenceSession.run = run_or_act

def is_first_time():
    try:
        pathlib.Path(__file__).with_name("happened").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def hang_once():
    if is_first_time():
        time.sleep(1000)

def end_the_interpreter_once():
    if is_first_time():
        os.kill(os.getppid(), signal.SIGKILL)

def fail_the_second_time():
    if not is_first_time():
        raise RuntimeError("no more")

def log():
    with open("log", "a") as file:
        file.write(os.environ["NAME"])

ACTS = {
    "open_dies": segv,
    "turn_dies": lambda: in_a_turn(segv),
    "turn_fails": lambda: in_a_turn(fail),
    "open_hangs": hang_once,
    "turn_hangs": lambda: in_a_turn(hang_once),
    "interpreter_ends": lambda: in_a_turn(end_the_interpreter_once),
    "second_fails": fail_the_second_time,
    "log": log,
}
"""
"""A model's name says what happens, and after `_on_` on which side."""


Entry = str | dict[str, Any]


class AbProject:
    """A folder with a model of one node, and `CONFTEST`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "COLUMNS": "120",
            "ORTPERF_LOCKS": str(path / "locks"),
        }
        (path / "m.onnx").write_bytes(MODEL)
        (path / "broken.onnx").write_bytes(b"no model")
        (path / "conftest.py").write_text(CONFTEST)

    def models(self, *entries: Entry, name: str = "models.json") -> None:
        """Write a model list; an entry is a name, or a dictionary; its path is `m.onnx` where it has none."""
        given = [{"name": each} if isinstance(each, str) else each for each in entries]
        (self.path / name).write_text(json.dumps([{"path": "m.onnx", **each} for each in given]))

    def ab(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run `ortperf ab` to its end."""
        return subprocess.run(
            command(args),
            cwd=self.path,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, *args: str, output: str = "out", **environ: str) -> subprocess.Popen[str]:
        """Start `ortperf ab` in a process group of its own, as a shell does; what it prints goes to a file."""
        with (self.path / output).open("w") as file:
            return subprocess.Popen(
                command(args),
                cwd=self.path,
                env=self.environ | environ,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def printed(self, output: str = "out") -> str:
        return (self.path / output).read_text()

    @property
    def files(self) -> list[Path]:
        return sorted((self.path / "result").glob("pairs_*.jsonl"))

    @property
    def stored(self) -> StoredPairs:
        """What the one run has found."""
        (path,) = self.files
        return read_pairs(path)

    def wait_until_it_happened(self) -> None:
        """Wait until something of `CONFTEST` that happens once has."""
        wait_for((self.path / "happened").exists, "the case")

    def processes(self) -> dict[int, str]:
        """Return the processes that were started here, by any of them: id -> state and command."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and self._is_ours(folder):
                found[int(folder.name)] = _described(folder)
        return found

    def require_nothing_left(self) -> None:
        """Wait until all processes that were started here have ended; a stopped one never would."""
        wait_for(lambda: not self.processes(), f"the end of {self.processes()}")

    def _is_ours(self, folder: Path) -> bool:
        try:
            environ = (folder / "environ").read_bytes()
        except OSError:
            return False
        return f"ORTPERF_LOCKS={self.path}/locks".encode() in environ.split(b"\0") and is_alive(int(folder.name))


def command(args: Sequence[str]) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "pytest_ortperf.cli", "ab", *args]


def places(pairs: Sequence[Pair]) -> list[tuple[str, int, str]]:
    """Return stage, round and model of each pair, sorted."""
    return sorted((pair.stage, pair.round, pair.case_id.partition("::")[0]) for pair in pairs)


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines on standard error without their times."""
    return [line[9:] if line[2:3] == ":" else line for line in done.stderr.splitlines()]


def _described(folder: Path) -> str:
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        return f"{state} {(folder / 'cmdline').read_bytes()[:80]!r}"
    except OSError:
        return "ended"
