from __future__ import annotations

import csv
import dataclasses
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.environment.run_header import GpuFact
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.program import ProgramFact
from pytest_ortperf.records.record import Concurrent, Copies, Placement
from pytest_ortperf.records.resources import Clocks, DeviceMemory, Energy, HostMemory, Resources
from pytest_ortperf.records.store import RecordsFile, StoredRun
from pytest_ortperf.reports.tables.columns import LATENCY_GROUP
from pytest_ortperf.reports.tables.csv_tables import write_tables
from pytest_ortperf.reports.tables.meanings import meaning_of
from record_examples import (
    make_accuracy,
    make_environment,
    make_failure,
    make_header,
    make_latency,
    make_output,
    make_placement,
    make_record,
    make_run,
    make_session,
    whole_record,
)

NAMES = ("fail", "success", "latency", "metrics", "op_metrics", "status", "session", "accuracy", "system_info")


ORIGIN = ["run", "list", "group", "commit", "branch", "date", "host", "device"]
"""The columns that every table starts with."""


def tables(run: StoredRun, folder: Path, *, origin: bool = False) -> dict[str, list[list[str]]]:
    """Return the rows of each table, the header first; without the columns of their origin unless asked for."""
    read = {}
    for name, path in zip(NAMES, write_tables(run, folder), strict=True):
        assert path == folder / f"benchmark_{name}_20261123-210146.csv"
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows[0][: len(ORIGIN)] == ORIGIN
        read[name] = rows if origin else [row[len(ORIGIN) :] for row in rows]
    return read


MIB = 2**20
WRONG = make_accuracy(make_output(within_tolerance=False))


def table(name: str, run: StoredRun, folder: Path) -> list[list[str]]:
    return tables(run, folder)[name]


def test_a_run_without_records_has_all_tables_with_their_columns(tmp_path: Path) -> None:
    found = tables(make_run(), tmp_path / "new" / "folder")
    assert {name: len(rows) for name, rows in found.items() if name != "system_info"} == dict.fromkeys(NAMES[:-1], 1)
    assert found["latency"] == [
        [
            "model",
            "dims",
            "timing",
            "data_set",
            "cpu_p50_ms",
            "cpu_mean_ms",
            "cpu_p90_ms",
            "cpu_gpu_peak_memory_mib",
            "cuda_p50_ms",
            "cuda_mean_ms",
            "cuda_p90_ms",
            "cuda_gpu_peak_memory_mib",
            "cuda_vs_cpu_p50_gain_percent",
        ]
    ]


def test_failures_have_a_row_each(tmp_path: Path) -> None:
    crash = make_failure(kind="crash", signal=11, message='ended by SIGSEGV\nmore, and "more"')
    records = [
        make_record("b", "cuda", precision="fp16", dims={"n": 2}, outcome="crashed", failure=crash),
        make_record("a", "cpu", "validate", outcome="failed", failure=make_failure(exit_code=3, stage=None)),
        make_record("c", outcome="timed_out"),
        make_record("d"),
        make_record("e", outcome="xfailed", failure=crash),
        make_record("f", outcome="skipped"),
    ]
    b = records[0].nodeid
    assert table("fail", make_run(records), tmp_path) == [
        [
            "model",
            "dims",
            "provider",
            "precision",
            "mode",
            "outcome",
            "error_type",
            "stage",
            "signal",
            "exit_code",
            "message",
            "nodeid",
        ],
        ["a", "", "cpu", "", "validate", "failed", "runtime error", "", "", "3", "it broke", records[1].nodeid],
        ["b", "n=2", "cuda", "fp16", "benchmark", "crashed", "crash", "timing", "11", "", crash.message, b],
        ["c", "", "cpu", "", "benchmark", "timed_out", "", "", "", "", "", records[2].nodeid],
    ]


