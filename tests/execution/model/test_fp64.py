from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.execution.model import fp64
from pytest_ortperf.execution.model.fp64 import fp64_model

KINDS = {TensorProto.FLOAT16: 2, TensorProto.FLOAT: 4, TensorProto.INT64: 8}


def external(folder: Path, kind: int, elements: int) -> Path:
    """Write a model with one weight in a file of its own, which takes no room on the disk."""
    byte = elements * KINDS[kind]
    with (folder / "w.bin").open("wb") as file:
        file.truncate(byte)
    weight = TensorProto(name="w", data_type=kind, dims=[elements], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("length", str(byte))):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    x, y = (helper.make_tensor_value_info(name, kind, [elements]) for name in "xy")
    model = helper.make_model(helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weight]))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("kind", "elements"), [(TensorProto.FLOAT16, 1 << 28), (TensorProto.FLOAT, 1 << 28), (TensorProto.INT64, 1 << 28)]
)
def test_a_model_that_no_message_holds_in_float64_is_not_made(tmp_path: Path, kind: int, elements: int) -> None:
    assert fp64_model(external(tmp_path, kind, elements)) is None


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.FLOAT])
def test_the_limit_is_of_what_is_made_from_it(tmp_path: Path, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = external(tmp_path, kind, 1 << 16)
    size = 8 * (1 << 16) + path.stat().st_size
    monkeypatch.setattr(fp64, "LARGEST_BYTE", size)

    model = fp64_model(path)

    assert model is not None
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).dtype == np.float64
    monkeypatch.setattr(fp64, "LARGEST_BYTE", size - 1)
    assert fp64_model(path) is None
