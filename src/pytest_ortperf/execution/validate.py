"""The outputs of a session, and whether they agree with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.comparison import Comparison
from pytest_ortperf.execution.accuracy.consistency import batch_dimension, check_batch, check_repeat, not_made
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData, case_data, tensor_facts
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import Runner
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.record_builder import Facts
from pytest_ortperf.execution.session.run_errors import running, wanted_outputs
from pytest_ortperf.records.record import ConsistencyCheck

_ONE_SIZE = ("tensorrt", "nvtensorrtrtx", "qnn")
"""Providers that compile a graph for the sizes they meet: a batch would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One session whose outputs are compared."""

    session: onnxruntime.InferenceSession
    comparison: Comparison

    def run(self) -> None:
        """Compare the outputs of every data set with their references, and those of the first with each other.

        Raises:
            CaseError: The first thing that went wrong; all data sets are compared before a mismatch counts.
        """
        self.comparison.run(self._data_sets(), self._outputs)

    @property
    def _facts(self) -> Facts:
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
        if first and self._settings.checks:
            with self._facts.entering("consistency"):
                self._facts.checks = tuple(self._checks(data, outputs, runner))
        return outputs

    def _checks(self, data: CaseData, outputs: Mapping[str, Value], runner: Runner) -> Iterator[ConsistencyCheck]:
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
        if self._case.provider.name in _ONE_SIZE:
            return not_made("batch", f"{self._case.provider.full_name} compiles the graph anew for another size")
        try:
            return check_batch(
                data.inputs, self.session.get_outputs(), dimension, self._compute, self.comparison.tolerance
            )
        except CaseError as error:
            return not_made("batch", f"a batch cannot be run: {str(error).partition(chr(10))[0]}")

    def _compute(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        return self._run(self._runner(inputs))

    def _runner(self, inputs: Mapping[str, Value]) -> Runner:
        wanted = wanted_outputs(self.session, self._case)
        with running(self._facts):
            return Runner(self.session, wanted, inputs)

    def _run(self, runner: Runner) -> dict[str, Value]:
        with running(self._facts):
            return dict(zip(runner.output_names, runner.run(), strict=True))
