"""The outputs of a session, and whether they agree with each other.

What a case computed against its references: data set by data set, with the tolerance of its precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import CaseError, NothingCompared
from pytest_ortperf.execution.accuracy.consistency import batch_dimension, check_batch, check_repeat, not_made
from pytest_ortperf.execution.accuracy.error_pictures import more_pictures
from pytest_ortperf.execution.accuracy.error_ratio import with_own_error
from pytest_ortperf.execution.accuracy.output_accuracy import compare
from pytest_ortperf.execution.accuracy.policy import choose_tolerance, tolerance_precision
from pytest_ortperf.execution.accuracy.precision_floor import Compared, Outputs, with_second_chance
from pytest_ortperf.execution.accuracy.references import cpu_reference
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import GENERATED, CaseData, case_data, tensor_facts
from pytest_ortperf.execution.inputs.tensor_types import Value, shape_of
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.model.precision import PreparedModel, loss_text
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks
from pytest_ortperf.execution.session.run_errors import running, undeclared_shapes, wanted_outputs
from pytest_ortperf.records.record import VALIDATED, ConsistencyCheck, DataSetAccuracy

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """Whatever computes the outputs; all that becomes known goes to the case's facts."""

    case: Case
    settings: ExecutionSettings
    facts: RecordBuilder
    hooks: SessionHooks
    prepared: PreparedModel

    def run(self, data_sets: Iterable[CaseData], compute: Callable[[CaseData, bool], Outputs]) -> None:
        """Compare what is computed from each data set.

        Args:
            data_sets: At least one; taken one by one.
            compute: Gives the outputs, and is told whether this is the first data set. What it finds out about the
                case's own consistency it leaves in the facts.

        Raises:
            CaseError: Kind `result accuracy issue`, once all are compared.
        """
        accuracy: list[DataSetAccuracy] = []
        generated = True
        for data in data_sets:
            generated = generated and data.origin == GENERATED
            outputs = compute(data, not accuracy)
            accuracy.append(self._compare(data, outputs))
            self.facts.accuracy = tuple(accuracy)
            self._note_unused(data)
            self.facts.note(data.note)
        with self.facts.entering("comparison"):
            self._note_relative(accuracy)
            _require_within_tolerance(accuracy, self.facts.checks, loss_text(self.prepared.fact))
            self._require_compared(accuracy, generated=generated)
            self._note_weakness(accuracy)
            if self.facts.validation is not None:
                self.facts.validation = VALIDATED  # a benchmark's own

    def tolerance(self, output: str) -> Tolerance:
        """Return what an output may differ by."""
        return choose_tolerance(
            self.case.model,
            precision=self._precision,
            provider=self.case.provider.name,
            output=output,
            command_line=self.settings.tolerance,
        )

    @property
    def _precision(self) -> str | None:
        fact = self.facts.model_fact
        storage = self.case.precision or (fact.precision if fact else None)
        return tolerance_precision(storage, fact.compute_precision if fact else None)

    def _compare(self, data: CaseData, outputs: Outputs) -> DataSetAccuracy:
        references, source = data.references, "stored"
        if references is None:
            with self.facts.entering("reference"):
                reference = cpu_reference(self.case, self.settings, self.hooks, data)
                references, source = reference.outputs, reference.name
        with self.facts.entering("comparison"):
            any_float = self.case.precision is not None
            found = compare(outputs, references, self.tolerance, subset=True, any_float=any_float)
            self._note_uncompared([name for name in outputs if name not in references])
        if any(not each.within_tolerance or self.tolerance(each.name).own_error is not None for each in found):
            with self.facts.entering("reference"):
                compared = self._compared(data, outputs, references)
                found = with_own_error(with_second_chance(found, compared), compared)
        if not all(each.within_tolerance for each in found):
            known = self.facts.error_pictures
            self.facts.error_pictures = more_pictures(known, data.name, found, (outputs, references))
        return DataSetAccuracy(data_set=data.name, reference=source, outputs=found)

    def _compared(self, data: CaseData, outputs: Outputs, references: Outputs) -> Compared:
        return Compared(
            case=self.case,
            settings=self.settings,
            hooks=self.hooks,
            prepared=self.prepared,
            precision=self._precision,
            data=data,
            outputs=outputs,
            references=references,
            tolerances=self.tolerance,
        )

    def _note_relative(self, accuracy: Iterable[DataSetAccuracy]) -> None:
        told = [
            f"output '{output.name}': {output.relative.note}"
            for data_set in accuracy
            for output in data_set.outputs
            if output.verdict == "pass-relative" and output.relative is not None
        ]
        self.facts.note(*told)

    def _require_compared(self, accuracy: Sequence[DataSetAccuracy], *, generated: bool) -> None:
        outputs = [output for data_set in accuracy for output in data_set.outputs]
        if not outputs:
            raise CaseError(
                "nothing was compared: no output has a reference. Give stored outputs, or leave them to the CPU",
                stage="comparison",
                kind="result accuracy issue",
            )
        if generated and all(output.compares_nothing for output in outputs):
            told = "; ".join(dict.fromkeys(f"output '{output.name}' has {output.weakness}" for output in outputs))
            raise NothingCompared(
                f"not validated: nothing compared, because {told}; other generated inputs were tried too. Give real "
                f'inputs with "test_data", or ranges and shapes with "inputs" in the model list'
            )

    def _note_weakness(self, accuracy: Iterable[DataSetAccuracy]) -> None:
        if self.facts.placement is not None and self.facts.placement.total_nodes == 0:
            return  # folded to constants, which says it all
        self.facts.note(
            *(
                f"{self.case.case_id}: output '{output.name}' shows little: {output.weakness}"
                for data_set in accuracy
                for output in data_set.outputs
                if output.weakness
            )
        )

    def _note_unused(self, data: CaseData) -> None:
        """Tell of rules for inputs that are none: a mistyped name would leave the values as they are by themselves."""
        unused = [name for name in self.case.model.inputs if name not in data.inputs and not set(name) & _GLOB]
        if unused:
            self.facts.note(f"rules for inputs that the model has not: {', '.join(map(repr, unused))}")

    def _note_uncompared(self, names: Sequence[str]) -> None:
        if names:
            self.facts.note(f"not compared, for want of a stored output: {', '.join(map(repr, names))}")


