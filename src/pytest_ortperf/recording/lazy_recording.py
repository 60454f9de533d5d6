"""Records of users' own tests: on their reports to the controller, whose recorder starts when the first one comes.

And the cases that were collected and left out, which workers of pytest-xdist tell the controller at their end.

Nothing heavy is imported here: it is loaded in every pytest run.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_ortperf.recording.recorder import Recorder
    from pytest_ortperf.running.run import Run

RECORDS = "ortperf_records"
"""Attribute of the last report of a test that carries its records, as builtins."""

_DESELECTED = "ortperf_deselected"

records_key = pytest.StashKey[list[Mapping[str, Any]]]()
"""Of a test: its records so far, as builtins."""

timer_key = pytest.StashKey[tuple[float, Any]]()
"""Of a test: when pytest-timeout ends it, by `time.monotonic`, and the settings of its timer."""

_run_key = pytest.StashKey["Run"]()


class LazyRecording:
    """Hands records that come with the reports of users' tests to the recorder.

    Attributes:
        deselected: Node ids of cases, and of tests with the `ortperf` fixture, that `-k`, `-m`, `--deselect` or a
            plugin left out. Those of workers are known when these have ended.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.deselected: dict[str, None] = {}

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:
        item.stash[timer_key] = time.monotonic() + settings.timeout, settings

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected.update((item.nodeid, None) for item in items if _is_ours(item))

    def pytest_sessionfinish(self) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_DESELECTED] = list(self.deselected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.deselected.update(dict.fromkeys(getattr(node, "workeroutput", {}).get(_DESELECTED, ())))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = getattr(report, RECORDS, None)
        if not found or hasattr(self._config, "workerinput"):
            return
        try:
            recorder = recorder_of(self._config)
        except pytest.UsageError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
        recorder.take_all(found, 1 + getattr(report, "rerun", 0))


def _is_ours(item: pytest.Item) -> bool:
    return hasattr(item, "case") or "ortperf" in getattr(item, "fixturenames", ())


class RecordCarrier:
    """Puts the records of a test on its last report; registered where the fixture is first used."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if records_key in item.stash:
            from pytest_ortperf.running.test_reports import make_plain

            make_plain(report)
        if report.when == "teardown" and records_key in item.stash:
            setattr(report, RECORDS, item.stash[records_key])
            del item.stash[records_key]
        return report


def run_of(config: pytest.Config) -> Run:
    """Return the run; one that collects nothing where no mode is given.

    Raises:
        pytest.UsageError: If an option cannot be used.
    """
    run: Run | None = config.pluginmanager.getplugin("ortperf-run") or config.stash.get(_run_key, None)
    if run is None:
        from pytest_ortperf.collection.activation import prepare_for_tests
        from pytest_ortperf.running.run import Run

        prepare_for_tests(config)
        run = config.stash[_run_key] = Run(config)
    return run


def recorder_of(config: pytest.Config) -> Recorder:
    """Return the recorder of the controller, started now if it was not.

    Raises:
        pytest.UsageError: If the results folder cannot be written.
    """
    recorder: Recorder | None = config.pluginmanager.getplugin("ortperf-recorder")
    if recorder is None:
        from pytest_ortperf.recording.recorder import Recorder

        recorder = Recorder(run_of(config))
        recorder.pytest_sessionstart(config.pluginmanager.getplugin("session"))
        config.pluginmanager.register(recorder, "ortperf-recorder")
    return recorder


def carry_records(config: pytest.Config) -> None:
    """Have the records of this process's tests carried, and find out now whether they can be written."""
    if not config.pluginmanager.hasplugin("ortperf-record-carrier"):
        config.pluginmanager.register(RecordCarrier(), "ortperf-record-carrier")
    if not hasattr(config, "workerinput"):
        recorder_of(config)
