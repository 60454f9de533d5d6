"""The bundled models: reproducible, right on ONNX Runtime's CPU, and such that a wrong result shows."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Element = tuple[str, tuple[int, ...]]
"""An initialiser's name and an index into it."""

MODELS = Path(__file__).parents[1] / "models"
SCRIPT = "make_models.py"
RTOL = 1e-3
ATOL = 1e-5
SEED = 20240607
SAMPLED_ELEMENTS = 4
POSITIVE = ("variance", "scale", "threshold")
"""Ends of the names of weights that have no negative value; they double instead."""

OPERATORS = {
    "tiny_bert": {"Gather", "LayerNormalization", "Softmax", "Erf", "Tanh"},
    "small_cnn": {"Conv", "BatchNormalization", "Relu", "GlobalAveragePool", "Gemm", "Softmax"},
    "lstm": {"LSTM", "Transpose", "MatMul"},
    "dynamic_mlp": {"Shape", "Gather", "Concat", "Reshape", "Range"},
    "detector_head": {"TopK", "NonZero", "NonMaxSuppression", "Gather"},
    "int8_qdq_cnn": {"QuantizeLinear", "DequantizeLinear", "Conv", "Gemm"},
    "external_weights": {"MatMul", "Sigmoid", "ReduceMean"},
    "multi_io": {"Einsum", "Where", "Gather", "ArgMax"},
}
DATA_SETS = [(path.parent.name, path.name) for path in sorted(MODELS.glob("*/test_data_set_*"))]
SELECTIONS = [(model, data_set) for model, data_set in DATA_SETS if model in {"detector_head", "multi_io"}]

regenerates = pytest.mark.skipif(
    tuple(int(part) for part in onnx.__version__.split(".")[:2]) < (1, 23),
    reason="onnx.reference has no bidirectional LSTM before onnx 1.23",
)


@pytest.fixture(params=OPERATORS)
def folder(request: pytest.FixtureRequest) -> Path:
    return MODELS / str(request.param)


def read_tensors(data_set: Path, kind: str) -> dict[str, Array]:
    files = sorted(data_set.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.partition("_")[2]))
    tensors = [onnx.load_tensor(path) for path in files]
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}


def make_session(model: str | bytes, level: str = "ORT_ENABLE_ALL") -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_session(session: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def mismatches(outputs: dict[str, Array], reference: dict[str, Array]) -> list[str]:
    return [name for name, array in reference.items() if not agrees(outputs[name], array)]


def agrees(output: Array, reference: Array) -> bool:
    if (output.dtype, output.shape) != (reference.dtype, reference.shape):
        return False
    if reference.dtype.kind == "f":
        return np.allclose(output, reference, rtol=RTOL, atol=ATOL)
    return np.array_equal(output, reference)


def run_check(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)


@regenerates
def test_script_writes_what_is_committed() -> None:
    result = run_check(MODELS / SCRIPT)

    assert (result.stdout, result.returncode) == ("8 models are as this script writes them\n", 0)


@regenerates
def test_check_names_each_file_that_differs(tmp_path: Path) -> None:
    copy = shutil.copytree(MODELS, tmp_path / "models")
    weights = copy / "external_weights" / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    (copy / "lstm" / "test_data_set_1" / "input_0.pb").unlink()
    (copy / "small_cnn" / "notes.txt").touch()
    scores = copy / "multi_io" / "test_data_set_0" / "output_0.pb"
    tensor = onnx.load_tensor(scores)
    doubled = numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name)
    scores.write_bytes(doubled.SerializeToString())

    result = run_check(copy / SCRIPT)

    assert result.stdout.splitlines() == [
        "lstm/test_data_set_1/input_0.pb: missing",
        "small_cnn/notes.txt: not written by this script",
        "external_weights/weights.bin: differs",
        "multi_io/test_data_set_0/output_0.pb: differs by up to 0.5",
    ]
    assert result.returncode == 1


