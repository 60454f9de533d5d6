"""Each case in a process of its own: by pytest-forked and what it needs around it, by our own child, or not at all."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Generator, Iterator

import pytest

from pytest_ortperf.execution.process.child import ChildEnd, Watchdog, die_with_parent
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.child_runner import ChildRunner
from pytest_ortperf.running.item_runner import InProcessRunner, ItemRunner, end_programs
from pytest_ortperf.running.outcome import crash_of
from pytest_ortperf.running.run import Run, plain_report
from pytest_ortperf.running.test_reports import carry_record_first, crash_reports

_FORKED_EXIT = "forked test item"
"""How the message starts that pytest-forked ends the run with, where a child exits with status 4."""


def runner_for(run: Run) -> ItemRunner:
    """Return the plugin that runs the items of a run in this process or its children."""
    kinds = {"pytest-forked": PytestForkedRunner, "none": InProcessRunner}
    return kinds.get(run.runner, ChildRunner)(run)


class PytestForkedRunner(ChildRunner):
    """`forked`: pytest-forked forks and waits; around it a deadline, the truth of a crash, and quiet.

    Validations go to our own children, unless pytest-forked was asked for.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._parent = os.getpid()
        self._current: CaseItem | None = None
        self._watchdog: Watchdog | None = None
        self._streams: tuple[object, ...] = ()
        self._reports_of_child: list[pytest.TestReport] = []

    # the innermost wrapper, so that its warning filters hold for pytest-forked and its child; pytest looks only at
    # methods whose names begin with pytest_
    @pytest.hookimpl(specname="pytest_runtest_protocol", wrapper=True, trylast=True)
    def pytest_runtest_protocol_of_pytest_forked(self, item: pytest.Item) -> Generator[None, object, object]:
        if not isinstance(item, CaseItem) or self.serves(item) or item.settled is not None:
            return (yield)
        self.begin(item)
        with self._watching(item), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            try:
                return (yield)
            except pytest.exit.Exception as error:
                if not str(error).startswith(_FORKED_EXIT):
                    raise
                self._report_exit_4(item)
                return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        if os.getpid() != self._parent:
            # pytest's capturing lets go of pytest-forked's never closed streams: a ResourceWarning for each item
            self._streams = (sys.stdout, sys.stderr)
            die_with_parent()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        self.validations.remember(report)
        item = self._current
        if item is None or str(report.when) != "???" or report.nodeid != item.nodeid:
            return (yield)
        crash, teardown = reports = crash_reports(item, crash_of(item, self._end(report), self.run.journal))
        carry_record_first(reports)
        vars(report).clear()
        vars(report).update(vars(crash))
        yield
        item.ihook.pytest_runtest_logreport(report=teardown)
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield from super().pytest_runtest_makereport(item, call)
        if os.getpid() == self._parent:
            return report
        self._reports_of_child.append(report)
        if report.when == "teardown":
            # pytest-forked hands them on when the last one is made
            carry_record_first(self._reports_of_child)
        return plain_report(report)

    @contextlib.contextmanager
    def _watching(self, item: CaseItem) -> Iterator[None]:
        self._current = item
        self._watchdog = Watchdog(self.run.journal, item.timeout_s)
        try:
            yield
        except BaseException:
            # interrupted: a child left behind would keep pytest from ending
            self._kill_child()
            raise
        finally:
            self._watchdog.disarm()
            self._current = None
            end_programs(item)

    def _kill_child(self) -> None:
        pid = self.run.journal.latest("pid")
        if pid is not None and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _report_exit_4(self, item: CaseItem) -> None:
        end = ChildEnd(signal=None, exit_code=4)
        reports = crash_reports(item, crash_of(item, end, self.run.journal))
        carry_record_first(reports)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _end(self, report: pytest.TestReport) -> ChildEnd:
        fired = self._watchdog is not None and self._watchdog.fired
        words = str(report.longrepr).split()
        if "signal" in words:
            number = int(words[words.index("signal") + 1])
            return ChildEnd(signal=number, exit_code=None, timed_out=fired and number == signal.SIGKILL)
        return ChildEnd(signal=None, exit_code=int(words[words.index("status") + 1]))
