"""Whole cases in fp16 on the CPU: what a conversion leaves wrong is told, and what it cannot do has a way out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fp16_models import case_of, model_of, saved, value
from onnx import helper, numpy_helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.bisection.find import Search
from pytest_ortperf.execution.bug_report.folder import write_bug_report
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.execute import execute
from pytest_ortperf.execution.model import float32_nodes
from pytest_ortperf.execution.record_builder import Journal, RecordBuilder

EYE = np.eye(4, dtype=np.float32)


class Hooks:
    """Do nothing."""

    def configure_session(self, session_options: Any) -> None:
        del session_options

    def before_first_run(self, session: Any) -> None:
        del session


@pytest.fixture
def facts() -> Iterator[RecordBuilder]:
    journal = Journal()
    yield RecordBuilder(journal=journal)
    journal.close()


@pytest.fixture
def settings(tmp_path: Path) -> ExecutionSettings:
    return ExecutionSettings(cache=tmp_path / "cache")


def ending_in_weights(path: Path) -> Path:
    """Write a model with weights for an output: cast to float16 they are clipped."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"w": np.array([2e5, 1e-9, 1, 1], np.float32)})
    model.graph.output.append(value("w", [4]))
    return saved(model, path)


def test_clipped_weights_stand_in_the_first_line(
    tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings
) -> None:
    case = case_of(ending_in_weights(tmp_path / "m.onnx"), fp16=Fp16Rule(io="cast"))
    with pytest.raises(CaseError) as caught:
        execute(case, settings, facts, Hooks())
    assert str(caught.value).startswith(
        "outputs differ from the reference (converted to fp16 with 1 value clipped to ±65504 and 1 value flushed to 0)"
        ": generated (seed 0), output 'w': percent mismatch 25 %"
    )
    assert "no second chance: converted to fp16 with 1 value clipped" in str(caught.value)
    assert facts.model_fact is not None
    assert (facts.model_fact.fp16_clipped, facts.model_fact.fp16_flushed) == (1, 1)


def test_clipped_weights_stand_in_the_first_line_of_a_bug_report(tmp_path: Path, settings: ExecutionSettings) -> None:
    case = case_of(ending_in_weights(tmp_path / "m.onnx"), fp16=Fp16Rule(io="cast"))
    search = Search(case=case, settings=settings, hooks=Hooks(), timeout_s=60, folder=tmp_path / "bug")
    assert write_bug_report(search).shows_it
    title, *_ = (tmp_path / "bug/README.md").read_text("utf-8").splitlines()
    assert title.startswith(
        "# CPUExecutionProvider: converted to fp16 with 1 value clipped to ±65504 and 1 value flushed to 0: 'w': per"
    )


def test_a_weight_beyond_float16_is_computed_right(
    tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings
) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["t"]),
        helper.make_node("Mul", ["t", "i"], ["u"]),
        helper.make_node("Softmax", ["u"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    path = saved(model_of(nodes, {"k": np.float32(2e5), "i": np.float32(5e-6), "w": EYE}), tmp_path / "m.onnx")
    execute(case_of(path), settings, facts, Hooks())
    (output,) = facts.accuracy[0].outputs
    assert (output.verdict, output.max_abs_error is not None and output.max_abs_error < 1e-3) == ("pass", True)
    assert facts.model_fact is not None
    assert facts.model_fact.note == "float32 around weights that float16 cannot hold: 'k'; fp16 storage, fp32 compute"


def test_nothing_to_convert_skips_the_case(tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings) -> None:
    path = saved(model_of([helper.make_node("Max", ["x", "w"], ["y"])], {"w": EYE[0]}), tmp_path / "m.onnx")
    with pytest.raises(CaseSkipped, match=r"^nothing to convert to fp16: all nodes stay float32 \(Max\)$"):
        execute(case_of(path), settings, facts, Hooks())


def broken(path: Path) -> Path:
    """Write a model that ONNX Runtime expands to float32 nodes, whatever its inputs are."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axes"], ["image"]),
        helper.make_node("MeanVarianceNormalization", ["image"], ["n"], axes=[0, 1, 2], name="norm"),
        helper.make_node("Squeeze", ["n", "axes"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    return saved(model_of(nodes, {"axes": np.array([1])}, opset=13), path)


def test_a_model_that_opens_as_given_alone_is_a_precision_error_with_a_way_out(
    tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = broken(tmp_path / "m.onnx")
    execute(case_of(path, precision=None), settings, facts, Hooks())
    monkeypatch.setattr(float32_nodes, "BLOCKED", set())
    with pytest.raises(CaseError) as caught:
        execute(case_of(path), settings, facts, Hooks())
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")
    text = str(caught.value)
    assert text.startswith(f"{path} could not be converted to fp16 so that a session takes it, as it takes the model")
    assert text.endswith(
        "; keep what it is about float32 with fp16.node_block_list or fp16.op_block_list, or give a converted model as "
        "fp16_path in the model list"
    )
    execute(case_of(path, fp16=Fp16Rule(node_block_list=("norm",))), settings, facts, Hooks())


def test_a_model_that_does_not_open_as_given_either_is_a_session_error(
    tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings
) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("NoSuchThing", ["r"], ["y"], domain="my")]
    model = model_of(nodes, {})
    model.opset_import.append(helper.make_opsetid("my", 1))
    with pytest.raises(CaseError) as caught:
        execute(case_of(saved(model, tmp_path / "m.onnx")), settings, facts, Hooks())
    assert (caught.value.stage, caught.value.kind) == ("session", "session error")


def test_a_stored_half_model_with_a_wrong_scale_does_not_pass(
    tmp_path: Path, facts: RecordBuilder, settings: ExecutionSettings
) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    given = saved(model_of(nodes, {"w": EYE * 1000}), tmp_path / "m.onnx")
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    wrong = model_of(nodes, {})
    wrong.graph.initializer.append(numpy_helper.from_array((EYE * 1500).astype(np.float16), "w"))
    path = saved(wrong, tmp_path / "half.onnx")
    with pytest.raises(CaseError, match=r"its own relative root-mean-square error 0\.5 is over 0\.1"):
        execute(case_of(given, fp16_path=path), settings, facts, Hooks())
