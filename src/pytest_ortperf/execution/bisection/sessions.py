"""Sessions that may die: each in a forked child, counted, and with what it came to as the answer."""

from __future__ import annotations

import dataclasses
import itertools
import signal as signals
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData, case_data, cast_floats
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.process.child import Child, ChildEnd
from pytest_ortperf.execution.record_builder import Journal
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.execution.session.run_errors import wanted_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A session that gave no outputs."""

    symptom: str
    """`crash`, `timeout` or `error`."""

    kind: str
    stage: str | None
    text: str
    log_tail: tuple[str, ...] = ()
    data_set: str | None = None
    """On which it died, if it came as far."""

    step: int | None = None
    """Of a loop, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What one session gave."""

    outputs: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """The model as the case runs it."""

    data: CaseData | None
    """`None` if it broke before there were any."""

    result: Computed | Broken


Answer: TypeAlias = Computed | Broken

MOST_STEPS = 1000
"""Iterations of a loop that are looked at."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A model, and which values it gives."""

    source: Path
    outputs: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run of what a node holds: a branch, or a loop's body in one iteration."""

    number: int
    """From 0."""

    feeds: Mapping[str, Value]
    right: Mapping[str, Value]
    """What the reference computes from them."""

    computed: Mapping[str, Value] = field(default_factory=dict)
    """What the provider computes from them; nothing if it broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The runs of what a node holds, one after the other, each on the reference's values."""

    first: Mapping[str, Value]
    """What the first one is fed."""

    after: Callable[[Step], Mapping[str, Value] | None]
    """Returns what the next one is fed; `None` after the last."""


class Sessions:
    """Makes the sessions of one search.

    Attributes:
        count: Sessions begun so far, those that broke included.
    """

    def __init__(self, case: Case, settings: ExecutionSettings, hooks: SessionHooks, timeout_s: float) -> None:
        self._case = case
        self._settings = settings
        self._hooks = hooks
        self._timeout_s = timeout_s
        self._plain = dataclasses.replace(case, provider=CPU, precision=None)
        self._plain_settings = dataclasses.replace(settings, graph_optimization="disable")
        self.count = 0

    def data_sets(self, source: Path) -> list[WholeRun]:
        """Return what the whole model gives for each data set of the case, on its provider.

        After the first data set that breaks, no other is run.
        """
        answer = self._ask(lambda journal: self._run_data_sets(source, journal))
        if isinstance(answer, Broken):
            return [WholeRun(data=None, result=answer)]
        runs: list[WholeRun] = answer
        return runs

    def reference_data(self, source: Path, name: str | None) -> CaseData:
        """Return a data set, read for the reference model: what is left where the case's own session dies.

        Args:
            source: The reference model.
            name: Of the data set; the first where it is not known.

        Raises:
            CaseError: If the CPU cannot even create a session.
        """

        def read(_: Journal) -> CaseData:
            session = create_session(str(source), self._plain, self._plain_settings, self._hooks).session
            found = case_data(session, self._case, self._settings)
            return next(data for data in found if name in (None, data.name))

        answer = self._ask(read)
        if isinstance(answer, Broken):
            raise reference_error(answer)
        data: CaseData = answer
        return data

    def candidate(self, source: Path, feeds: Mapping[str, Value], outputs: Sequence[str]) -> Answer:
        """Return values that a model computes on the provider of the case."""
        return self._run(source, self._case, self._settings, (feeds, outputs))

    def reference(self, source: Path, feeds: Mapping[str, Value], outputs: Sequence[str]) -> Mapping[str, Value]:
        """Return values that a model computes on the CPU, graph optimisation off.

        Raises:
            CaseError: Stage `reference`, if it cannot.
        """
        answer = self._run(source, self._plain, self._plain_settings, (feeds, outputs))
        if isinstance(answer, Broken):
            raise reference_error(answer)
        return answer.outputs

    def first_step(
        self,
        steps: Steps,
        reference: Shown,
        candidate: Shown,
        is_wrong: Callable[[Step], bool],
    ) -> Step | Broken | None:
        """Return the first step that is wrong; `None` if no step is, and how it ended if one breaks.

        Both models run side by side in one process, which counts as two sessions.

        Args:
            steps: What is fed.
            reference: Runs on the CPU, graph optimisation off.
            candidate: Runs on the provider of the case.
            is_wrong: Judges a step.
        """

        def walk(journal: Journal) -> Step | None:
            right = self._opened(reference.source, self._plain, self._plain_settings)
            mine: onnxruntime.InferenceSession | None = None
            for step in _walked(right, reference, steps):
                journal.note(step=step.number)
                mine = mine or self._opened(candidate.source, self._case, self._settings)
                both = dataclasses.replace(step, computed=_computed(mine, step.feeds, candidate.outputs).outputs)
                if is_wrong(both):
                    return both
            return None

        self.count += 1
        answer: Step | Broken | None = self._ask(walk)
        return answer

    def step_at(self, steps: Steps, reference: Shown, number: int) -> Step:
        """Return a step as the reference computes it.

        Raises:
            CaseError: Stage `reference`, if it cannot.
        """

        def walk(_: Journal) -> Step:
            right = self._opened(reference.source, self._plain, self._plain_settings)
            return next(itertools.islice(_walked(right, reference, steps), number, None))

        answer: Step | Broken = self._ask(walk)
        if isinstance(answer, Broken):
            raise reference_error(answer)
        return answer

    def _opened(self, source: Path, case: Case, settings: ExecutionSettings) -> onnxruntime.InferenceSession:
        session = create_session(str(source), case, settings, self._hooks).session
        self._hooks.before_first_run(session)
        return session

    def _run(
        self,
        source: Path,
        case: Case,
        settings: ExecutionSettings,
        request: tuple[Mapping[str, Value], Sequence[str]],
    ) -> Answer:
        def run(_: Journal) -> Computed:
            return _computed(self._opened(source, case, settings), *request)

        answer: Answer = self._ask(run)
        return answer

    def _run_data_sets(self, source: Path, journal: Journal) -> list[WholeRun]:
        session = create_session(str(source), self._case, self._settings, self._hooks).session
        wanted = wanted_outputs(session, self._case)
        self._hooks.before_first_run(session)
        runs = []
        for data in case_data(session, self._case, self._settings):
            journal.note(data_set=data.name)
            runs.append(WholeRun(data=data, result=_run_once(session, wanted, data)))
            if isinstance(runs[-1].result, Broken):
                break
        return runs

    def _ask(self, work: Callable[[Journal], Any]) -> Any:
        """Return what work gives in a child, or how that ended."""
        self.count += 1
        journal = Journal()

        def serve(_: Any) -> Any:
            journal.catch_faults()
            with journal.capture_output():
                try:
                    return work(journal)
                except CaseError as error:
                    return Broken(symptom="error", kind=error.kind, stage=error.stage, text=str(error))
                except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common base
                    return _broken_run(error)

        child = Child(serve)
        try:
            answer = child.ask("run", self._timeout_s)
            if isinstance(answer, ChildEnd):
                answer = _broken_child(answer, self._timeout_s, journal)
            return dataclasses.replace(answer, step=journal.latest("step")) if isinstance(answer, Broken) else answer
        finally:
            child.end()
            journal.close()


