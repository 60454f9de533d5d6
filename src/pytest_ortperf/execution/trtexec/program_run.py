"""Runs of trtexec in a folder of a case, one after the other.

How one run of trtexec ended: what it printed, its exit status and its numbers have to agree before any counts.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Sequence
from pathlib import Path

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.process.external_program import Ended, Program
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.trtexec.log import UnsupportedVersionError, parse_log
from pytest_ortperf.execution.trtexec.printed import TrtexecLog

_INSTALLATION = re.compile(
    r"error while loading shared libraries|Unable to open library|cannot open shared object file"
    r"|CUDA driver version is insufficient|CUDA initialization failure|no CUDA-capable device"
    r"|insufficient for CUDA runtime|forward compatibility was attempted|symbol lookup error"
    r"|Could not (?:load library|locate) |Unable to load any of \{|: version [`'][\w.]+' not found"
)
"""Causes that no model can help."""

_BY_SHELL = 128
"""A shell that ran the program ends with this plus the number of the signal that ended it."""

_LAST = 200


def require_success(ended: Ended, *, doing: str, stage: str) -> TrtexecLog:
    """Return the log of a run; refuse one that did not end well, whatever it printed before.

    Args:
        ended: How the process ended, and what it printed.
        doing: For the message, such as `building the engine`.
        stage: Where the case is.

    Raises:
        CaseError: Kind `crash` with the signal, `provider unavailable` if the installation is at fault or too old, else
            `session error` in stage `session` and `runtime error` later.
    """
    try:
        log = parse_log(ended.output)
    except UnsupportedVersionError as error:
        raise CaseError(f"trtexec failed {doing}: {error}", stage=stage, kind="provider unavailable") from error
    number = _signal_of(ended)
    if number is None and ended.exit_code == 0 and log.status == "PASSED":
        return log
    cause = log.cause or _last_line(ended.output)
    text = f"trtexec failed {doing}: {_how(ended, log, number)}"
    if log.status != "PASSED" and cause:
        text += f": {cause}"
    raise CaseError(
        text,
        stage=stage,
        kind=_kind(cause or "", number, stage),
        signal=number,
        exit_code=None if number is not None else ended.exit_code,
    )


def _signal_of(ended: Ended) -> int | None:
    if ended.signal is not None:
        return ended.signal
    shells = (ended.exit_code or 0) - _BY_SHELL
    return shells if shells in {number.value for number in signals.Signals} else None


def _how(ended: Ended, log: TrtexecLog, number: int | None) -> str:
    end = f"exit status {ended.exit_code}" if number is None else f"signal {number} ({signals.Signals(number).name})"
    if log.status == "PASSED":
        return f"it printed PASSED, then ended with {end}; its numbers do not count"
    if log.status == "FAILED":
        return "it printed FAILED" + (f" and ended with {end}" if number is not None else "")
    return f"it ended with {end}, and printed neither PASSED nor FAILED"


def _kind(cause: str, number: int | None, stage: str) -> str:
    if _INSTALLATION.search(cause):
        return "provider unavailable"
    if number is not None:
        return "crash"
    return "session error" if stage == "session" else "runtime error"


def _last_line(output: str) -> str | None:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("&&&&")]
    return lines[-1][:_LAST] if lines else None


class Started:
    """Where trtexec runs, and the journal that sees it.

    Attributes:
        folder: Holds inputs, times and outputs; it goes with the case.
        pid: Of the run that lasts; `None` between two.
    """

    def __init__(self, facts: RecordBuilder, folder: Path) -> None:
        self.folder = folder
        self.pid: int | None = None
        self._facts = facts

    def run(self, command: Sequence[str]) -> Ended:
        """Run a command to its end.

        Raises:
            CaseError: Kind `provider unavailable`, if it cannot be started.
        """
        try:
            program = Program(command, self.folder, self._facts.journal)
        except OSError as error:
            raise CaseError(
                f"{command[0]} cannot be started: {error.strerror}",
                stage=self._facts.stage or "session",
                kind="provider unavailable",
            ) from error
        self.pid = program.pid
        try:
            return program.wait()
        finally:
            self.pid = None
