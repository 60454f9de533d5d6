"""The gate against an earlier run: after the test loop, in the controller, each verdict a failing report of its own.

Workers cannot judge: none has all results. Before the session finishes, so that JUnit and the exit code hold them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.history.opening import DEFAULT, HISTORY
from pytest_ortperf.plain_text import plain_line
from pytest_ortperf.settings import options

if TYPE_CHECKING:
    from pytest_ortperf.gates.run_failures import RunFailure
    from pytest_ortperf.records.store import StoredRun
    from pytest_ortperf.reports.comparison.change import Change
    from pytest_ortperf.reports.comparison.compared_side import Side
    from pytest_ortperf.reports.comparison.run_comparison import Comparison
    from pytest_ortperf.reports.comparison.thresholds import FailOn

NAME = "ortperf-baseline"


def register(config: pytest.Config) -> None:
    """Register the gate, where one is asked for, in the process that sees all results.

    Raises:
        pytest.UsageError: If `--ortperf-fail-on` has nothing to compare with.
    """
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if options.given(config, "baseline") is not None:
        config.pluginmanager.register(BaselineGate(config), NAME)
    elif options.given(config, "fail-on") is not None:
        raise pytest.UsageError("--ortperf-fail-on needs an earlier run to compare with: --ortperf-baseline=RUN")


class BaselineGate:
    """Compares the run with its baseline."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._baseline: Side | None = None
        self._fail_on: FailOn | None = None
        self._comparison: Comparison | None = None
        self._stopped = True

    # before anything is measured: a baseline that is not there must not cost a run
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        from pytest_ortperf.reports.comparison.sources.side_sources import read_side
        from pytest_ortperf.reports.comparison.thresholds import read_fail_on, read_time_ns
        from pytest_ortperf.settings.run_settings import results_folder

        config = self._config
        results = results_folder(config)
        try:
            self._fail_on = read_fail_on(options.given(config, "fail-on"))
            least = options.given(config, "min-change")
            if least is not None:
                self._fail_on = dataclasses.replace(self._fail_on, least_change_ns=read_time_ns(least, "--min-change"))
        except OrtPerfError as error:
            raise pytest.UsageError(str(error).replace("--", "--ortperf-", 1)) from error
        text = options.given(config, "baseline")
        try:
            if text.startswith(HISTORY):
                self._baseline = self._of_history(text)
            else:
                self._baseline = read_side(text, results, config.invocation_params.dir)
        except OrtPerfError as error:
            raise pytest.UsageError(f"--ortperf-baseline: {error}") from error

    def _of_history(self, text: str) -> Side:
        from pytest_ortperf.execution.machine.devices import nvml_gpus
        from pytest_ortperf.history.baseline import read_baseline
        from pytest_ortperf.records.environment.host import collect_environment
        from pytest_ortperf.settings.option_table import absolute
        from pytest_ortperf.settings.run_settings import history_url

        url = history_url(self._config) or str(absolute(DEFAULT, self._config))
        return read_baseline(text, url, collect_environment(nvml_gpus()).fingerprint)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        self._stopped = False
        recorder: Any = self._config.pluginmanager.getplugin("ortperf-recorder")
        run: StoredRun | None = recorder.stored if recorder is not None else None
        if run is not None and self._baseline is not None:
            self._compare(self._baseline, run, recorder.deselected, session)
        return result

    # after the summary of the run itself
    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_ortperf.reports.comparison.comparison_text import comparison_lines

        if self._comparison is None:
            if self._baseline is not None and self._stopped:
                terminalreporter.line("not compared with the baseline: the run was stopped", yellow=True)
            return
        terminalreporter.section("ortperf: compared with the baseline")
        width = self._config.get_terminal_writer().fullwidth
        everything = terminalreporter.verbosity > 0
        for text, markup in comparison_lines(self._comparison, width=width, everything=everything):
            terminalreporter.line(plain_line(text), **markup)

    def _compare(self, baseline: Side, run: StoredRun, deselected: Sequence[str], session: pytest.Session) -> None:
        from pytest_ortperf.recording.recorder import comparison_key
        from pytest_ortperf.reports.comparison.compared_side import Side, run_side
        from pytest_ortperf.reports.comparison.run_comparison import compare, failing
        from pytest_ortperf.reports.comparison.thresholds import DEFAULT

        fail_on = self._fail_on or DEFAULT
        # its end is written later
        ended = dataclasses.replace(run_side(run), unfinished=None, deselected=frozenset(deselected))
        self._comparison = compare(baseline, Side(name="this run", runs=(ended,), notes=run.notes), fail_on)
        self._config.stash[comparison_key] = self._comparison
        self._report(failing(self._comparison, fail_on.topics), baseline, session)

    def _report(self, found: Sequence[Change], baseline: Side, session: pytest.Session) -> None:
        from pytest_ortperf.gates import run_failures

        groups: dict[str, list[Change]] = {}
        for change in found:
            groups.setdefault(_name(change), []).append(change)
        run_failures.report([_failure(nodeid, changes, baseline.name) for nodeid, changes in groups.items()], session)


def _failure(nodeid: str, changes: Sequence[Change], baseline: str) -> RunFailure:
    from pytest_ortperf.gates.run_failures import RunFailure

    first = changes[0]
    properties = (("ortperf.topic", first.topic), ("ortperf.verdict", first.kind))
    return RunFailure(nodeid=nodeid, text=_text(changes, baseline), properties=properties)


def _name(change: Change) -> str:
    """Return the node id of a change's report, such as `models.json::resnet::benchmark-latency[cpu]`.

    What stands in brackets stays last: newer pytest takes all that follows the first bracket for parameters.
    """
    case = CaseId.parse(change.nodeid)
    if case is None:
        return f"{change.nodeid}::{change.topic}"
    source = "" if case.source is None else f"{case.source}::"
    return f"{source}{case.model}::{case.mode}-{change.topic}[{case.variant}]"


def _text(changes: Iterable[Change], baseline: str) -> str:
    lines = [f"{change.kind}: {change.text}" for change in changes]
    return "\n".join([*lines, "", f"compared with {baseline}"])
