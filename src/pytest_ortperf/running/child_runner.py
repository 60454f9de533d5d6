"""Our own children: `pool`, validations one after the other, and `forked` without pytest-forked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import pytest

from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.execution.case_settings import KnownValidation
from pytest_ortperf.execution.process.child import Child, ChildEnd
from pytest_ortperf.execution.record_builder import waited_s
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.item_runner import ItemRunner, end_programs
from pytest_ortperf.running.other_plugins import Attempts
from pytest_ortperf.running.outcome import crash_of
from pytest_ortperf.running.run import Run
from pytest_ortperf.running.test_reports import RECORD, carry_record_first, crash_reports

LINGER_BYTE = 1 << 29
"""A child with more memory than this has given it back before the next case starts."""

REFUSED = "session error"
"""Kind of failure: ONNX Runtime threw while it made a session."""

_BETWEEN = (
    "pytest_runtest_protocol",
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
)
"""Hooks of the parent from one item's work to the next one's: what they change, a child forked before lacks."""


class ChildRunner(ItemRunner):
    """A child takes one item, or with `pool` validations until one goes wrong.

    What is done ahead costs no time on a second core. While a child validates, the one for the next validation is
    forked already, and a child that has answered is not waited for. With `pool`, the child has the next validation
    while the reports of one that passed are taken care of here. A benchmark never runs beside any of them.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._child: Child | None = None
        self._given: CaseItem | None = None
        self._spare: Child | None = None
        self._leaving: list[Child] = []
        self._items: dict[str, CaseItem] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = {item.nodeid: item for item in session.items if isinstance(item, CaseItem)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if not self.serves(item):
            self._end_unasked(item)
            self._be_alone()
            return self.take_over(item)
        if self.take_over(item):
            return True
        attempts = Attempts(item)
        for _ in attempts:
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            reports = self._reports(item, nextitem)
            attempts.judge(reports)
            carry_record_first(reports)
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        self._end_child()
        self._be_alone()

    def serves(self, item: pytest.Item | None) -> TypeGuard[CaseItem]:
        """Whether an item is run by a child of ours."""
        return isinstance(item, CaseItem) and item.isolation in {"own runner", "pool"}

    def _next(self, item: CaseItem, following: pytest.Item | None) -> CaseItem | None:
        """Return the following item if a child may be made ready for it, or begin with it, before its turn."""
        if not self.serves(following) or following.may_be_settled or acts_between(following):
            return None
        return following if item.case.mode == following.case.mode == "validate" else None

    def _reports(self, item: CaseItem, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        following = self._next(item, nextitem)
        shared = item.isolation == "pool" and item.case.mode == "validate"
        child = self._child_at_work(item, shared=shared)
        keeps = False
        try:
            if following is not None and not shared:
                self._fork_spare()
            answer = child.answer()
            if isinstance(answer, ChildEnd):
                return list(crash_reports(item, crash_of(item, answer, self.run.journal)))
            keeps = shared and leaves_intact(item, answer)
        finally:
            self._given = None
            if not keeps:
                self._end_child(may_linger=following is not None and item.case.provider.device == "cpu")
            end_programs(item)
        if keeps and following is not None and not _failed(answer):
            # after a failure pytest may end the run
            self.start(following)
            self._give(child, following)
        return [self._report_from(data) for data in answer]

    def _child_at_work(self, item: CaseItem, *, shared: bool) -> Child:
        """Return the child that has the item; it may have been given it ahead."""
        self._end_unasked(item)
        if self._child is not None and self._given is item:
            self.validations.gate_benchmark(item)
            return self._child
        self.begin(item)
        if not shared:
            self._end_child()
        if item.case.mode != "validate":
            self._be_alone()
        self._child = self._child or self._forked_child()
        self._give(self._child, item)
        return self._child

    def _give(self, child: Child, item: CaseItem) -> None:
        self._given = item
        child.give((item.nodeid, item.validate_first, item.known_validation), item.timeout_s)

    def _end_unasked(self, item: pytest.Item) -> None:
        """End a child that was given an item ahead whose turn did not come."""
        if self._given is not None and self._given is not item:
            self._end_child()

    def _report_from(self, data: dict[str, Any]) -> pytest.TestReport:
        hook = self.run.config.hook
        report: pytest.TestReport = hook.pytest_report_from_serializable(config=self.run.config, data=data)
        return report

    def _serve(self, request: tuple[str, bool, KnownValidation | None]) -> list[dict[str, Any]]:
        nodeid, validate_first, known = request
        item = self._items[nodeid]
        item.validate_first = validate_first
        item.known_validation = known
        hook = item.config.hook
        return [hook.pytest_report_to_serializable(config=item.config, report=report) for report in run_phases(item)]

    def _forked_child(self) -> Child:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.dead():
            return spare
        if spare is not None:
            spare.end()
        return self._new_child()

    def _new_child(self) -> Child:
        return Child(self._serve, lambda: waited_s(self.run.journal))

    def _fork_spare(self) -> None:
        # where no process can be had now, the next item tries again and tells of it
        with contextlib.suppress(OSError):
            self._spare = self._spare or self._new_child()

    def _end_child(self, *, may_linger: bool = False) -> None:
        child, self._child, self._given = self._child, None, None
        if child is None:
            return
        memory = child.memory_byte() if may_linger else None
        if memory is None or memory > LINGER_BYTE:
            child.end()
        else:
            child.kill()
            self._leaving = [child, *(each for each in self._leaving if not each.dead())]

    def _be_alone(self) -> None:
        """End every child that is not at work, and wait until it has ended."""
        idle, self._leaving, self._spare = [*self._leaving, self._spare], [], None
        for child in idle:
            if child is not None:
                child.end()


def leaves_intact(item: CaseItem, answer: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a child that has answered may take another validation.

    After a failure, only if ONNX Runtime refused to make a session on the CPU provider and said so: nothing of the
    model ran, and there is no device whose state could be spoiled.
    """
    if not _failed(answer):
        return True
    failures = [data[RECORD]["failure"] for data in answer if RECORD in data]
    return item.case.provider == CPU and bool(failures) and all(each and each["kind"] == REFUSED for each in failures)


def _failed(answer: Iterable[Mapping[str, Any]]) -> bool:
    return any(data["outcome"] == "failed" for data in answer)


def acts_between(item: pytest.Item) -> bool:
    """Whether code of the project, such as a conftest.py, runs in the parent between the items' work.

    It may change what the item sees; installed plugins and pytest's own count items and report.
    """
    plugins = (plugin for plugin, _ in item.config.pluginmanager.list_plugin_distinfo())
    installed = {_package(getattr(plugin, "__name__", type(plugin).__module__)) for plugin in plugins}
    hooks = (getattr(item.ihook, name).get_hookimpls() for name in _BETWEEN)
    packages = {_package(implementation.function.__module__) for found in hooks for implementation in found}
    return not packages <= {"_pytest", _package(__name__), *installed}


def _package(module: str) -> str:
    return module.partition(".")[0]


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
