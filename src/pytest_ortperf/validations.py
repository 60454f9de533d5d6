"""Mode `both`: what became of a case's validation decides whether and how it is benchmarked."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ortperf.nodes import CaseItem
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.record import Record
from pytest_ortperf.reporting import RECORD


class Validations:
    """Verdicts seen in this process, as records in builtins by node id of the validation item."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Any]] = {}

    def remember(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a validation item that ended."""
        data = getattr(report, RECORD, None)
        if data is not None and data["mode"] == "validate":
            self._records[report.nodeid] = data

    def instruct(self, item: CaseItem) -> None:
        """Tell a benchmark item to validate by itself, or to be skipped; others are left as they are."""
        settings = item.run.settings
        if item.case.mode != "benchmark" or settings.mode != "both":
            return
        data = self._records.get(item.nodeid.replace("::benchmark[", "::validate[", 1))
        if data is None:
            item.validate_first = True
        elif data["outcome"] != "passed":
            record = from_dict(Record, data)
            why = record.failure.message if record.failure else record.reason
            item.add_marker(pytest.mark.skip(reason=f"validation {record.outcome.replace('_', ' ')}: {why}"))
