"""The whole flow of one case: model file -> precision -> session -> placement -> inputs -> accuracy | latency."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy import choose_tolerance, compare, tolerance_precision
from pytest_ortperf.execution.calls import running, wanted_outputs
from pytest_ortperf.execution.case_data import CaseData, case_data, cast_like, tensor_facts
from pytest_ortperf.execution.engine_files import engines_of
from pytest_ortperf.execution.facts import Facts
from pytest_ortperf.execution.inspection import keep_files
from pytest_ortperf.execution.lease import lease
from pytest_ortperf.execution.machine_state import refuse_machine
from pytest_ortperf.execution.measure import Bench, measure
from pytest_ortperf.execution.nvml import NoGpu
from pytest_ortperf.execution.opening import open_session
from pytest_ortperf.execution.operator_profile import note_operators
from pytest_ortperf.execution.precision import PreparedModel, prepare_model, second_try
from pytest_ortperf.execution.reference import cpu_reference
from pytest_ortperf.execution.resource_meter import ResourceMeter, resource_meter
from pytest_ortperf.execution.session import SessionHooks
from pytest_ortperf.execution.settings import ExecutionSettings
from pytest_ortperf.execution.tensor_types import Value
from pytest_ortperf.execution.values import Runner
from pytest_ortperf.records.record import DataSetAccuracy, SessionFact


def execute(
    case: Case,
    settings: ExecutionSettings,
    facts: Facts,
    hooks: SessionHooks,
    *,
    validate_first: bool = False,
) -> None:
    """Run one case; everything it finds goes to `facts`, everything it prints to their journal's log.

    Args:
        case: What to run.
        settings: How.
        facts: Filled step by step, so that a failure keeps what came before it.
        hooks: The users'.
        validate_first: Whether a benchmark compares outputs by itself.

    Raises:
        CaseError: With the stage and kind of what went wrong.
    """
    execution = kind_of(case)(case, settings, facts, hooks)
    with facts.journal.capture_output(), lease(case, settings, facts):
        try:
            if case.mode == "validate":
                execution.validate()
            else:
                with resource_meter(case, settings, facts) as execution.meter:
                    execution.benchmark(validate_first=validate_first)
                # outside: the memory of this session is not that of the case
                execution.profile()
        finally:
            execution.keep_files()


def kind_of(case: Case) -> type[Execution]:
    """Return what runs a case: sessions of ONNX Runtime, or an external program."""
    if case.provider.runner == "onnxruntime":
        return Execution
    from pytest_ortperf.execution.trtexec.runner import TrtexecExecution

    return TrtexecExecution


class Execution:
    """One case on its way; what becomes known goes to its facts at once."""

    def __init__(self, case: Case, settings: ExecutionSettings, facts: Facts, hooks: SessionHooks) -> None:
        self.case = case
        self.settings = settings
        self.facts = facts
        self.hooks = hooks
        self.meter = ResourceMeter(facts, NoGpu("nothing is measured"), takes=False)
        self._prepared: PreparedModel | None = None

    def validate(self) -> None:
        """Compare the outputs of every data set with their references.

        Raises:
            CaseError: The first thing that went wrong; all data sets are compared before a mismatch counts.
        """
        self._prepare()
        session = self._open()
        self._validate(session)

    def benchmark(self, *, validate_first: bool) -> None:
        """Time iterations on the first data set.

        Args:
            validate_first: Compare outputs before; a mismatch ends the case.

        Raises:
            CaseError: As `validate`.
        """
        refuse_machine(self.settings)
        self._prepare()
        began_ns = time.time_ns()
        session = self._open()
        engines = engines_of(self._session_fact, began_ns)
        if validate_first:
            self._validate(session)
        creation_ns = self._session_fact.creation_ns
        # two sessions at once would hold the memory twice
        del session
        measure(self._bench(creation_ns, engines))

    def _bench(self, creation_ns: int, engines: str | None) -> Bench:
        """Return what `measure` needs; it opens the sessions itself, so that it can let go of them."""

        def reopen() -> onnxruntime.InferenceSession:
            session = self._open()
            second_ns = self._session_fact.creation_ns
            self._note_session(creation_ns=creation_ns, second_creation_ns=second_ns, engines=engines)
            return session

        return Bench(
            case=self.case,
            settings=self.settings,
            facts=self.facts,
            hooks=self.hooks,
            meter=self.meter,
            open=reopen,
            source=lambda: self._require_prepared().source,
        )

    def profile(self) -> None:
        """Learn where the time of a run goes, in a session of its own, once all else of a benchmark is measured."""
        note_operators(self._require_prepared().source, self.case, self.settings, self.hooks, self.facts)

    def keep_files(self) -> None:
        """Write the files that were asked for, of a failed case too: that is when they are read."""
        # the profile may be there already, of the session that operators were timed in
        left = self.settings.keep - self.facts.kept.keys()
        if not left or self._prepared is None:
            return
        settings = dataclasses.replace(self.settings, keep=left)
        try:
            kept = keep_files(self._prepared.source, self.case, settings, self.hooks)
        except (CaseError, OSError) as error:
            kept = {"refused": str(error)}
        self.facts.kept = {**self.facts.kept, **kept}

    def _prepare(self) -> None:
        with self.facts.entering("precision" if self.case.precision else "model"):
            self._use(prepare_model(self.case, self.settings))

    def _use(self, prepared: PreparedModel) -> None:
        self._prepared = prepared
        self.facts.model_fact = prepared.fact

    def _open(self) -> onnxruntime.InferenceSession:
        prepared = self._require_prepared()
        try:
            return self._session_of(prepared)
        except CaseError as error:
            prepared = second_try(prepared, error, self.settings)
        self._use(prepared)
        return self._session_of(prepared)

    def _require_prepared(self) -> PreparedModel:
        if self._prepared is None:
            raise RuntimeError("no model prepared yet")
        return self._prepared

    def _session_of(self, prepared: PreparedModel) -> onnxruntime.InferenceSession:
        with self.meter.creation():
            return open_session(prepared.source, self.case, self.settings, self.facts, self.hooks)

    def _validate(self, session: onnxruntime.InferenceSession) -> None:
        with self.facts.entering("inputs"):
            data_sets = list(case_data(session, self.case, self.settings))
        self.facts.inputs = tensor_facts(data_sets[0])
        self._compare_all(data_sets, lambda data, first: self._run(session, data, first=first))

    def _compare_all(self, data_sets: Iterable[CaseData], run: Callable[[CaseData, bool], Mapping[str, Value]]) -> None:
        """Compare what `run` returns for each data set; all of them before a mismatch counts."""
        accuracy: list[DataSetAccuracy] = []
        for data in data_sets:
            outputs = run(data, not accuracy)
            accuracy.append(self._compare(data, outputs))
            self.facts.accuracy = tuple(accuracy)
        with self.facts.entering("comparison"):
            _require_within_tolerance(accuracy)

    def _run(self, session: onnxruntime.InferenceSession, data: CaseData, *, first: bool) -> dict[str, Value]:
        with self.facts.entering("first_run" if first else "timing"):
            if first:
                self.hooks.before_first_run(session)
            wanted = wanted_outputs(session, self.case)
            with running(self.facts):
                runner = Runner(session, wanted, data.inputs)
                return dict(zip(runner.output_names, runner.run(), strict=True))

    def _compare(self, data: CaseData, outputs: Mapping[str, Value]) -> DataSetAccuracy:
        references, source = data.references, "stored"
        if references is None:
            with self.facts.entering("reference"):
                references, source = cpu_reference(self.case, self.settings, self.hooks, data)
        if self.case.precision is not None:
            references = cast_like(references, outputs)
        with self.facts.entering("comparison"):
            compared = compare(outputs, references, self._tolerance, subset=True)
        return DataSetAccuracy(data_set=data.name, reference=source, outputs=compared)

    def _tolerance(self, output: str) -> Any:
        fact = self.facts.model_fact
        storage = self.case.precision or (fact.precision if fact else None)
        return choose_tolerance(
            self.case.model,
            precision=tolerance_precision(storage, fact.compute_precision if fact else None),
            provider=self.case.provider.name,
            output=output,
            command_line=self.settings.tolerance,
        )

    @property
    def _session_fact(self) -> SessionFact:
        if self.facts.session is None:
            raise RuntimeError("no session yet")
        return self.facts.session

    def _note_session(self, **known: Any) -> None:
        self.facts.session = dataclasses.replace(self._session_fact, **known)


def _require_within_tolerance(accuracy: list[DataSetAccuracy]) -> None:
    wrong = [
        f"{data_set.data_set}, output '{output.name}': {output.message}"
        for data_set in accuracy
        for output in data_set.outputs
        if not output.within_tolerance
    ]
    if wrong:
        text = "\n".join(["outputs differ from the reference:", *(f"  {line}" for line in wrong)])
        raise CaseError(text, stage="comparison", kind="result accuracy issue")
