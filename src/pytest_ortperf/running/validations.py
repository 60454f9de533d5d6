"""What became of a case's validation, in this run or a stored one, decides whether and how it is benchmarked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.case_id import validation_nodeid
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.gains import PASSED
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.known_failures import KnownFailures, is_remembered, validation_key
from pytest_ortperf.running.test_reports import RECORD


class Validations:
    """Verdicts seen in this process, as records in builtins by node id of the validation item."""

    def __init__(self, results: Path) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._known = KnownFailures(results)
        self._item: CaseItem | None = None

    def remember(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a validation item that ended; a failure gets what later runs know it again by."""
        data = getattr(report, RECORD, None)
        if data is None or data["mode"] != "validate":
            return
        self._records[report.nodeid] = data
        item = self._item
        if item is not None and item.nodeid == report.nodeid and is_remembered(data):
            data["validation_key"] = validation_key(item)

    def instruct(self, item: CaseItem) -> None:
        """Tell a benchmark item to validate by itself, or to be skipped; others are left as they are."""
        self._item = item
        settings = item.run.settings
        if item.case.mode != "benchmark":
            return
        if settings.mode != "both":
            reason = None if settings.retry_failed else self._known.reason(item)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
            return
        data = self._records.get(validation_nodeid(item.nodeid))
        if data is None:
            item.validate_first = True
        elif data["outcome"] not in PASSED:
            record = from_dict(Record, data)
            why = record.failure.message if record.failure else record.reason
            item.add_marker(pytest.mark.skip(reason=f"validation {record.outcome.replace('_', ' ')}: {why}"))
