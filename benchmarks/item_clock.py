"""A pytest plugin that writes when each item began and ended, in the parent and in the process that ran it.

`item_overhead.py` loads it with `-p item_clock`. Times are `time.perf_counter_ns`, one clock for all processes. It has
none of the hooks between items that keep the runner from forking ahead: an item begins where the one before it ended,
and ends when its last report is shown.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

times: dict[str, dict[str, int]] = defaultdict(dict)
"""Node id -> `begun` and `ended` as the parent sees them, `setup` and `made` as the item's process does."""

_PREFIX = "clock."

_last = 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Keep when the first item begins."""
    global _last  # noqa: PLW0603 - a plugin is a module
    _last = time.perf_counter_ns()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep the time where the item runs."""
    item.user_properties.append((f"{_PREFIX}setup", time.perf_counter_ns()))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the time where the item runs, of its last report."""
    report = yield
    if call.when == "teardown":
        report.user_properties.append((f"{_PREFIX}made", time.perf_counter_ns()))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> None:
    """Keep the time in the parent, and take what the item's process has kept."""
    global _last  # noqa: PLW0603 - a plugin is a module
    if report.when != "teardown" or "ended" in times[report.nodeid]:
        return
    for name, value in report.user_properties:
        if name.startswith(_PREFIX) and isinstance(value, int):
            times[report.nodeid][name.removeprefix(_PREFIX)] = value
    times[report.nodeid]["begun"] = _last
    times[report.nodeid]["ended"] = _last = time.perf_counter_ns()


def pytest_sessionfinish() -> None:
    """Write all."""
    Path(os.environ["ITEM_CLOCK"]).write_text(json.dumps(times), encoding="utf-8")
