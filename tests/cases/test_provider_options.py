from collections.abc import Callable
from typing import Any

import pytest

from pytest_ortperf.cases import provider_option_rules
from pytest_ortperf.cases.provider_options import (
    check_option,
    check_options,
    is_newer_than_table,
    parse_shapes,
    unknown_keys,
)
from pytest_ortperf.cases.providers import PROVIDERS
from pytest_ortperf.errors import SettingsError

VERSION = "1.31.1"
TABLES = {row.name: row.options for row in PROVIDERS if row.options}


@pytest.mark.parametrize(
    ("provider", "key", "given", "written"),
    [
        ("cuda", "use_tf32", "true", "1"),
        ("cuda", "use_tf32", "False", "0"),
        ("cuda", "use_tf32", "0", "0"),
        ("CUDAExecutionProvider", "prefer_nhwc", "TRUE", "1"),
        ("cuda", "device_id", " 1 ", "1"),
        ("cuda", "gpu_mem_limit", "18446744073709551615", "18446744073709551615"),
        ("cuda", "cudnn_conv_algo_search", "heuristic", "HEURISTIC"),
        ("cuda", "arena_extend_strategy", "kSameAsRequested", "kSameAsRequested"),
        ("cuda", "user_compute_stream", "0", "0"),
        ("cuda", "enable_cuda_graph", "false", "0"),
        ("tensorrt", "trt_fp16_enable", "1", "True"),
        ("tensorrt", "trt_fp16_enable", "false", "False"),
        ("TensorrtExecutionProvider", "trt_cuda_graph_enable", "0", "False"),
        ("tensorrt", "trt_auxiliary_streams", "-1", "-1"),
        ("tensorrt", "trt_builder_optimization_level", "05", "5"),
        ("tensorrt", "trt_tactic_sources", "+CUDNN,-CUBLAS", "+CUDNN,-CUBLAS"),
        ("tensorrt", "trt_profile_min_shapes", "a:1x3,b:4", "a:1x3,b:4"),
        ("openvino", "anything", "as it is ", "as it is "),
    ],
)
def test_value_is_written_as_the_providers_parser_takes_it(provider: str, key: str, given: str, written: str) -> None:
    assert check_option(provider, key, given, VERSION) == written


