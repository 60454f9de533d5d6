"""A bound in multiples of the precision's own error: the numbers, then whole cases with a planted fault."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.cases.rules import Fp16Rule, Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.array_difference import Difference, array_difference
from pytest_ortperf.execution.accuracy.error_ratio import error_ratio
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.model.fp16 import convert
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.records.record import OutputAccuracy

ROOT = Path(__file__).parents[3]


class Hooks:
    """Does nothing."""

    def configure_session(self, session_options: Any) -> None:
        del session_options

    def before_first_run(self, session: Any) -> None:
        del session


def difference(error: float, *, largest: float = 0.0) -> Difference:
    """Return an error of that size in each of 10,000 elements up to 2, and of `largest` more in one."""
    golden = np.linspace(1, 2, 10_000)
    output = golden + error
    output[7] += largest
    return array_difference(output, golden, 0.0, 0.0)


def test_the_larger_of_two_quotients_is_the_multiple() -> None:
    assert error_ratio(difference(4e-3), difference(1e-3), "fp32") == pytest.approx(4)
    assert error_ratio(difference(1e-3, largest=0.049), difference(1e-3), "fp32") == pytest.approx(0.3 * 50)


def test_beside_a_baseline_without_error_one_rounding_of_the_largest_value_is_the_unit() -> None:
    assert error_ratio(difference(2 * 2**-22), difference(0.0), "fp32") == pytest.approx(2, rel=1e-3)
    assert error_ratio(difference(2 * 2**-9), difference(0.0), "fp16") == pytest.approx(2, rel=1e-3)
    zeros = np.zeros(3)
    nothing, something = (array_difference(it, zeros, 0.0, 0.0) for it in (zeros, np.ones(3)))
    assert error_ratio(nothing, nothing, "fp32") == 0.0
    assert error_ratio(something, nothing, "fp32") == math.inf


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


def bundled(name: str, *, precision: str | None = None) -> Case:
    """Return a validation of one of the bundled models on the CPU, held to its stored outputs."""
    (model,) = [model for model in read_models(ROOT / "models.json", workspace=None) if model.name == name]
    return Case(model=model, mode="validate", provider=find_provider("cpu"), precision=precision)


def with_a_weight_off(model: Model, weight: str, share: float, folder: Path) -> Model:
    """Return the model with the largest element of a weight off by a share of itself; its stored outputs stay."""
    proto = onnx.load(model.path)
    (tensor,) = [it for it in proto.graph.initializer if it.name == weight]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[np.abs(values).argmax()] *= 1 + share
    tensor.CopyFrom(numpy_helper.from_array(values, weight))
    onnx.save(proto, folder / "planted.onnx")
    return dataclasses.replace(model, path=folder / "planted.onnx")


def asking(folder: Path, factor: float) -> ExecutionSettings:
    return ExecutionSettings(cache=folder / "cache", tolerance=Tolerance(own_error=factor))


def outputs_of(facts: RecordBuilder) -> list[OutputAccuracy]:
    return [output for data_set in facts.accuracy for output in data_set.outputs]


@pytest.mark.parametrize(
    ("name", "precision"),
    # the CPU convolves in float32 alone
    [("multi_io", None), ("multi_io", "fp16"), ("small_cnn", None), ("int8_qdq_cnn", None)],
)
def test_right_models_are_within_ten_times_their_precision_s_own_error(
    facts: RecordBuilder, tmp_path: Path, name: str, precision: str | None
) -> None:
    execute(bundled(name, precision=precision), asking(tmp_path, 10), facts, Hooks())

    judged = [output for output in outputs_of(facts) if output.own_error_allowed is not None]
    assert judged
    assert all(output.verdict == "pass" for output in judged)
    assert all(output.own_error is not None and output.own_error <= 10 for output in judged)


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "computed"])
def test_a_fault_that_the_tolerance_has_room_for_is_found(facts: RecordBuilder, tmp_path: Path, stored: bool) -> None:  # noqa: FBT001 - a parameter
    clean = bundled("multi_io")
    planted = with_a_weight_off(clean.model, "profile/projection/weight", 0.01, tmp_path)
    case = dataclasses.replace(clean, model=planted if stored else dataclasses.replace(planted, test_data=None))
    settings = asking(tmp_path, 10)
    if not stored:
        case = dataclasses.replace(case, dims=(("batch", 1), ("items", 1), ("steps", 1)))
        given = dataclasses.replace(settings.given, reference_model=clean.model.path)
        settings = dataclasses.replace(settings, given=given)
    execute(case, dataclasses.replace(settings, tolerance=Tolerance()), facts, Hooks())
    assert {output.verdict for output in outputs_of(facts)} == {"pass"}

    with pytest.raises(CaseError, match=r"times its precision's own error, more than 10: root mean square") as caught:
        execute(case, settings, facts, Hooks())

    assert (caught.value.stage, caught.value.kind) == ("comparison", "result accuracy issue")
    wrong = [output for output in outputs_of(facts) if output.verdict == "fail"]
    assert wrong
    assert all(output.own_error is not None and output.own_error > 10 for output in wrong)


def test_what_cannot_be_measured_fails_and_says_why(facts: RecordBuilder, tmp_path: Path) -> None:
    clean = bundled("small_cnn")
    half = convert(onnx.shape_inference.infer_shapes(onnx.load(clean.model.path)), Fp16Rule())[0]
    onnx.save(half, tmp_path / "half.onnx")
    model = Model(name="half", path=tmp_path / "half.onnx", origin="models.json: models[0] 'half'")
    case = dataclasses.replace(clean, model=model)

    with pytest.raises(CaseError, match=r"own error cannot be measured: the CPU cannot compute the model in fp64"):
        execute(case, asking(tmp_path, 10), facts, Hooks())

    assert {output.own_error for output in outputs_of(facts)} == {None}


def test_integers_have_no_such_error(facts: RecordBuilder, tmp_path: Path) -> None:
    execute(bundled("detector_head"), asking(tmp_path, 10), facts, Hooks())

    asked = {output.dtype: output.own_error_allowed for output in outputs_of(facts)}
    assert asked["float"] == 10
    assert {asked[dtype] for dtype in asked if dtype.startswith("int")} == {None}
