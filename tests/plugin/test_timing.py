"""Timing modes, threads and the wait for hardware, as a user sees them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from plugin.project import Project

QUICK = ("--ortperf-iterations=30", "--ortperf-warmup=1", "--ortperf-operators=off", "--ortperf-env=off")
NOTES_ITS_TIME = """
import pathlib, time

here = pathlib.Path(__file__).parent

def pytest_runtest_setup(item):
    (here / f"{item.case.model.name}.started").touch()

def pytest_ortperf_before_first_run(case, session):
    # the other one has started and waits, however late its worker was
    end = time.monotonic() + 20
    while len(list(here.glob("*.started"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    (here / f"{case.model.name}.time").write_text(str(time.monotonic_ns()))
"""


def rows(folder: Path) -> list[dict[str, str]]:
    (path,) = (folder / "result").glob("benchmark_success_*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_modes_have_a_row_each_and_what_cannot_be_measured_says_why(project: Project) -> None:
    project.models("m")
    result = project.run(
        *QUICK,
        "--ortperf-timing=bound,graph,host",
        "--ortperf-concurrency=2",
        "--ortperf-min-time=0.1",
        mode="benchmark",
    )
    assert result.exit_code == 0
    (record,) = result.records
    assert [latency["timing"] for latency in record["latencies"]] == ["bound", "host"]
    assert record["refused_timings"] == {"graph": "CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have"}
    found = rows(project.path)
    assert [row["timing"] for row in found] == ["bound", "host"]
    assert [row["concurrent_threads"] for row in found] == ["2", ""]
    assert float(found[0]["concurrent_iterations_per_s"]) > 100
    told = " ".join(result.out.split())
    assert "m cpu: graph not measured: CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have" in told
    assert "m cpu: 2 threads on one session, bound: " in told


@pytest.mark.slow
def test_a_mode_asked_for_alone_fails_where_it_cannot_be_had(project: Project) -> None:
    project.models("m")
    result = project.run(*QUICK, "--ortperf-timing=graph", mode="benchmark")
    assert result.exit_code == 1
    (record,) = result.records
    assert (record["failure"]["kind"], record["failure"]["stage"]) == ("timing unavailable", "timing")
    assert record["failure"]["message"] == (
        "--ortperf-timing=graph cannot be measured: CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have"
    )


@pytest.mark.parametrize("given", ["hots", "auto,host"])
def test_an_unknown_mode_is_an_error_that_names_the_known_ones(project: Project, given: str) -> None:
    project.models("m")
    result = project.run(f"--ortperf-timing={given}", mode="benchmark")
    assert result.exit_code == 4
    assert (
        f"ERROR: --ortperf-timing: {given.partition(',')[0]} cannot be used; give auto alone, or some of host, bound, "
        "bound+copies, graph"
    ) in result.err


@pytest.mark.slow
def test_benchmarks_of_two_workers_do_not_overlap(project: Project) -> None:
    project.write("conftest.py", NOTES_ITS_TIME)
    project.models("a", "b")
    result = project.run(
        *QUICK, "-n2", "--dist=load", "--ortperf-warmup=5000", "--ortperf-iterations=5000", mode="benchmark"
    )
    assert result.exit_code == 0
    assert {record["worker"] for record in result.records} == {"gw0", "gw1"}
    begins = {name: int((project.path / f"{name}.time").read_text(encoding="utf-8")) for name in "ab"}
    first, second = sorted(begins, key=lambda name: begins[name])
    stages = result.by_model[first]["stage_ns"]
    assert begins[second] >= begins[first] + stages["warm_up"] + stages["timing"]
    assert result.by_model[second]["stage_ns"]["lease"] > stages["timing"]