def test_success_has_a_row_per_timing_mode(tmp_path: Path) -> None:
    cpu = make_record(precision="fp16", dims={"batch": 8}, latencies=(make_latency(4.0, 4.0),))
    bound = make_latency(1.5, timing="bound", batch=None)
    cuda = whole_record(
        latencies=(make_latency(1.0, 3.0, batch=8), bound),
        timing_notes={"host": "inputs rotate over 5 buffers"},
        copies=Copies(to_device_ns=250_000.0, to_host_ns=10_000.0, to_device_byte=8_192, to_host_byte=64),
        concurrent=Concurrent(
            timing="bound",
            iterations=(1000, 500),
            p50_ns=(1e6, 2e6),
            thread_ns=(1_000_000_000, 1_000_000_000),
            wall_ns=1_000_000_000,
            batch=8,
        ),
    )
    failed = make_record("bad", outcome="failed", latencies=(make_latency(1.0),))
    header, *rows = table("success", make_run([cuda, cpu, failed]), tmp_path)
    assert [dict(zip(header, row, strict=True)) for row in rows[1:]] == [
        {
            "engine": "onnxruntime",
            "version": "1.31.1",
            "model": "bert",
            "dims": "batch=8",
            "provider": "cuda",
            "precision": "fp16",
            "model_precision": "fp32",
            "model_sha256": "",
            "validation": "",
            "compute_precision": "",
            "note": "",
            "timing": "host",
            "io_binding": "False",
            "timing_note": "inputs rotate over 5 buffers",
            "graph_optimization": "all",
            "intra_op_threads": "",
            "provider_options": '{"CUDAExecutionProvider": {"device_id": "0"}}',
            "inputs": "ids:int64[8,128]",
            "data_set": "",
            "assumed_dims": "",
            "batch": "8",
            "started": "2026-11-23T21:01:47+00:00",
            "iterations": "2",
            "warmup_iterations": "5",
            "throughput_per_s": "4000.0",
            "latency_mean_ms": "2.0",
            "latency_p50_ms": "2.0",
            "latency_min_ms": "1.0",
            "latency_max_ms": "3.0",
            "latency_standard_deviation_ms": "1.414214",
            "latency_p90_ms": "",
            "latency_p95_ms": "",
            "latency_p99_ms": "",
            "latency_p50_low_ms": "",
            "latency_p50_high_ms": "",
            "latency_p50_half_width_percent": "",
            "latency_mad_ms": "1.0",
            "latency_variation_percent": "70.7107",
            "lag1_correlation": "",
            "mild_outliers": "",
            "severe_outliers": "",
            "modes": "",
            "blocks": "",
            "block_iterations": "",
            "status": "",
            "stop_reason": "",
            "limits": "",
            "warmup_s": "",
            "steady": "",
            "energy_per_iteration_mj": "",
            "power_w": "",
            "energy_source": "",
            "sm_clock_mean_mhz": "",
            "host_to_device_ms": "0.25",
            "device_to_host_ms": "0.01",
            "concurrent_threads": "",
            "concurrent_iterations_per_s": "",
            "concurrent_inferences_per_s": "",
            "concurrent_p50_ms": "",
            "gain_percent": "50.0",
            "gain_low_percent": "",
            "gain_high_percent": "",
            "gain_reference": "cpu",
            "standalone_gain_percent": "",
            "standalone_gain_low_percent": "",
            "standalone_gain_high_percent": "",
            "program_throughput_per_s": "",
            "machine": "",
            "machine_findings": "",
        },
        {
            **dict(zip(header, rows[1], strict=True)),
            "timing": "bound",
            "io_binding": "True",
            "timing_note": "",
            "host_to_device_ms": "",
            "device_to_host_ms": "",
            "concurrent_threads": "2",
            "concurrent_iterations_per_s": "1500.0",
            "concurrent_inferences_per_s": "12000.0",
            "concurrent_p50_ms": "1.5",
            "batch": "",
            "iterations": "1",
            "throughput_per_s": "",
            "latency_mean_ms": "1.5",
            "latency_p50_ms": "1.5",
            "latency_min_ms": "1.5",
            "latency_max_ms": "1.5",
            "latency_standard_deviation_ms": "",
            "latency_mad_ms": "",
            "latency_variation_percent": "",
            "gain_percent": "",
            "gain_reference": "",
        },
    ]
    assert rows[0][:9] == ["onnxruntime", "1.31.1", "bert", "batch=8", "cpu", "fp16", "", "", ""]


