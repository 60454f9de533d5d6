import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.artifact_cache import ArtifactCache
from pytest_ortperf.execution.session import engine_cache
from pytest_ortperf.execution.session.engine_cache import (
    Builder,
    cache_options,
    engine_key,
    model_key,
    remove_run_cache,
)
from pytest_ortperf.execution.session.resolved_options import lower_precisions, lower_precisions_note, provider_options
from pytest_ortperf.execution.session.tensorrt import GraphInput

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
OFF = ExecutionSettings(trt_cache="off")
NO_CACHE = {"trt_engine_cache_enable": "False", "trt_timing_cache_enable": "False"}
BUILDER = Builder(
    onnxruntime="onnxruntime-gpu 1.31.1",
    tensorrt="10.16.1",
    cuda="13.0",
    driver="580.1",
    gpus=("NVIDIA H200",),
    visible=None,
)


def model_bytes(shape: Any = (1, 3), *, op_type: str = "Relu", domain: str = "") -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node(op_type, ["x"], ["y"], domain=domain)], "g", [value], [result])
    return bytes(helper.make_model(graph).SerializeToString())


def make_case(
    provider: str, *, mode: Any = "benchmark", precision: str | None = None, dims: Any = (), **model: Any
) -> Case:
    given = Model(**{"name": "m", "path": Path("m.onnx"), "origin": "here", **model})
    return Case(model=given, mode=mode, provider=find_provider(provider), precision=precision, dims=dims)


def settings_of(**changes: Any) -> ExecutionSettings:
    return dataclasses.replace(OFF, **changes)


def test_options_of_the_command_line_win_over_the_model_lists_key_by_key() -> None:
    case = make_case("cuda", ep_options={"cuda": {"use_tf32": "1", "prefer_nhwc": "true"}, "tensorrt": {"x": "1"}})

    options = provider_options(case, settings_of(ep_options={"cuda": {"use_tf32": "False"}}), b"")

    assert options == {CUDA: {"use_tf32": "0", "prefer_nhwc": "1"}}


def test_providers_without_a_table_get_what_is_given() -> None:
    case = make_case("openvino", ep_options={"openvino": {"device_type": "CPU"}})

    assert provider_options(case, OFF, b"") == {"OpenVINOExecutionProvider": {"device_type": "CPU"}}


def test_tensorrt_says_precision_and_cache_in_its_own_spelling() -> None:
    options = provider_options(make_case("tensorrt"), OFF, model_bytes())

    assert options == {TENSORRT: {**NO_CACHE, "trt_fp16_enable": "False"}, CUDA: {}}


def test_tensorrt_gets_half_precision_and_one_profile_from_the_model_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model_bytes(["batch", 3]))
    case = make_case("tensorrt", precision="fp16", dims=(("batch", 8),))

    options = provider_options(case, OFF, str(path))[TENSORRT]

    shapes = {f"trt_profile_{which}_shapes": "x:8x3" for which in ("min", "opt", "max")}
    assert options == {**NO_CACHE, "trt_fp16_enable": "True", **shapes}


def test_inputs_that_are_known_already_are_not_read_again() -> None:
    options = provider_options(make_case("tensorrt"), OFF, model_bytes(), [GraphInput("z", (None, 7))])

    assert options[TENSORRT]["trt_profile_opt_shapes"] == "z:1x7"


def test_what_the_user_gives_tensorrt_always_wins() -> None:
    given = {
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": "mine",
        "trt_profile_min_shapes": "x:1x3",
        "trt_profile_opt_shapes": "x:2x3",
        "trt_profile_max_shapes": "x:4x3",
    }

    options = provider_options(
        make_case("tensorrt"), settings_of(ep_options={"tensorrt": given}), model_bytes(["batch", 3])
    )

    assert options[TENSORRT] == {
        **NO_CACHE,
        **given,
        "trt_fp16_enable": "True",
        "trt_engine_cache_enable": "True",
    }


def test_companions_run_on_the_device_of_the_provider_they_stand_in_for() -> None:
    case = make_case("tensorrt", ep_options={"cuda": {"use_tf32": "0"}})

    chosen = provider_options(case, settings_of(devices={"tensorrt": "1"}), model_bytes())
    given = provider_options(case, settings_of(ep_options={"cuda": {"device_id": "2"}}), model_bytes())

    assert chosen[TENSORRT]["device_id"] == "1"
    assert chosen[CUDA] == {"device_id": "1", "use_tf32": "0"}
    assert given[CUDA] == {"device_id": "2", "use_tf32": "0"}


def test_device_of_a_plugin_provider_is_no_option() -> None:
    case = make_case("cuda")
    settings = settings_of(devices={"cuda": "1"}, plugins={CUDA: "libcuda_plugin.so"})

    assert provider_options(case, settings, b"") == {CUDA: {}}