def reference_error(broken: Broken) -> CaseError:
    """Return the error of a reference that cannot be computed."""
    return CaseError(
        f"no reference: the CPU provider cannot run this part of the model with graph optimisation off: {broken.text}",
        stage="reference",
        kind="runtime error",
    )


def _walked(session: onnxruntime.InferenceSession, reference: Shown, steps: Steps) -> Iterator[Step]:
    feeds: Mapping[str, Value] | None = steps.first
    for number in range(MOST_STEPS):
        if feeds is None:
            return
        step = Step(number=number, feeds=feeds, right=_computed(session, feeds, reference.outputs).outputs)
        yield step
        feeds = steps.after(step)


def _computed(session: onnxruntime.InferenceSession, feeds: Mapping[str, Value], outputs: Sequence[str]) -> Computed:
    metas = session.get_inputs()
    known = {meta.name for meta in (*metas, *session.get_overridable_initializers())}
    inputs = cast_floats({name: value for name, value in feeds.items() if name in known}, metas)
    runner = ModelRunner(session, list(outputs), inputs)
    return Computed(outputs=dict(zip(runner.output_names, runner.run(), strict=True)))


def _run_once(session: onnxruntime.InferenceSession, wanted: list[str] | None, data: CaseData) -> Answer:
    try:
        runner = ModelRunner(session, wanted, data.inputs)
        return Computed(outputs=dict(zip(runner.output_names, runner.run(), strict=True)))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common base
        return _broken_run(error)


def _broken_run(error: Exception) -> Broken:
    text = f"the run failed: {type(error).__name__}: {str(error).strip()}"
    return Broken(symptom="error", kind="runtime error", stage="first_run", text=text)


def _broken_child(end: ChildEnd, timeout_s: float, journal: Journal) -> Broken:
    symptom, text = "crash", f"no result after {timeout_s:g} s"
    if end.timed_out:
        symptom = "timeout"
    elif end.signal is None:
        text = f"its process ended by itself with exit status {end.exit_code}"
    else:
        known = {number.value: number.name for number in signals.Signals}
        text = f"crashed with signal {end.signal} ({known.get(end.signal, 'unknown')})"
    return Broken(
        symptom=symptom,
        kind=symptom,
        stage=None,
        text=text,
        log_tail=journal.log_tail(),
        data_set=journal.latest("data_set"),
    )
