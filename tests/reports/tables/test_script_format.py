"""The files of the original script: names, headers and cells.

From a run on an NVIDIA H200, recorded runs of trtexec, and made-up records.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from original_script import filled, read_files
from pytest_ortperf.cli import main
from pytest_ortperf.execution.case_settings import Tool
from pytest_ortperf.execution.trtexec.log import parse_log
from pytest_ortperf.execution.trtexec.timed import Task, latency_of_summary, parse_times
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.record import Placement, Record
from pytest_ortperf.records.resources import DeviceMemory, Resources
from pytest_ortperf.records.store import read_run
from pytest_ortperf.reports.comparison.sources.side_sources import read_side
from pytest_ortperf.reports.tables.script_format import write_script_files
from record_examples import (
    make_environment,
    make_failure,
    make_header,
    make_latency,
    make_operators,
    make_placement,
    make_record,
    make_run,
    make_session,
)

H200 = Path(__file__).parents[2] / "data/h200/records_20261130-223940.jsonl.gz"
"""A benchmark on an H200 without TensorRT, less what names the machine."""

Files = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("h200") / "records_20261130-223940.jsonl"
    path.write_bytes(gzip.decompress(H200.read_bytes()))
    return path


def files(folder: Path, *records: Record, more: tuple[str, ...] = ()) -> Files:
    write_script_files(make_run(list(records), header=make_header(environment=make_environment())), folder)
    return read_files(folder, *more)


def test_every_cell_of_a_run_on_cuda(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(recorded), "--csv=original", "--output", str(tmp_path)]) == 0
    assert "  op_metrics.csv\n" in capsys.readouterr().out
    found = read_files(tmp_path, "ORT-CPUFp16")

    models = {record.case_id: record for record in read_run(recorded).records}
    means = {
        case_id: f"{sum(found.samples_ns) / len(found.samples_ns) / 1e6:.2f}"
        for case_id, record in models.items()
        for found in record.latencies
        if found.timing == "host"
    }
    assert [filled(row) for row in found["latency.csv"]] == [
        {
            "Model": "detector",
            "ORT-CPUFp32 mean (ms)": "3.96",
            "ORT-CPUFp32 90th percentile (ms)": "4.04",
            "ORT-CUDAFp32 mean (ms)": "1.37",
            "ORT-CUDAFp32 90th percentile (ms)": "1.60",
            "ORT-CUDAFp32 peak memory usage (MiB)": "810",
            "ORT-CUDAFp16 mean (ms)": "1.33",
            "ORT-CUDAFp16 90th percentile (ms)": "1.49",
            "ORT-CUDAFp16 peak memory usage (MiB)": "744",
            "ORT-CPUFp16 mean (ms)": "2.64",
            "ORT-CPUFp16 90th percentile (ms)": "2.82",
        },
        {
            "Model": "resnet50",
            "ORT-CPUFp32 mean (ms)": "7.04",
            "ORT-CPUFp32 90th percentile (ms)": "8.32",
            "ORT-CUDAFp32 mean (ms)": "1.17",
            "ORT-CUDAFp32 90th percentile (ms)": "1.22",
            "ORT-CUDAFp32 peak memory usage (MiB)": "926",
            "ORT-CUDAFp16 mean (ms)": "1.31",
            "ORT-CUDAFp16 90th percentile (ms)": "1.37",
            "ORT-CUDAFp16 peak memory usage (MiB)": "730",
            "ORT-CPUFp16 mean (ms)": "7.39",
            "ORT-CPUFp16 90th percentile (ms)": "8.54",
        },
    ]
    assert means["resnet50::benchmark[cuda]"] == "1.17"
    passed = dict.fromkeys(("ORT-CPUFp32", "ORT-CUDAFp32", "ORT-CUDAFp16", "ORT-CPUFp16"), "Pass")
    failed = dict.fromkeys(("ORT-TRTFp32", "ORT-TRTFp16"), "Fail")
    assert [filled(row) for row in found["status.csv"]] == [
        {"Model": name, **passed, **failed} for name in ("detector", "resnet50")
    ]
    failures = [(name, target) for name in ("detector", "resnet50") for target in ("ORT-TRTFp32", "ORT-TRTFp16")]
    assert [(row["model"], row["ep"]) for row in found["fail.csv"]] == failures
    assert {row["error type"] for row in found["fail.csv"]} == {"runtime error"}
    text = "TensorrtExecutionProvider cannot be used here: "
    assert {row["error message"][: len(text)] for row in found["fail.csv"]} == {text}
    assert [list(row.values()) for row in found["metrics.csv"]] == [
        [name, "1.0", *["  "] * 6] for name in ("detector", "detector (FP16)", "resnet50", "resnet50 (FP16)")
    ]
    assert [list(row.values()) for row in found["op_metrics.csv"]] == [
        [name, target, "1.0"] for name in ("detector", "resnet50") for target in ("ORT-CUDAFp32", "ORT-CUDAFp16")
    ]
    assert [filled(row) for row in found["session.csv"]][1] == {
        "Model": "resnet50",
        "ORT-CPUFp32  session creation time (s)": "0.231017",
        "ORT-CUDAFp32  session creation time (s)": "0.449255",
        "ORT-CUDAFp16  session creation time (s)": "0.285345",
        "ORT-CPUFp16  session creation time (s)": "0.197079",
        "ORT-CPUFp32  second session creation time (s)": "0.189083",
        "ORT-CUDAFp32  second session creation time (s)": "0.111067",
        "ORT-CUDAFp16  second session creation time (s)": "0.055449",
        "ORT-CPUFp16  second session creation time (s)": "0.149641",
    }
    assert [list(row.values()) for row in found["specs.csv"]] == [
        ["1", "CPU", "Intel(R) Xeon(R) Processor"],
        ["2", "GPU", "NVIDIA H200"],
        ["3", "TensorRT", " , *All ORT-TRT and TRT are run in Mixed Precision mode (Fp16 and Fp32)."],
        ["4", "CUDA", "13.0.96"],
        ["5", "CuDNN", "9.19.0.56"],
        ["6", "EPOptionOverrides", "{}"],
    ]
    assert len(found["success.csv"]) == 8
    assert found["success.csv"][6] == {
        "engine": "onnxruntime",
        "version": "1.30.0",
        "device": "ORT-CUDAFp32",
        "fp16": "False",
        "io_binding": "False",
        "graph_optimizations": "all",
        "enable_cache": "False",
        "model_name": "resnet50",
        "inputs": "1",
        "batch_size": "1",
        "sequence_length": "1",
        "datetime": "2026-11-30T22:39:47.045+00:00",
        "test_times": "855",
        "QPS": "853.48",
        "average_latency_ms": "1.17",
        "latency_variance": "0.00",
        "latency_90_percentile": "1.22",
        "latency_95_percentile": "1.25",
        "latency_99_percentile": "1.28",
    }


def test_files_are_read_back_by_compare(recorded: Path, tmp_path: Path) -> None:
    write_script_files(read_run(recorded), tmp_path)
    side = read_side(str(tmp_path), tmp_path, tmp_path)
    assert side.notes == ()
    assert {key: case.record.outcome for key, case in side.last.items() if key.startswith("resnet50")} == {
        "resnet50::benchmark[cpu]": "passed",
        "resnet50::benchmark[cpu-fp16]": "passed",
        "resnet50::benchmark[cuda]": "passed",
        "resnet50::benchmark[cuda-fp16]": "passed",
        "resnet50::benchmark[tensorrt]": "failed",
        "resnet50::benchmark[tensorrt-fp16]": "failed",
    }


def test_tensorrt_beside_cuda_and_alone(tmp_path: Path) -> None:
    placement = Placement(
        nodes_by_provider={"TensorrtExecutionProvider": 9, "CUDAExecutionProvider": 1},
        op_types_by_provider={"TensorrtExecutionProvider": {"Conv": 9}, "CUDAExecutionProvider": {"NonZero": 1}},
        source="assignment info",
    )
    memory = DeviceMemory(source="process", baseline_byte=0, creation_peak_byte=None, run_peak_byte=700 * 2**20)
    options = {"TensorrtExecutionProvider": {"trt_engine_cache_enable": "True"}}
    program = ProgramFact(path="/opt/trtexec", version="10.16.1", engine="built")
    found = files(
        tmp_path,
        make_record("a", "cuda", placement=make_placement("cuda", Conv=10), latencies=(make_latency(8.0),)),
        make_record(
            "a",
            "tensorrt",
            precision="fp16",
            placement=placement,
            session=make_session("tensorrt", provider_options=options),
            operators=make_operators(("tensorrt", "Conv", 9, 3.0), ("cuda", "NonZero", 1, 1.0)),
            latencies=(make_latency(1.0, timing="bound"), make_latency(1.0, 3.0, batch=4)),
            resources=Resources(device_memory=memory),
        ),
        make_record(
            "a",
            "trtexec",
            provider_full_name="trtexec",
            program=program,
            latencies=(make_latency(1.5, timing="bound"), make_latency(2.5, timing="bound+copies")),
        ),
    )
    assert [list(row.values()) for row in found["metrics.csv"]] == [
        ["a", "1.0", *["  "] * 6],
        ["a (FP16)", "  ", "9", "10", "0.9", "3000", "4000", "0.75"],
    ]
    assert [list(row.values()) for row in found["op_metrics.csv"]] == [
        ["a", "ORT-CUDAFp32", "1.0"],
        ["a", "ORT-TRTFp16", "0.9"],
    ]
    (latency,) = found["latency.csv"]
    assert filled(latency) == {
        "Model": "a",
        "ORT-CUDAFp32 mean (ms)": "8.00",
        "ORT-CUDAFp32 90th percentile (ms)": "8.00",
        "ORT-TRTFp16 mean (ms)": "2.00",
        "ORT-TRTFp16 90th percentile (ms)": "2.80",
        "ORT-TRTFp16 peak memory usage (MiB)": "700",
        "TRTFp32 mean (ms)": "2.50",
        "TRTFp32 90th percentile (ms)": "2.50",
    }
    assert [row["device"] for row in found["success.csv"]] == ["ORT-CUDAFp32", "ORT-TRTFp16"]
    names = ("fp16", "enable_cache", "batch_size", "test_times", "QPS", "latency_variance")
    assert [found["success.csv"][1][name] for name in names] == ["True", "True", "4", "2", "2000.00", "1.00"]
    assert found["specs.csv"][5]["Version"] == '{"TensorrtExecutionProvider": {"trt_engine_cache_enable": "True"}}'


RECORDED_LOGS = Path(__file__).parents[2] / "data/trtexec"


def recorded_alone(name: str, precision: str | None, batch: int) -> Record:
    """Return what a run of trtexec by somebody else becomes, from its printed summary."""
    log = parse_log((RECORDED_LOGS / name).read_text(encoding="utf-8"))
    tool = Tool(path="/opt/trtexec", version=log.version or (0, 0, 0))
    task = Task(tool=tool, engine=Path("engine"), fed=(), batch=batch)
    return make_record(
        "a",
        "trtexec",
        provider_full_name="trtexec",
        precision=precision,
        program=ProgramFact(path=tool.path, version=tool.version_text, engine="built"),
        latencies=tuple(latency_of_summary(timing, task, log) for timing in ("bound", "bound+copies")),
    )


def test_recorded_runs_of_trtexec_fill_the_cells_of_standalone_tensorrt(tmp_path: Path) -> None:
    truth = json.loads((RECORDED_LOGS / "ground_truth.json").read_text(encoding="utf-8"))
    names = {None: "v8401_loadengine_yolov7.txt", "fp16": "v8500_fp16_batch4.txt"}
    records = [recorded_alone(name, precision, 1 if precision is None else 4) for precision, name in names.items()]
    (latency,) = files(tmp_path, *records)["latency.csv"]
    fp32, fp16 = (truth[name]["Latency"] for name in names.values())
    assert filled(latency) == {
        "Model": "a",
        "TRTFp32 mean (ms)": f"{fp32['mean']:.2f}",
        "TRTFp16 mean (ms)": f"{fp16['mean']:.2f}",
        "TRTFp16 90th percentile (ms)": f"{fp16['p90']:.2f}",
    }
    assert (fp32["mean"], fp16["p90"]) == (1.20348, 9.88892)


def test_exported_times_of_a_recorded_run_give_its_percentile(tmp_path: Path) -> None:
    text = (RECORDED_LOGS.parent / "trtexec_json/v8x_rtx3090_fp32_times.json").read_text(encoding="utf-8")
    times = parse_times(text, version=(8, 6, 1), warm_up_ms=200)
    latency = Latency(timing="bound+copies", samples_ns=times.latency_ns, warmup_iterations=0, batch=1)
    program = ProgramFact(path="/opt/trtexec", version="8.6.1", engine="built")
    record = make_record("a", "trtexec", provider_full_name="trtexec", program=program, latencies=(latency,))
    (row,) = files(tmp_path, record)["latency.csv"]
    whole = sorted(each["latencyMs"] for each in json.loads(text))
    assert filled(row) == {
        "Model": "a",
        "TRTFp32 mean (ms)": f"{sum(whole) / len(whole):.2f}",
        "TRTFp32 90th percentile (ms)": f"{np.percentile(whole, 90):.2f}",
    }


def test_failures_have_the_scripts_words_and_the_first_one_counts(tmp_path: Path) -> None:
    def failed(model: str, kind: str, **more: object) -> Record:
        return make_record(model, "cuda", outcome="failed", failure=make_failure(kind=kind), **more)

    later = failed("a", "crash", started="2026-11-23T22:00:00+00:00")
    first = failed("a", "result accuracy issue", mode="validate")
    skipped = make_record("d", outcome="skipped")
    found = files(tmp_path, later, first, failed("b", "precision error"), failed("c", "timeout"), skipped)
    assert [list(row.values())[:3] for row in found["fail.csv"]] == [
        ["a", "ORT-CUDAFp32", "result accuracy issue"],
        ["b", "ORT-CUDAFp32", "script error"],
        ["c", "ORT-CUDAFp32", "runtime error"],
    ]
    assert [filled(row) for row in found["status.csv"]] == [
        {"Model": "a", "ORT-CUDAFp32": "Fail"},
        {"Model": "b", "ORT-CUDAFp32": "Fail"},
        {"Model": "c", "ORT-CUDAFp32": "Fail"},
        {"Model": "d"},
    ]


def test_rows_have_names_of_their_own(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        make_record("a", "acl", provider_full_name="ACLExecutionProvider", nodeid="x.json::a::benchmark[acl]"),
        make_record("a", "openvino", nodeid="y.json::a::benchmark[openvino]", provider_full_name="OpenVINO"),
        make_record("a", "MineExecutionProvider", dims={"n": 2}, provider_full_name="MineExecutionProvider"),
        make_record("=1+1", "cpu"),
        more=("ORT-ACLFp32", "ORT-OpenVINOFp32", "ORT-MineExecutionProviderFp32"),
    )
    assert [row["Model"] for row in found["status.csv"]] == ["'=1+1", "a [x.json]", "a [y.json]", "a (n=2)"]
