"""The whole flow of one case on the CPU: also what its data, its reference and its facts hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.cases.rules import InputRule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder
from pytest_ortperf.execution.session.verified_session import open_session

QUICK = ExecutionSettings(iterations=5, warmup=2)


class Hooks:
    """Notes what it is told; may raise."""

    changes_sessions = True

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._error = error

    def configure_session(self, session_options: Any) -> None:
        del session_options
        self.calls.append("configure")

    def before_first_run(self, session: Any) -> None:
        self.calls.append(f"before {[meta.name for meta in session.get_inputs()]}")
        if self._error:
            raise self._error


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., Case]:
    """Return a maker of cases of `y = x + [1, 2, 3]`."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    weight = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "add", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())

    def make(mode: Any = "validate", dims: Any = (), **entry: Any) -> Case:
        listed = Model(name="m", path=path, origin="models.json: models[0] 'm'", **entry)
        return Case(model=listed, mode=mode, provider=find_provider("cpu"), precision=None, dims=dims)

    return make


def store(folder: Path, number: int, x: Any, y: Any = None) -> Path:
    """Write one data set; return the folder of all."""
    data = folder / f"test_data_set_{number}"
    data.mkdir(parents=True)
    for kind, values in (("input", x), ("output", y)):
        if values is not None:
            name = "x" if kind == "input" else "y"
            tensor = numpy_helper.from_array(np.asarray(values, np.float32), name)
            (data / f"{kind}_0.pb").write_bytes(tensor.SerializeToString())
    return folder


def test_generated_inputs_are_compared_with_the_plain_cpu(case_of: Callable[..., Case], facts: RecordBuilder) -> None:
    hooks = Hooks()
    execute(case_of(), QUICK, facts, hooks)
    (accuracy,) = facts.accuracy
    assert (accuracy.data_set, accuracy.reference) == ("generated (seed 0)", "CPU, graph optimisation off")
    assert [(each.name, each.within_tolerance, each.max_abs_error) for each in accuracy.outputs] == [("y", True, 0.0)]
    assert [(each.name, each.shape, each.origin) for each in facts.inputs] == [("x", (1, 3), "generated")]
    assert hooks.calls == ["configure", "before ['x']", "configure"]
    assert list(facts.stage_ns) == [
        "lease",
        "model",
        "inputs",
        "session",
        "placement",
        "first_run",
        "consistency",
        "reference",
        "comparison",
    ]
    assert facts.latencies == ()


def test_every_stored_data_set_has_its_verdict_before_one_fails_the_case(
    case_of: Callable[..., Case], facts: RecordBuilder, tmp_path: Path
) -> None:
    store(tmp_path, 0, [[0, 0, 0]], [[1, 2, 4]])
    store(tmp_path, 1, [[1, 1, 1], [2, 2, 2]], [[2, 3, 4], [3, 4, 5]])
    with pytest.raises(CaseError) as caught:
        execute(case_of(test_data=tmp_path), QUICK, facts, Hooks())
    assert str(caught.value) == (
        "outputs differ from the reference: "
        "test_data_set_0, output 'y': percent mismatch 33.33 % (allowed 0 %), worst at (0, 2): 3 instead of 4, "
        "rtol=0.001, atol=2.64575e-05; max abs error 1, max rel error 0.25, cosine 0.99146, SNR 13.2 dB, "
        "all within with atol=0.996 or rtol=0.25; "
        "against CPU fp64 the root-mean-square error is 0, that of the reference 0.577"
    )
    assert (caught.value.stage, caught.value.kind) == ("comparison", "result accuracy issue")
    verdicts = [(each.data_set, each.reference, each.within_tolerance) for each in facts.accuracy]
    assert verdicts == [("test_data_set_0", "stored", False), ("test_data_set_1", "stored", True)]


def test_stored_inputs_without_outputs_are_compared_with_the_cpu(
    case_of: Callable[..., Case], facts: RecordBuilder, tmp_path: Path
) -> None:
    execute(case_of(test_data=store(tmp_path, 0, [[5, 5, 5]])), QUICK, facts, Hooks())
    assert [each.reference for each in facts.accuracy] == ["CPU, graph optimisation off"]
    assert [each.origin for each in facts.inputs] == ["stored"]


