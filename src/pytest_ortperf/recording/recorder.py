"""The one writer of records and reports: in the controller, whichever process ran the case."""

from __future__ import annotations

import dataclasses
import functools
import time
import xml.etree.ElementTree as ET
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.collection.selection import selection_of, source_id
from pytest_ortperf.errors import OrtPerfError, ResultsFileError
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.plain_text import without_password
from pytest_ortperf.recording.ending_signals import EndingSignals
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.environment.labels import collect_labels
from pytest_ortperf.records.environment.machine_checks import Canary, Finding
from pytest_ortperf.records.environment.run_header import RunEnd, RunHeader
from pytest_ortperf.records.record import Record, last_attempts
from pytest_ortperf.records.store import (
    SCHEMA,
    RecordsFile,
    StoredRun,
    check_writable,
    find_run,
    new_run_id,
    read_run,
    records_path,
    runs_of,
)
from pytest_ortperf.reports.junit import finish_case, properties, run_properties
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.other_plugins import RERUN
from pytest_ortperf.running.outcome import is_case_id, record_of_lost_item
from pytest_ortperf.running.resume import HANDED_ON, NEWEST, same_run
from pytest_ortperf.running.run import Run
from pytest_ortperf.running.test_reports import MEASURED, RECORD, TAKEN_OVER, tell_first_line
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import absolute
from pytest_ortperf.settings.provider_choice import left_out_key
from pytest_ortperf.settings.run_settings import history_url

if TYPE_CHECKING:
    from pytest_ortperf.reports.comparison.run_comparison import Comparison


@dataclass(kw_only=True)
class MachineNotes:
    """What was found out about the machine, for the header and the end of the records file."""

    findings: tuple[Finding, ...] = ()
    canary_before: Canary | None = None
    canary_after: Canary | None = None
    run_findings: tuple[Finding, ...] = ()


def _as_it_is(case: ET.Element) -> ET.Element:
    return case


machine_key = pytest.StashKey[MachineNotes]()
comparison_key: pytest.StashKey[Comparison] = pytest.StashKey()
"""With the baseline, where the run has one."""