def test_every_table_says_where_its_numbers_come_from(tmp_path: Path) -> None:
    environment = make_environment(gpus=(GpuFact(index=0, name="NVIDIA H100"),), hostname="perf-1")
    labels = {"commit": "c0ffee", "branch": "main", "date": "2026-11-23T20:00:00+00:00", "url": "https://x"}
    full = {
        "group": "zoo",
        "session": make_session(),
        "placement": make_placement(Add=1),
    }
    records = [
        make_record(nodeid="a/zoo.json::bert::benchmark[cpu]", latencies=(make_latency(1.0),), **full),
        make_record(provider="cuda", nodeid="a/zoo.json::bert::benchmark[cuda]", group="zoo", outcome="failed"),
        make_record(nodeid="a/zoo.json::bert::validate[cpu]", mode="validate", group="zoo", accuracy=WRONG),
    ]
    found = tables(make_run(records, header=make_header(environment=environment, labels=labels)), tmp_path, origin=True)
    run = ["20261123-210146", "a/zoo.json", "zoo", "c0ffee", "main", "2026-11-23T20:00:00+00:00", "perf-1"]
    cpu, both = [*run, "AMD EPYC 9654"], [*run, "AMD EPYC 9654; NVIDIA H100"]
    origins = {name: [row[: len(ORIGIN)] for row in rows[1:]] for name, rows in found.items()}
    assert {tuple(row) for row in origins.pop("system_info")} == {(run[0], "", "", *run[3:], "")}
    assert origins == {
        "fail": [[*run, "NVIDIA H100"]],
        "success": [cpu],
        "latency": [both],
        "metrics": [cpu],
        "op_metrics": [cpu],
        "status": [both],
        "session": [cpu],
        "accuracy": [cpu],
    }


def test_a_device_is_named_only_where_it_is_certain(tmp_path: Path) -> None:
    gpus = (GpuFact(index=0, name="H100"), GpuFact(index=1, name="T4"))
    header = make_header(environment=make_environment(gpus=gpus, onnxruntime_distribution=None))
    run = make_run([make_record(provider="cuda", latencies=(make_latency(1.0),))], header=header)
    columns, row = tables(run, tmp_path, origin=True)["success"]
    assert (row[columns.index("device")], row[columns.index("version")]) == ("", "")


def test_latency_has_a_row_per_timing_mode_and_no_cell_inherits(tmp_path: Path) -> None:
    records = [
        make_record("a", "cpu", latencies=(make_latency(*[4.0] * 64),)),
        make_record("a", "cuda", latencies=(make_latency(1.0, 2.0, 6.0), make_latency(0.1, timing="bound"))),
        make_record("a", "cuda", precision="fp16", outcome="failed"),
        make_record("b", "cuda", precision="fp16", latencies=(make_latency(3.0),)),
        make_record("b", "cpu", precision="fp16", latencies=(make_latency(2.0),)),
        make_record("b", "cpu", dims={"n": 10}, latencies=(make_latency(9.0),)),
        make_record("b", "cpu", dims={"n": 9}, latencies=(make_latency(8.0),)),
    ]
    columns, *rows = table("latency", make_run(records), tmp_path)
    filled = [{name: cell for name, cell in zip(columns, row, strict=True) if cell} for row in rows]
    assert filled == [
        {
            "model": "a",
            "timing": "host",
            "cpu_p50_ms": "4.0",
            "cpu_mean_ms": "4.0",
            "cpu_p90_ms": "4.0",
            "cuda_p50_ms": "2.0",
            "cuda_mean_ms": "3.0",
            "cuda_vs_cpu_p50_gain_percent": "50.0",
        },
        {"model": "a", "timing": "bound", "cuda_p50_ms": "0.1", "cuda_mean_ms": "0.1"},
        {
            "model": "b",
            "timing": "host",
            "cpu_fp16_p50_ms": "2.0",
            "cpu_fp16_mean_ms": "2.0",
            "cuda_fp16_p50_ms": "3.0",
            "cuda_fp16_mean_ms": "3.0",
            "cuda_vs_cpu_fp16_p50_gain_percent": "-50.0",
        },
        {"model": "b", "dims": "n=9", "timing": "host", "cpu_p50_ms": "8.0", "cpu_mean_ms": "8.0"},
        {"model": "b", "dims": "n=10", "timing": "host", "cpu_p50_ms": "9.0", "cpu_mean_ms": "9.0"},
    ]