def test_the_tolerance_follows_the_compute_precision_whatever_the_note_says(
    case_of: Callable[..., Case], facts: RecordBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_in_tf32(*args: Any) -> Any:
        session = open_session(*args)
        assert facts.model_fact is not None
        facts.model_fact = dataclasses.replace(
            facts.model_fact, compute_precision="tf32", note="symbolic shape inference; TF32 allowed"
        )
        return session

    execute(case_of(), QUICK, facts, Hooks())
    monkeypatch.setattr("pytest_ortperf.execution.case_flow.open_session", open_in_tf32)
    (strict,) = facts.accuracy[0].outputs
    execute(case_of(), QUICK, facts, Hooks())
    (output,) = facts.accuracy[0].outputs

    found = [(each.rtol, each.unscaled_atol) for each in (strict, output)]
    assert found == [(1e-3, 1e-5), (1e-2, 1e-3)]


def test_a_benchmark_times_the_first_data_set_in_a_second_session(
    case_of: Callable[..., Case], facts: RecordBuilder, tmp_path: Path
) -> None:
    store(tmp_path, 0, [[0, 0, 0]] * 4, [[9, 9, 9]] * 4)
    store(tmp_path, 1, [[0, 0, 0]])
    hooks = Hooks()
    execute(case_of("benchmark", test_data=tmp_path), QUICK, facts, hooks)
    (latency,) = facts.latencies
    assert (len(latency.samples_ns), latency.warmup_iterations, latency.batch, latency.timing) == (5, 2, 4, "host")
    assert min(latency.samples_ns) > 0
    assert facts.accuracy == ()
    assert facts.session
    assert min(facts.session.creation_ns, facts.session.second_creation_ns or 0, facts.session.first_run_ns or 0) > 0
    # the last is the session that operators are timed in
    assert hooks.calls == ["configure", "configure", "before ['x']", "configure"]
    noted = [entry["samples"] for entry in facts.journal.entries() if "samples" in entry]
    assert [ns for part in noted for ns in part["ns"]] == list(latency.samples_ns)
    assert {(part["timing"], part["warmup"]) for part in noted} == {("host", 2)}


def test_a_benchmark_that_validates_first_times_nothing_wrong(
    case_of: Callable[..., Case], facts: RecordBuilder, tmp_path: Path
) -> None:
    case = case_of("benchmark", test_data=store(tmp_path, 0, [[0, 0, 0]], [[9, 9, 9]]))
    with pytest.raises(CaseError, match="outputs differ from the reference"):
        execute(case, QUICK, facts, Hooks(), validate_first=True)
    assert facts.latencies == ()
    assert "timing" not in facts.stage_ns


def test_chosen_dimensions_take_generated_inputs_of_that_size(
    case_of: Callable[..., Case], facts: RecordBuilder, tmp_path: Path
) -> None:
    case = case_of(dims=(("batch", 6),), test_data=store(tmp_path, 0, [[0, 0, 0]], [[9, 9, 9]]))
    execute(case, QUICK, facts, Hooks())
    assert [(each.shape, each.origin) for each in facts.inputs] == [((6, 3), "generated")]


def test_stored_data_that_is_asked_for_and_absent_is_an_error(
    case_of: Callable[..., Case], facts: RecordBuilder
) -> None:
    with pytest.raises(CaseError) as caught:
        execute(case_of(), ExecutionSettings(input_source="zoo"), facts, Hooks())
    assert str(caught.value) == (
        "no stored test data for m; --ortperf-input=zoo takes nothing else. Name its folder with test_data in the "
        "model list, or use --ortperf-input=auto"
    )
    assert caught.value.stage == "inputs"


def test_an_output_that_the_model_lacks_is_an_error(case_of: Callable[..., Case], facts: RecordBuilder) -> None:
    with pytest.raises(CaseError) as caught:
        execute(case_of(outputs=("z",)), QUICK, facts, Hooks())
    assert str(caught.value) == "the model list asks for outputs z; the model has y"


def test_an_error_of_a_hook_is_the_users_own(case_of: Callable[..., Case], facts: RecordBuilder) -> None:
    with pytest.raises(ValueError, match="mine"):
        execute(case_of(), QUICK, facts, Hooks(ValueError("mine")))
    assert facts.stage == "first_run"


def test_what_a_failed_case_found_stays_in_its_facts(case_of: Callable[..., Case], facts: RecordBuilder) -> None:
    with pytest.raises(ValueError, match="mine"):
        execute(case_of(), QUICK, facts, Hooks(ValueError("mine")))
    assert facts.model_fact
    assert facts.model_fact.precision == "fp32"
    assert facts.placement
    assert facts.placement.nodes_by_provider == {"CPUExecutionProvider": 1}
    assert facts.session
    assert facts.session.active_providers == ("CPUExecutionProvider",)
    assert facts.accuracy == ()


def test_a_rule_for_an_input_that_the_model_has_not_is_named(
    case_of: Callable[..., Case], facts: RecordBuilder
) -> None:
    rules = {"x": InputRule(fill="ones"), "xs": InputRule(fill="zeros"), "*_mask": InputRule(fill="ones")}
    execute(case_of(inputs=rules), QUICK, facts, Hooks())
    assert facts.reason == "rules for inputs that the model has not: 'xs'"


def test_an_output_that_nothing_is_stored_for_is_named(facts: RecordBuilder, tmp_path: Path) -> None:
    x, y, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xyz")
    nodes = [helper.make_node("Abs", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y, z]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    (tmp_path / "two.onnx").write_bytes(model.SerializeToString())
    for number in range(2):
        store(tmp_path / "data", number, [[-1, 2, 3]], [[1, 2, 3]])
    listed = Model(name="two", path=tmp_path / "two.onnx", origin="models.json", test_data=tmp_path / "data")

    execute(Case(model=listed, mode="validate", provider=find_provider("cpu"), precision=None), QUICK, facts, Hooks())

    assert [[output.name for output in each.outputs] for each in facts.accuracy] == [["y"], ["y"]]
    assert facts.reason == "not compared, for want of a stored output: 'z'"