def test_all_models_together_stay_small() -> None:
    files = [path for name in OPERATORS for path in (MODELS / name).rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < 6_000_000


def test_model_is_valid_and_has_its_operators(folder: Path) -> None:
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    model = onnx.load(folder / "model.onnx", load_external_data=False)

    assert OPERATORS[folder.name] <= {node.op_type for node in model.graph.node}
    node_names = [node.name for node in model.graph.node]
    assert len(set(node_names) - {""}) == len(node_names)
    assert (model.ir_version, model.opset_import[0].version) in {(8, 17), (9, 19)}


@pytest.mark.parametrize("level", ["ORT_ENABLE_ALL", "ORT_DISABLE_ALL"])
@pytest.mark.parametrize(("model", "data_set"), DATA_SETS)
def test_outputs_equal_the_reference(model: str, data_set: str, level: str) -> None:
    session = make_session(str(MODELS / model / "model.onnx"), level)
    reference = read_tensors(MODELS / model / data_set, "output")

    outputs = run_session(session, read_tensors(MODELS / model / data_set, "input"))

    assert list(outputs) == list(reference)
    assert mismatches(outputs, reference) == []


@pytest.mark.parametrize("level", ["ORT_ENABLE_ALL", "ORT_DISABLE_ALL"])
def test_quantised_logits_are_exact(level: str) -> None:
    folder = MODELS / "int8_qdq_cnn"
    session = make_session(str(folder / "model.onnx"), level)

    outputs = run_session(session, read_tensors(folder / "test_data_set_0", "input"))

    np.testing.assert_array_equal(outputs["logits"], read_tensors(folder / "test_data_set_0", "output")["logits"])


def test_flipping_the_sign_of_one_weight_shows(folder: Path) -> None:
    sampled = _sampled_elements(folder.name)

    unseen = [element for element in sampled if not _shows(folder, element, _flipped)]

    assert unseen == []


def test_one_weight_off_by_a_tenth_mostly_shows(folder: Path) -> None:
    sampled = _sampled_elements(folder.name)

    unseen = [element for element in sampled if not _shows(folder, element, _off_by_a_tenth)]

    assert len(unseen) <= len(sampled) / 5, unseen


@pytest.mark.parametrize(("model", "data_set"), SELECTIONS)
def test_rounding_does_not_change_what_is_selected(model: str, data_set: str) -> None:
    """Integer and boolean outputs must not hang on the last bits of a score."""
    session = make_session(str(MODELS / model / "model.onnx"))
    inputs = read_tensors(MODELS / model / data_set, "input")
    reference = read_tensors(MODELS / model / data_set, "output")
    exact = {name: array for name, array in reference.items() if array.dtype.kind != "f"}
    random = np.random.default_rng(SEED)

    for _ in range(20):
        jittered = {name: _jittered(array, random) for name, array in inputs.items()}
        assert mismatches(run_session(session, jittered), exact) == []


def test_detections_end_below_the_limit_by_suppression() -> None:
    outputs = read_tensors(MODELS / "detector_head" / "test_data_set_0", "output")

    assert np.bincount(outputs["class_ids"]).tolist() == [8, 7, 12, 9]


def test_stored_files_of_multi_io_are_in_another_order_than_its_inputs() -> None:
    model = onnx.load(MODELS / "multi_io" / "model.onnx")
    inputs = read_tensors(MODELS / "multi_io" / "test_data_set_0", "input")

    assert [value.name for value in model.graph.input] == [
        "query",
        "item_ids",
        "allowed",
        "history",
        "temperature",
    ]
    assert list(inputs) == ["allowed", "temperature", "history", "query", "item_ids"]


def test_weights_of_external_weights_are_beside_the_model() -> None:
    model = onnx.load(MODELS / "external_weights" / "model.onnx", load_external_data=False)
    external = [t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]

    assert external == [f"block_{block}/{part}/weight" for block in (0, 1) for part in ("gate", "up", "down")]


def _shows(folder: Path, element: Element, change: Callable[[str, Any], Any]) -> bool:
    """Say whether the changed weight moves an output of a data set beyond the tolerance."""
    name, index = element
    session, weights = _session_with_weights_as_inputs(folder.name)
    changed = weights[name].copy()
    changed[index] = change(name, changed[index])
    for data_set in sorted(folder.glob("test_data_set_*")):
        outputs = run_session(session, read_tensors(data_set, "input") | {name: changed})
        if mismatches(outputs, read_tensors(data_set, "output")):
            return True
    return False


def _flipped(name: str, value: Any) -> Any:
    if name.endswith(POSITIVE):
        return value * value.dtype.type(2)
    return -value


def _off_by_a_tenth(name: str, value: Any) -> Any:
    del name
    if value.dtype.kind == "f":
        return value * value.dtype.type(1.1)
    return value + np.sign(value) * max(1, abs(int(value)) // 10)


def _jittered(array: Array, random: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + 5e-4 * random.standard_normal(array.shape)), array.dtype)


@cache
def _session_with_weights_as_inputs(name: str) -> tuple[Any, dict[str, Array]]:
    """Return a session of which each weight can be fed instead, and the weights by name."""
    model = onnx.load(MODELS / name / "model.onnx")
    kinds = {TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT32}
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type in kinds]
    for tensor in tensors:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    return make_session(model.SerializeToString()), weights


def _sampled_elements(model: str) -> list[Element]:
    _, weights = _session_with_weights_as_inputs(model)
    random = np.random.default_rng(SEED)
    sampled = []
    for name, weight in weights.items():
        if name.endswith("zero_point"):
            continue
        rows = _used_rows(model, name)
        for _ in range(min(SAMPLED_ELEMENTS, weight.size)):
            index = tuple(int(random.integers(length)) for length in weight.shape)
            sampled.append((name, index if rows is None else (int(random.choice(rows)), *index[1:])))
    return sampled


def _used_rows(model: str, weight: str) -> Array | None:
    """Rows of a table that the data sets look up; None where every element takes part."""
    first = MODELS / model / "test_data_set_0"
    match (model, weight):
        case ("tiny_bert", "embeddings/word"):
            return read_tensors(first, "input")["input_ids"].ravel()
        case ("multi_io", "items/embedding"):
            return read_tensors(first, "input")["history"].ravel()
        case ("multi_io", "items/bias"):
            inputs = read_tensors(first, "input")
            return inputs["item_ids"][inputs["allowed"]]
        case ("detector_head", "anchors/size" | "anchors/center"):
            return read_tensors(first, "output")["anchor_ids"]
    return None