def test_gains_are_of_the_timing_mode_and_data_set_of_their_row(tmp_path: Path) -> None:
    def latencies(scale: float) -> tuple[Latency, ...]:
        host, bound = make_latency(8.0 * scale), make_latency(2.0 * scale**2, timing="bound")
        further = dataclasses.replace(make_latency(5.0 * scale**3), data_set="test_data_set_1", is_further=True)
        return bound, host, dataclasses.replace(further)

    records = [
        make_record("a", "cpu", latencies=latencies(1)),
        make_record("a", "cuda", latencies=latencies(0.5)),
        make_record("a", "tensorrt", latencies=(make_latency(1.0, timing="graph"),)),
    ]
    columns, *rows = table("latency", make_run(records), tmp_path)
    names = ("timing", "data_set", "cuda_p50_ms", "tensorrt_p50_ms", "cuda_vs_cpu_p50_gain_percent")
    assert [[row[columns.index(name)] for name in names] for row in rows] == [
        ["host", "", "4.0", "", "50.0"],
        ["bound", "", "0.5", "", "75.0"],
        ["graph", "", "", "1.0", ""],
        ["host", "test_data_set_1", "0.625", "", "87.5"],
    ]


def test_models_of_two_lists_are_kept_apart(tmp_path: Path) -> None:
    records = [
        make_record("m", nodeid=f"{name}.json::m::benchmark[cpu]", outcome=outcome)
        for name, outcome in (("b", "failed"), ("a", "passed"))
    ]
    assert table("status", make_run(records), tmp_path) == [
        ["model", "dims", "cpu", "cuda"],
        ["m", "", "pass", ""],
        ["m", "", "fail", ""],
    ]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (("passed", "passed"), "pass"),
        (("passed", "failed"), "fail"),
        (("failed", "skipped"), "fail"),
        (("crashed",), "fail"),
        (("timed_out",), "fail"),
        (("passed", "skipped"), "pass"),
        (("xpassed",), "pass"),
        (("xfailed", "skipped"), "xfail"),
        (("skipped",), "skip"),
    ],
)
def test_status_is_the_worst_of_a_cell(tmp_path: Path, outcomes: tuple[str, ...], status: str) -> None:
    modes = ("validate", "benchmark")
    records = [make_record(mode=mode, outcome=outcome) for mode, outcome in zip(modes, outcomes, strict=False)]
    assert table("status", make_run(records), tmp_path) == [
        ["model", "dims", "cpu", "cuda"],
        ["bert", "", status, ""],
    ]


def test_placement_is_counted_by_provider_and_operator(tmp_path: Path) -> None:
    mixed = Placement(
        nodes_by_provider={"CUDAExecutionProvider": 7, "CPUExecutionProvider": 1},
        op_types_by_provider={
            "CUDAExecutionProvider": {"MatMul": 4, "Add": 3},
            "CPUExecutionProvider": {"NonZero": 1},
        },
        source="profile",
    )
    records = [
        make_record("a", "cuda", "validate", placement=make_placement("cuda", Add=99)),
        make_record("a", "cuda", placement=mixed),
        make_record("b", "cuda", "validate", outcome="failed", placement=make_placement("cpu", Add=2)),
        make_record("c", "cuda"),
    ]
    found = tables(make_run(records), tmp_path)
    assert found["metrics"][1:] == [
        ["a", "", "cuda", "", "benchmark", "8", "7", "0.875", *[""] * 7, "profile"],
        ["b", "", "cuda", "", "validate", "2", "0", "0.0", *[""] * 7, "assignment info"],
    ]
    assert found["op_metrics"][1:] == [
        ["a", "", "cuda", "", "CPUExecutionProvider", "NonZero", "1", *[""] * 4],
        ["a", "", "cuda", "", "CUDAExecutionProvider", "Add", "3", *[""] * 4],
        ["a", "", "cuda", "", "CUDAExecutionProvider", "MatMul", "4", *[""] * 4],
        ["b", "", "cuda", "", "CPUExecutionProvider", "Add", "2", *[""] * 4],
    ]


