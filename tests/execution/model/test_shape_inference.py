import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from fp16_models import case_of, model_of, product, saved
from onnx import helper

from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model import precision
from pytest_ortperf.execution.model.artifact_cache import ArtifactCache
from pytest_ortperf.execution.model.model_dimensions import (
    fix_dimensions,
    fixes_dims,
    free_dims,
    require_dimensions,
)
from pytest_ortperf.execution.model.precision import infer_shapes, wants_shape_inference

EYE = np.eye(4, dtype=np.float32)
TENSORRT_ERROR = (
    "[ONNXRuntimeError] : 1 : FAIL : TensorRT input: NonMaxSuppression__618:0 has no shape specified. Please run shape "
    "inference on the onnx model first. Details can be found in https://onnxruntime.ai/docs/execution-providers/"
    "TensorRT-ExecutionProvider.html#shape-inference-for-tensorrt-subgraphs"
)

needs_sympy = pytest.mark.skipif(importlib.util.find_spec("sympy") is None, reason="needs the symbolic extra")


@pytest.mark.parametrize(("text", "wanted"), [(TENSORRT_ERROR, True), ("ShapeInferenceError", False), ("", False)])
def test_tensorrt_asks_for_shapes(text: str, *, wanted: bool) -> None:
    assert wants_shape_inference(text) is wanted


def inner_shapes(path: Path) -> dict[str, list[str | int]]:
    return {
        it.name: [dim.dim_param or dim.dim_value for dim in it.type.tensor_type.shape.dim]
        for it in onnx.load_model(path).graph.value_info
    }


def two_steps() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["inside"], name="product"),
        helper.make_node("Relu", ["inside"], ["y"], name="relu"),
    ]
    return model_of(nodes, {"w": EYE})


@needs_sympy
def test_shapes_are_inferred_once(tmp_path: Path) -> None:
    path = saved(two_steps(), tmp_path / "m.onnx")
    cache = ArtifactCache(tmp_path / "cache", 2**30)
    inferred = infer_shapes(path, cache)
    assert inferred.facts == {"note": "symbolic shape inference"}
    assert inner_shapes(inferred.model)["inside"] == ["batch", 4]
    assert inner_shapes(path) == {}
    assert infer_shapes(path, cache).folder == inferred.folder


@needs_sympy
@pytest.mark.parametrize("external", [True, False])
def test_onnx_infers_where_the_symbolic_one_gives_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    external: bool,  # noqa: FBT001
) -> None:
    def give_up(path: Path) -> onnx.ModelProto:
        raise AttributeError(f"cannot do {path.name}")

    monkeypatch.setattr(precision, "_symbolic", give_up)
    options = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 0} if external else {}
    path = saved(two_steps(), tmp_path / "m.onnx", **options)
    inferred = infer_shapes(path, ArtifactCache(tmp_path / "cache", 2**30))
    assert inferred.facts == {
        "note": "shape inference by onnx: the symbolic one failed (AttributeError: cannot do m.onnx)"
    }
    assert inner_shapes(inferred.model) == {"inside": ["batch", 4]}


def test_without_sympy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CaseError) as caught:
        infer_shapes(tmp_path / "m.onnx", ArtifactCache(tmp_path / "cache", 2**30))
    assert str(caught.value) == (
        "symbolic shape inference needs sympy; install it with: pip install 'pytest-ortperf[symbolic]'"
    )
    assert (caught.value.stage, caught.value.kind) == ("model", "model error")


@needs_sympy
def test_a_file_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(CaseError, match=r"m\.onnx: no shapes could be inferred \(DecodeError: ") as caught:
        infer_shapes(tmp_path / "m.onnx", ArtifactCache(tmp_path / "cache", 2**30))
    assert (caught.value.stage, caught.value.kind) == ("model", "model error")


def test_dimensions_of_optional_inputs_do_not_count() -> None:
    model = product(EYE)
    model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, ["rows", 4]))
    assert free_dims(model) == ("batch",)


def test_a_dimension_of_the_command_line_skips_models_without_it(tmp_path: Path) -> None:
    path = saved(product(EYE), tmp_path / "m.onnx")
    case = case_of(path, case_dims=(("batch", 1), ("sequence", 8)))
    with pytest.raises(CaseSkipped) as caught:
        require_dimensions(case, free_dims(onnx.load_model(path)))
    assert str(caught.value) == "has no dimension 'sequence'; its inputs have 'batch'"


def test_a_dimension_of_the_models_own_entry_is_an_error(tmp_path: Path) -> None:
    path = saved(product(EYE), tmp_path / "m.onnx")
    case = case_of(path, case_dims=(("sequence", 8),), dims={"sequence": (8,)})
    with pytest.raises(CaseError) as caught:
        require_dimensions(case, free_dims(onnx.load_model(path)))
    assert str(caught.value) == (
        "dims: no input has the dimension 'sequence'; the model's inputs have 'batch': "
        'correct "dims" of the model, or give it "dims": {} where those of the defaults are not for it'
    )
    assert (caught.value.stage, caught.value.kind) == ("inputs", "input error")


class Options:
    """Takes what a session's options take."""

    def __init__(self) -> None:
        self.fixed: dict[str, int] = {}

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        self.fixed[name] = size


@pytest.mark.parametrize(
    ("of_run", "of_model", "dims", "fixed"),
    [
        (False, False, (("batch", 2),), {}),
        (True, False, (("batch", 2),), {"batch": 2}),
        (False, True, (("batch", 2), ("n", 3)), {"batch": 2, "n": 3}),
        (True, True, (), {}),
    ],
)
def test_dimensions_are_made_static_where_asked(
    *, of_run: bool, of_model: bool, dims: tuple[tuple[str, int], ...], fixed: dict[str, int]
) -> None:
    case = case_of(Path("m.onnx"), case_dims=dims, fix_dims=of_model)
    settings = ExecutionSettings(fix_dims=of_run)
    options = Options()
    fix_dimensions(options, case, settings)
    assert options.fixed == fixed
    assert fixes_dims(case, settings) is bool(fixed)
