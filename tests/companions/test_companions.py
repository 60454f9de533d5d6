"""Beside each other plugin, a crash, a hang and a failure are one failed item each, with its record, and all runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from companions.conftest import COMPANIONS
from plugin.project import Project, Result

OUTCOMES = {
    "good": "passed",
    "fails": "failed",
    "crashes": "crashed",
    "hangs": "timed_out",
    "last": "passed",
}

BESIDE: dict[str, Sequence[str]] = {
    "randomly": (),
    "pytest_cov": ("--cov=.", "--cov-report=term"),
    "html": ("--html=page.html", "--self-contained-html"),
    "sugar": ("--force-sugar",),
    "benchmark": ("--benchmark-disable-gc",),
    "timeout": ("--timeout=60",),
    "rerunfailures": ("--reruns=0",),
    "repeat": ("--count=1",),
}


def run(project: Project, name: str, *args: str, mode: str = "validate") -> Result:
    """Run with one other plugin alone."""
    others = [part for other in COMPANIONS if other != name for part in ("-p", f"no:{other}")]
    quiet = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *(() if name == "html" else ("-p", "no:metadata")))
    return project.run(*quiet, *others, "--ortperf-ep=cpu", *args, mode=mode, plain=False)


def attempts(result: Result) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for record in result.records:
        found.setdefault(record["model"], []).append((record["attempt"], record["outcome"]))
    return found


@pytest.mark.parametrize("isolation", ["forked", "pool"])
@pytest.mark.parametrize("name", COMPANIONS)
def test_each_death_is_one_item_and_one_record_beside(project: Project, name: str, isolation: str) -> None:
    result = run(project, name, f"--ortperf-isolation={isolation}", *BESIDE[name])
    assert result.exit_code == 1, result.out
    assert {model: record["outcome"] for model, record in result.by_model.items()} == OUTCOMES
    assert result.end
    assert result.end["exit_status"] == 1
    if name == "html":
        page = (project.path / "page.html").read_text(encoding="utf-8")
        assert all(f"{model}::validate[cpu]" in page for model in OUTCOMES)


@pytest.mark.parametrize("name", COMPANIONS)
def test_measured_cases_too(project: Project, name: str) -> None:
    quick = ("--ortperf-iterations=3", "--ortperf-warmup=0", "--ortperf-track-memory=off", "--ortperf-operators=off")
    result = run(project, name, *quick, *BESIDE[name], mode="benchmark")
    assert result.exit_code == 1, result.out
    assert {model: record["outcome"] for model, record in result.by_model.items()} == OUTCOMES


METHODS = [
    ("--timeout=2",),
    ("--timeout=2", "--timeout-method=thread"),
    ("--timeout=2", "--ortperf-isolation=pool"),
    ("--timeout=2", "-n", "1"),
    ("--timeout=2", "--timeout-method=thread", "-n", "1"),
    ("-o", "timeout=2"),
    ("-o", "timeout=2", "-o", "timeout_func_only=true"),
    ("--timeout=2", "--forked"),
]


@pytest.mark.parametrize("args", METHODS, ids=" ".join)
def test_the_deadline_of_pytest_timeout_is_the_deadline_of_a_case(project: Project, args: Sequence[str]) -> None:
    project.models("good", "hangs", "last")
    result = run(project, "timeout", *args)
    assert result.exit_code == 1, result.out
    assert {model: record["outcome"] for model, record in result.by_model.items()} == {
        "good": "passed",
        "hangs": "timed_out",
        "last": "passed",
    }
    failure = result.by_model["hangs"]["failure"]
    assert failure["kind"] == "timeout"
    assert failure["message"] == (
        "timed out after 2 s in stage first_run; its process was killed. "
        "Give it more with the --timeout of pytest-timeout"
    )


def test_a_marker_gives_one_case_a_deadline(project: Project) -> None:
    project.models("good", "hangs")
    marking = """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        if "hangs" in item.nodeid:
            item.add_marker(pytest.mark.timeout(1.5))
"""
    conftest = (project.path / "conftest.py").read_text()
    project.write("conftest.py", conftest + marking)
    result = run(project, "timeout", "--timeout=100")
    assert result.by_model["hangs"]["failure"]["message"].startswith("timed out after 1.5 s")


def test_the_shorter_deadline_counts(project: Project) -> None:
    project.models({"name": "hangs", "timeout": 1})
    message = run(project, "timeout", "--timeout=100").records[0]["failure"]["message"]
    assert message.startswith("timed out after 1 s")
    assert message.endswith("--ortperf-timeout or the model list's timeout")


def test_waiting_for_hardware_does_not_count(project: Project) -> None:
    project.models("good")
    holder = """
import fcntl, os, threading, time
from pathlib import Path