def test_memory_and_engines_stand_beside_the_session(tmp_path: Path) -> None:
    resources = Resources(
        host_memory=HostMemory(
            baseline_byte=400 * MIB,
            creation_peak_byte=162 * MIB,
            creation_byte=82 * MIB,
            run_peak_byte=None,
            run_byte=90 * MIB,
        ),
        device_memory=DeviceMemory(
            source="process", baseline_byte=0, creation_peak_byte=600 * MIB, run_peak_byte=700 * MIB
        ),
        absent={"energy": "NVML: Not Supported", "clocks": "no samples"},
    )
    session = make_session(creation_ns=5_000_000_000, second_creation_ns=1_500_000_000, engines="built")
    header, row = table("session", make_run([make_record("a", session=session, resources=resources)]), tmp_path)
    first = header.index("engines")
    assert dict(zip(header[first:], row[first:], strict=True)) == {
        "engines": "built",
        "engine_build_s": "3.5",
        "engine_size_mib": "",
        "execution_context_mib": "",
        "builder_peak_gpu_mib": "",
        "program": "",
        "advice": "",
        "host_memory_before_mib": "400.0",
        "host_memory_creation_peak_mib": "162.0",
        "host_memory_session_mib": "82.0",
        "host_memory_run_peak_mib": "",
        "gpu_memory_of": "process",
        "gpu_memory_creation_peak_mib": "600.0",
        "gpu_memory_run_peak_mib": "700.0",
        "arena_held_mib": "",
        "not_known": "energy: NVML: Not Supported; clocks: no samples",
    }


def test_energy_and_clock_stand_in_the_row_of_their_timing_mode(tmp_path: Path) -> None:
    resources = Resources(
        energy=Energy(source="NVML", power_w=300.0, updates=40, window_ns=1_000_000_000, iterations=500),
        clocks=Clocks(mean_sm_mhz=1975.04, min_sm_mhz=1965, max_sm_mhz=1980, samples=90),
        timing="bound",
    )
    bound = dataclasses.replace(make_latency(1.0), timing="bound")
    record = make_record("a", latencies=(bound, make_latency(2.0)), resources=resources)
    header, *rows = table("success", make_run([record]), tmp_path)
    names = ("timing", "energy_per_iteration_mj", "power_w", "energy_source", "sm_clock_mean_mhz")
    assert [[dict(zip(header, row, strict=True))[name] for name in names] for row in rows] == [
        ["bound", "600.0", "300.0", "NVML", "1975.0"],
        ["host", "", "", "", ""],
    ]


def test_session_times_are_apart(tmp_path: Path) -> None:
    session = make_session(first_run_ns=1, second_creation_ns=2_000_000_000)
    records = [make_record("a", session=session), make_record("b", session=make_session()), make_record("c")]
    _, *rows = table("session", make_run(records), tmp_path)
    assert [row[:8] for row in rows] == [
        ["a", "", "cpu", "", "benchmark", "0.012345678", "2.0", "1e-09"],
        ["b", "", "cpu", "", "benchmark", "0.012345678", "", ""],
    ]
    assert {cell for row in rows for cell in row[8:]} == {""}


def test_system_info_is_long(tmp_path: Path) -> None:
    run = make_run(end=None)
    rows = table("system_info", run, tmp_path)
    assert rows[:5] == [
        ["spec", "value"],
        ["run", "20261123-210146"],
        ["started", "2026-11-23T21:01:46+00:00"],
        ["duration_s", ""],
        ["exit_status", ""],
    ]
    assert rows[-10:] == [
        ["gpu_0_index", "0"],
        ["gpu_0_name", "NVIDIA H100"],
        ["gpu_0_uuid", ""],
        ["gpu_0_memory_byte", ""],
        ["package_numpy", "2.4.6"],
        ["package_onnxruntime-gpu", "1.31.1"],
        ["label_branch", "main"],
        ["option_ep", "cpu cuda"],
        ["option_iterations", ""],
        ["option_mode", "both"],
    ]


