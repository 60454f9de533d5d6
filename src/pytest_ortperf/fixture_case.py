"""One case of a user's own test: run in a child or here, with its record whatever becomes of it."""

from __future__ import annotations

import functools
import gc
import os
import traceback
from typing import Any

import pytest

from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.execute import execute, prepare_process
from pytest_ortperf.execution.process.child import Child, ChildEnd
from pytest_ortperf.execution.process.external_program import end_program
from pytest_ortperf.execution.record_builder import Facts, Journal, waited_s
from pytest_ortperf.fixture_arguments import Call
from pytest_ortperf.recording.progress import progress_of
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.running.case_item import UserHooks
from pytest_ortperf.running.outcome import crash_of, failure_of, record_of, require_limits
from pytest_ortperf.running.run import Run

__tracebackhide__ = True


class FixtureCase:
    """What `pytest_ortperf.running.outcome.Attempt` asks for."""

    crash_expected = False
    facts: Facts | None = None

    def __init__(self, item: pytest.Item, run: Run, call: Call) -> None:
        self.case = call.case
        self.run = run
        self.nodeid = item.nodeid
        self.timeout_s = call.timeout_s
        self.isolation = "none" if call.isolation == "none" else "own runner"
        self._settings = call.settings
        self._hooks = UserHooks(item.ihook, call.case)
        self._config = item.config
        self._journal = Journal(captures=call.isolation != "none", notes=run.notes_path)

    def run_it(self) -> Record:
        """Run the case and return its record."""
        provider = self.case.provider
        _prepare(uses_cuda="CUDAExecutionProvider" in (provider.full_name, *provider.companions))
        try:
            return self._run_here() if self.isolation == "none" else self._run_in_child()
        finally:
            self._journal.close()

    def _run_in_child(self) -> Record:
        self.facts = Facts(journal=self._journal)
        child = Child(self._serve, lambda: waited_s(self._journal))
        try:
            with progress_of(self._config).watching(self._journal.notes_descriptor):
                answer = child.ask("run", self.timeout_s)
        finally:
            child.end()
            end_program(self._journal)
        if isinstance(answer, ChildEnd):
            return crash_of(self, answer, self._journal)
        return from_dict(Record, answer)

    def _serve(self, _: object) -> Any:
        # what the test has made, such as sessions of its own, must not be collected in this process
        gc.freeze()
        self._journal.note(pid=os.getpid(), nodeid=self.nodeid, case=self.case.case_id)
        self._journal.catch_faults()
        return as_dict(self._run_here())

    def _run_here(self) -> Record:
        self.facts = Facts(journal=self._journal)
        try:
            execute(self.case, self._settings, self.facts, self._hooks)
            require_limits(self)
        except CaseSkipped as error:
            failure = CaseError(str(error), stage=self.facts.stage or "model", kind="input error")
            return record_of(self, "failed", failure=failure_of(self, failure))
        except Exception as error:  # noqa: BLE001 - whatever it is, the record tells it
            captured = "" if isinstance(error, CaseError) else traceback.format_exc()
            return record_of(self, "failed", failure=failure_of(self, error, captured))
        return record_of(self, "passed")


@functools.cache
def _prepare(*, uses_cuda: bool) -> None:
    prepare_process(uses_cuda=uses_cuda)
