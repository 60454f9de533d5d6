# ruff: noqa: E501 - messages in full
"""The fixture `ortperf` in users' own tests, from end to end."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from plugin.project import Project, Result, junit_values
from pytest_ortperf.cases import expectations
from pytest_ortperf.fixture.arguments import BenchmarkArguments, ValidateArguments
from pytest_ortperf.records.record import TIMINGS

QUICK = ("--ortperf-env=off", "--ortperf-operators=off")

HEAD = """
import numpy as np
import onnx
import pytest

QUICK = {"iterations": 5, "warmup": 1}
"""


def run(project: Project, body: str, *args: str, mode: str | None = None) -> Result:
    """Run one file of tests."""
    project.write("test_own.py", HEAD + textwrap.dedent(body))
    return project.run("test_own.py", *QUICK, *args, mode=mode)


def properties(project: Project) -> dict[str, str]:
    return junit_values(project.junit())


CALLS = """
def test_calls(ortperf):
    first = ortperf.benchmark("m.onnx", **QUICK)
    second = ortperf.benchmark("m.onnx", dims={"batch": 4}, **QUICK)
    again = ortperf.benchmark("m.onnx", **QUICK)
    verdict = ortperf.validate("m.onnx")
    assert [r.case_id for r in (first, second, again, verdict)] == [
        "m::benchmark[cpu]", "m::benchmark[cpu-batch=4]", "m#2::benchmark[cpu]", "m::validate[cpu]"
    ]
    assert len(first.latencies[0].samples_ns) == 5
    assert (second.dims, second.inputs[0].shape) == ({"batch": 4}, (4, 3))
    assert [output.within_tolerance for output in verdict.accuracy[0].outputs] == [True]

def test_other(ortperf):
    ortperf.validate("m.onnx", name="renamed")

def test_without_calls(ortperf):
    pass
