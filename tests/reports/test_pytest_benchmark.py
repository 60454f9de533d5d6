"""A run as JSON of pytest-benchmark: its fields, and that the real package reads them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cli import main
from pytest_ortperf.records.latency import Latency
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import read_run
from pytest_ortperf.reports.comparison.sources.side_sources import read_side
from pytest_ortperf.reports.writers import write_reports
from record_examples import make_environment, make_header, make_latency, make_record, make_run

H200 = Path(__file__).parents[1] / "data/h200/records_20261130-223940.jsonl.gz"


def document(folder: Path, *records: Record) -> dict[str, Any]:
    header = make_header(environment=make_environment(hostname="perf-1"), labels={"commit": "c0ffee", "branch": "main"})
    (path,) = write_reports(make_run(list(records), header=header), folder, only_format="pytest-benchmark")
    assert path == folder / "pytest_benchmark_20261123-210146.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    return data


def test_each_timing_mode_that_counts_is_a_benchmark(tmp_path: Path) -> None:
    latencies = (make_latency(1.0, 2.0, 3.0, 4.0, 100.0), make_latency(0.5, timing="bound", batch=8))
    data = document(
        tmp_path,
        make_record("bert", "cuda", group="zoo", precision="fp16", dims={"batch": 8}, latencies=latencies),
        make_record("bad", outcome="failed", latencies=(make_latency(1.0),)),
        make_record("right", mode="validate"),
    )
    first, second = data["benchmarks"]
    assert first["stats"] == {
        "min": 0.001,
        "max": 0.1,
        "mean": 0.022,
        "stddev": pytest.approx(0.0436177, rel=1e-5),
        "median": 0.003,
        "iqr": 0.002,
        "q1": 0.002,
        "q3": 0.004,
        "ld15iqr": 0.001,
        "hd15iqr": 0.004,
        "total": 0.11,
        "rounds": 5,
        "iterations": 1,
        "ops": pytest.approx(1 / 0.022),
        "iqr_outliers": 1,
        "stddev_outliers": 1,
        "outliers": "1;1",
    }
    assert {name: value for name, value in first.items() if name != "stats"} == {
        "group": "zoo",
        "name": "bert::benchmark[cuda-fp16-batch=8] host",
        "fullname": "models.json::bert::benchmark[cuda-fp16-batch=8] host",
        "params": {"model": "bert", "ep": "cuda", "precision": "fp16", "timing": "host", "batch": 8},
        "param": "host",
        "extra_info": {
            "ortperf_run": "20261123-210146",
            "ortperf_case_id": "bert::benchmark[cuda-fp16-batch=8]",
            "model": "bert",
            "ep": "cuda",
            "precision": "fp16",
            "timing": "host",
            "batch": 1,
            "device": None,
            "status": None,
            "validation": None,
        },
        "options": {"warmup": True},
    }
    assert second["fullname"] == "models.json::bert::benchmark[cuda-fp16-batch=8] bound"
    assert data["commit_info"]["id"] == "c0ffee"
    assert data["machine_info"]["node"] == "perf-1"


def test_without_samples_quartiles_are_half_of_them_around_the_median(tmp_path: Path) -> None:
    whole = make_latency(*[1.0, 2.0, 3.0, 4.0, 5.0] * 4)
    bare = dataclasses.replace(whole, samples_ns=(), summary=summarize(whole))
    (benchmark,) = document(tmp_path, make_record(latencies=(bare,)))["benchmarks"]
    assert [benchmark["stats"][name] for name in ("q1", "median", "q3", "iqr")] == [0.002, 0.003, 0.004, 0.002]
    assert benchmark["stats"]["outliers"] == "0;0"


def test_names_do_no_harm(tmp_path: Path) -> None:
    names = ["<script>", "=1+1", "x" * 300, "שלום", "\x1b[31m", "\u202eslx"]
    data = document(tmp_path, *(make_record(name, latencies=(make_latency(1.0),)) for name in names))
    assert sorted(each["params"]["model"] for each in data["benchmarks"]) == sorted(names)


def test_compare_reads_every_timing_mode_again(tmp_path: Path) -> None:
    def latencies(scale: float) -> tuple[Latency, ...]:
        return make_latency(scale), make_latency(scale * 2, timing="bound")

    document(tmp_path, make_record("a", latencies=latencies(1.0)), make_record("b", latencies=latencies(3.0)))
    side = read_side(str(tmp_path / "pytest_benchmark_20261123-210146.json"), tmp_path, tmp_path)
    assert {
        (key, timing): one.median_ns for key, case in side.last.items() for timing, (one,) in case.observations.items()
    } == {
        ("a::benchmark[cpu]", "host"): 1e6,
        ("a::benchmark[cpu]", "bound"): 2e6,
        ("b::benchmark[cpu]", "host"): 3e6,
        ("b::benchmark[cpu]", "bound"): 6e6,
    }


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, Any]:
    records = tmp_path / "records_20261130-223940.jsonl"
    records.write_bytes(gzip.decompress(H200.read_bytes()))
    assert main(["report", str(records), "--format=pytest-benchmark", "--output", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/pytest_benchmark_20261130-223940.json").read_text(encoding="ascii")
    data: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)  # JavaScript and Rust know no NaN
    assert len(data["benchmarks"]) == 12
    return data


def test_github_action_benchmark_finds_what_it_reads(recorded: dict[str, Any]) -> None:
    """Reader: `extractPytestResult` in src/extract.ts of benchmark-action/github-action-benchmark."""
    points = {}
    for each in recorded["benchmarks"]:
        stats = each["stats"]
        assert isinstance(stats["rounds"], int)
        assert all(isinstance(stats[name], float) and stats[name] > 0 for name in ("ops", "mean", "stddev"))
        points[each["fullname"]] = stats["ops"], stats["mean"]
    assert len(points) == 12  # it tells series apart by this name alone
    assert all(ops * mean == pytest.approx(1) for ops, mean in points.values())


def test_bencher_finds_what_it_reads(recorded: dict[str, Any]) -> None:
    """Reader: lib/bencher_adapter/src/adapters/python/pytest.rs of bencherdev/bencher.

    Its names have 1 to 1,024 characters and no blank at an end.
    """
    assert isinstance(recorded["machine_info"], dict)
    assert isinstance(recorded["commit_info"], dict)
    for each in recorded["benchmarks"]:
        name, stats = each["fullname"], each["stats"]
        assert 0 < len(name) <= 1024
        assert name == name.strip()
        assert isinstance(stats["median"], float)
        assert isinstance(stats["iqr"], float)
        assert 0 <= stats["iqr"] < stats["median"]  # the lower bound is their difference


def test_pytest_benchmark_shows_a_recorded_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytest_benchmark", reason="needs the extra bench")
    records = tmp_path / "records_20261130-223940.jsonl"
    records.write_bytes(gzip.decompress(H200.read_bytes()))
    assert main(["report", str(records), "--format=pytest-benchmark"]) == 0
    assert "pytest_benchmark_20261130-223940.json" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest_benchmark", "compare", "pytest_benchmark_20261130-223940.json"),
            *("--group-by=param:model,param:timing", "--columns=min,median,iqr,outliers,rounds", "--csv=out.csv"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " benchmark 'model=resnet50 timing=host': 4 tests " in done.stdout
    header, *rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("name,param:ep,param:model,param:precision,param:timing,min,median")
    medians = {row.split(",")[0]: float(row.split(",")[6]) for row in rows}
    stored = {record.case_id: record for record in read_run(records).records}
    host = stored["resnet50::benchmark[cuda]"].latencies[1]
    assert medians["models.json::resnet50::benchmark[cuda] host"] == summarize(host).p50_ns / 1e9
    assert len(medians) == 12
