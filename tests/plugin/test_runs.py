"""Items that run: selection, order, expected failures, hooks, the command that runs one again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from original_script import check_own_target, read_files
from plugin.project import PLAIN, Project, tensor

QUICK = (
    "--ortperf-iterations=3",
    "--ortperf-warmup=1",
    "--ortperf-env=off",
    "--ortperf-operators=off",
    "--ortperf-track-memory=off",
)


def wrong(project: Project) -> dict[str, str]:
    """Write test data whose stored output is wrong; return the entry that names it."""
    project.write("wrong/test_data_set_0/input_0.pb", tensor([[1, 2, 3]], "x"))
    project.write("wrong/test_data_set_0/output_0.pb", tensor([[2, 4, 7]], "y"))
    return {"name": "wrong", "test_data": "wrong"}


def test_both_validates_first_and_skips_the_benchmark_of_what_is_wrong(project: Project) -> None:
    project.models("right", wrong(project))
    result = project.run("-rs", *QUICK, "--junit-xml=j.xml", mode="both")
    assert result.exit_code == 1
    assert result.outcomes == {
        "right::validate[cpu]": "passed",
        "right::benchmark[cpu]": "passed",
        "wrong::validate[cpu]": "failed",
        "wrong::benchmark[cpu]": "skipped",
    }
    failed, skipped = result.records[2:]
    assert failed["failure"]["kind"] == "result accuracy issue"
    assert skipped["reason"] == f"validation failed: {failed['failure']['message']}"
    suite = project.junit()
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["4", "1", "1"]
    assert len({case.get("name") for case in suite.iter("testcase")}) == 4
    (latency,) = result.records[1]["latencies"]
    assert (len(latency["samples_ns"]), latency["warmup_iterations"]) == (3, 1)


def test_both_measures_what_passed_though_the_list_expects_it_to_fail(project: Project) -> None:
    project.models({"name": "a", "xfail": "was broken"})
    result = project.run(*QUICK, mode="both")
    assert result.outcomes == {"a::validate[cpu]": "xpassed", "a::benchmark[cpu]": "xpassed"}


@pytest.mark.parametrize(
    "args",
    [
        ("-k", "benchmark"),
        pytest.param(("-n", "2", "--dist", "load", "-k", "benchmark"), marks=pytest.mark.slow),
        pytest.param(("--ortperf-isolation=pool", "-k", "benchmark"), marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_without_its_validation_validates_by_itself(project: Project, args: tuple[str, ...]) -> None:
    project.models("right", wrong(project))
    result = project.run(*QUICK, *args, mode="both")
    assert result.outcomes == {"right::benchmark[cpu]": "passed", "wrong::benchmark[cpu]": "failed"}
    records = result.by_model
    assert records["wrong"]["failure"]["kind"] == "result accuracy issue"
    assert (records["wrong"]["latencies"], len(records["right"]["latencies"])) == ([], 1)
    assert [data["reference"] for data in records["wrong"]["accuracy"]] == ["stored"]


def test_a_benchmark_before_its_validation_validates_by_itself(project: Project) -> None:
    project.models(wrong(project))
    project.write("conftest.py", "def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    result = project.run(*QUICK, mode="both")
    assert result.outcomes == {"wrong::benchmark[cpu]": "failed", "wrong::validate[cpu]": "failed"}


@pytest.mark.slow
def test_records_are_the_same_with_two_workers(project: Project) -> None:
    project.models("a", {"name": "b", "tags": ["vision"]}, wrong(project), {"name": "c", "skip": "not now"})
    one, two = project.run(), project.run("-n", "2")
    assert {record["worker"] for record in one.records} == {None}
    assert {record["worker"] for record in two.records} <= {"gw0", "gw1"}
    assert sorted(map(comparable, one.records)) == sorted(map(comparable, two.records))
    assert one.end
    assert two.end
    assert one.end["exit_status"] == two.end["exit_status"] == 1


@pytest.mark.parametrize(
    ("args", "scheduler"),
    [
        pytest.param((), "LoadScopeScheduling", marks=pytest.mark.slow),
        pytest.param(("--dist", "load"), "LoadScheduling", marks=pytest.mark.slow),
        # a worker that dies takes its scope along
        pytest.param(("--ortperf-isolation=none",), "LoadScheduling", marks=pytest.mark.slow),
    ],
)
def test_a_worker_takes_all_cases_of_a_model(project: Project, args: tuple[str, ...], scheduler: str) -> None:
    project.models("a", "b", "c")
    result = project.run("-n", "2", "-v", *QUICK, *args, mode="both")
    assert result.counts == {"passed": 6}
    assert f"scheduling tests via {scheduler}\n" in result.out
    if scheduler == "LoadScopeScheduling":
        workers = {(record["model"], record["worker"]) for record in result.records}
        assert sorted(model for model, _ in workers) == ["a", "b", "c"]


def comparable(record: dict[str, object]) -> str:
    """Return what does not depend on time or worker; paths of kept files hold the run's id."""
    left_out = {"started", "duration_ns", "stage_ns", "worker", "session", "kept"}
    return repr({key: value for key, value in record.items() if key not in left_out})


