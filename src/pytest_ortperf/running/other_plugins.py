"""What other plugins ask of a case: pytest-timeout's deadline, and the reruns of pytest-rerunfailures.

Their own ways end or repeat a test in pytest's process, where no case runs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

RERUN = "rerun"
"""Attribute of a report that pytest-rerunfailures reads too: how many attempts came before its own."""


def outer_deadline_s(item: pytest.Item) -> float | None:
    """Return pytest-timeout's deadline of an item, by marker, option, environment variable or ini file, if any."""
    config = item.config
    if not config.pluginmanager.hasplugin("timeout"):
        return None
    marker = item.get_closest_marker("timeout")
    of_marker = [*marker.args[:1], marker.kwargs.get("timeout")] if marker else []
    for given in (
        *of_marker,
        config.getoption("timeout", None),
        os.environ.get("PYTEST_TIMEOUT"),
        config.getini("timeout"),
    ):
        if given not in (None, ""):
            with suppress(TypeError, ValueError):
                return float(given) if float(given) > 0 else None
    return None


def reruns_of(item: pytest.Item) -> int:
    """Return how often pytest-rerunfailures is asked to run an item again after a failure."""
    config, plugin = item.config, _rerunfailures(item.config)
    excluded = config.getoption("rerun_exclude_path", None) or ()
    if plugin is None or any(item.path.is_relative_to(config.rootpath / path) for path in excluded):
        return 0
    return int(plugin.get_reruns_count(item) or 0)


def without_effect(config: pytest.Config) -> str | None:
    """Return what another plugin was asked for that cases do not follow, for the header of the run."""
    if config.pluginmanager.hasplugin("repeat") and config.getoption("count", 1) > 1:
        return (
            "--count of pytest-repeat repeats test functions, no cases of a model list; a case that is measured runs "
            "until its median is known, and 'ortperf ab' measures in several processes"
        )
    return None


class Attempts:
    """The attempts at one item: one, and more after failures where pytest-rerunfailures is asked for them."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._most = 1 + reruns_of(item)
        self._again = True
        self.number = 0

    def __iter__(self) -> Iterator[int]:
        while self._again:
            self._again = False
            if self.number:
                self._wait()
            self.number += 1
            yield self.number
        if self.number > 1:
            # what --fail-on-flaky looks at when the session ends
            self._item.execution_count = self.number  # type: ignore[attr-defined]

    def judge(self, reports: Sequence[pytest.TestReport]) -> None:
        """Number the reports of an attempt; where another follows, its failures become reruns."""
        failed = [report for report in reports if report.failed]
        self._again = bool(failed) and self.number < self._most and self._wanted(failed)
        for report in reports if self._most > 1 else ():
            setattr(report, RERUN, self.number - 1)
        if self._again:
            for report in failed:
                report.outcome = "rerun"  # type: ignore[assignment] # pytest-rerunfailures' word

    def _wait(self) -> None:
        plugin: Any = _rerunfailures(self._item.config)
        factor = getattr(plugin, "get_reruns_delay_backoff_factor", _constant)(self._item) ** (self.number - 1)
        time.sleep(plugin.get_reruns_delay(self._item) * factor)

    def _wanted(self, failed: Sequence[pytest.TestReport]) -> bool:
        config, text = self._item.config, "\n".join(str(report.longrepr) for report in failed)
        only, never = (_patterns(config, name) for name in ("only_rerun", "rerun_except"))
        if (only and not any(re.search(each, text) for each in only)) or any(re.search(each, text) for each in never):
            return False
        plugin: Any = _rerunfailures(config)
        if not plugin.get_reruns_condition(self._item):
            return False
        most: int | None = config.getoption("max_suite_reruns", None)
        return most is None or bool(config.failures_db.try_increment_suite_reruns(most))  # type: ignore[attr-defined]


def _constant(_item: pytest.Item) -> float:
    """Stand for what older versions of pytest-rerunfailures lack."""
    return 1.0


def _patterns(config: pytest.Config, name: str) -> list[str]:
    found: list[str] = config.getoption(name, None) or config.getini(name) or []
    return found


def _rerunfailures(config: pytest.Config) -> Any:
    return config.pluginmanager.getplugin("rerunfailures")