def test_compiled_models_get_nothing_but_what_the_user_gives() -> None:
    source = model_bytes(["batch", 3], op_type="EPContext", domain="com.microsoft")
    case = make_case("tensorrt", ep_options={"tensorrt": {"device_id": "0"}})

    assert provider_options(case, ExecutionSettings(), source) == {
        TENSORRT: {"device_id": "0"},
        CUDA: {"device_id": "0"},
    }


@pytest.mark.parametrize(
    ("provider", "full_name", "option"),
    [
        ("cuda", "CUDAExecutionProvider", {"enable_cuda_graph": "1"}),
        ("cpu", "CPUExecutionProvider", {}),
    ],
)
def test_the_session_of_the_timing_mode_graph_has_the_option_that_users_are_refused(
    provider: str, full_name: str, option: dict[str, str]
) -> None:
    settings = dataclasses.replace(OFF, device_graph=True)
    assert provider_options(make_case(provider), settings, b"")[full_name] == option


def test_option_that_cannot_be_used_ends_the_case() -> None:
    case = make_case("cuda", ep_options={"cuda": {"enable_cuda_graph": "1"}})

    with pytest.raises(CaseError) as caught:
        provider_options(case, OFF, b"")

    assert (caught.value.stage, caught.value.kind) == ("session", "session error")
    assert str(caught.value) == (
        "cuda option 'enable_cuda_graph' cannot be used: a CUDA graph needs inputs and outputs that are bound to the "
        "device; --ortperf-timing=graph measures it so, in a session of its own"
    )


@pytest.mark.parametrize(
    ("provider", "options", "precision", "environ", "lower"),
    [
        ("cuda", {}, "fp32", {}, ("tf32",)),
        ("cuda", {"use_tf32": "1"}, "fp32", {"NVIDIA_TF32_OVERRIDE": "1"}, ("tf32",)),
        ("cuda", {"use_tf32": "0"}, "fp32", {}, ()),
        ("cuda", {"use_tf32": "False"}, "fp32", {}, ()),
        ("cuda", {}, "fp32", {"NVIDIA_TF32_OVERRIDE": "0"}, ()),
        ("cuda", {}, "fp16", {}, ()),
        ("cuda", {}, None, {}, ()),
        ("cpu", {}, "fp32", {}, ()),
        ("tensorrt", {"trt_fp16_enable": "False"}, "fp32", {}, ("tf32",)),
        ("tensorrt", {"trt_fp16_enable": "True", "trt_bf16_enable": "1"}, "fp32", {}, ("tf32", "fp16", "bf16")),
        ("tensorrt", {"trt_fp16_enable": "True"}, "fp32", {"NVIDIA_TF32_OVERRIDE": "0"}, ("fp16",)),
        ("tensorrt", {}, "engine", {}, ()),
    ],
)
def test_fp32_numbers_may_be_computed_in_these(
    provider: str, options: Mapping[str, str], precision: str | None, environ: Mapping[str, str], lower: tuple[str, ...]
) -> None:
    assert lower_precisions(find_provider(provider), options, precision, environ) == lower


@pytest.mark.parametrize(
    ("lower", "note"),
    [
        (("tf32",), "TF32 allowed"),
        (("fp16",), "fp32 storage, fp16 allowed"),
        (("tf32", "fp16"), "fp32 storage, TF32, fp16 allowed"),
    ],
)
def test_tables_say_what_fp32_numbers_may_be_computed_in(lower: tuple[str, ...], note: str) -> None:
    assert lower_precisions_note(lower) == note


def test_cache_of_a_run_is_one_folder_a_case_and_ends_with_the_run(tmp_path: Path) -> None:
    settings = ExecutionSettings(trt_cache_folder=tmp_path / "run")
    benchmark, validate = make_case("tensorrt"), make_case("tensorrt", mode="validate")

    first = cache_options(b"", benchmark, settings, {})
    other = cache_options(b"", validate, settings, {})

    assert first == cache_options(b"", benchmark, settings, {"trt_fp16_enable": "True"})
    assert first["trt_engine_cache_path"] != other["trt_engine_cache_path"]
    elsewhere = cache_options(b"", make_case("tensorrt", origin="test_models.py::test_bert"), settings, {})
    assert first["trt_engine_cache_path"] != elsewhere["trt_engine_cache_path"]
    folder = Path(first["trt_engine_cache_path"])
    assert first == {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }
    assert (folder.parent, folder.is_dir(), folder.stat().st_mode & 0o777) == (tmp_path / "run", True, 0o700)
    remove_run_cache(settings)
    assert not (tmp_path / "run").exists()


