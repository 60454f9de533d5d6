from __future__ import annotations

import csv

import pytest

from plugin.project import Project
from pytest_ortperf.records.environment.machine_catalogue import CHECKS
from pytest_ortperf.records.store import StoredRun, find_run, read_run

QUICK = ("--ortperf-iterations=3", "--ortperf-warmup=1", "--ortperf-operators=off", "--ortperf-ep=cpu")

CONFTEST = """
from pytest_ortperf.execution.machine import canary
from pytest_ortperf.execution.machine import machine_state
from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Canary, CanaryPart

times = iter([100, 110])
machine_state.wait_for_quiet = lambda tell: tell("waited for quiet")
machine_state.survey_machine = lambda settings, providers: (finding("load", LEVEL, "9 on 8 cores"),)


def run(seconds=0):
    ns = next(times)
    return Canary(parts={"compute": CanaryPart(fast_ns=ns, median_ns=ns, repeats=5)})


canary.run_canary_in_child = run
"""


def run_of(project: Project) -> StoredRun:
    return read_run(find_run(project.path / "result"))


def pretend(project: Project, level: str) -> None:
    project.models("a")
    project.write("conftest.py", CONFTEST.replace("LEVEL", repr(level)))


@pytest.mark.slow
def test_a_benchmark_is_watched_by_default(project: Project) -> None:
    project.models("a")
    assert project.run(*QUICK, mode="benchmark").outcomes == {"a::benchmark[cpu]": "passed"}
    run = run_of(project)
    of_run = {check.id for check in CHECKS if check.when == "run" and not check.id.startswith("gpu-")}
    assert {found.check for found in run.header.machine} == of_run - {"canary"}
    machine = run.records[0].machine
    assert machine is not None
    assert [span.timing for span in machine.spans] == [latency.timing for latency in run.records[0].latencies]
    with next((project.path / "result").glob("benchmark_success_*.csv")).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["machine"] == machine.level
    assert run.header.environment.fingerprint is not None
    assert run.end is not None
    assert run.end.machine == ()
    canaries = [run.end.canary_before, run.records[0].canary, run.end.canary_after]
    assert [list(canary.parts) for canary in canaries if canary] == 3 * [
        ["compute", "memory", "interpreter", "handoff"]
    ]


@pytest.mark.parametrize(("mode", "args"), [("benchmark", ["--ortperf-env=off"]), ("validate", [])])
def test_nothing_is_read_where_it_is_off_or_nothing_is_timed(project: Project, mode: str, args: list[str]) -> None:
    pretend(project, "reject")
    result = project.run(*QUICK, *args, mode=mode)
    run = run_of(project)
    assert set(result.outcomes.values()) == {"passed"}
    assert (run.header.machine, run.records[0].machine, run.records[0].canary) == ((), None, None)
    assert "machine:" not in result.out


def test_warn_measures_and_tells_once(project: Project) -> None:
    pretend(project, "reject")
    project.models("a", "b")
    result = project.run(*QUICK, mode="benchmark")
    assert set(result.outcomes.values()) == {"passed"}
    assert result.out.count("machine: load: 9 on 8 cores\n") == 1
    assert "waited" not in result.out


@pytest.mark.parametrize("args", [[], pytest.param(["-n1"], marks=pytest.mark.slow)])
def test_strict_waits_and_fails_benchmarks_on_an_unfit_machine(project: Project, args: list[str]) -> None:
    pretend(project, "reject")
    result = project.run(*QUICK, "--ortperf-env=strict", *args, mode="both")
    assert result.outcomes == {"a::validate[cpu]": "passed", "a::benchmark[cpu]": "failed"}
    failure = next(record for record in run_of(project).records if record.mode == "benchmark").failure
    assert failure is not None
    assert (failure.kind, failure.stage) == ("environment", "settings")
    assert failure.message.startswith("the machine is not fit for --ortperf-env=strict:\n  load: 9 on 8 cores. ")
    assert "ortperf: waited for quiet\n" in result.out


def test_strict_reports_the_drift_of_the_canary(project: Project) -> None:
    pretend(project, "warning")
    result = project.run(*QUICK, "--ortperf-env=strict", mode="benchmark")
    end = run_of(project).end
    assert end is not None
    assert end.canary_before is not None
    assert end.canary_after is not None
    assert [(found.level, found.seen) for found in end.machine] == [
        ("warning", "compute +10.0 % from the start to the end of the run")
    ]
    assert "machine: canary: compute +10.0 % from the start to the end of the run\n" in result.out


def test_an_unknown_word_is_refused(project: Project) -> None:
    project.models("a")
    result = project.run("--ortperf-env=loud", mode="benchmark")
    assert result.exit_code == 4
    assert "argument --ortperf-env: invalid choice: 'loud'" in result.err
