"""Test reports: what a record adds to one, and those of an item whose process died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import pytest

from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.junit import properties
from pytest_ortperf.running.case_item import CaseItem

RECORD = "ortperf_record"
"""Attribute of the last report of an item that carries its record, as builtins."""

Phase = Literal["setup", "call", "teardown"]
PhaseOutcome = Literal["passed", "failed", "skipped"]

LOG_SECTION = "log of the case (standard output and error, native code's too)"


@dataclass(frozen=True, slots=True)
class _Crash:
    """As pytest's `ReprFileLocation`, without a place."""

    message: str


class FailureText(str):  # noqa: SLOT000 - `__new__` sets what pytest looks for
    """A failure as plain text that also tells its first line, to pytest's short summary and to JUnit."""

    reprcrash: _Crash

    def __new__(cls, text: str) -> Self:
        new = super().__new__(cls, text)
        new.reprcrash = _Crash(text.strip().partition("\n")[0])
        return new


def tell_first_line(report: pytest.TestReport) -> None:
    """Make the first line of a failure known; in the process that shows it, because text alone is carried there."""
    if report.failed and type(report.longrepr) is str:
        report.longrepr = FailureText(report.longrepr)


def attach(item: CaseItem, report: pytest.TestReport) -> None:
    """Put the record on the last report; on a failed one the log, and on each its JUnit properties."""
    record = item.record
    if record is None:
        return
    if report.failed and record.failure and record.failure.log_tail:
        report.sections.append((LOG_SECTION, "\n".join(record.failure.log_tail)))
    if report.when == "teardown":
        setattr(report, RECORD, as_dict(record))
        report.user_properties = [*report.user_properties, *properties(record)]


def crash_reports(item: CaseItem, record: Record) -> tuple[pytest.TestReport, pytest.TestReport]:
    """Return the call and teardown reports of an item whose process died.

    pytest's JUnit and terminal reporters need both: the first fails, the second closes the entry and brings the
    properties and the record.
    """
    failure = record.failure
    text = f"{failure.message if failure else record.outcome}\n\n{item.advice(failure.kind if failure else None)}"
    call = _report(item, "call", "failed", text, duration=(record.duration_ns or 0) / 1e9)
    if record.outcome == "xfailed":
        call.outcome = "skipped"
        call.wasxfail = record.reason or ""
    item.record = record
    attach(item, call)
    teardown = _report(item, "teardown", "passed", None)
    attach(item, teardown)
    return call, teardown


def _report(
    item: CaseItem, when: Phase, outcome: PhaseOutcome, text: str | None, duration: float = 0
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,
        longrepr=text,
        when=when,
        user_properties=list(item.user_properties),
        duration=duration,
    )