def test_persistent_cache_outlives_the_run_and_shares_timings_between_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "this_builder", lambda _: BUILDER)
    settings = ExecutionSettings(trt_cache="persistent", cache=tmp_path)
    case = make_case("tensorrt")

    first = cache_options(model_bytes((1, 3)), case, settings, {})
    again = cache_options(model_bytes((1, 3)), case, settings, {"trt_detailed_build_log": "True"})
    other = cache_options(model_bytes((1, 4)), case, settings, {})
    remove_run_cache(settings)

    assert first == again == cache_options(model_bytes((1, 3)), case, settings, {})
    assert first["trt_engine_cache_path"] != other["trt_engine_cache_path"]
    assert first["trt_timing_cache_path"] == other["trt_timing_cache_path"]
    folder = Path(first["trt_engine_cache_path"])
    assert (folder.parent, folder.is_dir(), folder.stat().st_mode & 0o777) == (tmp_path / "artifacts", True, 0o700)


def test_persistent_engines_used_longest_ago_go_once_they_have_grown_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "this_builder", lambda _: BUILDER)
    settings = ExecutionSettings(trt_cache="persistent", cache=tmp_path, cache_limit_byte=2500)
    case = make_case("tensorrt")

    def used(number: int) -> Path:
        options = cache_options(model_bytes((1, number)), case, settings, {})
        return Path(options["trt_engine_cache_path"])

    folders = [used(number) for number in range(1, 5)]
    for age, folder in zip((100, 300, 200, 0), folders, strict=True):
        (folder / "engine").write_bytes(b"e" * 1000)
        os.utime(folder / "facts.json", (time.time() - age,) * 2)
    again = used(1)

    assert again == folders[0]
    assert [(folder / "engine").exists() for folder in folders] == [True, False, False, True]


def test_persistent_engines_and_timings_in_use_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache, "this_builder", lambda _: BUILDER)
    settings = ExecutionSettings(trt_cache="persistent", cache=tmp_path, cache_limit_byte=0)

    options = cache_options(model_bytes((1, 3)), make_case("tensorrt"), settings, {})
    in_use = {Path(options["trt_engine_cache_path"]), Path(options["trt_timing_cache_path"])}
    for folder in in_use:
        (folder / "file").write_bytes(b"e" * 1000)
    ArtifactCache(tmp_path, 0).get({"another": "process"}, lambda _: {})

    assert in_use < set((tmp_path / "artifacts").iterdir())


def test_engine_of_other_versions_gpu_model_or_options_is_never_found() -> None:
    model, options = {"model": "a"}, {"trt_fp16_enable": "False", "device_id": "0"}
    others = [
        engine_key({"model": "b"}, BUILDER, options),
        engine_key({"model": "a", "external w": "c"}, BUILDER, options),
        engine_key(model, dataclasses.replace(BUILDER, onnxruntime="onnxruntime-gpu 1.30.0"), options),
        engine_key(model, dataclasses.replace(BUILDER, tensorrt="10.16.2"), options),
        engine_key(model, dataclasses.replace(BUILDER, cuda="13.1"), options),
        engine_key(model, dataclasses.replace(BUILDER, driver="581"), options),
        engine_key(model, dataclasses.replace(BUILDER, gpus=("NVIDIA H100",)), options),
        engine_key(model, dataclasses.replace(BUILDER, visible="1"), options),
        engine_key(model, dataclasses.replace(BUILDER, tf32_override="0"), options),
        engine_key(model, BUILDER, {**options, "trt_fp16_enable": "True"}),
        engine_key(model, BUILDER, {**options, "trt_profile_max_shapes": "x:8"}),
        engine_key(model, BUILDER, {**options, "option_of_a_later_version": "1"}),
    ]

    key = engine_key(model, BUILDER, options)

    assert len({key, *others}) == len(others) + 1
    assert key == engine_key(model, BUILDER, {**options, "trt_engine_cache_path": "x", "trt_dump_subgraphs": "True"})


def test_model_key_is_content_external_data_and_what_changes_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    weights = numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [result], [weights])
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="m.data", size_threshold=0)
    case = make_case("tensorrt", dims=(("batch", 8),))
    settings = ExecutionSettings(cache=tmp_path / "cache")

    key = model_key(str(path), case, settings)
    fixed = model_key(str(path), case, dataclasses.replace(settings, fix_dims=True))
    (tmp_path / "m.data").write_bytes(b"other weights")

    assert {**key, "fixed dimensions": {"batch": 8}} == fixed
    assert model_key(str(path), case, settings) != key
    assert key["graph optimisation"] == "all"
    assert sorted(key) == ["external m.data", "fixed dimensions", "graph optimisation", "model"]


def test_builder_here_is_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    builder = engine_cache.this_builder(tmp_path)

    assert builder.tf32_override == "0"
    assert "onnxruntime" in str(builder.onnxruntime)