def test_skip_and_xfail_of_the_list_are_outcomes_with_their_reasons(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os, signal\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    if case.model.name.startswith('dies'):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n",
    )
    project.models(
        {"name": "skipped", "skip": "too slow"},
        {**wrong(project), "xfail": "known to be wrong"},
        {"name": "dies_unexpectedly", "xfail": "a plain xfail covers no crash"},
        {"name": "dies_as_told", "xfail": {"reason": "known crash", "raises": "crash"}},
        {"name": "works", "xfail": "was broken"},
    )
    result = project.run("--junit-xml=j.xml")
    found = {name: (record["outcome"], record["reason"]) for name, record in result.by_model.items()}
    assert found == {
        "skipped": ("skipped", "too slow"),
        "wrong": ("xfailed", "known to be wrong"),
        "dies_unexpectedly": ("crashed", None),
        "dies_as_told": ("xfailed", "known crash"),
        "works": ("xpassed", "was broken"),
    }
    assert result.counts == {"failed": 1, "skipped": 1, "xfailed": 2, "xpassed": 1}
    assert result.by_model["dies_as_told"]["failure"]["signal"] == 11


def test_a_run_without_a_reference_provider_says_that_nothing_was_measured_in_turns(project: Project) -> None:
    project.models("a")
    result = project.run("--ortperf-ep=cpu", "--ortperf-paired")
    assert result.exit_code == 0
    assert "--ortperf-paired measured nothing: no case was measured on a provider and on its ref" in result.out


@pytest.mark.slow
def test_first_failure_ends_the_run_and_last_failed_runs_it_again(project: Project) -> None:
    project.models("a", wrong(project), "z")
    first = project.run("-x", "-p", "cacheprovider")
    assert first.outcomes == {"a::validate[cpu]": "passed", "wrong::validate[cpu]": "failed"}
    again = project.run("--lf", "-p", "cacheprovider")
    assert again.outcomes == {"wrong::validate[cpu]": "failed"}


def test_the_command_of_a_failure_runs_that_case_again(project: Project) -> None:
    project.write("lists/m.onnx", (project.path / "m.onnx").read_bytes())
    listed = project.models({"name": "a b", "path": "gone.onnx"}, "fine", name="lists/my models.json")
    result = project.run(listed, "--ortperf-dim=batch=2", "--ortperf-seed=7", "--ortperf-label=who=me")
    (command,) = re.findall("run it again: (.*)", result.out)
    assert shlex.split(command) == [
        "pytest",
        "--ortperf-mode=validate",
        "--ortperf-ep=cpu",
        "--ortperf-dim=batch=2",
        "--ortperf-seed=7",
        "lists/my models.json::a b::validate[cpu-batch=2]",
    ]
    again = project.run(*shlex.split(command)[1:], mode=None)
    assert again.outcomes == {"a b::validate[cpu-batch=2]": "failed"}


