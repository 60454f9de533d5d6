import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from fp16_models import case_of, model_of, product, saved, value
from onnx import TensorProto, helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import loss_text, prepare_model, second_try
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
        fp16_clipped=0,
        fp16_flushed=0,
        compute_precision="fp32",
        note=IN_FP32,
        sha256=sha256(fp32),
    )


def test_weights_that_half_cannot_hold_are_noted(tmp_path: Path, settings: ExecutionSettings) -> None:
    nodes = [helper.make_node("Mul", ["x", "b"], ["t"]), helper.make_node("MatMul", ["t", "w"], ["y"])]
    path = saved(model_of(nodes, {"w": EYE * 1e9, "b": EYE[0]}), tmp_path / "m.onnx")
    fact = prepare_model(case_of(path, provider="cuda"), settings).fact
    assert fact.note == "float32 around weights that float16 cannot hold: 'w'"
    assert (fact.fp16_clipped, loss_text(fact)) == (0, None)


def ending_in_weights(path: Path) -> Path:
    """Write a model whose weights are an output too, so that casting the outputs has to clip them."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"w": np.array([1e9, -7e4, 1e-9, 1], np.float32)})
    model.graph.output.append(value("w", [4]))
    return saved(model, path)


def test_clipped_values_are_noted_and_counted(tmp_path: Path, settings: ExecutionSettings) -> None:
    path = ending_in_weights(tmp_path / "m.onnx")
    fact = prepare_model(case_of(path, provider="cuda", fp16=Fp16Rule(io="cast")), settings).fact
    assert fact.note == "2 values clipped to ±65504"
    assert (fact.fp16_clipped, fact.fp16_flushed) == (2, 1)
    assert loss_text(fact) == "converted to fp16 with 2 values clipped to ±65504 and 1 value flushed to 0"
    assert loss_text(dataclasses.replace(fact, fp16_clipped=0, fp16_flushed=3)) == (
        "converted to fp16 with 3 values flushed to 0"
    )


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"w": EYE.astype(np.int64)}, "the model has no float32 tensors"),
        (
            {"w": EYE * 1e9},
            "weights that float16 cannot hold keep all nodes float32: 'w' (MatMul)",
        ),
    ],
)
def test_nothing_to_convert_is_a_skip_with_that_reason(
    weights: dict[str, np.ndarray], reason: str, tmp_path: Path, settings: ExecutionSettings
) -> None:
    dtype = TensorProto.INT64 if weights["w"].dtype == np.int64 else TensorProto.FLOAT
    path = saved(product(weights["w"], dtype=dtype), tmp_path / "m.onnx")
    with pytest.raises(CaseSkipped) as caught:
        prepare_model(case_of(path), settings)
    assert str(caught.value) == f"nothing to convert to fp16: {reason}"


def test_a_float32_model_given_as_half_is_told(fp32: Path, settings: ExecutionSettings) -> None:
    with pytest.raises(CaseError) as caught:
        prepare_model(case_of(fp32, fp16_path=fp32), settings)
    assert (caught.value.stage, caught.value.kind) == ("precision", "precision error")
    assert str(caught.value) == (
        f"{fp32} holds no float16, and models.json: models[0] names it as fp16_path: its weights are fp32; name a "
        "converted model, or leave fp16_path out to have fp32.onnx converted"
    )
    # one that is fp16 inside alone is what it is named
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    ]
    inside = saved(model_of(nodes, {}), fp32.parent / "inside.onnx")
    assert prepare_model(case_of(fp32, fp16_path=inside), settings).fact.fp16_from == "stored"


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