class Recorder:
    """Writes each record as it comes in, and the reports at the end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._started = datetime.now(UTC)
        self._started_ns = time.perf_counter_ns()
        self._labels: dict[str, str] = {}
        self._file: RecordsFile | None = None
        self._header: RunHeader | None = None
        self._end: RunEnd | None = None
        self._records: list[Record] = []
        self._signals = EndingSignals()
        self._resumed: str | None = None
        self._taken_over = 0
        self._ran: set[str] = set()
        self._earlier_attempts: dict[str, int] = {}
        self._collected: int | None = None
        self._problem: str | None = None
        self._written: list[Path] = []
        self._in_history: tuple[str, bool] | None = None
        """A line about that, and whether the run is there."""

    # before pytest's header, which tells what is taken over
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self._signals.install()
        try:
            check_writable(self._run.settings.results)
            self._labels = collect_labels(self._run.settings.labels, self._run.config.rootpath, environ)
            self._resume(options.given(self._run.config, "resume"))
        except OrtPerfError as error:
            raise pytest.UsageError(str(error)) from error

    def _resume(self, asked: str | None) -> None:
        """Continue the run that is asked for.

        Raises:
            OrtPerfError: If a run that was named cannot be continued.
        """
        folder = self._run.settings.results
        if asked is None:
            return
        named = None if asked == NEWEST else asked
        paths = list(reversed(runs_of(folder))) if named is None else [find_run(folder, named)]
        path, why = same_run(paths, self._make_header("now"))
        if path is None and named is not None:
            raise ResultsFileError(
                f"run {named} cannot be resumed: {why}. Run with what it was made with, or leave --ortperf-resume out."
            )
        if path is None:
            self._resumed = f"a new run: {why or f'{folder} holds none to resume'}"
            return
        stored = read_run(path)
        self._file = RecordsFile.resume(stored.path)
        self._header = stored.header
        self._records = list(stored.records)
        for record in stored.records:
            self._earlier_attempts[record.nodeid] = max(record.attempt, self._earlier_attempts.get(record.nodeid, 0))
        options.share_with_workers(self._run.config, HANDED_ON, [str(stored.path), stored.path.stat().st_size])
        self._resumed = f"resumes run {stored.header.run}, which holds {len(stored.records)} records"

    def pytest_report_header(self) -> list[str]:
        return [f"ortperf: {self._resumed}"] if self._resumed else []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # under pytest-xdist the controller collects nothing: its workers do
        count = sum(isinstance(item, CaseItem) for item in session.items)
        self._collected = count or None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        # each worker collects the same
        self._collected = sum(map(is_case_id, ids)) or None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        record = self._record_in(report)
        self._taken_over += hasattr(report, TAKEN_OVER)
        if is_case_id(report.nodeid):
            self._name_in_junit(report)
            tell_first_line(report)
        if record is not None:
            # before the other plugins' reporters, which may raise
            self._take(record, getattr(report, RECORD, None), attempt=1 + getattr(report, RERUN, 0))
        yield
        if record is not None and getattr(report, RECORD, None) is None:
            # nothing more comes of a lost item that would bring its properties
            for plugin in self._junit_writers:
                plugin.finalize(report)

    # around the one above: pytest calls what is registered last first
    @pytest.hookimpl(specname="pytest_runtest_logreport", wrapper=True, tryfirst=True)
    def pytest_runtest_logreport_without_samples(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Drop the samples, which stand in the file then: pytest keeps each report until the session ends."""
        try:
            yield
        finally:
            for latency in (getattr(report, RECORD, None) or {}).get("latencies", ()):
                if isinstance(latency["samples_ns"], str):
                    latency["samples_ns"] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
        """With `-v`, let pytest's own line of a benchmark tell its latency."""
        text = getattr(report, MEASURED, "")
        if not text or not report.passed or hasattr(report, "wasxfail") or config.option.verbose <= 0:
            return None
        return "passed", ".", (f"PASSED {text}", {"green": True})

    def take_all(self, found: Iterable[Mapping[str, Any]], attempt: int) -> None:
        """Keep the records of an attempt at a user's own test, as builtins."""
        for data in found:
            self._take(from_dict(Record, data), data, attempt)

    def pytest_unconfigure(self) -> None:
        self._signals.restore()

    def _take(self, record: Record, data: Mapping[str, Any] | None, attempt: int) -> None:
        with self._signals.waiting():
            self._keep(record, data, attempt)

    def _keep(self, record: Record, data: Mapping[str, Any] | None, attempt: int) -> None:
        attempt += self._earlier_attempts.get(record.nodeid, 0)
        if attempt > 1:
            record, data = dataclasses.replace(record, attempt=attempt), data and {**data, "attempt": attempt}
        if record.error_pictures and self._problem is None:
            record, data = self._with_page(record), None
        self._records.append(record)
        self._ran.add(record.nodeid)
        if self._problem is None:
            self._write(record, data)

    def _record_in(self, report: pytest.TestReport) -> Record | None:
        data = getattr(report, RECORD, None)
        if data is not None:
            return from_dict(Record, data)
        worker = getattr(getattr(report, "node", None), "gateway", None)
        if worker is None or str(report.when) != "???":
            return None
        # pytest-xdist's own report of an item that took its worker along
        record = record_of_lost_item(report.nodeid, getattr(worker, "id", None), str(report.longrepr), self._model_of)
        if record is not None:
            report.when = "call"
            report.user_properties = properties(record)
        return record

    def _model_of(self, case: CaseId) -> Model | None:
        """Return the model of a case, from its list: under pytest-xdist the controller has collected nothing."""
        return next((model for model in self._models_of(case.source or "") if model.name == case.model), None)

    @functools.cache  # noqa: B019 - lives as long as the process
    def _models_of(self, source: str) -> tuple[Model, ...]:
        config = self._run.config
        arguments = (absolute(argument.partition("::")[0], config) for argument in config.args)
        paths = (*self._run.settings.models, *arguments, config.rootpath / source)
        path = next((path for path in paths if source_id(path, config.rootpath) == source), None)
        try:
            return read_models(path, workspace=self._run.settings.execution.workspace) if path else ()
        except OrtPerfError:
            return ()  # it has changed meanwhile

    def _name_in_junit(self, report: pytest.TestReport) -> None:
        # CI systems that know a test by its name alone would take one model's "benchmark[cuda]" for all of them
        for plugin in self._junit_writers:
            plugin.node_reporter(report).add_attribute("name", report.nodeid)

    @functools.cached_property
    def _junit_writers(self) -> list[Any]:
        # looked for once: every report of a run of thousands of items passes here
        return [plugin for plugin in self._run.config.pluginmanager.get_plugins() if hasattr(plugin, "node_reporter")]

    def _write(self, record: Record, data: Mapping[str, Any] | None) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.append(record, data)
        except ResultsFileError as error:
            # to measure on would lose all that follows; what is known so far is shown at the end
            self._problem = str(error)
            self._stop(f"results cannot be written: {error}")

    def _with_page(self, record: Record) -> Record:
        """Return the record with the path of its page of pictures, written now: a run may not come to its end."""
        from pytest_ortperf.reports.pictures.picture_page import write_failure_page

        try:
            if self._file is None:
                self._file = self._open()
            path = write_failure_page(record, self._file.path)
        except (ResultsFileError, OSError) as error:
            # whether results can be written at all is found out, and told, with the record itself
            return dataclasses.replace(record, kept={**record.kept, "refused": f"picture: {error}"})
        return dataclasses.replace(record, kept={**record.kept, "picture": str(path)})

    def _stop(self, reason: str) -> None:
        self._session.shouldstop = reason
        distributed = self._run.config.pluginmanager.getplugin("dsession")
        if distributed is not None:
            # pytest-xdist's controller looks at its own flag alone
            distributed.shouldstop = reason

    def _open(self) -> RecordsFile:
        folder = self._run.settings.results
        run = new_run_id(folder, self._started.astimezone())
        self._header = self._make_header(run)
        return RecordsFile.create(folder, run, self._header)

    def _make_header(self, run: str) -> RunHeader:
        settings = self._run.settings
        config = self._run.config
        unusable: dict[str, str] = config.stash.get(left_out_key, {})
        return RunHeader(
            schema=SCHEMA,
            run=run,
            started=self._started.isoformat(timespec="milliseconds"),
            command=("pytest", *(without_password(str(each)) for each in config.invocation_params.args)),
            options=_without_password(options.effective(config)),
            labels=self._labels,
            reference_provider=settings.reference_ep,
            providers=tuple(row.name for row in settings.axes.providers),
            unusable_providers=unusable,
            environment=collect_environment(nvml_gpus(), workspace=settings.execution.workspace),
            machine=config.stash.get(machine_key, MachineNotes()).findings,
            selection=selection_of(config),
            collected=self._collected,
        )

    # around pytest's own work, its JUnit file among it, and before its summary
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        self._finish_junit()
        try:
            yield
        finally:
            # whatever another plugin does at the end
            self._finish(session, exitstatus)

    def _finish_junit(self) -> None:
        """Give the test cases in JUnit XML their final form, before pytest writes it."""
        for plugin in self._junit_writers:
            for reporter in plugin.node_reporters_ordered:
                case = reporter.to_xml()
                finish_case(case, plugin.family, plugin.prefix)
                reporter.to_xml = functools.partial(_as_it_is, case)
            for name, value in run_properties(self._header) if self._header else ():
                plugin.add_global_property(name, value)

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        engines = self._run.settings.execution.trt_cache_folder
        if engines is not None and engines.exists():
            from pytest_ortperf.execution.session.engine_cache import remove_run_cache

            remove_run_cache(self._run.settings.execution)
        if self._header is None or self._file is None:
            return
        machine = self._run.config.stash.get(machine_key, MachineNotes())
        self._end = RunEnd(
            ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
            duration_ns=time.perf_counter_ns() - self._started_ns,
            # whose terminal is gone, pytest may not come to know of its interrupt
            exit_status=int(exitstatus or (pytest.ExitCode.INTERRUPTED if self._signals.reason else 0)),
            collected=self._collected,
            canary_before=machine.canary_before,
            canary_after=machine.canary_after,
            machine=machine.run_findings,
            stopped=self._signals.reason or _reason_to_stop(session),
            deselected=self.deselected,
        )
        from pytest_ortperf.reports.ci_output import append_step_summary
        from pytest_ortperf.reports.writers import write_reports

        try:
            if self._problem is None:
                self._file.end(self._end)
            comparison = self._run.config.stash.get(comparison_key, None)
            stored, settings = self._stored(self._header), self._run.settings
            written = write_reports(stored, settings.results, comparison, csv=settings.csv)
            self._written = [self._file.path, *written]
            if self._shows_in_ci:
                append_step_summary(stored, environ, comparison)
        except (ResultsFileError, OSError) as error:
            self._problem = self._problem or str(error)
        if self._problem:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        url = history_url(self._run.config)
        if url is not None:
            from pytest_ortperf.history.adding import keep_run

            self._in_history = keep_run(url, self._file.path, self._run.config.get_terminal_writer().line)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._header is None:
            return
        from pytest_ortperf.reports.ci_output import ci_lines
        from pytest_ortperf.reports.terminal.summary import summary_lines

        lines = summary_lines(
            self._stored(self._header),
            width=self._run.config.get_terminal_writer().fullwidth,
            files=self._written,
            results=self._run.settings.results,
            verbose=terminalreporter.verbosity > 0,
        )
        terminalreporter.section("ortperf")
        for text, markup in lines:
            terminalreporter.line(text, **markup)
        if self._resumed and self._taken_over:
            text = f"resumed: {self._taken_over} cases taken over from before, {len(self._ran)} run now"
            terminalreporter.line(text)
        if self._signals.reason:
            terminalreporter.line("to go on where it stopped: the same command with --ortperf-resume")
        if self._problem:
            terminalreporter.line(self._problem, red=True)
        if self._in_history:
            text, is_there = self._in_history
            terminalreporter.line(text, yellow=not is_there)
        if self._shows_in_ci:
            for line in ci_lines(self._stored(self._header), tuple(self._written), environ):
                terminalreporter.line(line)

    @property
    def _shows_in_ci(self) -> bool:
        return bool(options.given(self._run.config, "ci") != "off")

    @property
    def deselected(self) -> tuple[str, ...]:
        """Node ids of cases that were left out on purpose; under pytest-xdist, when its workers have ended."""
        found: Any = self._run.config.pluginmanager.getplugin("ortperf-lazy-recording")
        return tuple(found.deselected) if found else ()

    @property
    def stored(self) -> StoredRun | None:
        """The run so far; `None` before its first record."""
        return None if self._header is None else self._stored(self._header)

    def _stored(self, header: RunHeader) -> StoredRun:
        return StoredRun(
            path=records_path(self._run.settings.results, header.run),
            header=header,
            records=last_attempts(self._records),
            end=self._end,
        )


def _without_password(given: Mapping[str, object]) -> dict[str, object]:
    return {name: without_password(value) if isinstance(value, str) else value for name, value in given.items()}


def _reason_to_stop(session: pytest.Session) -> str | None:
    """Return why a run ends before its last case; pytest-xdist's controller has flags of its own."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    flags = [getattr(each, name, False) for each in (session, distributed) for name in ("shouldfail", "shouldstop")]
    return next((str(flag) for flag in flags if flag), None)
