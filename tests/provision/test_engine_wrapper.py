"""Engines as models: what is written is read again by onnx, and refused for want of TensorRT by ONNX Runtime alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pytest_ortperf.cli import main
from pytest_ortperf.provision.engine_wrapper import (
    TYPES,
    EngineTensor,
    WrapError,
    parse_tensor,
    read_layer_info,
    wrap_engine,
)

SAMPLES = Path(__file__).parents[1] / "data" / "trtexec_layers"
ENGINE = b"ftrt" + bytes(range(256))


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "net.engine"
    path.write_bytes(ENGINE)
    return path


def attributes(model: onnx.ModelProto) -> dict[str, object]:
    (node,) = model.graph.node
    assert (node.op_type, node.domain) == ("EPContext", "com.microsoft")
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


@pytest.mark.parametrize(
    ("text", "tensor"),
    [
        ("images:float32:1x3x224x224", EngineTensor("images", "float32", (1, 3, 224, 224))),
        ("input:0:fp16:-1x3", EngineTensor("input:0", "float16", (-1, 3))),
        ("ids:INT64:batch,128", EngineTensor("ids", "int64", ("batch", 128))),
        ("n:bool:", EngineTensor("n", "bool", ())),
        ("n:bf16:7", EngineTensor("n", "bfloat16", (7,))),
        ("q:fp8:4x4", EngineTensor("q", "float8e4m3fn", (4, 4))),
    ],
)
def test_a_tensor_is_described_by_name_type_and_shape(text: str, tensor: EngineTensor) -> None:
    assert parse_tensor(text, "--input") == tensor


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images", "--input: 'images' is not of the form NAME:TYPE:SHAPE, such as images:float32:1x3x224x224"),
        ("x:double:1", "unknown type 'double'; TensorRT has float32, float16, bfloat16, float8e4m3fn, int64"),
        ("x:int64:batchx128", "'batchx128' is no dimension; give a size, -1, or a name. Shapes with names"),
        ("x:int64:1x-2", "'-2' is no dimension"),
    ],
)
def test_a_description_that_cannot_be_used_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(WrapError) as caught:
        parse_tensor(text, "--input")
    assert message in str(caught.value)


def test_an_engine_is_named_by_its_path_from_the_model(engine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    moved = engine.rename(folder / "net.engine")
    inputs, outputs = [EngineTensor("x", "float32", (-1, 3, -1))], [EngineTensor("y", "float16", (-1, "classes"))]
    target = tmp_path / "net.onnx"

    wrap_engine(moved, inputs, outputs, target, embed=False)

    model = onnx.load_model(target)
    onnx.checker.check_model(model, full_check=True)
    assert attributes(model) == {
        "main_context": 1,
        "embed_mode": 0,
        "ep_cache_context": b"engines/net.engine",
        "source": b"TensorrtExecutionProvider",
    }
    shapes = [
        [dim.dim_param or dim.dim_value for dim in it.type.tensor_type.shape.dim]
        for it in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["free_dim_0", 3, "free_dim_1"], ["free_dim_2", "classes"]]
    assert [it.type.tensor_type.elem_type for it in model.graph.output] == [TensorProto.FLOAT16]


def test_every_type_can_be_embedded(engine: Path, tmp_path: Path) -> None:
    inputs = [EngineTensor(f"x_{kind}", kind, (1, 2)) for kind in TYPES]
    target = tmp_path / "elsewhere" / "net.onnx"

    wrap_engine(engine, inputs, [EngineTensor("y", "int64", ())], target, embed=True, provider="nvtensorrtrtx")

    model = onnx.load_model(target)
    onnx.checker.check_model(model, full_check=True)
    found = attributes(model)
    assert (found["embed_mode"], found["ep_cache_context"]) == (1, ENGINE)
    assert found["source"] == b"NvTensorRTRTXExecutionProvider"
    assert [it.type.tensor_type.elem_type for it in model.graph.input] == list(TYPES.values())


def test_an_engine_that_onnx_runtime_would_not_take_is_refused(engine: Path, tmp_path: Path) -> None:
    tensor = [EngineTensor("x", "float32", (1,))]
    other = [EngineTensor("y", "float32", (1,))]
    with pytest.raises(WrapError, match=r"only from the model's folder or below it.*--embed"):
        wrap_engine(engine, tensor, other, tmp_path / "below" / "net.onnx", embed=False)
    with pytest.raises(WrapError, match="described twice: x"):
        wrap_engine(engine, tensor, tensor, tmp_path / "net.onnx", embed=False)
    with pytest.raises(WrapError, match="give each with --input and --output"):
        wrap_engine(engine, tensor, [], tmp_path / "net.onnx", embed=False)
    with pytest.raises(WrapError, match="there is no such file"):
        wrap_engine(tmp_path / "no.engine", tensor, other, tmp_path / "net.onnx", embed=False)
    engine.write_bytes(b"")
    with pytest.raises(WrapError, match="is empty, no engine"):
        wrap_engine(engine, tensor, other, tmp_path / "net.onnx", embed=True)


def test_onnx_runtime_reads_the_model_and_misses_the_provider_alone(engine: Path, tmp_path: Path) -> None:
    inputs, outputs = [EngineTensor("x", "float32", (1,))], [EngineTensor("y", "float32", (1,))]
    wrap_engine(engine, inputs, outputs, tmp_path / "net.onnx", embed=True)
    with pytest.raises(Exception, match="EPContext"):
        onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        (
            "v101601_layerinfo.json",
            [EngineTensor("x", "float32", (1, 1, 28, 28))],
            [EngineTensor("y", "float32", (1, 10)), EngineTensor("z", "int64", (1,))],
        ),
        (
            "v8x_a100_fp16_layerinfo.json",
            [EngineTensor("input.1", "float32", (32, 3, 224, 224))],
            [EngineTensor("191", "float32", (32, 1000))],
        ),
    ],
)
def test_real_layer_information_describes_the_tensors(
    name: str, inputs: list[EngineTensor], outputs: list[EngineTensor]
) -> None:
    found_inputs, found_outputs, unknown = read_layer_info(SAMPLES / name)
    assert (list(found_inputs.values()), list(found_outputs.values()), unknown) == (inputs, outputs, [])


def test_layer_information_without_details_or_types_says_so(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    path.write_text('{"Layers": ["a", "b"], "Bindings": ["x", "y"]}')
    with pytest.raises(WrapError, match=r"names of layers alone.*--profilingVerbosity=detailed"):
        read_layer_info(path)
    path.write_text("[]")
    with pytest.raises(WrapError, match="is no file of trtexec --exportLayerInfo"):
        read_layer_info(path)
    fed = {"Name": "x", "Dimensions": [-1, 3], "Format/Datatype": "N/A due to dynamic shapes"}
    made = {"Name": "y", "Dimensions": [4], "Format/Datatype": "Row major INT64"}
    path.write_text(json.dumps({"Layers": [{"Inputs": [fed], "Outputs": [made]}], "Bindings": ["x", "y"]}))
    assert read_layer_info(path) == ({}, {"y": EngineTensor("y", "int64", (4,))}, ["x"])


def test_the_command_takes_the_file_and_what_the_options_add(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fed = {"Name": "x", "Dimensions": [-1, 3], "Format/Datatype": "N/A due to dynamic shapes"}
    made = {"Name": "y", "Dimensions": [4], "Format/Datatype": "Row major INT64"}
    info = tmp_path / "layers.json"
    info.write_text(json.dumps({"Layers": [{"Inputs": [fed], "Outputs": [made]}], "Bindings": ["x", "y"]}))

    assert main(["wrap", str(engine), f"--layer-info={info}"]) == 2
    assert "tells no type of x; give each with --input or --output" in capsys.readouterr().err
    assert main(["wrap", str(engine), f"--layer-info={info}", "--input=x:fp16:-1x3"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"wrote {tmp_path / 'net.onnx'}, which names net.engine",
        "  input x: float16, ? x 3",
        "  output y: int64, 4",
    ]
    assert "needs the provider's TensorRT" in lines[3]


def test_the_module_is_not_loaded_with_the_command_line() -> None:
    code = "import sys; from pytest_ortperf.cli import _parser; _parser(); assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wrapped_engine_counts_as_an_engine(engine: Path, tmp_path: Path) -> None:
    from pytest_ortperf.execution.model.model_file import ENGINE as KIND
    from pytest_ortperf.execution.model.model_file import inspect_precision

    inputs, outputs = [EngineTensor("x", "float32", (1,))], [EngineTensor("y", "float32", (1,))]
    model = wrap_engine(engine, inputs, outputs, tmp_path / "net.onnx", embed=True)
    assert inspect_precision(model) == KIND
    assert np.frombuffer(bytes(attributes(model)["ep_cache_context"]), np.uint8).size == len(ENGINE)  # type: ignore[arg-type]