def test_hooks_of_conftest_act_on_options_and_session(project: Project) -> None:
    project.write(
        "conftest.py",
        "import pathlib\n"
        "def note(*words):\n"
        "    with pathlib.Path('notes').open('a') as file: print(*words, file=file)\n"
        "def pytest_ortperf_configure_session(case, session_options):\n"
        "    session_options.optimized_model_filepath = case.model.name + '.optimised.onnx'\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    note(case.case_id, [meta.name for meta in session.get_inputs()])\n",
    )
    project.models("a")
    result = project.run()
    assert result.exit_code == 0
    assert (project.path / "notes").read_text() == "a::validate[cpu] ['x']\n"
    assert (project.path / "a.optimised.onnx").stat().st_size > 0


def test_an_error_in_a_hook_fails_the_item_with_its_traceback(project: Project) -> None:
    project.write(
        "conftest.py",
        "def pytest_ortperf_before_first_run(case, session):\n    print('here')\n    raise ValueError('my mistake')\n",
    )
    project.models("a")
    result = project.run()
    (record,) = result.records
    assert (record["outcome"], record["failure"]["kind"]) == ("failed", "internal error")
    assert record["failure"]["message"] == "ValueError: my mistake"
    assert record["failure"]["log_tail"] == ["here"]
    assert "raise ValueError('my mistake')" in result.out


def test_without_isolation_cases_run_in_pytests_own_process(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os\n"
        "main = os.getpid()\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    assert os.getpid() == main\n"
        "    os.write(2, b'native words')\n"
        "    assert case.model.name == 'a', 'not b'\n",
    )
    project.models("a", "b")
    result = project.run("--ortperf-isolation=none", "-W", "error")
    assert result.outcomes == {"a::validate[cpu]": "passed", "b::validate[cpu]": "failed"}
    assert {record["isolation"] for record in result.records} == {"none"}
    assert result.records[1]["failure"]["log_tail"] == ["native words"]


@pytest.mark.slow
def test_a_worker_that_dies_with_its_item_leaves_a_record(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os, signal\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    if case.model.name == 'dies': os.kill(os.getpid(), signal.SIGSEGV)\n",
    )
    project.models("a", "dies", "z")
    result = project.run("--ortperf-isolation=none", "-n", "2", "--junit-xml=j.xml")
    assert result.exit_code == 1
    assert {name: record["outcome"] for name, record in result.by_model.items()} == {
        "a": "passed",
        "dies": "crashed",
        "z": "passed",
    }
    suite = project.junit()
    assert sorted(case.get("name", "") for case in suite.iter("testcase")) == [
        f"models.json::{m}::validate[cpu]" for m in ("a", "dies", "z")
    ]


@pytest.mark.parametrize(
    "args",
    [
        ("-p", "no:xdist"),
        pytest.param(("-p", "no:terminal"), marks=pytest.mark.slow),
        pytest.param(("-p", "no:junitxml"), marks=pytest.mark.slow),
    ],
)
def test_a_run_works_without_another_plugin(project: Project, args: tuple[str, ...]) -> None:
    project.models("a")
    result = project.run(*args)
    assert (result.exit_code, result.outcomes) == (0, {"a::validate[cpu]": "passed"})
    assert result.err == ""


@pytest.mark.slow
def test_the_timeout_of_a_model_wins_over_that_of_the_run(project: Project) -> None:
    project.write(
        "conftest.py",
        "import time\ndef pytest_ortperf_before_first_run(case, session):\n    time.sleep(1)\n",
    )
    project.models({"name": "patient", "timeout": 30}, "hasty")
    result = project.run("--ortperf-timeout=0.5")
    assert {name: record["outcome"] for name, record in result.by_model.items()} == {
        "patient": "passed",
        "hasty": "timed_out",
    }


@pytest.mark.slow
def test_samples_of_a_crashed_benchmark_are_in_its_record(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os, threading\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    threading.Timer(1.5, os.abort).start()\n",
    )
    project.models("a")
    result = project.run("--ortperf-warmup=3", "--ortperf-min-time=30", mode="benchmark")
    (record,) = result.records
    assert (record["outcome"], record["failure"]["stage"], record["failure"]["signal"]) == ("crashed", "timing", 6)
    (latency,) = record["latencies"]
    assert len(latency["samples_ns"]) > 10
    assert latency["warmup_iterations"] == 3


