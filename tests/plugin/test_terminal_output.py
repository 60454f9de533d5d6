"""What a run writes to a terminal or a log: numbers as they come, no escape sequence of a model, lines for CI."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plugin.project import Project

MEASURE = ("--ortperf-ep=cpu", "--ortperf-iterations=9", "--ortperf-warmup=1", "--ortperf-env=off")
ESCAPES = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e"
HOOK = """
import os
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_ortperf_before_first_run(case, session):
    if case.model.name != "wrong":
        os.write(2, b"\\x1b[31mred\\x1b]0;title\\x07 one\\rtwo\\n::error::x\\n##vso[task.complete]\\n")
    if case.model.name == "crash":
        os.abort()
    if case.model.name == "raise":
        raise ValueError("bad \\x1b[2J\\u202e thing")
"""


def model_with_escapes() -> onnx.ModelProto:
    """Return y = 2x whose names hold escape sequences."""
    name = f"y{ESCAPES}"
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], [name], name=f"add{ESCAPES}")],
        "escapes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_wrong(project: Project, folder: Path) -> None:
    """Write that model and stored outputs that it does not give."""
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save(model_with_escapes(), folder / "model.onnx")
    values = np.arange(4, dtype=np.float32)
    for name, array in (("input_0", values), ("output_0", values + 7)):
        (data / f"{name}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    wrong = {"name": "wrong", "path": "wrong/model.onnx", "test_data": "wrong"}
    project.models(wrong, "crash", "raise", "right")
    project.write("conftest.py", HOOK)


@pytest.mark.parametrize(
    "args",
    [
        (),
        *(
            pytest.param(args, marks=pytest.mark.slow)
            for args in (("-v",), ("-q", "-rA"), ("-n", "2"), ("--ortperf-isolation=pool",))
        ),
    ],
)
def test_no_escape_sequence_of_a_model_or_its_output_is_written(project: Project, args: tuple[str, ...]) -> None:
    write_wrong(project, project.path / "wrong")
    result = project.run("--ortperf-ep=cpu", "-rA", *args)
    assert result.outcomes == {
        "wrong::validate[cpu]": "failed",
        "crash::validate[cpu]": "crashed",
        "raise::validate[cpu]": "failed",
        "right::validate[cpu]": "passed",
    }
    lines = (result.out + result.err).split("\n")
    assert [line for line in lines if not line.replace("\t", " ").isprintable()] == []
    assert "red one" in lines
    assert "two" in lines
    assert not any(line.lstrip().startswith("::") or "##vso[" in line for line in lines)
    assert "# #vso[task.complete]" in lines
    assert "'y\\u202e'" in result.out


@pytest.mark.slow
def test_no_escape_sequence_is_written_for_tests_with_the_fixture(project: Project) -> None:
    project.write("conftest.py", HOOK)
    project.write("test_own.py", "def test_it(ortperf):\n    ortperf.validate('m.onnx', name='raise', ep='cpu')\n")
    result = project.run("test_own.py", mode=None)
    lines = (result.out + result.err).split("\n")
    assert any(line.endswith(" red one") for line in lines)
    assert [line for line in lines if not line.replace("\t", " ").isprintable()] == []


@pytest.mark.parametrize("args", [("-v",), pytest.param(("-v", "-n", "2"), marks=pytest.mark.slow)])
def test_verbose_lines_tell_latencies_as_they_come(project: Project, args: tuple[str, ...]) -> None:
    project.models("a", {"name": "b", "skip": [{"reason": "not today"}]})
    result = project.run(*MEASURE, *args, mode="benchmark")
    assert result.exit_code == 0, result.out
    (line,) = [line for line in result.out.splitlines() if "a::benchmark[cpu]" in line and "PASSED" in line]
    assert re.search(r"PASSED \d+\.\d+ (us|ms|s) \+-<?\d+\.\d %", line)
    assert any("b::benchmark[cpu]" in line and "SKIPPED" in line for line in result.out.splitlines())


def test_quiet_output_is_as_without_results(project: Project) -> None:
    project.models("a", "b")
    result = project.run(*MEASURE, mode="benchmark")
    (line,) = [line for line in result.out.splitlines() if line.startswith("models.json ")]
    assert re.fullmatch(r"models\.json \.\. +\[100%\]", line)


def test_github_actions_get_annotations_and_a_step_summary(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wrong(project, project.path / "wrong")
    summary = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = project.run("--ortperf-ep=cpu", "--ortperf-env=off", "-k", "wrong or right")
    commands = [line for line in result.out.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error file=models.json,title=ortperf::1 failed: result accuracy issue: ")
    assert commands[0].endswith("%0Avalidate[cpu]: wrong")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("\n### ortperf: 1 failed, 1 passed of 2 cases\n")
    (page,) = (project.path / "result").glob("report_*.md")
    assert page.read_text(encoding="utf-8") == text[1:]
    quiet = project.run("--ortperf-ep=cpu", "--ortperf-env=off", "-k", "wrong or right", "--ortperf-ci=off")
    assert not any(line.startswith("::") for line in quiet.out.splitlines())
    assert summary.read_text(encoding="utf-8") == text
