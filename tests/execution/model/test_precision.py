import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from fp16_models import case_of, model_of, product, saved
from onnx import TensorProto, helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import prepare_model, second_try
from pytest_ortperf.records.record import ModelFact

EYE = np.eye(4, dtype=np.float32)
ASKS_FOR_SHAPES = "TensorRT input: t has no shape specified. Please run shape inference on the onnx model first."
IN_FP32 = "fp16 storage, fp32 compute"

needs_sympy = pytest.mark.skipif(importlib.util.find_spec("sympy") is None, reason="needs the symbolic extra")


@pytest.fixture
def settings(tmp_path: Path) -> ExecutionSettings:
    return ExecutionSettings(cache=tmp_path / "cache")


def half() -> np.ndarray:
    return EYE.astype(np.float16)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def fp32(tmp_path: Path) -> Path:
    return saved(product(EYE), tmp_path / "fp32.onnx")


@pytest.fixture
def fp16(tmp_path: Path) -> Path:
    return saved(product(half(), dtype=TensorProto.FLOAT16), tmp_path / "fp16.onnx")


def test_as_given(fp32: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32, precision=None), settings)
    assert prepared.source == str(fp32)
    assert prepared.fact == ModelFact(path=str(fp32), byte=fp32.stat().st_size, precision="fp32", sha256=sha256(fp32))
    assert not (fp32.parent / "cache").exists()


@pytest.mark.parametrize(("provider", "note"), [("cpu", IN_FP32), ("cuda", None)])
def test_half_precision_in_fp32_is_said_by_provider(
    provider: str, note: str | None, fp16: Path, settings: ExecutionSettings
) -> None:
    assert prepare_model(case_of(fp16, precision=None, provider=provider), settings).fact.note == note
    assert prepare_model(case_of(fp16, provider=provider), settings).fact == ModelFact(
        path=str(fp16),
        byte=fp16.stat().st_size,
        precision="fp16",
        fp16_from="already fp16",
        compute_precision=None if note is None else "fp32",
        note=note,
        sha256=sha256(fp16),
    )


def test_the_stored_model_wins(fp32: Path, fp16: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32, fp16_path=fp16, provider="tensorrt"), settings)
    assert (prepared.source, prepared.fact.fp16_from) == (str(fp16), "stored")


def test_the_converted_model_is_what_the_record_tells(fp32: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32), settings)
    path = Path(prepared.source)
    assert path.is_relative_to(fp32.parent / "cache")
    assert prepared.given == fp32
    assert prepared.fact == ModelFact(
        path=str(path),
        byte=path.stat().st_size,
        precision="fp16",
        fp16_from="converted",
        compute_precision="fp32",
        note=IN_FP32,
        sha256=sha256(fp32),
    )


def test_clipped_values_are_noted(tmp_path: Path, settings: ExecutionSettings) -> None:
    path = saved(product(EYE * 1e9), tmp_path / "m.onnx")
    assert prepare_model(case_of(path, provider="cuda"), settings).fact.note == "4 values clipped to ±65504"


def test_the_command_line_decides_about_inputs_and_outputs(fp32: Path, settings: ExecutionSettings) -> None:
    casting = case_of(fp32, fp16=Fp16Rule(io="cast"))
    keep = dataclasses.replace(settings, fp16_io="keep")
    cast = dataclasses.replace(settings, fp16_io="cast")
    assert prepare_model(casting, keep).source == prepare_model(case_of(fp32), settings).source
    assert prepare_model(casting, settings).source == prepare_model(case_of(fp32), cast).source
    assert prepare_model(casting, settings).source != prepare_model(casting, keep).source


def test_tensorrt_makes_fp16_by_an_option(fp32: Path, fp16: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32, provider="tensorrt"), settings)
    assert (prepared.source, prepared.fact.fp16_from) == (str(fp32), "provider option")
    assert prepare_model(case_of(fp16, provider="tensorrt"), settings).fact.fp16_from == "already fp16"


def test_a_model_without_the_dimension_is_skipped_before_conversion(fp32: Path, settings: ExecutionSettings) -> None:
    with pytest.raises(CaseSkipped, match=r"^has no dimension 'n'; its inputs have 'batch'$"):
        prepare_model(case_of(fp32, case_dims=(("n", 2),)), settings)
    assert not (fp32.parent / "cache").exists()


