"""The parser of trtexec's logs, against 60 real ones and what was read from them independently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ortperf.execution.trtexec.log import Row, TrtexecLog, parse_log, parse_logs, version_of

DATA = Path(__file__).parents[2] / "data" / "trtexec"
TRUTH: Mapping[str, Any] = json.loads((DATA / "ground_truth.json").read_text(encoding="utf-8"))
ROWS = {
    "Latency": "latency",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "gpu_compute",
    "D2H Latency": "d2h",
}
FACTS = (
    "queries",
    "warmup_queries",
    "trace_s",
    "throughput_qps",
    "walltime_s",
    "gpu_total_s",
    "gpu_cv_percent",
)
CAUSES = {
    "abort_cuda_driver_insufficient.txt": "Cuda failure: CUDA driver version is insufficient",
    "killed_no_banner_trtllm.txt": "Killed",
    "v100001_FAILED_incompatible_plan.txt": "Error[1]: [runtime.cpp::parsePlan::455]",
    "v100300_FAILED_cask_convolution.txt": "Error[2]: [convBaseBuilder.cpp::createConvolution::259]",
    "v100300_FAILED_parser_onehot_tile.txt": "Error[4]: ITensor::getDimensions: Error Code 4: Internal Error (/OneHot",
    "v100300_FAILED_unknown_options.txt": "Unknown option: --workspace 2048",
    "v100800_FAILED_builder_creation.txt": "[builder.cpp::nvinfer1::builder::createCaskKernelLibraryImpl::157]",
    "v101000_FAILED_saving_engine_disk_full.txt": "Saving engine to file failed.",
    "v101600_FAILED_plugin_not_found.txt": "ModelImporter.cpp:138: While parsing node number 0 [AddScalar",
    "v7x_FAILED_gather_axis.txt": "While parsing node number 2 [Gather]:",
    "v7x_FAILED_retinanet_conv.txt": "While parsing node number 0 [Conv]:",
    "v8205_FAILED_int8_weights.txt": "Error[3]: onnx::QuantizeLinear_429: invalid weights type of Int8",
    "v8401_FAILED_pad_reshape.txt": "ModelImporter.cpp:779: ERROR: ModelImporter.cpp:180 In function parseGraph:",
    "v8501_FAILED_fusedconv.txt": "Error[2]: [fusedConvActRunner.cpp",
    "v8510_FAILED_plugin_format.txt": "Error[9]: [pluginV2Builder.cpp::reportPluginError::23]",
    "v8601_FAILED_plugin_lib_load.txt": "Uncaught exception detected: Unable to open library: libnvinfer_plugin.so.8",
    "v8601_FAILED_qdq_scale.txt": "ModelImporter.cpp:777: ERROR: builtin_op_importers.cpp:1197",
    "v8601_FAILED_static_dim_mismatch.txt": "Error[3]: [executionContext.cpp::setInputShape::2264]",
}
"""Every run that failed -> how its cause starts."""


def read(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def truths(name: str) -> list[Mapping[str, Any]]:
    found = TRUTH[name]
    return found if isinstance(found, list) else [found]


def row_as_printed(row: Row | None) -> Mapping[str, float]:
    if row is None:
        return {}
    plain = {key: getattr(row, key) for key in ("min", "max", "mean", "median")}
    percentiles = {f"p{percent:g}": value for percent, value in row.percentiles.items()}
    return {key: value for key, value in plain.items() if value is not None} | percentiles


def as_printed(log: TrtexecLog) -> Mapping[str, Any]:
    rows = {name: row_as_printed(log.rows.get(here)) for name, here in ROWS.items()}
    return rows | {name: getattr(log, name) for name in FACTS}


def expected(truth: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: truth.get(name, {}) for name in ROWS} | {name: truth.get(name) for name in FACTS}


@pytest.mark.parametrize("name", TRUTH)
def test_every_real_log_gives_exactly_its_numbers(name: str) -> None:
    logs = parse_logs(read(name))
    assert [as_printed(log) for log in logs] == [expected(truth) for truth in truths(name)]


@pytest.mark.parametrize("name", TRUTH)
def test_every_real_log_gives_its_end_version_and_command(name: str) -> None:
    found = [(log.status, log.version, log.build_tag, log.command, len(log.warnings)) for log in parse_logs(read(name))]
    assert found == [
        (
            truth["status"],
            version_of(truth["banner_version"][1:]) if truth["banner_version"] else None,
            truth["build_tag"],
            truth["command"],
            truth["warning_count"],
        )
        for truth in truths(name)
    ]


@pytest.mark.parametrize("name", TRUTH)
def test_no_error_line_is_missed(name: str) -> None:
    for log, truth in zip(parse_logs(read(name)), truths(name), strict=True):
        assert set(truth["error_lines"]) <= set(log.errors)


def test_every_failure_has_its_cause() -> None:
    found = {name: parse_log(read(name)).cause or "" for name in CAUSES}
    assert {name: cause[: len(CAUSES[name])] for name, cause in found.items()} == CAUSES
    failed = {name for name in TRUTH if any(truth["status"] == "FAILED" for truth in truths(name))}
    assert failed <= set(CAUSES)


def test_a_cause_goes_on_over_its_untagged_lines() -> None:
    assert parse_log(read("v7x_FAILED_gather_axis.txt")).cause == (
        "While parsing node number 2 [Gather]: ERROR: onnx2trt_utils.hpp:347 In function convert_axis: "
        "[8] Assertion failed: axis >= 0 && axis < nbDims"
    )


def test_a_node_that_is_named_is_followed_by_what_is_wrong_with_it() -> None:
    assert parse_log(read("v101600_FAILED_plugin_not_found.txt")).cause == (
        'ModelImporter.cpp:138: While parsing node number 0 [AddScalar -> "CustomOpModel-V-0-AddScalar-0"]: '
        "ModelImporter.cpp:149: ERROR: onnxOpCheckers.cpp:923 In function checkFallbackPluginImporter: "
        '[6] creator && "Plugin not found, are the plugin name, version, and namespace correct?"'
    )


def test_an_error_of_a_run_that_passes_is_no_cause() -> None:
    log = parse_log(read("v100001_PASSED_then_segfault.txt"))
    assert (log.status, log.cause, len(log.errors)) == ("PASSED", None, 1)


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        ("v101601_01.txt", True),
        ("v101601_02.txt", False),  # builds only
        ("v101401_dumpProfile_no_summary.txt", False),
        ("v100700_windows_fp16_HEAD_CUT.txt", False),
        ("v7x_issue1162_dynshapes_qps0_cut.txt", False),
    ],
)
def test_passed_is_not_measured(name: str, *, measured: bool) -> None:
    assert parse_log(read(name)).measured is measured


def test_what_a_build_tells() -> None:
    log = parse_log(read("v100900_fcn_resnet101.txt"))
    assert (log.engine_mib, log.context_mib, log.builder_peak_gpu_mib) == (231.019, 446.209, 1392.0)


@pytest.mark.parametrize(
    ("digits", "version"),
    [
        ("8601", (8, 6, 1)),
        ("8510", (8, 5, 10)),
        ("8001", (8, 0, 1)),
        ("100900", (10, 9, 0)),
        ("101601", (10, 16, 1)),
        ("110100", (11, 1, 0)),
        ("7", None),
    ],
)
def test_versions_of_banners(digits: str, version: tuple[int, int, int] | None) -> None:
    assert version_of(digits) == version


def test_what_the_option_section_tells() -> None:
    options = parse_log(read("v101401_cudagraph_nodatatransfers.txt")).options
    assert {key: options[key] for key in ("data_transfers", "cuda_graph", "spin_wait")} == {
        "data_transfers": "Disabled",
        "cuda_graph": "Enabled",
        "spin_wait": "Enabled",
    }


def test_numbers_may_have_an_exponent() -> None:
    line = "[01/01/2026-00:00:00] [I] GPU Compute Time: min = 1e-05 ms, percentile(99.9%) = 3E-5 ms"
    assert parse_log(line).rows["gpu_compute"] == Row(min=1e-05, percentiles={99.9: 3e-05})


def test_a_text_without_anything_of_trtexec_is_an_empty_log() -> None:
    assert parse_logs("") == (TrtexecLog(),)


SINGLE = sorted(name for name in TRUTH if not isinstance(TRUTH[name], list))


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(SINGLE), share=st.floats(0, 1))
def test_a_cut_log_gives_fewer_numbers_never_wrong_ones(name: str, share: float) -> None:
    text = read(name)
    whole = as_printed(parse_log(text))
    cut = as_printed(parse_log(text[: int(len(text) * share)]))
    for key, value in cut.items():
        if isinstance(value, Mapping):
            assert value.items() <= whole[key].items(), key
        else:
            assert value in (None, whole[key]), key


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(SINGLE), share=st.floats(0, 1))
def test_a_log_without_its_head_gives_no_number_that_was_not_printed(name: str, share: float) -> None:
    text = read(name)
    whole, rest = as_printed(parse_log(text)), as_printed(parse_log(text[int(len(text) * share) :]))
    for key, value in rest.items():
        if isinstance(value, Mapping):
            assert value.items() <= whole[key].items(), key


def test_a_line_of_another_block_whose_head_is_lost_is_not_taken() -> None:
    lines = read("v7x_notebook_intro_0.txt").split("\n")
    whole = parse_log("\n".join(lines)).rows
    without = parse_log("\n".join(line for line in lines if not line.endswith(("Enqueue Time", "GPU Compute")))).rows
    assert without == {name: whole[name] for name in ("latency", "end_to_end")}


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("[]&#EWIF= :.%0123456789msqp()latencyGPUTRTtexc\n\r\t\x00\x1c"), max_size=400)
)
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    assert len(parse_logs(text)) >= 1
