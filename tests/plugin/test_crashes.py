"""Items that die: each is one failed test and one record with the truth in it, and touches no other."""

from __future__ import annotations

import pytest

from plugin.project import Project, Result, junit_values

CONFTEST = """
import ctypes, os, signal, sys, time

def pytest_ortperf_before_first_run(case, session):
    name = case.model.name
    print("python says", name)
    os.write(2, f"native says {name}\\n".encode())
    if name in DEATHS:
        DEATHS[name]()

def flood():
    for _ in range(10):
        os.write(2, b"x" * 1023 * 1024 + b"\\n")
    os.write(2, b"the last words")
    os.kill(os.getpid(), signal.SIGSEGV)

def raise_system_exit():
    raise SystemExit

DEATHS = {
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "exit0": lambda: os._exit(0),
    "sys_exit3": lambda: sys.exit(3),
    "exit4": lambda: os._exit(4),
    "system_exit": raise_system_exit,
    "hang": lambda: time.sleep(1000),
    "gil": lambda: ctypes.PyDLL(None).sleep(1000),
    "flood": flood,
}
"""

TIMED_OUT = (
    "timed out after 1 s in stage first_run; its process was killed. "
    "Give it more with --ortperf-timeout or the model list's timeout"
)

# outcome, kind, signal, exit code, message
EXPECTED = {
    "good1": ("passed", None, None, None, None),
    "segv": ("crashed", "crash", 11, None, "crashed with signal 11 (SIGSEGV) in stage first_run"),
    "kill": (
        "crashed",
        "crash",
        9,
        None,
        "crashed with signal 9 (SIGKILL) in stage first_run; often the kernel's out-of-memory killer, see dmesg",
    ),
    "abort": (
        "crashed",
        "crash",
        6,
        None,
        "crashed with signal 6 (SIGABRT) in stage first_run; native code gave up, see the log below",
    ),
    "good2": ("passed", None, None, None, None),
    "exit0": (
        "crashed",
        "crash",
        None,
        0,
        "its process ended by itself with exit status 0 in stage first_run, without a result",
    ),
    "sys_exit3": ("failed", "internal error", None, None, "asked the interpreter to exit with 3"),
    "exit4": (
        "crashed",
        "crash",
        None,
        4,
        "its process ended by itself with exit status 4 in stage first_run, without a result",
    ),
    "system_exit": ("failed", "internal error", None, None, "asked the interpreter to exit with None"),
    "hang": ("timed_out", "timeout", 9, None, TIMED_OUT),
    "gil": ("timed_out", "timeout", 9, None, TIMED_OUT),
    "flood": ("crashed", "crash", 11, None, "crashed with signal 11 (SIGSEGV) in stage first_run"),
    "good3": ("passed", None, None, None, None),
}

QUICK = [
    ("own runner", ("-W", "error")),
    ("pool", ("--ortperf-isolation=pool",)),
]
THOROUGH = [
    ("pytest-forked", ("--forked", "-W", "error", "-n", "2")),
    ("pytest-forked", ("--forked",)),
    ("pytest-forked", ("--forked", "-n", "2")),
    ("pytest-forked", ("--forked", "-W", "error")),
    ("own runner", ("-n", "2")),
    ("own runner", ("-p", "no:forked", "-W", "error", "-n", "2")),
    ("pool", ("--ortperf-isolation=pool", "-W", "error", "-n", "2")),
]


@pytest.fixture
def deaths(project: Project) -> Project:
    project.write("conftest.py", CONFTEST)
    project.models(*({"name": name, "timeout": 1} if name in {"hang", "gil"} else name for name in EXPECTED))
    return project


@pytest.mark.parametrize(
    ("runner", "args"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in THOROUGH)]
)
def test_each_death_is_one_failed_test_and_one_record(deaths: Project, runner: str, args: tuple[str, ...]) -> None:
    result = deaths.run("--junit-xml=j.xml", *args)
    assert result.exit_code == 1
    assert result.counts == {"failed": 10, "passed": 3}
    assert {name: truth(record) for name, record in result.by_model.items()} == EXPECTED
    assert {record["isolation"] for record in result.records} == {runner}
    check_logs(result)
    check_junit(deaths)


def truth(record: dict[str, object]) -> tuple[object, ...]:
    """Return what `EXPECTED` holds, and check the stage."""
    failure = record["failure"]
    if failure is None:
        return (record["outcome"], None, None, None, None)
    assert isinstance(failure, dict)
    assert failure["stage"] == "first_run"
    return (record["outcome"], failure["kind"], failure["signal"], failure["exit_code"], failure["message"])


def check_logs(result: Result) -> None:
    logs = {name: record["failure"]["log_tail"] for name, record in result.by_model.items() if record["failure"]}
    flood = logs.pop("flood")
    assert "the last words" in flood
    assert max(map(len, flood)) < 600
    assert {name: lines[:2] for name, lines in logs.items()} == {
        name: [f"python says {name}", f"native says {name}"] for name in logs
    }
    stacks = {name: lines[2] for name, lines in logs.items() if len(lines) > 2}
    assert stacks == {"segv": "Fatal Python error: Segmentation fault", "abort": "Fatal Python error: Aborted"}
    assert "Fatal Python error" not in result.err


def check_junit(project: Project) -> None:
    suite = project.junit()
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "13",
        "failures": "10",
        "errors": "0",
        "skipped": "0",
    }
    assert sorted(case.get("name", "") for case in suite.iter("testcase")) == sorted(
        f"models.json::{m}::validate[cpu]" for m in EXPECTED
    )
    for case in suite.iter("testcase"):
        properties = junit_values(case)
        outcome, kind, signal, _, message = EXPECTED[str(properties["ortperf.model"])]
        assert properties["ortperf.status"] == outcome
        assert properties.get("ortperf.error_type") == kind
        assert properties.get("ortperf.signal") == (None if signal is None else str(signal))
        assert [failure.get("message") for failure in case.iter("failure")] == ([message] if message else [])