@pytest.mark.slow
def test_the_terminal_is_quiet_about_what_goes_well(project: Project) -> None:
    project.models("a", "b")
    quiet = project.run("-q", "--ortperf-dim=batch=1").out.splitlines()
    assert quiet[:3] == [
        "..                                                                       [100%]",
        "=================================== ortperf ====================================",
        quiet[2],
    ]
    assert re.fullmatch(r"2 models, 2 cases: 2 passed in \d+\.\d s", quiet[2])
    verbose = project.run("-v").out
    assert "models.json::a::validate[cpu] PASSED" in verbose
    assert "ortperf: validate, providers: cpu, onnxruntime" in verbose
    assert f"ortperf: results in {project.path / 'result'}" in verbose
    assert (
        max(len(line) for line in verbose.splitlines() if str(project.path) not in line and "python" not in line) <= 95
    )


@pytest.mark.slow
def test_breakpoint_and_pdb_work_without_isolation(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(
        "conftest.py",
        "def pytest_ortperf_before_first_run(case, session):\n    secret = case.model.name * 2\n    1 / 0\n",
    )
    project.models("ab")
    result = run_with_input(project, monkeypatch, "p secret\nq\n", "--pdb")
    assert "ZeroDivisionError" in result
    assert "'abab'" in result
    project.write(
        "conftest.py",
        "def pytest_ortperf_before_first_run(case, session):\n    secret = case.model.name * 2\n    breakpoint()\n",
    )
    result = run_with_input(project, monkeypatch, "p secret\nc\n", "--ortperf-isolation=none")
    assert "'abab'" in result
    assert "1 passed" in result


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_gdb_sees_the_crash_of_a_case_without_isolation(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os, signal\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    os.kill(os.getpid(), signal.SIGSEGV)\n",
    )
    project.models("a")
    pytest_command = [sys.executable, "-m", "pytest", *PLAIN, "--ortperf-mode=validate", "--ortperf-isolation=none"]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "run", "-ex", "bt 3", "--args", *pytest_command],  # noqa: S607
        cwd=project.path,
        env={**os.environ, "DEBUGINFOD_URLS": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "ptrace: Operation not permitted" in done.stderr:
        pytest.skip("gdb may not trace processes here")
    assert "received signal SIGSEGV, Segmentation fault." in done.stdout
    assert re.search(r"^#0 .* in .*kill", done.stdout, re.MULTILINE)


def run_with_input(project: Project, monkeypatch: pytest.MonkeyPatch, text: str, *args: str) -> str:
    """Return the output of a run in which somebody types."""
    monkeypatch.chdir(project.path)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "--ortperf-mode=validate"]
    done = subprocess.run([*command, *args], input=text, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


def test_the_first_line_of_the_records_tells_of_run_and_machine(project: Project) -> None:
    project.models("a")
    args = ("--ortperf-seed=7", "--ortperf-label=branch=mine", "--ortperf-label", "who=me")
    project.run(*args)
    (path,) = (project.path / "result").glob("records_*.jsonl")
    header = json.loads(path.read_text(encoding="ascii").partition("\n")[0])
    assert header["command"][-len(args) :] == list(args)
    assert header["options"]["seed"] == "7"
    assert (header["labels"]["branch"], header["labels"]["who"]) == ("mine", "me")
    environment = header["environment"]
    assert environment["onnxruntime_distribution"].startswith("onnxruntime")
    assert [name for name in ("cpu", "memory_byte", "os", "kernel", "python") if not environment[name]] == []
    assert {"onnx", "numpy", "pytest"} <= environment["packages"].keys()


def test_results_go_where_pytest_was_started(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.models("a")
    (project.path / "sub").mkdir()
    project.write("pytest.ini", "[pytest]\n")
    monkeypatch.chdir(project.path / "sub")
    result = project.run()
    assert result.outcomes == {"a::validate[cpu]": "passed"}
    assert [path.parent for path in project.path.rglob("records_*")] == [Path(project.path / "sub" / "result")]


def test_original_csv_has_the_scripts_files_in_place_of_ours(project: Project) -> None:
    project.models("a")
    result = project.run(*QUICK, "--ortperf-csv=original", mode="both")
    assert result.exit_code == 0, result.out
    check_own_target(read_files(project.path / "result"), "ORT-CPUFp32", result.records)
    assert "  op_metrics.csv" in result.out
