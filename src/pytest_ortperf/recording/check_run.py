"""What `ortperf check` finds out, written as a run of one record into the results folder."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path

from pytest_ortperf.cases.case_id import CaseId, Mode
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.environment.labels import collect_labels
from pytest_ortperf.records.environment.run_header import RunEnd, RunHeader, Selection
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import SCHEMA, RecordsFile, StoredRun, new_run_id
from pytest_ortperf.reports.writers import write_reports
from pytest_ortperf.running.case_item import CaseItem
from pytest_ortperf.running.outcome import OWN_DEADLINE
from pytest_ortperf.running.run import Run
from pytest_ortperf.settings import options

MODE: Mode = "check"
"""Of the record and of its run."""


@dataclass(kw_only=True)
class CheckAttempt:
    """The check of an item's case, as records are made of it."""

    case: Case
    run: Run
    facts: RecordBuilder | None
    nodeid: str
    timeout_s: float
    isolation: str = "forked"
    crash_expected: bool = False
    timeout_origin: str = OWN_DEADLINE
    entry_key: str | None = None

    @classmethod
    def of(cls, item: CaseItem, facts: RecordBuilder) -> CheckAttempt:
        """Return the attempt of an item; what becomes known goes to the facts."""
        known = CaseId.parse(item.nodeid)
        return cls(
            case=dataclasses.replace(item.case, mode=MODE),
            run=item.run,
            facts=facts,
            nodeid=known.in_mode(MODE).nodeid if known else item.nodeid,
            timeout_s=item.timeout_s,
        )

    def commands(self, _: str | None, /) -> Mapping[str, str]:
        """Return the command that is running, which makes the check again."""
        return {"run it again": shlex.join(["ortperf", *sys.argv[1:]])}


def write_check(item: CaseItem, record: Record, command: Sequence[str], exit_status: int) -> list[Path]:
    """Write the run and its reports; return the paths, the records first.

    Args:
        item: Of the case.
        record: Of the check.
        command: That asked for it.
        exit_status: Of the command.

    Raises:
        ResultsFileError: If they cannot be written.
    """
    config, settings = item.config, item.run.settings
    run = new_run_id(settings.results, datetime.fromisoformat(record.started).astimezone())
    header = RunHeader(
        schema=SCHEMA,
        run=run,
        started=record.started,
        command=tuple(command),
        options={**options.effective(config), "mode": MODE},
        labels=collect_labels(settings.labels, config.rootpath, environ),
        reference_provider=settings.reference_ep,
        providers=(record.provider,),
        environment=collect_environment(nvml_gpus(), workspace=settings.execution.workspace),
        selection=Selection(arguments=(record.nodeid,), providers=(record.provider,)),
        collected=1,
    )
    now = datetime.now(UTC)
    end = RunEnd(
        ended=now.isoformat(timespec="milliseconds"),
        duration_ns=int((time.time() - datetime.fromisoformat(record.started).timestamp()) * 1e9),
        exit_status=exit_status,
        collected=1,
    )
    with RecordsFile.create(settings.results, run, header) as file:
        file.append(record)
        file.end(end)
        stored = StoredRun(path=file.path, header=header, records=(record,), end=end)
    return [stored.path, *write_reports(stored, settings.results, csv=settings.csv)]