"""


@pytest.mark.parametrize(
    "args",
    [
        (),
        pytest.param(("-n", "2"), marks=pytest.mark.slow),
        pytest.param(("--forked",), marks=pytest.mark.slow),
        pytest.param(("--ortperf-isolation=none",), marks=pytest.mark.slow),
    ],
)
def test_calls_are_recorded_without_any_mode(project: Project, args: tuple[str, ...]) -> None:
    result = run(project, CALLS, "--junit-xml=j.xml", *args)
    assert result.exit_code == 0, result.out
    nodeids = {record["case_id"]: record["nodeid"] for record in result.records}
    assert nodeids == {
        "m::benchmark[cpu]": "test_own.py::test_calls",
        "m::benchmark[cpu-batch=4]": "test_own.py::test_calls",
        "m#2::benchmark[cpu]": "test_own.py::test_calls",
        "m::validate[cpu]": "test_own.py::test_calls",
        "renamed::validate[cpu]": "test_own.py::test_other",
    }
    assert result.end
    assert result.end["exit_status"] == 0
    isolation = "none" if "--ortperf-isolation=none" in args else "own runner"
    assert {record["isolation"] for record in result.records} == {isolation}
    assert "3 models, 5 cases: 5 passed" in result.out
    found = properties(project)
    assert found["ortperf.2.model"] == "m"
    assert found["ortperf.3.model"] == "m#2"
    assert float(found["ortperf.median_ms"]) > 0
    assert len(list((project.path / "result").glob("benchmark_success_*.csv"))) == 1


def test_calls_and_a_model_list_share_their_records(project: Project) -> None:
    project.models("a")
    result = run(project, CALLS, "models.json", "--ortperf-ep=cpu", mode="validate")
    assert result.exit_code == 0, result.out
    assert result.outcomes["a::validate[cpu]"] == "passed"
    assert len(result.records) == 6
    assert len(list((project.path / "result").glob("records_*.jsonl"))) == 1


def test_an_unused_fixture_leaves_nothing_behind(project: Project) -> None:
    result = run(project, "def test_nothing(ortperf):\n    pass\n")
    assert result.exit_code == 0
    assert list((project.path / "result").iterdir()) == []


def test_models_are_paths_bytes_and_protos(project: Project) -> None:
    body = """
    import pathlib

    def test_kinds(ortperf):
        proto = onnx.load("m.onnx")
        records = [ortperf.validate(model) for model in (pathlib.Path("m.onnx"), proto.SerializeToString(), proto)]
        assert [record.model for record in records] == ["m", "model", "add"]
        assert ortperf.validate("onnx-light:squeezenet").model == "squeezenet"
        with pytest.raises(TypeError, match="^a model is a path, onnx-light:NAME, bytes, or an onnx.ModelProto; this is int$"):
            ortperf.validate(3)
    """
    result = run(project, body)
    assert result.exit_code == 0, result.out


def test_arrays_are_inputs_and_references(project: Project) -> None:
    body = """
    def test_arrays(ortperf):
        x = np.zeros((2, 3), np.float32)
        record = ortperf.validate("m.onnx", inputs={"x": x}, reference={"y": [[1, 2, 3], [1, 2, 3]]})
        assert (record.inputs[0].shape, record.inputs[0].origin) == ((2, 3), "stored")
        assert [(it.data_set, it.reference) for it in record.accuracy] == [("given", "stored")]
        assert ortperf.validate("m.onnx", inputs={"x": [[1, 2, 3]]}, rtol=0.1).accuracy[0].outputs[0].rtol == 0.1
        with pytest.raises(pytest.fail.Exception) as caught:
            ortperf.validate("m.onnx", inputs={"x": x}, reference={"y": x})
        assert caught.value.record.failure.kind == "result accuracy issue"
        ortperf.validate("m.onnx", inputs={"x": x}, reference={"y": x}, percent_mismatch=100)
        record = ortperf.benchmark("m.onnx", inputs={"x": x}, **QUICK)
        assert (record.inputs[0].shape, record.latencies[0].batch) == ((2, 3), 2)
    """
    result = run(project, body)
    assert result.exit_code == 0, result.out


def test_another_model_is_the_reference(project: Project) -> None:
    body = """
    def test_models(ortperf):
        other = onnx.load("m.onnx")
        assert ortperf.validate("m.onnx", reference=other).accuracy[0].reference == (
            "add.onnx on the CPU, graph optimisation off"
        )
        other.graph.node[0].op_type = "Sub"
        with pytest.raises(pytest.fail.Exception, match="result accuracy issue: outputs differ from the reference"):
            ortperf.validate("m.onnx", reference=other)
    """
    result = run(project, body)
    assert result.exit_code == 0, result.out


FAILING: list[tuple[str, str]] = [
    ('"gone.onnx"', "gone::benchmark[cpu]: model error: "),
    ('"m.onnx", ep="cuda"', "m::benchmark[cuda]: provider unavailable: CUDAExecutionProvider is not part of "),
    ('"m.onnx", dims={"rows": 2}', "m::benchmark[cpu-rows=2]: input error: "),
    ('"m.onnx", inputs={"z": [1]}', "m::benchmark[cpu]: input error: inputs= has 'z'; the model's inputs are 'x'"),
    ('"m.onnx", expect={"p99_ms": 1}', "m::benchmark[cpu]: limit: limits not kept: p99_ms unknown"),
]


@pytest.mark.cpu_wheel
@pytest.mark.parametrize(
    ("arguments", "message"), [FAILING[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in FAILING[1:])]
)
def test_a_case_that_fails_fails_its_test_at_the_call(project: Project, arguments: str, message: str) -> None:
    result = run(project, f"def test_it(ortperf):\n    ortperf.benchmark({arguments}, **QUICK)\n")
    assert result.exit_code == 1
    traceback = result.out.partition("FAILURES")[2].partition("ortperf ==")[0]
    assert f">       ortperf.benchmark({arguments}, **QUICK)\nE       ortperf.CaseFailed: {message}" in traceback
    (record,) = result.records
    assert record["outcome"] == "failed"
    assert "pytest_ortperf" not in traceback


WRONG: list[tuple[str, str]] = [
    ("benchmark", '"m.onnx", rtol=1'),
    ("validate", '"m.onnx", ep="qda"'),
    ("validate", '"m.onnx", precision="int8"'),
    ("validate", '"m.onnx", dims={"batch": 0}'),
    ("validate", '"m.onnx", expect={"p50": 1}'),
    ("validate", '"m.onnx", name="a::b"'),
    ("validate", '"m.onnx", isolation="pool"'),
]
MESSAGES = [
    "TypeError: ortperf.benchmark takes no rtol; it takes ",
    "ValueError: ",
    "ValueError: precision='int8' is neither 'fp16' nor None, which is the model as given",
    "ValueError: dims={'batch': 0}: sizes are integers above 0",
    "ValueError: arguments:\n  - expect: unknown key 'p50'; known keys are ",
    "ValueError: the name 'a::b' ",
    "ValueError: isolation='pool' is neither 'forked' nor 'none'",
]


def test_an_argument_that_cannot_be_used_says_why(project: Project) -> None:
    calls = "\n".join(
        f"    try:\n        ortperf.{what}({arguments})\n    except (TypeError, ValueError) as error:\n"
        f"        print(f'{{type(error).__name__}}: {{error}}')"
        for what, arguments in WRONG
    )
    uncaught = "def test_uncaught(ortperf):\n    ortperf.validate('m.onnx', ep='cudax')\n"
    result = run(project, f"def test_it(ortperf):\n{calls}\n{uncaught}", "-s")
    assert result.counts == {"passed": 1, "failed": 1}, result.out
    assert [message for message in MESSAGES if message not in result.out] == []
    assert "\nE       ValueError: ep: unknown execution provider 'cudax'; did you mean 'cuda'? " in result.out
    # the line of the test and nothing of ours
    assert re.findall(r"^(\S+\.py):\d+: ", result.out, re.MULTILINE) == ["test_own.py"]


def test_results_that_cannot_be_written_are_told_once(project: Project) -> None:
    project.write("blocked", "a file")
    result = run(project, "def test_it(ortperf):\n    pass\n", "--ortperf-results=blocked")
    assert result.counts == {"error": 1}
    assert len(re.findall("^.*blocked: results cannot be written here", result.out, re.MULTILINE)) == 1


def test_a_crash_fails_its_test_alone(project: Project) -> None:
    project.write(
        "conftest.py",
        "import os, signal\n"
        "def pytest_ortperf_before_first_run(case, session):\n"
        "    if case.model.name == 'bad':\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if case.model.name == 'slow':\n"
        "        signal.pause()\n",
    )
    body = """
    def test_crash(ortperf):
        ortperf.validate("m.onnx", name="bad")

    def test_slow(ortperf):
        ortperf.validate("m.onnx", name="slow", timeout=1)

    def test_fine(ortperf):
        ortperf.validate("m.onnx")
    """
    result = run(project, body)
    outcomes = {"bad::validate[cpu]": "crashed", "slow::validate[cpu]": "timed_out", "m::validate[cpu]": "passed"}
    assert result.outcomes == outcomes
    assert (
        "ortperf.CaseFailed: bad::validate[cpu]: crash: crashed with signal 11 (SIGSEGV) in stage first_run"
        in result.out
    )
    assert result.counts == {"failed": 2, "passed": 1}


def test_results_that_cannot_be_written_fail_the_test(project: Project) -> None:
    (project.path / "result").write_text("a file")
    result = run(project, CALLS)
    assert result.exit_code == 1
    assert "ortperf: " in result.out
    assert result.counts == {"errors": 3}


def test_the_first_provider_of_the_command_line_is_the_default(project: Project) -> None:
    body = """
    def test_it(ortperf):
        assert ortperf.validate("m.onnx", reference=None).provider == "cpu"
    """
    assert run(project, body, "--ortperf-ep=auto,cpu").exit_code == 0


def test_a_hook_of_the_project_reaches_calls(project: Project) -> None:
    project.write("conftest.py", "def pytest_ortperf_configure_session(case):\n    raise ValueError(case.case_id)\n")
    result = run(project, "def test_it(ortperf):\n    ortperf.validate('m.onnx')\n")
    record: dict[str, Any] = result.records[0]
    assert record["failure"]["kind"] == "internal error"
    assert record["failure"]["message"] == "ValueError: m::validate[cpu]"
    assert "conftest.py" in "\n".join(record["failure"]["log_tail"])


def test_the_how_to_page_names_every_argument() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "test-your-own-code.md").read_text(encoding="utf-8")
    known = {**BenchmarkArguments.__annotations__, **ValidateArguments.__annotations__}
    assert [name for name in known if f"`{name}`" not in page] == []


def test_timing_modes_of_limits_are_those_that_are_measured() -> None:
    assert expectations.TIMINGS == TIMINGS


def test_timing_modes_can_be_chosen(project: Project) -> None:
    body = """
    def test_it(ortperf):
        record = ortperf.benchmark("m.onnx", timing=["bound", "host"], expect={"p50_ms": 1e6, "timing": "bound"}, **QUICK)
        assert [latency.timing for latency in record.latencies] == ["bound", "host"]
        assert [limit.note for limit in record.limits] == ["timing bound, 5 iterations"]
        with pytest.raises(ValueError, match="^timing=fast cannot be used; give auto alone, or some of host, "):
            ortperf.benchmark("m.onnx", timing="fast")
    """
    result = run(project, body)
    assert result.exit_code == 0, result.out


def test_a_limit_on_memory_is_held_against_the_case(project: Project) -> None:
    body = """
    def test_it(ortperf):
        record = ortperf.benchmark("m.onnx", expect={"host_memory_mib": 100_000}, **QUICK)
        (limit,) = record.limits
        assert limit.is_kept
        assert 0 <= limit.value < 1000
        with pytest.raises(pytest.fail.Exception, match="limit: limits not kept: gpu_memory_mib unknown"):
            ortperf.benchmark("m.onnx", expect={"gpu_memory_mib": 1}, **QUICK)
    """
    result = run(project, body)
    assert result.exit_code == 0, result.out
