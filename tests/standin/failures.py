"""The ways in which it can fail: made up ones by name, and every recorded log of a failure, played as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from printed import DATA, Log

AT_RUN = ("incompatible_plan", "static_dim_mismatch", "PASSED_then")
"""Parts of the names of logs of runs from an engine; any other one is of a build."""

SIGNALS = {"abort_": signal.SIGABRT, "killed_": signal.SIGKILL, "then_segfault": signal.SIGSEGV}


class Silent(Exception):  # noqa: N818 - it ends as FAILED
    """FAILED, without a line that says why."""


def before_anything(fail: str) -> None:
    """Fail before the first line."""
    if fail == "missing-library":
        library = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
        print(f"trtexec: error while loading shared libraries: {library}", flush=True)
        os._exit(127)
    if fail.startswith("v7x"):
        play(fail)  # alone, since a banner of a newer version above it would be wrong


def at_build(fail: str, log: Log) -> None:
    """Fail while an engine is built."""
    if fail.endswith(".txt") and not any(part in fail for part in AT_RUN):
        play(fail)
    if fail == "silent-build":
        raise Silent
    if fail == "oom-but-built":
        log.line("E", "[TRT] Requested amount of GPU memory (4294967296 bytes) could not be allocated.")
    _hang(fail, "hang-build")


def at_run(fail: str, log: Log) -> None:
    """Fail while an engine is loaded or run."""
    if fail.endswith(".txt") and any(part in fail for part in AT_RUN):
        play(fail)
    if fail == "silent-run":
        raise Silent
    if fail == "killed-run":
        log.line("I", "Starting inference")
        end_by(signal.SIGKILL)
    _hang(fail, "hang-run")


def after_passed(fail: str) -> None:
    """Fail once all is done."""
    if fail == "segfault-after-passed":
        end_by(signal.SIGSEGV)
    if fail == "status-3-after-passed":
        sys.stdout.flush()
        os._exit(3)


def play(name: str) -> None:
    """Print a recorded log and end as its program did."""
    print((DATA / name).read_text(encoding="utf-8"), flush=True)
    for part, number in SIGNALS.items():
        if part in name:
            end_by(number)
    os._exit(1)


def end_by(number: int) -> None:
    """End by a signal, without a core file."""
    import resource

    sys.stdout.flush()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)


def _hang(fail: str, name: str) -> None:
    """Never end, nor does a process that was started; both ids are where the test looks for them."""
    if fail == name:
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["STANDIN_PIDS"]).write_text(f"{os.getpid()} {other.pid}", encoding="ascii")
        time.sleep(600)
