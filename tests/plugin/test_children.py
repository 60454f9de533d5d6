"""Children forked ahead: which items have one, and that nothing of what an item may see is missed."""

from __future__ import annotations

import json
import sys

import pytest

from plugin.project import MODEL, Project, tensor

QUICK = (
    "--ortperf-mode=both",
    "--ortperf-iterations=3",
    "--ortperf-warmup=1",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)

SIBLINGS = """
import json, os, pathlib, time

def living(parent):
    listed = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    states = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in listed]
    return len(states) - states.count("Z")

def pytest_ortperf_before_first_run(case, session):
    parent = os.getppid()
    # the next child comes, and a child that has answered goes, a moment after a validation has begun
    end = time.monotonic() + (10 if case.mode == "validate" else 0)
    wanted = 2 if case.model.name != "c" else 1
    while living(parent) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    with pathlib.Path(__file__).with_name("siblings").open("a") as file:
        print(json.dumps([case.model.name, case.mode, living(parent)]), file=file)
"""

PARENT_CHANGES = """
import os

def pytest_runtest_logstart(nodeid):
    os.environ["SEEN"] = nodeid

def pytest_ortperf_before_first_run(case, session):
    print("saw", os.environ["SEEN"])
    raise ValueError("to have a log")
"""


POOL = "--ortperf-isolation=pool"

PROCESSES = """
import json, os, pathlib

PARENT = os.getpid()

def pytest_ortperf_configure_session(case):
    if os.getppid() != PARENT:  # the child of a child that tries sizes
        return
    with pathlib.Path(__file__).with_name("processes").open("a") as file:
        print(json.dumps([case.model.name, os.getpid()]), file=file)

def pytest_ortperf_before_first_run(case, session):
    if case.model.name == "broken":
        raise ValueError("on purpose")
"""

AHEAD = """
import pathlib, time

FOLDER = pathlib.Path(__file__).parent

def pytest_ortperf_before_first_run(case, session):
    (FOLDER / f"{case.model.name}_began").touch()

# called in the parent once a child has answered
def pytest_report_from_serializable(data):
    if data["when"] == "teardown" and "::a::" in data["nodeid"]:
        end = time.monotonic() + WAIT_S
        while not (FOLDER / "b_began").exists() and time.monotonic() < end:
            time.sleep(0.01)
        (FOLDER / "seen").write_text(str((FOLDER / "b_began").exists()))
"""

BETWEEN = """
def pytest_runtest_logreport(report):
    pass
"""


def processes(project: Project) -> list[tuple[str, int]]:
    lines = (project.path / "processes").read_text().splitlines()
    return [(name, pid) for name, pid in map(json.loads, lines)]


