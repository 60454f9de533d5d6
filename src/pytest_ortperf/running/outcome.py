"""How an item ended -> its record: passed, failed, skipped, crashed, timed out, or lost with its worker."""

from __future__ import annotations

import dataclasses
import signal as signals
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.cases.matrix import Case, applies
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import known_provider
from pytest_ortperf.cases.rules import Condition
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.process.child import ChildEnd
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder, last_lines
from pytest_ortperf.execution.session.runtime_log import clean
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import Failure, ModelFact, Record
from pytest_ortperf.running.limits import check_limits, limits_problem
from pytest_ortperf.running.run import Run

_HINTS: dict[int, str] = {
    signals.SIGKILL: "; often the kernel's out-of-memory killer, see dmesg",
    signals.SIGABRT: "; native code gave up, see the log below",
}


OWN_DEADLINE = "--ortperf-timeout or the model list's timeout"
PYTEST_TIMEOUT = "the --timeout of pytest-timeout"
"""What gives a case more time."""


class Attempt(Protocol):
    """A case that is run: an item of a model list, or a call in a user's own test."""

    case: Case
    run: Run
    facts: RecordBuilder | None

    @property
    def isolation(self) -> str:
        """What keeps it apart, for its record."""

    @property
    def nodeid(self) -> str:
        """Of the pytest item."""

    @property
    def timeout_s(self) -> float:
        """Deadline."""

    @property
    def timeout_origin(self) -> str:
        """What gives more time than that."""

    @property
    def entry_key(self) -> str | None:
        """What the model list says of it, as a hash; `None` for a test's own case."""

    @property
    def crash_expected(self) -> bool:
        """Whether a crash is no failure."""

    def commands(self, kind: str | None, /) -> Mapping[str, str]:
        """Return what to do with it, by what it is good for; the kind is that of its failure."""


def record_of(item: Attempt, outcome: str, *, failure: Failure | None = None, reason: str | None = None) -> Record:
    """Return the record of an item from what its facts hold."""
    known = item.facts.reason if item.facts else None
    return Record(
        **_identity(item),
        **_measured(item.facts),
        outcome=outcome,
        failure=failure,
        reason=reason or known,
        commands=item.commands(failure.kind if failure else None),
    )


def failure_of(item: Attempt, error: BaseException, captured: str = "") -> Failure:
    """Return the failure that an exception of an item means.

    Args:
        item: Whose.
        error: What ended it.
        captured: What pytest captured of its output; the log where the journal's is empty.
    """
    journal = item.facts.journal if item.facts else item.run.journal
    tail = journal.log_tail() or last_lines(captured)
    if isinstance(error, CaseError):
        return Failure(
            kind=error.kind,
            stage=error.stage,
            message=str(error),
            signal=error.signal,
            exit_code=error.exit_code,
            log_tail=tail,
        )
    stage = item.facts.stage if item.facts else None
    return Failure(kind="internal error", stage=stage, message=error_text(error), log_tail=tail)


def expected_failure(item: Attempt) -> Condition | None:
    """Return the model list's `xfail` that is about this item."""
    return next((condition for condition in item.case.model.xfail if applies(condition, item.case)), None)


def crash_of(item: Attempt, end: ChildEnd, journal: Journal) -> Record:
    """Return the record of an item whose process ended without a report, from what its journal holds."""
    stage = journal.latest("stage")
    failure = Failure(
        kind="timeout" if end.timed_out else "crash",
        stage=stage,
        message=_crash_text(end, stage, item),
        signal=end.signal,
        exit_code=end.exit_code,
        log_tail=journal.log_tail(),
    )
    item.facts = dataclasses.replace(
        item.facts or RecordBuilder(journal=journal), latencies=_journaled(journal), model_fact=_model_of(journal)
    )
    outcome = "timed_out" if end.timed_out else "crashed"
    if item.crash_expected:
        expected = expected_failure(item)
        return record_of(item, "xfailed", failure=failure, reason=expected.reason if expected else None)
    return record_of(item, outcome, failure=failure)


def require_limits(item: Attempt) -> None:
    """Hold what a case measured against the limits of its model.

    Raises:
        CaseError: Kind `limit`, if one is not kept, or is about something that was not measured.
    """
    if item.facts is None or not item.case.model.limits:
        return
    with item.facts.entering("limits"):
        item.facts.limits = check_limits(record_of(item, "passed"), item.case.model.limits)
        problem = limits_problem(item.facts.limits)
        if problem:
            raise CaseError(problem, stage="limits", kind="limit")


