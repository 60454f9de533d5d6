"""Failures of a run that no item has: verdicts against a baseline, an option that fits no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_ortperf.plain_text import plain_log
from pytest_ortperf.running.test_reports import FailureText


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """One of them."""

    nodeid: str
    text: str
    properties: tuple[tuple[str, str], ...] = ()
    """For JUnit XML."""


def report(failures: Sequence[RunFailure], session: pytest.Session) -> None:
    """Log each as a failed test of its own, for the terminal, JUnit XML and the exit status."""
    if not failures:
        return
    _begin_line(session.config)
    # pytest's progress is the share of these
    session.testscollected += len(failures)
    for failure in failures:
        _log(failure, session.config)


def _begin_line(config: pytest.Config) -> None:
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is None:
        return
    terminal.ensure_newline()
    # that knows of lines that begin with a file alone, which quiet ones do not
    writer = config.get_terminal_writer()
    if writer.width_of_current_line:
        writer.line()


def _log(failure: RunFailure, config: pytest.Config) -> None:
    path, _, name = failure.nodeid.partition("::")
    location = (path, None, name or failure.nodeid)
    config.hook.pytest_runtest_logstart(nodeid=failure.nodeid, location=location)
    for when, outcome in (("call", "failed"), ("teardown", "passed")):
        found = pytest.TestReport(
            nodeid=failure.nodeid,
            location=location,
            keywords={},
            outcome=outcome,  # type: ignore[arg-type]
            longrepr=FailureText(plain_log(failure.text)) if outcome == "failed" else None,
            when=when,  # type: ignore[arg-type]
            user_properties=list(failure.properties),
        )
        _name_in_junit(found, config)
        _takers(config)(report=found)
    config.hook.pytest_runtest_logfinish(nodeid=failure.nodeid, location=location)


def _name_in_junit(found: pytest.TestReport, config: pytest.Config) -> None:
    for plugin in config.pluginmanager.get_plugins():
        if hasattr(plugin, "node_reporter"):
            plugin.node_reporter(found).add_attribute("name", found.nodeid)


def _takers(config: pytest.Config) -> Any:
    """Return what takes reports, without --lf: it would look for an item of that name in the next run."""
    manager = config.pluginmanager
    last_failed = manager.getplugin("lfplugin")
    return manager.subset_hook_caller("pytest_runtest_logreport", [last_failed] if last_failed else [])