def siblings(project: Project) -> list[list[object]]:
    return [json.loads(line) for line in (project.path / "siblings").read_text().splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("args", [(), pytest.param(("-p", "no:forked"), marks=pytest.mark.slow)])
def test_the_next_validation_s_child_is_there_while_one_runs(project: Project, args: tuple[str, ...]) -> None:
    project.write("conftest.py", SIBLINGS)
    project.models("a", "b", "c")
    result = project.run(*args)
    assert result.counts == {"passed": 3}
    assert siblings(project) == [["a", "validate", 2], ["b", "validate", 2], ["c", "validate", 1]]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("args", [(), pytest.param(("-p", "no:forked"), marks=pytest.mark.slow)])
def test_a_benchmark_runs_beside_no_other_child(project: Project, args: tuple[str, ...]) -> None:
    project.write("conftest.py", SIBLINGS)
    project.models("a", "b", "c")
    # validations first, so that the last one's child may still be on its way out
    ids = [f"models.json::{name}::{mode}[cpu]" for mode in ("validate", "benchmark") for name in "abc"]
    result = project.run(*QUICK, *args, *ids, mode=None)
    assert result.counts == {"passed": 6}
    seen = siblings(project)
    assert [each for each in seen if each[1] == "benchmark"] == [[name, "benchmark", 1] for name in "abc"]


def test_what_the_parent_changes_before_an_item_is_seen_in_its_child(project: Project) -> None:
    project.write("conftest.py", PARENT_CHANGES)
    project.models("a", "b", "c")
    result = project.run()
    logs = {name: record["failure"]["log_tail"][0] for name, record in result.by_model.items()}
    assert logs == {name: f"saw models.json::{name}::validate[cpu]" for name in "abc"}


@pytest.mark.parametrize(
    ("args", "validate", "benchmark"),
    [
        ((), "own runner", "pytest-forked"),
        (("--forked",), "pytest-forked", "pytest-forked"),
        pytest.param(("-p", "no:forked"), "own runner", "own runner", marks=pytest.mark.slow),
        pytest.param(("--ortperf-isolation=pool",), "pool", "pool", marks=pytest.mark.slow),
    ],
)
def test_who_forks_is_told_and_can_be_chosen(
    project: Project, args: tuple[str, ...], validate: str, benchmark: str
) -> None:
    project.models("a")
    result = project.run(*QUICK, *args, mode=None)
    assert {record["mode"]: record["isolation"] for record in result.records} == {
        "validate": validate,
        "benchmark": benchmark,
    }


def test_a_marker_of_one_s_own_asks_for_pytest_forked(project: Project) -> None:
    project.write(
        "conftest.py",
        "def pytest_collection_modifyitems(items):\n    items[1].add_marker('forked')\n",
    )
    project.models("a", "b", "c")
    result = project.run()
    assert {name: record["isolation"] for name, record in result.by_model.items()} == {
        "a": "own runner",
        "b": "pytest-forked",
        "c": "own runner",
    }


def test_pool_begins_with_the_next_validation_while_reports_are_handled(project: Project) -> None:
    project.write("conftest.py", AHEAD.replace("WAIT_S", "10"))
    project.models("a", "b")
    assert project.run(POOL).counts == {"passed": 2}
    assert (project.path / "seen").read_text() == "True"


def test_pool_begins_with_nothing_before_code_of_the_project_has_run(project: Project) -> None:
    project.write("conftest.py", AHEAD.replace("WAIT_S", "0.5") + BETWEEN)
    project.models("a", "b")
    assert project.run(POOL).counts == {"passed": 2}
    assert (project.path / "seen").read_text() == "False"


def test_pool_begins_with_nothing_after_a_failure_that_ends_the_run(project: Project) -> None:
    project.write("conftest.py", PROCESSES)
    project.models("broken", "b")
    assert project.run(POOL, "-x").counts == {"failed": 1}
    assert {name for name, _ in processes(project)} == {"broken"}


def test_pool_keeps_a_child_that_passed_or_was_refused_a_session_and_no_other(project: Project) -> None:
    project.write("conftest.py", PROCESSES)
    project.write("refused.onnx", MODEL.replace(b"Add", b"Odd"))
    project.write("wrong/test_data_set_0/input_0.pb", tensor([[0, 0, 0]], "x"))
    project.write("wrong/test_data_set_0/output_0.pb", tensor([[3, 2, 1]], "y"))
    wrong = {"name": "wrong", "test_data": "wrong"}
    project.models("a", {"name": "refused", "path": "refused.onnx"}, "b", wrong, "c", "broken", "d")
    result = project.run(POOL)
    assert {name: record["failure"] and record["failure"]["kind"] for name, record in result.by_model.items()} == {
        "a": None,
        "refused": "session error",
        "b": None,
        "wrong": "result accuracy issue",
        "c": None,
        "broken": "internal error",
        "d": None,
    }
    children = list(dict.fromkeys(pid for _, pid in processes(project)))
    assert {name: children.index(pid) for name, pid in processes(project)} == {
        "a": 0,
        "refused": 0,
        "b": 0,
        "wrong": 0,
        "c": 1,
        "broken": 1,
        "d": 2,
    }
