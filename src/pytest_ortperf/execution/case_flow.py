"""The whole flow of one case: model file -> precision -> session -> placement -> inputs -> accuracy | latency."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError, NothingCompared
from pytest_ortperf.execution.accuracy.precision_floor import Outputs
from pytest_ortperf.execution.case_settings import ExecutionSettings, KnownValidation
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.machine.machine_state import refuse_machine
from pytest_ortperf.execution.machine.nvml import NoGpu
from pytest_ortperf.execution.machine.resource_meter import ResourceMeter
from pytest_ortperf.execution.measure import BenchmarkContext, measure
from pytest_ortperf.execution.model.fp16 import CONVERTED, precision_error
from pytest_ortperf.execution.model.precision import PreparedModel, prepare_model, second_try
from pytest_ortperf.execution.profile.operator_profile import note_operators
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.assumed_shapes import assume_shapes, lacks_sizes, livelier
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.execution.session.engine_cache import engines_of
from pytest_ortperf.execution.session.inspection import keep_files
from pytest_ortperf.execution.session.verified_session import open_session
from pytest_ortperf.execution.validate import OutputComparison, Validation
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.record import NEVER_VALIDATED, OTHERWISE_VALIDATED, VALIDATED, SessionFact


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "unknown"


class Execution:
    """One case on its way; what becomes known goes to its facts at once."""

    def __init__(self, case: Case, settings: ExecutionSettings, facts: RecordBuilder, hooks: SessionHooks) -> None:
        self.case = case
        self.settings = settings
        self.facts = facts
        self.hooks = hooks
        self.known: KnownValidation | None = None
        """Of a benchmark; `None` if nobody asks whether it was validated."""

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
            try:
                self._validate(session)
            except NothingCompared as error:
                # measured all the same, and told
                self.facts.note(str(error))
        creation_ns = self._session_fact.creation_ns
        # two sessions at once would hold the memory twice
        del session
        measure(self._bench(creation_ns, engines))

    def _bench(self, creation_ns: int, engines: str | None) -> BenchmarkContext:
        """Return what `measure` needs; it opens the sessions itself, so that it can let go of them."""

        def reopen() -> onnxruntime.InferenceSession:
            session = self._open()
            second_ns = self._session_fact.creation_ns
            self._note_session(creation_ns=creation_ns, second_creation_ns=second_ns, engines=engines)
            return session

        return self._bench_of(reopen)

    def _bench_of(self, opens: Callable[[], onnxruntime.InferenceSession]) -> BenchmarkContext:
        return BenchmarkContext(
            case=self.case,
            settings=self.settings,
            facts=self.facts,
            hooks=self.hooks,
            meter=self.meter,
            open=opens,
            source=lambda: self._require_prepared().source,
        )

    def bench(self) -> BenchmarkContext:
        """Return what measuring needs, for who measures otherwise; one session is made, when it is asked for."""
        self._prepare()
        return self._bench_of(self._open)

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
            self._use(prepare_model(self.case, self.settings, trtexec_version=self._trtexec_version()))
        self._assume_shapes()

    def _assume_shapes(self) -> None:
        prepared = self._require_prepared()
        if not lacks_sizes(self.case, prepared, self.settings):
            return
        with self.facts.entering("inputs"):
            self.case = assume_shapes(self.case, prepared, self.settings, self.hooks)
        self.facts.assumed_dims = dict(self.case.assumed)

    def _trtexec_version(self) -> str | None:
        """Return the version of TensorRT where trtexec runs the case."""
        return None

    def _use(self, prepared: PreparedModel) -> None:
        self._prepared = prepared
        self.facts.model_fact = prepared.fact
        self.facts.journal.note(model=as_dict(prepared.fact))
        if self.known is not None:
            self._identify(self.known, prepared.fact.sha256)

    def _identify(self, known: KnownValidation, sha256: str | None) -> None:
        """Note whether this is the model that was validated.

        Raises:
            CaseError: Stage `model`, if it was validated in this run and has changed since.
        """
        if not known.passed or self.facts.validation == VALIDATED:
            self.facts.validation = self.facts.validation or NEVER_VALIDATED
        elif known.sha256 == sha256 and sha256 is not None:
            self.facts.validation = VALIDATED if known.run is None else f"{VALIDATED} in run {known.run}"
        else:
            hashes = f"sha256 {_short(sha256)} against {_short(known.sha256)}"
            where = f", in run {known.run}" if known.run else ""
            self.facts.validation = f"{OTHERWISE_VALIDATED} ({hashes}{where})"
            if known.run is None:
                raise CaseError(
                    f"{self.case.model.path} has changed since its validation: {self.facts.validation}. Its latency "
                    f"would stand beside the errors of another model; run again while nothing writes the file",
                    stage="model",
                    kind="model error",
                )

    def _open(self) -> onnxruntime.InferenceSession:
        prepared = self._require_prepared()
        try:
            return self._session_of(prepared)
        except CaseError as error:
            self._blame_conversion(prepared, error)
            prepared = second_try(prepared, error, self.settings)
        self._use(prepared)
        return self._session_of(prepared)

    def _blame_conversion(self, prepared: PreparedModel, error: CaseError) -> None:
        """Raise another error if there is a session of the model as given, and of the converted one none."""
        if prepared.fact.fp16_from != CONVERTED or error.kind != "session error":
            return
        try:
            create_session(str(prepared.given), self.case, self.settings, self.hooks)
        except CaseError:
            return
        raise precision_error(prepared.given, error.__cause__ or error, opens_as_given=True) from error

    def _require_prepared(self) -> PreparedModel:
        if self._prepared is None:
            raise RuntimeError("no model prepared yet")
        return self._prepared

    def _session_of(self, prepared: PreparedModel) -> onnxruntime.InferenceSession:
        return open_session(prepared.source, self.case, self.settings, self.facts, self.hooks, self.meter.creation())

    def _validate(self, session: onnxruntime.InferenceSession) -> None:
        try:
            Validation(session=session, comparison=self._comparison).run()
        except NothingCompared:
            found = livelier(self.case, self.settings, self.hooks)
            if found is None or found == self.case:
                raise
            self.case = found
            Validation(session=session, comparison=self._comparison).run()

    def _compare_all(self, data_sets: Iterable[CaseData], compute: Callable[[CaseData, bool], Outputs]) -> None:
        self._comparison.run(data_sets, compute)

    @property
    def _comparison(self) -> OutputComparison:
        return OutputComparison(
            case=self.case,
            settings=self.settings,
            facts=self.facts,
            hooks=self.hooks,
            prepared=self._require_prepared(),
        )

    @property
    def _session_fact(self) -> SessionFact:
        if self.facts.session is None:
            raise RuntimeError("no session yet")
        return self.facts.session

    def _note_session(self, **known: Any) -> None:
        self.facts.session = dataclasses.replace(self._session_fact, **known)