@pytest.mark.parametrize(
    ("provider", "key", "value", "message"),
    [
        ("cuda", "use_tf3", "1", "unknown cuda option 'use_tf3'; did you mean 'use_tf32'?"),
        ("cuda", "use_tf32", "perhaps", "cuda option 'use_tf32' is 'perhaps'; it must be true, false, 1 or 0"),
        ("cuda", "use_tf32", "", "cuda option 'use_tf32' is ''; it must be true, false, 1 or 0"),
        ("cuda", "device_id", "-1", "cuda option 'device_id' is '-1'; it must be a whole number of at least 0"),
        ("cuda", "device_id", "one", "cuda option 'device_id' is 'one'; it must be a whole number of at least 0"),
        (
            "cuda",
            "gpu_mem_limit",
            "1e9",
            "cuda option 'gpu_mem_limit' is '1e9'; it must be a whole number of at least 0 and below 2**64",
        ),
        (
            "cuda",
            "gpu_mem_limit",
            "18446744073709551616",
            (
                "cuda option 'gpu_mem_limit' is '18446744073709551616'; "
                "it must be a whole number of at least 0 and below 2**64"
            ),
        ),
        (
            "cuda",
            "cudnn_conv_algo_search",
            "FAST",
            "cuda option 'cudnn_conv_algo_search' is 'FAST'; it must be one of EXHAUSTIVE, HEURISTIC, DEFAULT",
        ),
        (
            "cuda",
            "user_compute_stream",
            "139912",
            (
                "cuda option 'user_compute_stream' is '139912'; it must be left out: an address means nothing in the "
                "process that runs a case"
            ),
        ),
        (
            "cuda",
            "enable_cuda_graph",
            "1",
            (
                "cuda option 'enable_cuda_graph' cannot be used: a CUDA graph needs inputs and outputs that are bound "
                "to the device; --ortperf-timing=graph measures it so, in a session of its own"
            ),
        ),
        (
            "tensorrt",
            "trt_cuda_graph_enable",
            "True",
            (
                "tensorrt option 'trt_cuda_graph_enable' cannot be used: a CUDA graph needs inputs and outputs that "
                "are bound to the device; --ortperf-timing=graph measures it so, in a session of its own"
            ),
        ),
        (
            "tensorrt",
            "trt_load_user_initializer",
            "0",
            (
                "tensorrt option 'trt_load_user_initializer' cannot be used: ONNX Runtime takes it from C and C++ "
                "alone; leave it out"
            ),
        ),
        (
            "tensorrt",
            "trt_builder_optimization_level",
            "9",
            "tensorrt option 'trt_builder_optimization_level' is '9'; it must be a whole number from 0 to 5",
        ),
        (
            "tensorrt",
            "trt_engine_cache_path",
            "",
            (
                "tensorrt option 'trt_engine_cache_path' is ''; it must be a text that is not empty; leave the "
                "option out for none"
            ),
        ),
        (
            "tensorrt",
            "trt_profile_max_shapes",
            "a=1x3",
            (
                "tensorrt option 'trt_profile_max_shapes' is 'a=1x3'; it must be shapes by input, such as "
                "input1:1x3x224x224,input2:1x4"
            ),
        ),
        ("tensorrt", "trt_fp16", "1", "unknown tensorrt option 'trt_fp16'; did you mean 'trt_fp16_enable'?"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_allowed(provider: str, key: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_option(provider, key, value, VERSION)

    assert str(caught.value) == message


def test_unknown_key_that_resembles_none_is_told_all() -> None:
    with pytest.raises(SettingsError) as caught:
        check_option("cuda", "zzz", "1", VERSION)

    assert str(caught.value) == f"unknown cuda option 'zzz'; known options are {', '.join(TABLES['cuda'].options)}"


@pytest.mark.parametrize("version", ["1.32.0", "2.0", None])
def test_unknown_key_is_left_to_an_onnxruntime_that_may_have_it(version: str | None) -> None:
    assert check_option("cuda", "brand_new", "yes", version) == "yes"
    assert unknown_keys("cuda", {"brand_new": "yes", "use_tf32": "1"}) == ("brand_new",)
    assert unknown_keys("openvino", {"brand_new": "yes"}) == ()


def test_known_key_of_a_newer_onnxruntime_is_checked_all_the_same() -> None:
    with pytest.raises(SettingsError, match="cuda option 'use_tf32' is 'yes'"):
        check_option("cuda", "use_tf32", "yes", "1.40.0")


@pytest.mark.parametrize(("version", "newer"), [("1.31.1", False), ("1.24.0", False), ("1.32.0", True), (None, True)])
def test_table_says_which_versions_it_is_of(version: str | None, newer: bool) -> None:  # noqa: FBT001
    assert is_newer_than_table(version) is newer


def test_key_that_is_newer_than_the_installed_version_is_an_error() -> None:
    with pytest.raises(SettingsError) as caught:
        check_option("cuda", "enable_cudnn", "0", "1.24.4")

    assert str(caught.value) == (
        "cuda option 'enable_cudnn' is not in ONNX Runtime 1.24.4: it came with 1.25 or later; "
        "leave it out, or install a newer one"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"trt_profile_min_shapes": "a:1"},
            (
                "tensorrt option 'trt_profile_min_shapes' needs trt_profile_opt_shapes and trt_profile_max_shapes too; "
                "give all three, or none"
            ),
        ),
        (
            {"trt_profile_min_shapes": "a:1", "trt_profile_opt_shapes": "a:1", "trt_profile_max_shapes": "b:1"},
            (
                "trt_profile_min_shapes, trt_profile_opt_shapes, trt_profile_max_shapes must have the same inputs, "
                "each with as many shapes and dimensions; they have a / a / b"
            ),
        ),
        (
            {"trt_profile_min_shapes": "a:1x9", "trt_profile_opt_shapes": "a:2x8", "trt_profile_max_shapes": "a:4x9"},
            "tensorrt profile of input 'a': 1x9 / 2x8 / 4x9 is not in the order min, opt, max",
        ),
    ],
)
def test_profiles_that_contradict_each_other_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_options("tensorrt", options, VERSION)

    assert str(caught.value) == message


def test_two_profiles_of_two_inputs_pass() -> None:
    options = {
        "trt_profile_min_shapes": "a:1x3,b:1,a:9x3,b:9",
        "trt_profile_opt_shapes": "a:2x3,b:2,a:10x3,b:10",
        "trt_profile_max_shapes": "a:8x3,b:8,a:16x3,b:16",
    }

    assert check_options("tensorrt", options, VERSION) == options


def test_shapes_are_kept_by_input_in_their_order() -> None:
    assert parse_shapes("a:1x3,b:4,a:2x3") == {"a": [(1, 3), (2, 3)], "b": [(4,)]}
    assert parse_shapes("input:0:1x3") is None


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_default_and_a_key_of_its_own(name: str) -> None:
    rows = TABLES[name].options

    assert all(row.default and key == row.key for key, row in rows.items())
    assert [row.key for row in rows.values() if (row.kind == "enum") != bool(row.choices)] == []


def test_list_names_options_that_cannot_be_used(
    issues_of_entry: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_option_rules, "installed_onnxruntime", lambda: VERSION)
    given: dict[str, Any] = {"cuda": {"use_tf3": True, "device_id": 0.5, "prefer_nhwc": ""}, "trt": {"trt_dla_core": 1}}

    assert issues_of_entry(ep_options=given) == [
        "ep_options.cuda.use_tf3: unknown cuda option 'use_tf3'; did you mean 'use_tf32'?",
        "ep_options.cuda.device_id: cuda option 'device_id' is '0.5'; it must be a whole number of at least 0",
        "ep_options.cuda.prefer_nhwc: cuda option 'prefer_nhwc' is ''; it must be true, false, 1 or 0",
    ]