def pytest_sessionstart():
    folder = Path(os.environ["ORTPERF_LOCKS"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(folder / "cpu.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
    os.close(held)
"""
    project.write("conftest.py", holder)
    result = run(project, "timeout", "--timeout=2")
    (record,) = result.records
    assert record["outcome"] == "passed", result.out
    assert record["stage_ns"]["lease"] > 2e9


def test_without_isolation_its_error_is_a_timed_out_record(project: Project) -> None:
    project.models("hangs", "last")
    result = run(project, "timeout", "--timeout=2", "--ortperf-isolation=none")
    assert {model: record["outcome"] for model, record in result.by_model.items()} == {
        "hangs": "timed_out",
        "last": "passed",
    }


@pytest.mark.parametrize(
    "args", [(), ("--ortperf-isolation=pool",), ("-n", "1"), ("--forked",), ("--ortperf-isolation=none",)], ids=" ".join
)
def test_reruns_each_attempt_has_its_record_and_the_last_one_counts(project: Project, args: Sequence[str]) -> None:
    lost = "--ortperf-isolation=none" in args
    project.models("flaky", "fails", "last", *(() if lost else ("flaky_crash",)))
    result = run(project, "rerunfailures", "--reruns=2", "--junit-xml=j.xml", *args)
    assert result.exit_code == 1, result.out
    assert attempts(result) == {
        "flaky": [(1, "failed"), (2, "passed")],
        "fails": [(1, "failed"), (2, "failed"), (3, "failed")],
        "last": [(1, "passed")],
        **({} if lost else {"flaky_crash": [(1, "crashed"), (2, "passed")]}),
    }
    assert result.counts == {"failed": 1, "passed": 2 if lost else 3, "rerun": 3 if lost else 4}
    table = next((project.path / "result").glob("benchmark_status_*.csv")).read_text()
    assert table.count("flaky,") == 1
    models, ours = (3, "2 passed") if lost else (4, "3 passed")
    assert f"{models} models, {models} cases: {ours}, 1 failed" in result.out


def test_reruns_of_measured_cases(project: Project) -> None:
    project.models("flaky", "last")
    result = run(project, "rerunfailures", "--reruns=1", "--ortperf-iterations=3", "--ortperf-warmup=0", mode="both")
    assert result.exit_code == 0, result.out
    found = [(record["case_id"], record["attempt"], record["outcome"]) for record in result.records]
    assert sorted(found) == [
        ("flaky::benchmark[cpu]", 1, "failed"),
        ("flaky::benchmark[cpu]", 2, "passed"),
        ("flaky::validate[cpu]", 1, "failed"),
        ("flaky::validate[cpu]", 2, "passed"),
        ("last::benchmark[cpu]", 1, "passed"),
        ("last::validate[cpu]", 1, "passed"),
    ]


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (("--only-rerun=as planned",), 2),
        (("--only-rerun=something else",), 1),
        (("--rerun-except=as planned",), 1),
        (("--max-suite-reruns=0",), 1),
    ],
)
def test_which_failures_are_rerun(project: Project, args: Sequence[str], count: int) -> None:
    project.models("fails")
    assert len(run(project, "rerunfailures", "--reruns=1", *args).records) == count


def test_attempts_are_delayed(project: Project) -> None:
    project.models("flaky")
    first, second = run(project, "rerunfailures", "--reruns=1", "--reruns-delay=2").records
    began = [datetime.fromisoformat(record["started"]) for record in (first, second)]
    assert (began[1] - began[0]).total_seconds() >= 2


def test_a_flaky_run_can_fail(project: Project) -> None:
    project.models("flaky")
    assert run(project, "rerunfailures", "--reruns=1", "--fail-on-flaky").exit_code == 7


def test_reruns_of_a_users_own_test(project: Project) -> None:
    test = """
def test_it(ortperf):
    ortperf.validate("m.onnx", ep="cpu", name="flaky")
"""
    project.write("test_it.py", test)
    result = project.run("-p", "no:cacheprovider", "--reruns=1", "test_it.py", mode=None, plain=True)
    assert result.exit_code == 0, result.out
    assert [(record["attempt"], record["outcome"]) for record in result.records] == [(1, "failed"), (2, "passed")]
    assert "1 case: 1 passed" in result.out


def test_that_cases_are_not_repeated_is_said(project: Project) -> None:
    project.models("good")
    result = run(project, "repeat", "--count=3")
    assert "without effect: --count of pytest-repeat" in result.out
    assert len(result.records) == 1


OWN_TEST = """
import time

def test_it(ortperf):
    time.sleep(0.5)
    ortperf.validate("m.onnx", ep="cpu", name="hangs")

def test_after(ortperf):
    ortperf.validate("m.onnx", ep="cpu", name="last")

def test_python():
    time.sleep(30)
"""


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_the_deadline_of_a_users_own_test_leaves_a_record(project: Project, method: str) -> None:
    project.write("test_it.py", OWN_TEST)
    chosen = ("test_it.py", "-k", "not python") if method == "thread" else ("test_it.py",)
    result = project.run("--timeout=3", f"--timeout-method={method}", *chosen, mode=None)
    assert result.exit_code == 1, result.out
    assert {model: record["outcome"] for model, record in result.by_model.items()} == {
        "hangs": "timed_out",
        "last": "passed",
    }
    assert result.by_model["hangs"]["failure"]["message"].endswith("Give it more with the --timeout of pytest-timeout")
    assert result.counts["passed"] == 1
    # its own timer still ends what is not ours
    assert ("Timeout (>3.0s) from pytest-timeout" in result.out) is (method == "signal")
