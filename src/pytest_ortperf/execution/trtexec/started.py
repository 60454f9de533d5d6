"""Runs of trtexec in a folder of a case, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.process.external_program import Ended, Program
from pytest_ortperf.execution.record_builder import RecordBuilder


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