@needs_sympy
def test_symbolic_shapes_on_request(fp32: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32, precision=None, symbolic_shapes=True), settings)
    assert Path(prepared.source).is_relative_to(fp32.parent / "cache")
    assert (prepared.fact.path, prepared.fact.note) == (str(fp32), "symbolic shape inference")


def failure(cause: str) -> CaseError:
    error = CaseError("no session on the provider", stage="session", kind="session error")
    error.__cause__ = RuntimeError(cause)
    return error


@needs_sympy
def test_a_provider_that_asks_for_shapes_gets_them_once(fp32: Path, settings: ExecutionSettings) -> None:
    prepared = prepare_model(case_of(fp32, precision=None), settings)
    again = second_try(prepared, failure(ASKS_FOR_SHAPES), settings)
    assert again.source != prepared.source
    assert again.fact.note == "symbolic shape inference"
    error = failure(ASKS_FOR_SHAPES)
    with pytest.raises(CaseError) as caught:
        second_try(again, error, settings)
    assert caught.value is error


def test_shapes_without_sympy_name_the_extra_and_the_provider(
    fp32: Path, settings: ExecutionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_model(case_of(fp32, precision=None), settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CaseError) as caught:
        second_try(prepared, failure(ASKS_FOR_SHAPES), settings)
    assert (caught.value.stage, caught.value.kind) == ("session", "session error")
    assert str(caught.value) == (
        "no session on the provider\n"
        "symbolic shape inference needs sympy; install it with: pip install 'pytest-ortperf[symbolic]'"
    )


def test_any_other_failure_stays_what_it_is(fp32: Path, settings: ExecutionSettings) -> None:
    error = failure("out of memory")
    with pytest.raises(CaseError) as caught:
        second_try(prepare_model(case_of(fp32), settings), error, settings)
    assert caught.value is error


def test_a_conversion_that_broke_the_model_names_the_node(tmp_path: Path, settings: ExecutionSettings) -> None:
    nodes = [
        helper.make_node("HannWindow", ["n"], ["w"], name="window"),
        helper.make_node("Mul", ["x", "w"], ["y"], name="times"),
    ]
    path = saved(model_of(nodes, {"n": np.array(4)}), tmp_path / "m.onnx")
    prepared = prepare_model(case_of(path), settings)
    cause = (
        f"[ONNXRuntimeError] : 1 : FAIL : Load model from {prepared.source} failed:Type Error: Type (tensor(float16)) "
        "of output arg (w) of node (window) does not match expected type (tensor(float))."
    )
    with pytest.raises(CaseError) as caught:
        second_try(prepared, failure(cause), settings)
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")
    assert str(caught.value) == (
        f"{path} could not be converted to fp16 at node 'window' (RuntimeError: [ONNXRuntimeError] : 1 : FAIL : Type "
        "Error: Type (tensor(float16)) of output arg (w) of node (window) does not match expected type "
        "(tensor(float)).); keep it float32 with fp16.node_block_list, or give a converted model as fp16_path in the "
        "model list"
    )


def test_an_engine_has_no_fp16_variant(tmp_path: Path, settings: ExecutionSettings) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
    path = tmp_path / "engine.onnx"
    path.write_bytes(helper.make_model(helper.make_graph([node], "g", [x], [y])).SerializeToString())
    assert prepare_model(case_of(path, precision=None, provider="tensorrt"), settings).fact.precision == "engine"
    with pytest.raises(CaseError) as caught:
        prepare_model(case_of(path, provider="tensorrt"), settings)
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")
    assert str(caught.value) == (
        f"{path} holds an engine that was compiled in its own precision; there is no fp16 variant to make. "
        f"Leave out --ortperf-fp16, or compile an engine in fp16 and give it as fp16_path"
    )


def test_the_hash_covers_external_data_of_every_size(tmp_path: Path, settings: ExecutionSettings) -> None:
    found = []
    for number, rows in enumerate((4, 4, 1200, 1200)):  # 1200 x 1200 floats are too many to be read each time
        path = tmp_path / f"{number}.onnx"
        values = np.full((rows, rows), number, np.float32)
        onnx.save(product(values), path, save_as_external_data=True, location=f"{number}.data", size_threshold=0)
        found.append(prepare_model(case_of(path, precision=None), settings).fact.sha256)
        assert prepare_model(case_of(path, precision=None), settings).fact.sha256 == found[-1]
    assert None not in found
    assert len(set(found)) == 4
    (tmp_path / "0.data").unlink()
    assert prepare_model(case_of(tmp_path / "0.onnx", precision=None), settings).fact.sha256 is None