def is_case_id(nodeid: str) -> bool:
    """Whether a node id has the form of a case item's."""
    return CaseId.parse(nodeid) is not None


def record_of_lost_item(
    nodeid: str, worker: str | None, text: str, model_of: Callable[[CaseId], Model | None]
) -> Record | None:
    """Return the record of an item that died with its pytest-xdist worker; `None` if it is not ours.

    Only its id is left in the controller, so the identity is read from there.

    Args:
        nodeid: Of the item.
        worker: Its name.
        text: What pytest-xdist says.
        model_of: Finds the model in its list.
    """
    case = CaseId.parse(nodeid)
    if case is None:
        return None
    row = known_provider(case.provider)
    model = model_of(case)
    return Record(
        case_id=case.format(),
        nodeid=nodeid,
        model=case.model,
        mode=case.mode,
        provider=case.provider,
        provider_full_name=row.full_name if row else case.provider,
        precision=case.precision,
        dims=dict(case.dims),
        tags=model.tags if model else (),
        group=model.group if model else None,
        line=model.line if model else None,
        outcome="crashed",
        failure=Failure(kind="crash", stage=None, message=text),
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        worker=worker,
        isolation="none",
    )


def _identity(item: Attempt) -> dict[str, Any]:
    case = item.case
    return {
        "case_id": case.case_id,
        "nodeid": item.nodeid,
        "model": case.model.name,
        "mode": case.mode,
        "provider": case.provider.name,
        "provider_full_name": case.provider.full_name,
        "precision": case.precision,
        "dims": dict(case.dims),
        "tags": case.model.tags,
        "group": case.model.group,
        "line": case.model.line,
        "worker": item.run.worker,
        "isolation": item.isolation,
        "entry_key": item.entry_key,
    }


def _measured(facts: RecordBuilder | None) -> dict[str, Any]:
    if facts is None:
        return {"started": datetime.now(UTC).isoformat(timespec="milliseconds")}
    return {
        "started": facts.started,
        "duration_ns": facts.duration_ns,
        "stage_ns": dict(facts.stage_ns),
        "model_fact": facts.model_fact,
        "session": facts.session,
        "placement": facts.placement,
        "inputs": facts.inputs,
        "assumed_dims": dict(facts.assumed_dims),
        "latencies": facts.latencies,
        "refused_timings": dict(facts.refused_timings),
        "timing_notes": dict(facts.timing_notes),
        "copies": facts.copies,
        "concurrent": facts.concurrent,
        "operators": facts.operators,
        "program": facts.program,
        "resources": facts.resources,
        "accuracy": facts.accuracy,
        "checks": facts.checks,
        "leak_check": facts.leak_check,
        "valgrind_check": facts.valgrind_check,
        "thread_check": facts.thread_check,
        "validation": facts.validation,
        "error_pictures": facts.error_pictures,
        "limits": facts.limits,
        "machine": facts.machine,
        "canary": facts.canary,
        "kept": dict(facts.kept),
        "log": tuple(clean(facts.journal.log_tail())),
    }


def _journaled(journal: Journal) -> tuple[Latency, ...]:
    samples: dict[str, list[int]] = {}
    warmups: dict[str, int] = {}
    for noted in (entry["samples"] for entry in journal.entries() if "samples" in entry):
        samples.setdefault(noted["timing"], []).extend(noted["ns"])
        warmups[noted["timing"]] = noted["warmup"]
    return tuple(
        Latency(timing=timing, samples_ns=tuple(found), warmup_iterations=warmups[timing])
        for timing, found in samples.items()
        if found
    )


def _model_of(journal: Journal) -> ModelFact | None:
    noted = journal.latest("model")
    return None if noted is None else from_dict(ModelFact, noted)


def _crash_text(end: ChildEnd, stage: str | None, item: Attempt) -> str:
    where = f" in stage {stage}" if stage else " before its first stage"
    if end.timed_out:
        return (
            f"timed out after {item.timeout_s:g} s{where}; its process was killed. "
            f"Give it more with {item.timeout_origin}"
        )
    if end.signal is not None:
        known = {number.value: number for number in signals.Signals}.get(end.signal)
        name = known.name if known else "unknown"
        return f"crashed with signal {end.signal} ({name}){where}{_HINTS.get(end.signal, '')}"
    return f"its process ended by itself with exit status {end.exit_code}{where}, without a result"


def error_text(error: BaseException) -> str:
    """Return what an error says, for people; the headline above it names the case."""
    if isinstance(error, CaseError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"asked the interpreter to exit with {error.code!r}"
    return f"{type(error).__name__}: {error}"
