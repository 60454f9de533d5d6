from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.model import Model
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.model_file import check_model_file, inspect_precision, load_graph, weights_precision


def model_with(*weights: np.ndarray, op: str = "Identity", elem_type: int = TensorProto.FLOAT) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, elem_type, [1]) for name in "xy")
    tensors = [numpy_helper.from_array(array, f"w{number}") for number, array in enumerate(weights)]
    return helper.make_model(helper.make_graph([helper.make_node(op, ["x"], ["y"])], "g", [x], [y], tensors))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (model_with(np.zeros(3, np.float32)), "fp32"),
        (model_with(np.zeros(5, np.float16), np.zeros(3, np.float32)), "fp16"),
        (model_with(np.zeros(3, np.float16), np.zeros(5, np.float32), np.zeros(99, np.int64)), "fp32"),
        (model_with(np.zeros(2, np.float64)), "fp64"),
        (model_with(elem_type=TensorProto.FLOAT16), "fp16"),
        (model_with(elem_type=TensorProto.INT64), None),
    ],
)
def test_the_precision_is_that_of_most_weights_else_of_inputs(model: onnx.ModelProto, expected: str | None) -> None:
    assert weights_precision(model) == expected


def test_weights_in_constants_and_in_branches_count() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (bool c) => (float[2] y) {
        y = If (c) <
          then_branch = a () => (float[2] o) <float16[2] w = {1, 2}> { o = Cast <to = 1> (w) },
          else_branch = b () => (float[2] o) { k = Constant <value = float16[2] {1, 2}> () o = Cast <to = 1> (k) }
        >
    }"""
    assert weights_precision(onnx.parser.parse_model(text)) == "fp16"


def test_a_large_model_has_a_precision_too(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(model_with(np.zeros(3, np.float16)).SerializeToString())
    assert inspect_precision(load_graph(path, 2**31 - 1)) == "fp16"


def test_a_model_with_integer_kernels_is_int8(tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    path.write_bytes(model_with(np.zeros(3, np.float32), op="DequantizeLinear").SerializeToString())
    assert inspect_precision(load_graph(path, path.stat().st_size)) == "int8"


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"12345")
    assert check_model_file(path, listed(path)) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty (0 bytes); write or download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "{path} is a Git-LFS pointer, not the model; fetch it with: git lfs pull",
        ),
        (None, "{path} does not exist (named by models.json: models[3] 'm')"),
    ],
)
def test_what_is_no_model_file_is_told_with_the_way_out(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaseError) as caught:
        check_model_file(path, listed(path))
    assert str(caught.value) == message.format(path=path)
    assert (caught.value.stage, caught.value.kind) == ("model", "model error")


def test_a_directory_instead_of_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        check_model_file(tmp_path, listed(tmp_path))
    assert str(caught.value) == f"{tmp_path} cannot be read: Is a directory (named by models.json: models[3] 'm')"


def test_a_cut_model_is_told_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model_with(np.zeros(99, np.float32)).SerializeToString()[:50])
    with pytest.raises(CaseError) as caught:
        load_graph(path, 50)
    assert str(caught.value) == (
        f"{path} is no ONNX model, or is cut short (50 bytes): it does not parse; write or download it again"
    )


def listed(path: Path) -> Model:
    return Model(name="m", path=path, origin="models.json: models[3] 'm'")
