"""`--ortperf-baseline`: verdicts against an earlier run as failing reports, in exit status and JUnit."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.project import Project, junit_values, tensor
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import RecordsFile, read_run

QUICK = (
    "--ortperf-iterations=2",
    "--ortperf-warmup=1",
    "--ortperf-ep=cpu",
    "--ortperf-threads=1",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)
NAMES = [f"m{number}" for number in range(10)]

# Latencies of a machine that does the same each time: which machine runs the tests is not what they are about.
# In every process, after all plugins: what measured them is the outermost hook.
CONFTEST = """
import json, pathlib, random, zlib, pytest

class Replaced:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report):
        record = getattr(report, "ortperf_record", None)
        if record and record["mode"] == "benchmark":
            factor = json.loads(pathlib.Path(__file__).with_name("factors.json").read_text()).get(record["model"], 1)
            noise = random.Random(f"{factor} {record['model']}")
            typical = 1e6 * factor * noise.gauss(1, 0.004)
            samples = [round(typical * noise.gauss(1, 0.002)) for _ in range(60)]
            record["latencies"] = [{"timing": "host", "samples_ns": samples, "warmup_iterations": 1, "batch": 1}]
            record["machine"] = {"spans": [], "findings": []}
        return (yield)

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.pluginmanager.register(Replaced())
"""


@pytest.fixture
def steady(project: Project) -> Project:
    """Return a project of ten models whose latencies are 1 ms times what `factors.json` says."""
    project.models(*NAMES)
    project.write("conftest.py", CONFTEST)
    project.write("factors.json", "{}")
    assert project.run(*QUICK, mode="benchmark").exit_code == 0
    project.write("factors.json", json.dumps(dict.fromkeys(NAMES, 1.001) | {"m3": 1.4, "m5": 1.02}))
    return project


def rewrite(project: Project, change: Callable[[Record], Record], **environment: str) -> Path:
    """Write a copy of the first run, each record changed."""
    first = min((project.path / "result").glob("records_*.jsonl"))
    run = read_run(first)
    header = dataclasses.replace(run.header, environment=dataclasses.replace(run.header.environment, **environment))
    folder = project.path / "earlier"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with RecordsFile.create(folder, run.header.run, header) as file:
        for record in run.records:
            file.append(change(record))
        assert run.end is not None
        file.end(run.end)
    return file.path


def same(record: Record) -> Record:
    return record


def failed_names(project: Project) -> list[str]:
    suite = project.junit()
    return [case.attrib["name"] for case in suite.iter("testcase") if case.find("failure") is not None]


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_slower_case_fails_after_the_loop_and_is_in_junit(steady: Project, args: tuple[str, ...]) -> None:
    rewrite(steady, same)
    result = steady.run(*QUICK, *args, "--ortperf-baseline=earlier", "--junit-xml=j.xml", mode="benchmark")
    assert result.exit_code == 1
    assert result.counts == {"passed": 10, "failed": 1}
    assert result.end is not None
    assert result.end["exit_status"] == 1
    assert set(result.outcomes.values()) == {"passed"}
    name = "models.json::m3::benchmark-latency[cpu]"
    assert failed_names(steady) == [name]
    (case,) = [case for case in steady.junit().iter("testcase") if case.attrib["name"] == name]
    properties = junit_values(case)
    assert properties == {"ortperf.topic": "latency", "ortperf.verdict": "SLOWER"}
    (failure,) = case.findall("failure")
    assert re.match(r"SLOWER: host: median \S+ -> \S+ ms, ratio 1\.\d{3} \(.+\), delta 25 %", failure.attrib["message"])
    (line,) = [line for line in result.out.splitlines() if line.startswith("FAILED ")]
    assert line.startswith(f"FAILED {name} - SLOWER: host: ")
    assert "ortperf: compared with the baseline" in result.out
    assert "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 9 SAME" in result.out
    page = max((steady.path / "result").glob("report_*.html")).read_text("utf-8")
    assert "<h2>Slower than the baseline: 1</h2>" in page


@pytest.mark.slow
def test_another_machine_and_other_topics_fail_nothing(steady: Project) -> None:
    path = rewrite(steady, same, fingerprint="another machine")
    other = steady.run(*QUICK, f"--ortperf-baseline={path}", mode="benchmark")
    assert (other.exit_code, other.counts) == (0, {"passed": 10})
    assert "latency: 0 SLOWER, 0 FASTER, 10 UNSURE, 0 SAME" in other.out
    assert "machine  it was measured on another machine" in other.out
    path = rewrite(steady, same)
    other = steady.run(*QUICK, f"--ortperf-baseline={path}", "--ortperf-fail-on=failures,memory", mode="benchmark")
    assert (other.exit_code, other.counts) == (0, {"passed": 10})
    assert "latency: 1 SLOWER" in other.out


@pytest.mark.slow
def test_a_new_failure_fails_once_more_and_an_old_one_does_not(project: Project) -> None:
    project.write("wrong/test_data_set_0/input_0.pb", tensor([[1, 2, 3]], "x"))
    project.write("wrong/test_data_set_0/output_0.pb", tensor([[2, 4, 7]], "y"))
    project.models({"name": "old", "test_data": "wrong"}, {"name": "new", "test_data": "wrong"}, "right")
    first = project.run("--ortperf-ep=cpu")
    assert first.counts == {"passed": 1, "failed": 2}
    rewrite(project, lambda it: dataclasses.replace(it, outcome="passed", failure=None) if it.model == "new" else it)
    result = project.run(
        "--ortperf-ep=cpu", "--ortperf-baseline=earlier", "--ortperf-fail-on=failures", "--junit-xml=j.xml"
    )
    assert (result.exit_code, result.counts) == (1, {"passed": 1, "failed": 3})
    assert failed_names(project) == [
        "models.json::old::validate[cpu]",
        "models.json::new::validate[cpu]",
        "models.json::new::validate-failures[cpu]",
    ]
    assert "failures: 1 new failure" in result.out
    assert "1 case fails on both sides, with the same kind of failure" in result.out
    again = project.run("--ortperf-ep=cpu", "--lf", "-p", "cacheprovider", "--ortperf-baseline=earlier")
    assert sorted(again.outcomes) == ["new::validate[cpu]", "old::validate[cpu]", "right::validate[cpu]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("-k", "alpha"), "-k 'alpha' left 2 cases out of current"),
        (("-k", "alpha", "-n", "2"), "-k 'alpha' left 2 cases out of current"),
        (("models.json::alpha",), "its arguments (models.json::alpha) left 2 cases out of current"),
        (("--deselect=models.json::beta",), "a plugin left 2 cases out of current"),
        (("--ortperf-models=one.json",), "--ortperf-models left 2 cases out of current"),
    ],
)
def test_cases_that_were_deselected_do_not_fail(project: Project, args: tuple[str, ...], text: str) -> None:
    project.models("alpha", name="one.json")
    if "one.json" in args[0]:
        project.models("beta", "gamma", name="two.json")
    else:
        project.models("alpha", "beta", "gamma")
    lists = ("--ortperf-models=one.json", "--ortperf-models=two.json") if "one.json" in args[0] else ()
    if args[0].startswith("--deselect"):
        args = (*args, "--deselect=models.json::gamma")
    project.run("--ortperf-ep=cpu", *lists)
    rewrite(project, same)
    result = project.run(*args, "--ortperf-ep=cpu", "--ortperf-baseline=earlier")
    assert (result.exit_code, result.counts["passed"]) == (0, 1)
    assert text in result.out


@pytest.mark.slow
def test_tests_of_ones_own_that_were_deselected_do_not_fail(project: Project) -> None:
    for name in ("one", "two"):
        project.write(f"test_{name}.py", f"def test_{name}(ortperf):\n    ortperf.validate('m.onnx', ep='cpu')\n")
    assert project.run(mode=None).exit_code == 0
    rewrite(project, same)
    for args, text in (
        (("-k", "one"), "-k 'one' left 1 case out of current"),
        (("test_one.py",), "its arguments (test_one.py) left 1 case out of current"),
    ):
        result = project.run(*args, "--ortperf-baseline=earlier", mode=None)
        assert (result.exit_code, text in result.out) == (0, True), result.out
    (project.path / "test_two.py").unlink()
    assert project.run("--ortperf-baseline=earlier", mode=None).exit_code == 1


@pytest.mark.slow
def test_a_model_that_left_the_list_fails(project: Project) -> None:
    project.models("alpha", "beta")
    project.run("--ortperf-ep=cpu")
    rewrite(project, same)
    project.models("alpha")
    args = ("--ortperf-ep=cpu", "--ortperf-baseline=earlier")
    assert project.run(*args, "--junit-xml=j.xml").exit_code == 1
    assert failed_names(project) == ["models.json::beta::missing"]
    assert project.run(*args, "--ortperf-fail-on=latency,failures").exit_code == 0


@pytest.mark.slow
def test_a_baseline_that_was_killed_fails(project: Project) -> None:
    project.models("alpha", "beta")
    project.run("--ortperf-ep=cpu")
    path = rewrite(project, same)
    header, first, *_ = path.read_text().splitlines(keepends=True)
    path.write_text(header + first)
    result = project.run("--ortperf-ep=cpu", "--ortperf-baseline=earlier")
    assert (result.exit_code, result.counts) == (1, {"passed": 2, "failed": 1})
    run = path.stem.removeprefix("records_")
    assert (
        "incomplete: its records file has no end line, so it was killed or is still running; it holds 1 of 2 cases. "
        "Make the run again"
    ) in result.out
    assert f"FAILED base run {run}::incomplete - incomplete: its records file" in result.out


@pytest.mark.slow
def test_thresholds_of_the_option_and_of_the_list(project: Project) -> None:
    project.models({"name": "strict", "expect": {"slowdown_percent": 10}}, "other")
    project.write("conftest.py", CONFTEST)
    project.write("factors.json", "{}")
    project.run(*QUICK, mode="benchmark")
    rewrite(project, same, fingerprint="another machine")
    project.write("factors.json", json.dumps({"strict": 1.15, "other": 1.25}))
    args = (*QUICK, "--ortperf-baseline=earlier", "--junit-xml=j.xml")
    assert project.run(*args, mode="benchmark").exit_code == 1
    assert failed_names(project) == ["models.json::strict::benchmark-latency[cpu]"]
    result = project.run(*args, "--ortperf-fail-on=latency:20%", mode="benchmark")
    assert failed_names(project) == [f"models.json::{name}::benchmark-latency[cpu]" for name in ("strict", "other")]
    assert result.out.count(", by threshold; changed by +") == 2


@pytest.mark.slow
def test_a_run_that_was_stopped_is_not_compared(project: Project) -> None:
    project.write("wrong/test_data_set_0/input_0.pb", tensor([[1, 2, 3]], "x"))
    project.write("wrong/test_data_set_0/output_0.pb", tensor([[2, 4, 7]], "y"))
    project.models({"name": "wrong", "test_data": "wrong"}, "right")
    project.run("--ortperf-ep=cpu")
    result = project.run("--ortperf-ep=cpu", "--ortperf-baseline=result", "-x")
    assert result.end is not None
    assert result.end["stopped"] == "stopping after 1 failures"
    assert (result.exit_code, result.counts) == (1, {"failed": 1})
    assert "not compared with the baseline: the run was stopped" in result.out


@pytest.mark.slow
def test_tests_of_ones_own_are_compared_too(project: Project) -> None:
    project.write(
        "test_it.py", "def test_it(ortperf):\n    ortperf.validate('m.onnx', ep='cpu', atol=ATOL)\n\nATOL = 1\n"
    )
    assert project.run(mode=None).exit_code == 0
    project.write("test_data_set_0/input_0.pb", tensor([[1, 2, 3]], "x"))
    project.write("test_data_set_0/output_0.pb", tensor([[9, 4, 7]], "y"))
    project.write("test_it.py", "def test_it(ortperf):\n    ortperf.validate('m.onnx', ep='cpu', test_data='.')\n")
    result = project.run("--ortperf-baseline=result", mode=None)
    assert (result.exit_code, result.counts) == (1, {"failed": 2})
    assert "failures: 1 new failure" in result.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--ortperf-baseline=nowhere",), "--ortperf-baseline: nowhere: is no file, no run in "),
        (("--ortperf-fail-on=latency",), "--ortperf-fail-on needs an earlier run to compare with"),
        (
            ("--ortperf-baseline=result", "--ortperf-fail-on=speed"),
            "--ortperf-fail-on: unknown speed; choose from latency, failures, accuracy, placement, memory, creation,",
        ),
    ],
)
def test_what_cannot_be_compared_ends_the_run_before_it_starts(
    project: Project, args: tuple[str, ...], message: str
) -> None:
    project.models("a")
    result = project.run("--ortperf-ep=cpu", *args)
    assert result.exit_code == 4
    assert message in result.err
    assert result.records == []