def _require_within_tolerance(
    accuracy: Iterable[DataSetAccuracy], checks: Iterable[ConsistencyCheck], lost: str | None
) -> None:
    wrong = [
        f"{data_set.data_set}, output '{output.name}': {output.message}"
        for data_set in accuracy
        for output in data_set.outputs
        if output.verdict == "fail"
    ]
    inconsistent = [f"{check.name}: {check.note}" for check in checks if check.fails]
    parts = [
        # the first beside the words: summaries show a line
        f"outputs differ from {what}: " + "\n  ".join(lines)
        for what, lines in (
            (f"the reference ({lost})" if lost else "the reference", wrong),
            ("each other", inconsistent),
        )
        if lines
    ]
    if parts:
        raise CaseError("\n".join(parts), stage="comparison", kind="result accuracy issue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One session whose outputs are compared."""

    session: onnxruntime.InferenceSession
    comparison: OutputComparison

    def run(self) -> None:
        """Compare the outputs of every data set with their references, and those of the first with each other.

        Raises:
            CaseError: The first thing that went wrong; all data sets are compared before a mismatch counts.
        """
        self.comparison.run(self._data_sets(), self._outputs)

    @property
    def _facts(self) -> RecordBuilder:
        return self.comparison.facts

    @property
    def _case(self) -> Case:
        return self.comparison.case

    @property
    def _settings(self) -> ExecutionSettings:
        return self.comparison.settings

    def _data_sets(self) -> Iterator[CaseData]:
        found = case_data(self.session, self._case, self._settings)
        while True:
            with self._facts.entering("inputs"):
                data = next(found, None)
            if data is None:
                return
            yield data

    def _outputs(self, data: CaseData, first: bool) -> Mapping[str, Value]:  # noqa: FBT001 - its caller's order
        with self._facts.entering("first_run" if first else "timing"):
            if first:
                self._facts.inputs = tensor_facts(data)
                self.comparison.hooks.before_first_run(self.session)
            runner = self._runner(data.inputs)
            outputs = self._run(runner)
            shapes = {name: shape_of(value) for name, value in outputs.items()}
            self._facts.note(*undeclared_shapes(self.session.get_outputs(), shapes))
        if first and self._settings.checks:
            with self._facts.entering("consistency"):
                self._facts.checks = tuple(self._checks(data, outputs, runner))
        return outputs

    def _checks(self, data: CaseData, outputs: Mapping[str, Value], runner: ModelRunner) -> Iterator[ConsistencyCheck]:
        if "repeat" in self._settings.checks:
            yield check_repeat(outputs, self._run(runner), self.comparison.tolerance)
        if "batch" in self._settings.checks:
            found = self._batch(data)
            if found is not None:
                yield found

    def _batch(self, data: CaseData) -> ConsistencyCheck | None:
        dimension = batch_dimension(self.session.get_inputs(), self._case.model.batch_dim)
        if dimension is None or not all(isinstance(value, np.ndarray) for value in data.inputs.values()):
            return None
        if fixes_dims(self._case, self._settings):
            return not_made("batch", f"the session has a fixed size for '{dimension}'")
        if self._case.provider.one_size:
            return not_made("batch", f"{self._case.provider.full_name} compiles the graph anew for another size")
        try:
            return check_batch(
                data.inputs, self.session.get_outputs(), dimension, self._compute, self.comparison.tolerance
            )
        except CaseError as error:
            return not_made("batch", f"a batch cannot be run: {str(error).partition(chr(10))[0]}")

    def _compute(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        return self._run(self._runner(inputs))

    def _runner(self, inputs: Mapping[str, Value]) -> ModelRunner:
        wanted = wanted_outputs(self.session, self._case)
        with running(self._facts):
            return ModelRunner(self.session, wanted, inputs)

    def _run(self, runner: ModelRunner) -> dict[str, Value]:
        with running(self._facts):
            return dict(zip(runner.output_names, runner.run(), strict=True))