def test_the_order_of_records_does_not_show(tmp_path: Path) -> None:
    records = [
        make_record(model, provider, mode, precision=precision, latencies=(make_latency(1.0),))
        for model in ("b", "a")
        for provider in ("cuda", "tensorrt", "cpu")
        for mode in ("validate", "benchmark")
        for precision in ("fp16", None)
    ]
    first = tables(make_run(records), tmp_path)
    random.Random(0).shuffle(records)  # noqa: S311 - an order, no secret
    assert tables(make_run(records), tmp_path) == first
    assert [row[4:6] for row in first["success"][1:7]] == [
        ["cpu", ""],
        ["cpu", ""],
        ["cpu", "fp16"],
        ["cpu", "fp16"],
        ["cuda", ""],
        ["cuda", ""],
    ]


HOSTILE = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "=1+1": "'=1+1",
    "+1+cmd|' /C calc'!A0": "'+1+cmd|' /C calc'!A0",
    "-1-1": "'-1-1",
    "@x": "'@x",
    "\uff1d1": "'\uff1d1",
    "\tx": "'\tx",
    "\rx": "'\nx",
    "a=1": "a=1",
    "-0.0015": "-0.0015",
    "-1e-07": "-1e-07",
    "+3": "+3",
    "-inf": "-inf",
    "-": "'-",
    "sur\udc80rogate": "sur\\udc80rogate",
    'quo"te': 'quo"te',
    "nul\0": "nul\\x00",
    "\x1b]0;title\x07\x1b[31m\x9b2J": "\\x1b]0;title\\x07\\x1b[31m\\x9b2J",
    "\u202eslx.exe": "\\u202eslx.exe",
    "שלום": "שלום",
    "x" * 300: "x" * 300,
}
"""Text -> as a cell."""


def test_any_text_can_be_written_and_none_does_harm(tmp_path: Path) -> None:
    records = [make_record(name, outcome="failed", failure=make_failure(message=f"{name},\r\n=x")) for name in HOSTILE]
    columns, *rows = table("fail", make_run(records), tmp_path)
    assert sorted(row[0] for row in rows) == sorted(HOSTILE.values())
    assert all(row[columns.index("message")].endswith(",\n=x") for row in rows)


def test_numbers_are_no_text_and_texts_that_are_numbers_stand_as_they_are(tmp_path: Path) -> None:
    output = dataclasses.replace(make_output(), worst_output="-0.0015", worst_reference="-1e-07", snr_db=-3.5)
    path = write_tables(make_run([make_record("a", mode="validate", accuracy=make_accuracy(output))]), tmp_path)[7]
    columns, row = path.read_text(encoding="utf-8").splitlines()
    cells = dict(zip(columns.split(","), next(csv.reader([row])), strict=True))
    assert {name: cells[name] for name in ("worst_output", "worst_reference", "snr_db")} == {
        "worst_output": "-0.0015",
        "worst_reference": "-1e-07",
        "snr_db": "-3.5",
    }


