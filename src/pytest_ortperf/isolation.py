"""Each case in a process of its own: by pytest-forked and what it needs around it, by our own child, or not at all.

The parent has everything imported and ONNX Runtime's registries filled, so that a fork is all a child costs. It has
no session and no CUDA context when it forks: an inherited session hangs or crashes the process that destroys it, and a
CUDA context does not survive a fork.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pytest_ortperf.execution.child import Child, ChildEnd, die_with_parent
from pytest_ortperf.execution.watchdog import Watchdog
from pytest_ortperf.nodes import CaseItem
from pytest_ortperf.outcome import crash_of, settle
from pytest_ortperf.reporting import attach, crash_reports
from pytest_ortperf.run import Run, plain_report
from pytest_ortperf.validations import Validations

_FORKED_EXIT = "forked test item"
"""How the message starts that pytest-forked ends the run with, where a child exits with status 4."""


def runner_for(run: Run) -> Runner:
    """Return the plugin that runs the items of a run in this process or its children."""
    kinds = {"pytest-forked": PytestForkedRunner, "none": InProcessRunner}
    return kinds.get(run.runner, ChildRunner)(run)


class Runner:
    """What every kind of isolation does around an item."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.validations = Validations()
        self._ready = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, CaseItem):
            settle(item, call, report)
            attach(item, report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        self.validations.remember(report)
        return (yield)

    def begin(self, item: CaseItem) -> None:
        """Make ready for one item, in the process that will watch it."""
        if not self._ready:
            prepare_process(uses_cuda=_uses_cuda(self.run))
            self._ready = True
        self.run.journal.reset()
        self.validations.instruct(item)
        item.start()


class InProcessRunner(Runner):
    """`none`: pytest's own protocol in pytest's own process, for a debugger. No deadline."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if isinstance(item, CaseItem):
            self.begin(item)


class ChildRunner(Runner):
    """`pool`, and `forked` without pytest-forked: our own child takes one item, or validations until one fails."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._child: Child | None = None
        self._items: dict[str, CaseItem] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = {item.nodeid: item for item in session.items if isinstance(item, CaseItem)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if not isinstance(item, CaseItem):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        self._end_child()

    def _reports(self, item: CaseItem) -> list[pytest.TestReport]:
        self.begin(item)
        shared = self.run.runner == "pool" and item.case.mode == "validate"
        if not shared:
            self._end_child()
        if self._child is None:
            self._child = Child(self._serve)
        intact = False
        try:
            answer = self._child.ask((item.nodeid, item.validate_first), item.timeout_s)
            if isinstance(answer, ChildEnd):
                return list(crash_reports(item, crash_of(item, answer, self.run.journal)))
            intact = all(data["outcome"] != "failed" for data in answer)
            return [self._report_from(data) for data in answer]
        finally:
            if not (shared and intact):
                self._end_child()

    def _report_from(self, data: dict[str, Any]) -> pytest.TestReport:
        hook = self.run.config.hook
        report: pytest.TestReport = hook.pytest_report_from_serializable(config=self.run.config, data=data)
        return report

    def _serve(self, request: tuple[str, bool]) -> list[dict[str, Any]]:
        nodeid, validate_first = request
        item = self._items[nodeid]
        item.validate_first = validate_first
        hook = item.config.hook
        return [hook.pytest_report_to_serializable(config=item.config, report=report) for report in run_phases(item)]

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class PytestForkedRunner(Runner):
    """`forked`: pytest-forked forks and waits; around it a deadline, the truth of a crash, and quiet."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._parent = os.getpid()
        self._current: CaseItem | None = None
        self._watchdog: Watchdog | None = None
        self._streams: tuple[object, ...] = ()

    # the innermost wrapper, so that its warning filters hold for pytest-forked and its child
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if not isinstance(item, CaseItem):
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
        crash, teardown = crash_reports(item, crash_of(item, self._end(report), self.run.journal))
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
        return plain_report(report) if os.getpid() != self._parent else report

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

    def _kill_child(self) -> None:
        pid = self.run.journal.latest("pid")
        if pid is not None and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _report_exit_4(self, item: CaseItem) -> None:
        end = ChildEnd(signal=None, exit_code=4)
        for report in crash_reports(item, crash_of(item, end, self.run.journal)):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _end(self, report: pytest.TestReport) -> ChildEnd:
        fired = self._watchdog is not None and self._watchdog.fired
        words = str(report.longrepr).split()
        if "signal" in words:
            number = int(words[words.index("signal") + 1])
            return ChildEnd(signal=number, exit_code=None, timed_out=fired and number == signal.SIGKILL)
        return ChildEnd(signal=None, exit_code=int(words[words.index("status") + 1]))


def run_phases(item: pytest.Item) -> list[pytest.TestReport]:
    """Run setup, call and teardown of an item; return their reports. Interrupts pass through."""
    reports = [_phase(item, "setup")]
    if reports[0].passed:
        reports.append(_phase(item, "call"))
    reports.append(_phase(item, "teardown", nextitem=None))
    return reports


def _phase(item: pytest.Item, when: str, **extra: Any) -> pytest.TestReport:
    hook = getattr(item.ihook, f"pytest_runtest_{when}")
    call = pytest.CallInfo.from_call(
        lambda: hook(item=item, **extra),
        when=when,  # type: ignore[arg-type]
        reraise=(pytest.exit.Exception, KeyboardInterrupt),
    )
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report


def _uses_cuda(run: Run) -> bool:
    unusable = run.settings.execution.unusable
    rows = [row for row in run.settings.axes.providers if row.name not in unusable]
    return any("CUDAExecutionProvider" in (row.full_name, *row.companions) for row in rows)


def prepare_process(*, uses_cuda: bool) -> None:
    """Import what cases need, load CUDA's libraries where a provider uses them, and make forks cheap."""
    import onnxruntime

    import pytest_ortperf.execution.execute  # noqa: F401 - children find it imported
    from pytest_ortperf.execution.warm_process import warm_process

    if uses_cuda:
        # prints a line for each library that it does not find
        onnxruntime.preload_dlls()
    warm_process()
    gc.collect()
    gc.freeze()
