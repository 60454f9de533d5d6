"""What is done around an item, whichever process runs it, and how the parent is made ready for forks.

The parent has everything imported and ONNX Runtime's registries filled, so that a fork is all a child costs. It has
no session and no CUDA context when it forks: an inherited session hangs or crashes the process that destroys it, and a
CUDA context does not survive a fork.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from typing import Any

import pytest

from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.outcome import expected_failure, failure_of, record_of
from pytest_ortperf.running.run import Run
from pytest_ortperf.running.test_reports import RECORD, attach, stored_reports
from pytest_ortperf.running.validations import Validations

_TIMER = "from pytest-timeout"
"""In the error that its timer raises, where a case runs in pytest's own process."""


class ItemRunner:
    """What every kind of isolation does around an item."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.validations = Validations(run.settings.results)
        self._ready = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, CaseItem):
            finish_record(item, call, report)
            attach(item, report)
        return report

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> bool | None:
        """Set no timer of pytest-timeout for a case in a child: its signal, or thread, would end pytest itself."""
        return True if isinstance(item, CaseItem) and item.isolation != "none" else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        self.validations.remember(report)
        return (yield)

    def begin(self, item: CaseItem) -> None:
        """Make ready for one item, in the process that will watch it."""
        if not self._ready:
            # what cannot be imported here is the failure of each item, with its reason
            with contextlib.suppress(ImportError):
                from pytest_ortperf.execution.execute import prepare_process

                prepare_process(uses_cuda=uses_cuda(self.run))
            self._ready = True
        self.validations.gate_benchmark(item)
        self.start(item)

    def take_over(self, item: pytest.Item) -> bool | None:
        """Report a case that an earlier part of the run has settled; `None` if it has to run."""
        record = item.settled if isinstance(item, CaseItem) else None
        if record is None or not isinstance(item, CaseItem):
            return None
        self.validations.keep(item.nodeid, record)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in stored_reports(item, record):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def start(self, item: CaseItem) -> None:
        """Start the clock of an item, with an empty journal."""
        self.run.journal.reset()
        item.start()


class InProcessRunner(ItemRunner):
    """`none`: pytest's own protocol in pytest's own process, for a debugger. No deadline."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield from super().pytest_runtest_makereport(item, call)
        if isinstance(item, CaseItem) and item.record is not None:
            # each is handed on before the next is made: the record comes with the one that it is known from
            if report.when == "teardown" and report.passed:
                vars(report).pop(RECORD, None)
            elif report.when != "teardown":
                setattr(report, RECORD, as_dict(item.record))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if self.take_over(item):
            return True
        if isinstance(item, CaseItem):
            self.begin(item)
        return None


def end_programs(item: CaseItem) -> None:
    """End what an item's process started and, killed itself, did not see the end of."""
    if item.case.provider.runner != "onnxruntime":
        from pytest_ortperf.execution.process.external_program import end_program

        end_program(item.run.journal)


def uses_cuda(run: Run) -> bool:
    """Whether a provider of the run that can be used here needs CUDA's libraries."""
    unusable = run.settings.execution.unusable
    rows = [row for row in run.settings.axes.providers if row.name not in unusable]
    return any(row.loads_cuda for row in rows)


def finish_record(item: CaseItem, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Keep the record of an item up to date with one phase's report, and apply an expected failure."""
    if report.when == "call" and report.outcome != "skipped":
        expected = expected_failure(item)
        if expected is not None and not item.config.option.runxfail:
            report.outcome = "skipped" if report.outcome == "failed" else "passed"
            report.wasxfail = expected.reason
    if report.when == "call" or report.outcome != "passed":
        item.record = record_of(item, **_judged(item, call, report))


def _judged(item: CaseItem, call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any]:
    xfail = getattr(report, "wasxfail", None)
    captured = report.capstdout + report.capstderr
    failure = None if call.excinfo is None else failure_of(item, call.excinfo.value, captured)
    if report.outcome == "skipped" and xfail is None:
        return {"outcome": "skipped", "reason": _skip_reason(report)}
    if xfail is not None:
        return {
            "outcome": "xpassed" if report.passed else "xfailed",
            "reason": xfail,
            "failure": failure,
        }
    if failure is not None and failure.kind == "internal error" and _TIMER in failure.message:
        return {"outcome": "timed_out", "failure": dataclasses.replace(failure, kind="timeout")}
    return {"outcome": report.outcome, "failure": failure}


def _skip_reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")
