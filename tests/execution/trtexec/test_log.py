"""The parser of trtexec's logs, against 92 real ones and what was read from them independently."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_ortperf.execution.trtexec.log import UnsupportedVersionError, parse_log, parse_logs, version_of
from pytest_ortperf.execution.trtexec.printed import PrintedRow, TrtexecLog

DATA = [Path(__file__).parents[2] / "data" / name for name in ("trtexec", "trtexec_more")]
TRUTH: Mapping[str, Any] = {
    name: truth
    for folder in DATA
    for name, truth in json.loads((folder / "ground_truth.json").read_text(encoding="utf-8")).items()
}
OLD: Mapping[str, str] = {
    name: run["refused"]
    for name, truth in TRUTH.items()
    for run in (truth if isinstance(truth, list) else [truth])
    if "refused" in run
}
"""Log in the format of TensorRT 7 or older -> what can be told of its version."""

READ = sorted(set(TRUTH) - set(OLD))
NOT_SUPPORTED = (
    "which is not supported. Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is "
    "supported for running. Install one of these versions and run trtexec again."
)
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
    "v7x_FAILED_gather_axis.txt": "this trtexec log is from TensorRT 7 or older",
    "v7x_FAILED_retinanet_conv.txt": "this trtexec log is from TensorRT 7 or older",
    "v8205_FAILED_int8_weights.txt": "Error[3]: onnx::QuantizeLinear_429: invalid weights type of Int8",
    "v8401_FAILED_pad_reshape.txt": "ModelImporter.cpp:779: ERROR: ModelImporter.cpp:180 In function parseGraph:",
    "v8501_FAILED_fusedconv.txt": "Error[2]: [fusedConvActRunner.cpp",
    "v8510_FAILED_plugin_format.txt": "Error[9]: [pluginV2Builder.cpp::reportPluginError::23]",
    "v8601_FAILED_plugin_lib_load.txt": "Uncaught exception detected: Unable to open library: libnvinfer_plugin.so.8",
    "v8601_FAILED_qdq_scale.txt": "ModelImporter.cpp:777: ERROR: builtin_op_importers.cpp:1197",
    "v8601_FAILED_static_dim_mismatch.txt": "Error[3]: [executionContext.cpp::setInputShape::2264]",
    "v101300_FAILED_windows_no_file.txt": "Error[3]: In node -1 with name:  and operator:  (parseFromFile)",
    "v101601_FAILED_joined_on_one_line.txt": "ModelImporter.cpp:138: While parsing node number 103 [Where",
    "v6x_FAILED_prelu.txt": "this trtexec log is from TensorRT 7 or older",
    "v7222_FAILED_import_pad.txt": "this trtexec log is from TensorRT 7 or older",
    "v8400_crash_nvrtc.txt": "NVRTC Compilation failure",
    "v8502_FAILED_then_PASSED_heads_lost.txt": "Engine set up failed",
    "v8600_FAILED_commented.txt": "Error[10]: Could not find any implementation for node {ForeignNode",
}
"""Every run that failed -> how its cause starts, or why its log is refused."""


def read(name: str) -> str:
    (path,) = (folder / name for folder in DATA if (folder / name).exists())
    return path.read_text(encoding="utf-8")


def truths(name: str) -> list[Mapping[str, Any]]:
    found = TRUTH[name]
    return found if isinstance(found, list) else [found]


def row_as_printed(row: PrintedRow | None) -> Mapping[str, float]:
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


def refusal(text: str) -> str:
    with pytest.raises(UnsupportedVersionError) as caught:
        parse_logs(text)
    return str(caught.value)


@pytest.mark.parametrize("name", OLD)
def test_every_real_log_of_an_old_version_is_refused(name: str) -> None:
    text = read(name)
    assert refusal(text) == f"this trtexec log is from {OLD[name]}, {NOT_SUPPORTED}"
    with pytest.raises(UnsupportedVersionError) as caught:
        parse_log(text)
    assert caught.value.found.partition(" (")[0] == "TensorRT 7 or older"


@pytest.mark.parametrize("name", READ)
def test_every_real_log_gives_exactly_its_numbers(name: str) -> None:
    logs = parse_logs(read(name))
    assert [as_printed(log) for log in logs] == [expected(truth) for truth in truths(name)]


@pytest.mark.parametrize("name", READ)
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


@pytest.mark.parametrize("name", READ)
def test_no_error_line_is_missed(name: str) -> None:
    for log, truth in zip(parse_logs(read(name)), truths(name), strict=True):
        assert set(truth["error_lines"]) <= set(log.errors)


def test_every_failure_has_its_cause() -> None:
    found = {
        name: refusal(read(name))
        if name in OLD
        else next((log.cause for log in parse_logs(read(name)) if log.cause), "")
        for name in CAUSES
    }
    assert {name: cause[: len(CAUSES[name])] for name, cause in found.items()} == CAUSES
    failed = {name for name in TRUTH if any(truth["status"] == "FAILED" for truth in truths(name))}
    assert failed <= set(CAUSES)


def test_a_cause_goes_on_over_its_untagged_lines() -> None:
    text = read("v7x_FAILED_gather_axis.txt")
    assert "its banner names no version" in refusal(text)
    assert parse_log(text.replace("TensorRT.trtexec #", "TensorRT.trtexec [TensorRT v8001] #")).cause == (
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
    ],
)
def test_passed_is_not_measured(name: str, *, measured: bool) -> None:
    assert parse_log(read(name)).measured is measured


def test_averages_of_a_trace_without_queries_are_of_an_old_version() -> None:
    assert "it has averages of a trace of 0 queries" in refusal(read("v7x_issue1162_dynshapes_qps0_cut.txt"))


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
    assert parse_log(line).rows["gpu_compute"] == PrintedRow(min=1e-05, percentiles={99.9: 3e-05})


def test_a_text_without_anything_of_trtexec_is_an_empty_log() -> None:
    assert parse_logs("") == (TrtexecLog(),)


WRAPPED: Mapping[str, Callable[[str], str]] = {
    "Windows": lambda line: f"{line}\r",
    "coloured": lambda line: f"\x1b[32m{line}\x1b[0m",
    "quoted": lambda line: f"> {line}",
    "indented": lambda line: f"    {line}",
    "a container's time": lambda line: f"2026-11-28T03:44:06.1234567Z {line}",
    "a service's name": lambda line: f"trt-1  | {line}",
    "a build server's time": lambda line: f"[2026-11-28T03:44:06.123Z] {line}",
    "a logger": lambda line: f"2026-11-28 03:44:06 | INFO     | exporter | {line}",
    "trailing blanks": lambda line: f"{line}    ",
    "UTF-16 read as bytes": "\x00".join,
}
"""What terminals, containers and people put around the lines of a log."""


@pytest.mark.parametrize("around", WRAPPED)
def test_what_stands_around_lines_changes_nothing(around: str) -> None:
    for name in OLD:
        assert OLD[name] in refusal("\n".join(map(WRAPPED[around], read(name).split("\n")))), name
    for name in READ:
        wrapped = parse_logs("\n".join(map(WRAPPED[around], read(name).split("\n"))))
        logs = parse_logs(read(name))
        assert [as_printed(log) for log in wrapped] == [as_printed(log) for log in logs], name
        assert [(log.status, log.version, log.cause) for log in wrapped] == [
            (log.status, log.version, log.cause) for log in logs
        ], name


def test_the_time_of_day_may_be_lost() -> None:
    text = read("v101601_01.txt")
    bare = re.sub(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] ", "", text)
    assert bare != text
    assert as_printed(parse_log(bare)) == as_printed(parse_log(text))
    assert parse_log(bare).warnings == parse_log(text).warnings


def test_a_notebook_has_quotes_around_its_lines() -> None:
    lines = read("v8205_qat_notebook_0.txt").split("\n")
    raw = "\n".join(f"      {json.dumps(line + chr(10))}," for line in lines)
    assert as_printed(parse_log(raw)) == as_printed(parse_log("\n".join(lines)))


def test_the_safe_runtime_has_rows_of_its_own() -> None:
    log = parse_log(
        "&&&& RUNNING TensorRT.trtexec_safe [TensorRT v101303] # trtexec_safe --loadEngine=m.engine\n"
        "[11/28/2026-10:00:00] [I] === Performance summary ===\n"
        "[11/28/2026-10:00:00] [I] Total throughput: 812.5 qps\n"
        "[11/28/2026-10:00:00] [I] Host Time: min = 1.25 ms, max = 1.5 ms, mean = 1.3 ms, median = 1.28 ms,"
        " percentile(99%) = 1.49 ms\n"
        "[11/28/2026-10:00:00] [I] GPU Compute Time:  min = 1.2 ms, max = 1.4 ms, mean = 1.25 ms, median = 1.22 ms,"
        " percentile(99%) = 1.39 ms\n"
        "&&&& PASSED TensorRT.trtexec_safe [TensorRT v101303] # trtexec_safe --loadEngine=m.engine"
    )
    assert (log.status, log.version, log.throughput_qps) == ("PASSED", (10, 13, 3), 812.5)
    assert log.rows == {
        "host": PrintedRow(min=1.25, max=1.5, mean=1.3, median=1.28, percentiles={99.0: 1.49}),
        "gpu_compute": PrintedRow(min=1.2, max=1.4, mean=1.25, median=1.22, percentiles={99.0: 1.39}),
    }


def test_line_breaks_may_be_lost() -> None:
    for name in ("v101601_01.txt", "v8203_fp32_dynshapes_verbose.txt"):
        text = read(name)
        assert as_printed(parse_log(text.replace("\n", " "))) == as_printed(parse_log(text)), name
        untagged = re.sub(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[[IW]\] ", "", text)
        summary = untagged[untagged.index("=== Performance summary") :].partition("[")[0].partition("* Thr")[0]
        found, whole = as_printed(parse_log(summary.replace("\n", " "))), as_printed(parse_log(text))
        assert found["Latency"]
        assert {key: value for key, value in found.items() if value} == {
            key: value for key, value in whole.items() if value and found[key]
        }
        assert all(found[row] == whole[row] for row in ROWS)


def test_a_row_that_has_no_known_name_is_nobodys() -> None:
    log = parse_log(
        "[I] GPU Compute Time: min = 1 ms, max = 2 ms Other Latency: min = 5 ms, mean = 6 ms, median = 7 ms"
    )
    assert log.rows == {"gpu_compute": PrintedRow(min=1.0, max=2.0)}
    assert parse_log("[I] Other Latency: min = 5 ms, mean = 6 ms, median = 7 ms").rows == {}


def test_a_row_whose_name_is_cut_is_not_taken_for_another() -> None:
    assert parse_log("Host Latency: min = 5 ms, mean = 6 ms, median = 7 ms").rows == {}


def test_7_0_writes_the_head_of_its_first_block_in_another_way() -> None:
    text = read("v7x_notebook_intro_0.txt")
    assert refusal(text.replace("Host Latency", "Host latency")) == refusal(text)


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "1,234", "0,0441", "1.5.2", "", "ms", "0x1p3"])
def test_what_is_no_number_is_none(value: str) -> None:
    log = parse_log(
        f"[11/28/2026-10:00:00] [I] Throughput: {value} qps\n"
        f"[11/28/2026-10:00:00] [I] Latency: min = {value} ms, max = 2 ms, mean = {value} ms, median = {value} ms\n"
        f"[11/28/2026-10:00:00] [I] Total Host Walltime: {value} s"
    )
    assert (log.throughput_qps, log.walltime_s, log.rows["latency"]) == (None, None, PrintedRow(max=2.0))
    assert not log.measured


def test_averages_of_some_runs_are_no_numbers_of_the_whole() -> None:
    line = "Average over 10 runs is 25.9082 ms (host walltime is 26.0956 ms, 99% percentile time is 25.9656)."
    assert "TensorRT 7 or older (it has the line 'Average over 10 runs is 25.9082 ms" in refusal(f"{line}\nDone.\n")
    line = "[I] Average on 10 runs - GPU latency: 1.5 ms - Host latency: 1.6 ms (end to end 3 ms"
    assert "TensorRT 7 or older (it has the line 'Average on 10 runs - GPU latency: 1.5 ms" in refusal(f"{line})")
    assert parse_log(f"{line}, enqueue 0.9 ms)") == TrtexecLog()


NEW, OTHER = read("v101601_01.txt"), read("v101601_08.txt")


def test_a_run_without_its_first_banner_is_none_of_the_next() -> None:
    tail = "\n".join(NEW.split("\n")[-20:])
    first, last = parse_logs(f"{tail}\n{read('v101000_FAILED_saving_engine_disk_full.txt')}")
    assert (first.status, first.measured) == ("PASSED", True)
    assert (last.status, last.measured, last.throughput_qps) == ("FAILED", False, None)


def test_errors_that_came_before_the_banner_belong_to_its_run() -> None:
    (log,) = parse_logs(
        "[11/28/2026-10:00:00] [E] Error opening engine file: m.engine\n"
        "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=m.engine\n"
        "[11/28/2026-10:00:00] [I] === Model Options ===\n"
        "&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=m.engine"
    )
    assert (log.status, log.cause) == ("FAILED", "Error opening engine file: m.engine")


def test_numbers_of_two_runs_without_banners_are_not_mixed() -> None:
    without = ["\n".join(line for line in text.split("\n") if "&&&&" not in line) for text in (NEW, OTHER)]
    assert as_printed(parse_log("\n".join(without))) == as_printed(parse_log(OTHER))
    started = "[11/28/2026-10:00:00] [I] === Model Options ===\n[11/28/2026-10:00:01] [E] Engine set up failed"
    assert not parse_log(f"{without[0]}\n{started}").measured
    headless = OTHER[OTHER.index("Throughput: ") :].replace("Throughput: ", "[11/28/2026-10:00:00] [I] Throughput: ", 1)
    headless = "\n".join(line for line in headless.split("\n") if "Enqueue Time: min" not in line)
    assert set(parse_log(f"{without[0]}\n{headless}").rows) == {"latency", "h2d", "gpu_compute", "d2h"}


UNTAGGED = {
    "./bench.sh: line 3:  4242 Killed                  trtexec --onnx=m.onnx": None,
    "[1]+  Killed                  trtexec --onnx=m.onnx": None,
    "zsh: killed     trtexec --onnx=m.onnx": None,
    "[1]    4242 segmentation fault (core dumped)  trtexec --onnx=m.onnx": None,
    "CUDA failure: 46": None,
    "[8] Assertion failed: inputs.at(1).is_weights()\n[03/12/2020-09:06:29] [E] Failed to parse onnx file": (
        "[8] Assertion failed: inputs.at(1).is_weights()"
    ),
    "[E] Error[6]: The engine plan file is generated on an incompatible device, expecting compute 8.6 got compute 8.0, "
    "please rebuild.\n[E] Engine deserialization failed\n[E] Got invalid engine!\n[E] Inference set up failed": (
        "Error[6]: The engine plan file is generated on an incompatible device, expecting compute 8.6 got compute 8.0, "
        "please rebuild."
    ),
    "[10/14/2022-15:13:21] [E] Static model does not take explicit shapes\n"
    "[10/14/2022-15:13:21] [E] Network And Config setup failed": "Static model does not take explicit shapes",
    "free(): invalid pointer\nAborted": "free(): invalid pointer Aborted",
    "trtexec: symbol lookup error: /usr/lib/libnvinfer.so.8: undefined symbol: x": None,
    "trtexec: plugin.cpp:12: int f(): Assertion `rank == 4' failed.\nAborted (core dumped)": (
        "trtexec: plugin.cpp:12: int f(): Assertion `rank == 4' failed. Aborted (core dumped)"
    ),
    "Could not load library libcudnn_cnn_infer.so.8. Error: libcuda.so: cannot open shared object file": None,
    "Could not open file m.onnx\nCould not open file m.onnx\n[E] [TRT] Failed to parse ONNX model from file: m.onnx": (
        "Could not open file m.onnx"
    ),
    "[libprotobuf ERROR google/protobuf/text_format.cc:298] Error parsing text-format onnx2trt_onnx.ModelProto: 1:9\n"
    "[10/22/2021-20:38:58] [E] [TRT] ModelImporter.cpp:735: Failed to parse ONNX model from file: m.onnx": (
        "[libprotobuf ERROR google/protobuf/text_format.cc:298] Error parsing text-format onnx2trt_onnx.ModelProto: 1:9"
    ),
    "[11/28/2026-10:00:00] [E] Error occurred during inference\n[11/28/2026-10:00:00] [E] [TRT] 1: out of memory": (
        "1: out of memory"
    ),
    "Terminated": None,
    "Command terminated by signal 9": None,
    "Process finished with exit code 139 (interrupted by signal 11: SIGSEGV)": None,
    "已中止 (核心已转储)": None,
    "[42.0] Out of memory: Killed process 4242 (trtexec) total-vm:9kB": None,
    'Thread 3 "trtexec" received signal SIGSEGV, Segmentation fault.\n0x00007f in ?? ()': (
        'Thread 3 "trtexec" received signal SIGSEGV, Segmentation fault.'
    ),
    "Program received signal SIGABRT, Aborted.": None,
    "The target application terminated with signal 11 (SIGSEGV)": None,
    "In function fuse -- /src/graph.cpp:12 rank == 4 -- assertion failed\nAbort (core dumped)": (
        "In function fuse -- /src/graph.cpp:12 rank == 4 -- assertion failed Abort (core dumped)"
    ),
    "libc++abi: terminating due to uncaught exception of type std::bad_alloc": None,
    "*** buffer overflow detected ***: terminated": None,
    "CUDA Runtime Error: an illegal memory access was encountered": None,
    "bash: trtexec: command not found": None,
    "./trtexec: cannot execute binary file: Exec format error": None,
    "./trtexec: /lib/libc.so.6: version `GLIBC_2.38' not found (required by ./trtexec)": None,
    "Could not locate zlibwapi.dll. Please make sure it is in your library path!": None,
    "Unable to load any of {libcudnn_graph.so.9.1.0}\nInvalid handle. Cannot load symbol cudnnCreate": (
        "Unable to load any of {libcudnn_graph.so.9.1.0} Invalid handle. Cannot load symbol cudnnCreate"
    ),
    "pure virtual method called\nterminate called without an active exception": (
        "pure virtual method called terminate called without an active exception"
    ),
    "NVMEDIA_DLA :  99, ERROR: load failed. status: 0x7.\n"
    "[11/28/2026-10:00:00] [E] [TRT] dlaUtils.cpp (9) - DLA Error in load: 7 (no program)": (
        "NVMEDIA_DLA :  99, ERROR: load failed. status: 0x7. dlaUtils.cpp (9) - DLA Error in load: 7 (no program)"
    ),
    "[11/28/2026-10:00:00] [W] [TRT] CUDA initialization failure with error: 999. Check it.\n"
    "[11/28/2026-10:00:00] [E] Builder creation failed\n[11/28/2026-10:00:00] [E] Engine set up failed": (
        "CUDA initialization failure with error: 999. Check it."
    ),
    "[11/28/2026-10:00:00] [E] Unknown option: --fast \n=== Model Options ===\n  --onnx=<file>  ONNX model": (
        "Unknown option: --fast"
    ),
    'ModelImporter.cpp:7: While parsing node number 3 [Pad -> "y"]:\n'
    '[11/28/2026-10:00:00] [E] [TRT] ModelImporter.cpp:9: input: "x"\noutput: "y"\n': (
        'ModelImporter.cpp:7: While parsing node number 3 [Pad -> "y"]:'
    ),
    '[11/28/2026-10:00:00] [E] [TRT] ModelImporter.cpp:9: input: "x"\nname: "Pad_3"\n\n'
    "[11/28/2026-10:00:00] [E] [TRT] ModelImporter.cpp:11: ERROR: pads.cpp:5 In function importPad:\n[8] No pads": (
        "ModelImporter.cpp:11: ERROR: pads.cpp:5 In function importPad: [8] No pads"
    ),
}
"""What shells, libraries and plugins print -> the cause; `None` where it is the line itself."""


@pytest.mark.parametrize("text", UNTAGGED)
def test_causes_that_others_print(text: str) -> None:
    cause = parse_log(f"[11/28/2026-10:00:00] [I] Start parsing network model.\n{text}").cause
    assert cause == (UNTAGGED[text] or text)


def test_what_others_said_before_the_banner_is_no_cause_where_trtexec_says_one() -> None:
    before = "ERROR: pip found other versions"
    banner = "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --onnx=m.onnx"
    error = "[11/28/2026-10:00:00] [E] Static model does not take explicit shapes"
    assert parse_log(f"{before}\n{banner}\n{error}").cause == "Static model does not take explicit shapes"
    assert parse_log(f"{error}\n{banner}").cause == "Static model does not take explicit shapes"
    assert parse_log(f"{before}\n{banner}\n[11/28/2026-10:00:00] [E] Engine set up failed").cause == before


def test_the_first_bracket_of_what_was_copied_may_be_lost() -> None:
    last = "[11/28/2026-10:00:00] [E] Error[2]: engine != nullptr failed."
    assert parse_log(f"E] Error[10]: no implementation\n{last}").cause == "Error[10]: no implementation"
    log = parse_log("11/28/2026-10:00:00] [I] Throughput: 5 qps\n[11/28/2026-10:00:00] [I] Total Host Walltime: 3 s")
    assert (log.throughput_qps, log.walltime_s) == (5.0, 3.0)


SUMMARY = (
    "[11/28/2026-10:00:00] [I] Throughput: 130.25 qps\n"
    "[11/28/2026-10:00:00] [I] Latency: min = 5.375 ms, max = 13.25 ms, mean = 7.625 ms, median = 7.125 ms,"
    " percentile(90%) = 10.25 ms, percentile(99%) = 1.25e+01 ms\n"
    "[11/28/2026-10:00:00] [I] GPU Compute Time: min = 5.25 ms, max = 13.125 ms, mean = 7.5 ms, median = 7 ms,"
    " percentile(90%) = 10.125 ms, percentile(99%) = 12.875 ms\n"
    "[11/28/2026-10:00:00] [I] Total Host Walltime: 3.125 s"
)


def broken(text: str, width: int) -> tuple[str, str]:
    """Return a text as a terminal breaks its lines, inside words, and as a document does, between them."""
    lines = text.split("\n")
    hard = [line[at : at + width] for line in lines for at in range(0, len(line), width)]
    return "\n".join(hard), "\n".join(part for line in lines for part in textwrap.wrap(line, width))


def test_rows_may_be_broken_wherever_the_width_of_a_terminal_is() -> None:
    for width in range(60, 160):
        for text in broken(SUMMARY, width):
            assert as_printed(parse_log(text)) == as_printed(parse_log(SUMMARY)), width


@pytest.mark.parametrize("width", [64, 80, 101])
def test_a_broken_row_that_is_cut_gives_fewer_numbers_never_wrong_ones(width: int) -> None:
    whole = numbers(as_printed(parse_log(SUMMARY)))
    for text in broken(SUMMARY, width):
        for end in range(len(text)):
            assert numbers(as_printed(parse_log(text[:end]))) <= whole


def test_a_line_that_is_no_part_of_a_row_does_not_go_on_with_it() -> None:
    row = "[11/28/2026-10:00:00] [I] Latency: min = 5 ms, max = 1"
    for line in ("2 layers took 7 ms", "x = 4 ms", "max = 9 ms: layer 3", "7.5"):
        assert parse_log(f"{row}\n{line}\n[11/28/2026-10:00:00] [I] ").rows == {"latency": PrintedRow(min=5.0)}


OF_THE_LAST = {"v84_two_summaries_without_banners_cut.txt", "v110000_three_stream_counts_grepped.txt"}
FUZZED = sorted(set(READ) - OF_THE_LAST)
"""All but those of whose earlier summaries the ground truth says nothing."""


def told_by(name: str) -> set[tuple[str, str, float]]:
    """Return every number of a file as row, column and value."""
    return {number for truth in truths(name) for number in numbers(expected(truth))}


def numbers(found: Mapping[str, Any]) -> set[tuple[str, str, float]]:
    plain = {(name, "", value) for name, value in found.items() if isinstance(value, int | float)}
    return plain | {
        (name, column, value)
        for name, row in found.items()
        if isinstance(row, Mapping)
        for column, value in row.items()
    }


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(FUZZED), share=st.floats(0, 1))
def test_a_cut_log_gives_fewer_numbers_never_wrong_ones(name: str, share: float) -> None:
    text = read(name)
    for log, truth in zip(parse_logs(text[: int(len(text) * share)]), truths(name), strict=False):
        assert numbers(as_printed(log)) <= numbers(expected(truth))


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(FUZZED), share=st.floats(0, 1))
def test_a_log_without_its_head_gives_no_number_that_was_not_printed(name: str, share: float) -> None:
    text = read(name)
    for log in parse_logs(text[int(len(text) * share) :]):
        assert numbers(as_printed(log)) <= told_by(name)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(FUZZED))
def test_lines_lost_doubled_and_swapped_put_no_number_in_the_place_of_another(data: st.DataObject, name: str) -> None:
    lines = read(name).split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(lines) - 2, 0)))
        change = data.draw(st.sampled_from(("lost", "doubled", "swapped")))
        if change == "lost":
            del lines[at : at + 1]
        elif change == "doubled":
            lines[at:at] = lines[at : at + 1]
        else:
            lines[at : at + 2] = reversed(lines[at : at + 2])
    for log in parse_logs("\n".join(lines)):
        assert numbers(as_printed(log)) <= told_by(name)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(OLD)), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_part_of_an_old_log_is_refused_or_gives_no_time(name: str, ends: tuple[float, float]) -> None:
    text = read(name)
    first, last = sorted(int(len(text) * share) for share in ends)
    try:
        logs = parse_logs(text[first:last])
    except UnsupportedVersionError:
        return
    assert [(log.rows, log.throughput_qps, log.walltime_s, log.gpu_total_s) for log in logs] == [
        ({}, None, None, None) for _ in logs
    ]


def test_a_line_of_another_block_whose_head_is_lost_is_not_taken() -> None:
    lines = read("v7x_notebook_intro_0.txt").split("\n")
    without = "\n".join(line for line in lines if not line.endswith(("Enqueue Time", "GPU Compute")))
    assert "TensorRT 7 or older" in refusal(without)
    assert "it has the line 'median: 2.10938 ms'" in refusal("[I] median: 2.10938 ms\n[I] percentile: 2.12")


OLD_BLOCK = (
    "[I] Host Latency\n[I] min: 1.5 ms (end to end 1.75 ms)\n[I] walltime: 3 s\n[I] GPU Compute\n[I] min: 1.25 ms"
)


def test_a_version_that_is_named_is_told() -> None:
    for named in ("&&&& RUNNING TensorRT.trtexec [TensorRT v7203] # trtexec", "[I] TensorRT version: 7.2.3"):
        assert (
            refusal(f"{named}\n[I] Starting inference") == f"this trtexec log is from TensorRT 7.2.3, {NOT_SUPPORTED}"
        )
    early = refusal(f"&&&& RUNNING TensorRT.trtexec [TensorRT v8000] # trtexec\n{OLD_BLOCK}")
    found = "TensorRT 8.0.0, in the format of TensorRT 7 or older (it has the line 'min: 1.5 ms (end to end 1.75 ms)')"
    assert early == f"this trtexec log is from {found}, {NOT_SUPPORTED}"


def test_the_newest_of_two_summaries_without_banners_decides() -> None:
    assert "it has the line 'min: 1.5 ms (end to end 1.75 ms)'" in refusal(f"{SUMMARY}\n{OLD_BLOCK}")
    assert parse_log(f"{OLD_BLOCK}\n{SUMMARY}") == parse_log(SUMMARY)
    (log,) = parse_logs(f"{OLD_BLOCK}\n[I] === Model Options ===\n[E] Engine set up failed")
    assert (log.cause, log.rows) == ("Engine set up failed", {})


def test_the_last_run_alone_decides_where_it_is_the_one_that_is_read() -> None:
    old = read("v7x_jetson_resnet50_int8_b1.txt")
    assert parse_log(f"{old}\n{NEW}") == parse_log(NEW)
    assert "TensorRT 7 or older" in refusal(f"{old}\n{NEW}")
    with pytest.raises(UnsupportedVersionError):
        parse_log(f"{NEW}\n{old}")


def test_a_newer_log_is_read_whatever_stands_beside_it() -> None:
    others = "[I] mean: 1.5 ms\n[I] throughput: 7 qps\n[I] walltime: 3 s\nmedian: 2 ms"
    assert as_printed(parse_log(f"{SUMMARY}\n{others}")) == as_printed(parse_log(SUMMARY))
    edited = "&&&& PASSED TensorRT.trtexec # trtexec --onnx=m.onnx"
    assert as_printed(parse_log(f"{SUMMARY}\n{edited}")) == as_printed(parse_log(SUMMARY))
    failed = f"[I] TensorRT version: 8.6.1\n[E] Engine set up failed\n{edited.replace('PASSED', 'FAILED')}"
    assert (parse_log(failed).version, parse_log(failed).status) == ((8, 6, 1), "FAILED")


@pytest.mark.parametrize("length", range(len("&&&& RUNNING TensorRT.trtexec [TensorRT v8601]"), 12, -1))
def test_a_banner_that_is_cut_is_no_old_one(length: int) -> None:
    assert not parse_log("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec"[:length]).measured


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("[]&#EWIF= :.%0123456789msqp()latencyGPUTRTtexc\n\r\t\x00\x1c"), max_size=400)
)
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    assert len(parse_logs(text)) >= 1


UNTAGGED_SUMMARY = """Latency: min = 1.0 ms, max = 2.0 ms, mean = 1.5 ms, median = 1.4 ms
Enqueue Time: min = 0.1 ms, max = 0.2 ms, mean = 0.15 ms, median = 0.14 ms
H2D Latency: min = 0.2 ms, max = 0.4 ms, mean = 0.3 ms, median = 0.3 ms
GPU Compute Time: min = 0.7 ms, max = 1.4 ms, mean = 1.0 ms, median = 0.9 ms
D2H Latency: min = 0.1 ms, max = 0.3 ms, mean = 0.2 ms, median = 0.2 ms
"""


def test_a_name_at_the_very_begin_counts_if_the_parts_add_up_to_it() -> None:
    assert parse_log(UNTAGGED_SUMMARY).rows["latency"].mean == 1.5
    cut = UNTAGGED_SUMMARY[UNTAGGED_SUMMARY.index("D2H ") + len("D2H ") :]
    assert parse_log(cut).rows == {}
    of_h2d = UNTAGGED_SUMMARY[UNTAGGED_SUMMARY.index("H2D ") + len("H2D ") :]
    assert list(parse_log(of_h2d).rows) == ["gpu_compute", "d2h"]