def test_a_table_that_cannot_be_written_says_where_the_records_are(tmp_path: Path) -> None:
    run = make_run()
    path = tmp_path / "benchmark_fail_20261123-210146.csv"
    path.mkdir()
    with pytest.raises(ResultsFileError) as caught:
        write_tables(run, tmp_path)
    assert str(caught.value) == (
        f"{path}: not written: Is a directory. The records are in {run.path}; once there is room, "
        f"'ortperf report {run.path}' writes the tables again."
    )


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    before = tables(make_run([make_record("a", outcome="failed")]), tmp_path)["fail"]
    run = make_run([make_record("b", outcome="failed", failure=make_failure(message="x" * 10_000))])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(ResultsFileError, match=r"benchmark_fail_20261123-210146\.csv: not written: File too large"):
            write_tables(run, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(list(tmp_path.iterdir())) == len(NAMES)
    with (tmp_path / "benchmark_fail_20261123-210146.csv").open(newline="", encoding="utf-8") as file:
        assert [row[len(ORIGIN) :] for row in csv.reader(file)] == before


def test_tables_replace_those_of_the_same_run(tmp_path: Path) -> None:
    first = tables(make_run([make_record("a")]), tmp_path)
    assert tables(make_run(), tmp_path) != first
    assert tables(make_run([make_record("a")]), tmp_path) == first
    assert len(list(tmp_path.iterdir())) == len(NAMES)


def test_nothing_heavy_is_loaded_to_write(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from pytest_ortperf.records.store import read_run\n"
        "from pytest_ortperf.reports.tables.csv_tables import write_tables\n"
        "import pytest_ortperf.reports.terminal.summary\n"
        "print(len(write_tables(read_run(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]))))\n"
        "print(sorted({'numpy', 'pandas', 'onnxruntime', 'onnx', 'pytest'} & set(sys.modules)))\n"
    )
    run = make_run([make_record("a")])
    with RecordsFile.create(tmp_path, run.header.run, run.header) as records:
        for record in run.records:
            records.append(record)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(records.path), str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(NAMES)}\n[]\n"


def test_tensorrt_alone_stands_beside_the_provider_with_the_gain_over_it(tmp_path: Path) -> None:
    program = ProgramFact(
        path="/opt/trtexec",
        version="10.16.1",
        engine="built",
        build_ns=8_091_380_000,
        engine_byte=13 * MIB,
        context_byte=MIB // 2,
        throughput_per_s={"bound": 200.0},
        advice=("enqueue-bound", "unstable"),
    )
    records = [
        make_record("a", "cuda", latencies=(make_latency(8.0, timing="bound"),)),
        make_record("a", "tensorrt", latencies=(make_latency(5.0, timing="bound"),)),
        make_record(
            "a",
            "trtexec",
            provider_full_name="trtexec",
            program=program,
            latencies=(make_latency(4.0, timing="bound"),),
        ),
    ]
    run = make_run(records, header=make_header(providers=("cuda", "tensorrt", "trtexec")))
    found = tables(run, tmp_path)
    columns, row = found["latency"]
    gains = {name: cell for name, cell in zip(columns, row, strict=True) if name.endswith("gain_percent")}
    assert gains == {
        "cuda_vs_cpu_p50_gain_percent": "",
        "tensorrt_vs_cuda_p50_gain_percent": "37.5",
        "tensorrt_vs_trtexec_p50_gain_percent": "-25.0",
        "trtexec_vs_cuda_p50_gain_percent": "50.0",
    }
    columns, *rows = found["success"]
    told = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [(row["engine"], row["version"]) for row in told] == [
        ("onnxruntime", "1.31.1"),
        ("onnxruntime", "1.31.1"),
        ("trtexec", "10.16.1"),
    ]
    assert [row["io_binding"] for row in told] == ["True", "True", ""]
    assert [row["standalone_gain_percent"] for row in told] == ["", "-25.0", ""]
    assert [row["program_throughput_per_s"] for row in told] == ["", "", "200.0"]
    columns, row = found["session"]
    session = {name: cell for name, cell in zip(columns, row, strict=True) if cell}
    assert session == {
        "model": "a",
        "provider": "trtexec",
        "mode": "benchmark",
        "engines": "built",
        "engine_build_s": "8.09138",
        "engine_size_mib": "13.0",
        "execution_context_mib": "0.5",
        "program": "/opt/trtexec 10.16.1",
        "advice": "enqueue-bound; unstable",
    }


def test_every_column_has_a_meaning(tmp_path: Path) -> None:
    found = tables(make_run(), tmp_path, origin=True)
    found["latency"] = [[*ORIGIN, "model", "dims", "timing", "data_set", *(column.name for column in LATENCY_GROUP)]]
    found["status"] = [[*ORIGIN, "model", "dims"]]
    names = {name for header, *_ in found.values() for name in header}
    assert {name for name in names if not meaning_of(name)} == set()
    with pytest.raises(KeyError):
        meaning_of("nobody_knows")
