"""A case opened in a child with a deadline, for checks that may crash, hang or use up memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError, OrtPerfError
from pytest_ortperf.execution.case_flow import Execution
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.lease import lease
from pytest_ortperf.execution.measure import BenchmarkContext
from pytest_ortperf.execution.process.child import ChildEnd, answer_of
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.records.record import Failure

if TYPE_CHECKING:
    import onnxruntime

T = TypeVar("T")

FACTS = ("model_fact", "session", "placement", "inputs", "assumed_dims", "stage_ns", "reason")
"""What the child tells of the case beside the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The case inside the child."""

    bench: BenchmarkContext
    tell: Callable[[str], None]
    """Prints a line of progress past the journal."""

    @property
    def case(self) -> Case:
        """With the sizes that were assumed."""
        return self.bench.case

    @property
    def facts(self) -> RecordBuilder:
        """Of the case."""
        return self.bench.facts

    def create(self) -> onnxruntime.InferenceSession:
        """Return one more session, after a first one was opened and proved."""
        bench = self.bench
        return create_session(bench.source(), bench.case, bench.settings, bench.hooks).session


@dataclass(frozen=True, slots=True)
class _Answer:
    answer: Any
    failure: Failure | None
    facts: dict[str, Any]


class CheckEndedError(Exception):
    """A check that came to no answer.

    Attributes:
        failure: What went wrong in the case; `None` if its process ended.
        end: How its process ended; `None` if it lived.
    """

    def __init__(self, failure: Failure | None, end: ChildEnd | None) -> None:
        super().__init__(failure.message if failure else f"{end}")
        self.failure = failure
        self.end = end


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCase:
    """A case, and where what becomes known of it goes."""

    case: Case
    """A validation: nothing is timed."""

    settings: ExecutionSettings
    hooks: SessionHooks
    facts: RecordBuilder

    def in_child(self, work: Callable[[Opened], T], deadline_s: float, hooks: SessionHooks | None = None) -> T:
        """Return what `work` returns in a child that has the case prepared.

        Args:
            work: Runs in the child.
            deadline_s: The child is killed then.
            hooks: Instead of the case's own.

        Raises:
            CheckEndedError: If there is no answer.
        """
        if self.case.provider.runner != "onnxruntime":
            raise CaseError(
                f"{self.case.provider.name} is a program: it has no session that could be checked. Check the case on "
                f"the provider tensorrt",
                stage="settings",
                kind="environment",
            )
        journal = self.facts.journal
        journal.reset()

        def answer() -> _Answer:
            journal.note(pid=os.getpid())
            journal.catch_faults()
            return self._answer(work, hooks or self.hooks, journal)

        found = answer_of(answer, deadline_s)
        if isinstance(found, ChildEnd):
            raise CheckEndedError(None, found)
        for name, value in found.facts.items():
            setattr(self.facts, name, value)
        if found.failure is not None:
            raise CheckEndedError(found.failure, None)
        result: T = found.answer
        return result

    def _answer(self, work: Callable[[Opened], T], hooks: SessionHooks, journal: Journal) -> _Answer:
        facts = dataclasses.replace(self.facts)
        facts.stage_ns = dict(facts.stage_ns)
        answer, failure = None, None
        with closing(os.fdopen(os.dup(2), "w", buffering=1)) as terminal:

            def tell(line: str) -> None:
                terminal.write(f"{line}\n")

            with journal.capture_output():
                try:
                    with lease(self.case, self.settings, facts):
                        bench = Execution(self.case, self.settings, facts, hooks).bench()
                        answer = work(Opened(bench=bench, tell=tell))
                except CaseError as error:
                    failure = Failure(
                        kind=error.kind, stage=error.stage, message=str(error), log_tail=journal.log_tail()
                    )
                except OrtPerfError as error:
                    failure = Failure(kind="internal error", stage=facts.stage, message=str(error))
        return _Answer(answer, failure, {name: getattr(facts, name) for name in FACTS})
