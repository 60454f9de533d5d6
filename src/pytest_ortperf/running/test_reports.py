"""Test reports: what a record adds to one, and those of an item whose process died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import pytest

from pytest_ortperf.plain_text import plain_log
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.junit import properties
from pytest_ortperf.reports.terminal.result_row import measured_text, result_row
from pytest_ortperf.running.case_item import CaseItem, advice

RECORD = "ortperf_record"
"""Attribute of the report of an item that carries its record, as builtins: the first one that is handed on after the
record is known, so that a reporter that raises loses nothing."""

TAKEN_OVER = "ortperf_taken_over"
"""Attribute of the last report of an item that an earlier part of the run has settled."""

MEASURED = "ortperf_measured"
"""Attribute of the report of a benchmark's call: its latency in words, for `-v`."""

ROW = "ortperf_row"
"""Attribute of the same report as `RECORD`: the case in one line, for the terminal; nothing where none is needed."""

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


def make_plain(report: pytest.TestReport) -> None:
    """Take escape sequences of models and of ONNX Runtime out of what pytest writes of a report."""
    report.sections = [(name, plain_log(content)) for name, content in report.sections]
    if type(report.longrepr) is str:
        report.longrepr = plain_log(report.longrepr)
    elif isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, plain_log(reason))
    else:
        _make_traceback_plain(report.longrepr)


def _make_traceback_plain(longrepr: Any) -> None:
    """Do the same to pytest's form of a traceback, in place; forms of other plugins stay as they are."""
    for traceback, crash, _ in getattr(longrepr, "chain", ()):
        for entry in traceback.reprentries:
            for part in (entry, getattr(entry, "reprlocals", None)):
                if part is not None and getattr(part, "lines", None):
                    part.lines = list(map(plain_log, part.lines))
        if crash is not None:
            crash.message = plain_log(crash.message)


def attach(item: CaseItem, report: pytest.TestReport) -> None:
    """Put the record on the last report; on a failed one the log, and on each its JUnit properties."""
    record = item.record
    if record is None:
        make_plain(report)
        return
    if report.failed and record.failure and record.failure.log_tail:
        report.sections.append((LOG_SECTION, "\n".join(record.failure.log_tail)))
    make_plain(report)
    if report.when == "call" and record.latencies:
        setattr(report, MEASURED, measured_text(record))
    if report.when == "teardown":
        setattr(report, RECORD, as_dict(record))
        setattr(report, ROW, result_row(record))
        report.user_properties = [*report.user_properties, *properties(record)]


def carry_record_first(reports: Sequence[pytest.TestReport]) -> None:
    """Move the record of an item to the first of its reports, where all are handed on together."""
    record = vars(reports[-1]).pop(RECORD, None)
    if record is not None:
        setattr(reports[0], RECORD, record)


def crash_reports(item: CaseItem, record: Record) -> tuple[pytest.TestReport, pytest.TestReport]:
    """Return the call and teardown reports of an item whose process died.

    pytest's JUnit and terminal reporters need both: the first fails, the second closes the entry and brings the
    properties and the record.
    """
    failure = record.failure
    text = f"{failure.message if failure else record.outcome}\n\n{advice(record.commands)}"
    call = _report(item, "call", "failed", text, duration=(record.duration_ns or 0) / 1e9)
    if record.outcome == "xfailed":
        call.outcome = "skipped"
        call.wasxfail = record.reason or ""
    item.record = record
    attach(item, call)
    teardown = _report(item, "teardown", "passed", None)
    attach(item, teardown)
    return call, teardown


def stored_reports(item: CaseItem, record: Record) -> list[pytest.TestReport]:
    """Return the reports of an item whose record an earlier part of the run has written; they carry no record."""
    failure = record.failure
    bad = record.outcome in {"failed", "crashed", "timed_out"}
    text = f"{failure.message}\n\n{advice(record.commands)}" if failure else None
    call = _report(item, "call", "failed" if bad else "passed", text if bad else None, (record.duration_ns or 0) / 1e9)
    if record.outcome in {"xfailed", "xpassed"}:
        call.outcome = "skipped" if record.outcome == "xfailed" else "passed"
        call.wasxfail = record.reason or ""
    reports = [_report(item, "setup", "passed", None), call, _report(item, "teardown", "passed", None)]
    item.record = record
    for report in reports:
        attach(item, report)
    vars(reports[-1]).pop(RECORD)
    setattr(reports[-1], TAKEN_OVER, True)
    return reports


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
