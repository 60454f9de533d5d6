"""What other plugins do in pytest's process costs no record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.project import MODEL, Project, read_records

RAISES = """
def pytest_runtest_logreport(report):
    if "broken" in report.nodeid and report.when == WHEN:
        raise RuntimeError("another plugin's reporter broke")
"""

ENDS_BADLY = """
def pytest_sessionfinish():
    raise RuntimeError("another plugin broke at the end")
"""


@pytest.mark.parametrize(
    ("args", "when"),
    [
        ((), "call"),
        *(
            pytest.param(args, when, marks=pytest.mark.slow)
            for args, when in [
                ((), "setup"),
                (("--ortperf-isolation=pool",), "call"),
                (("--forked",), "setup"),
                (("--ortperf-isolation=none",), "call"),
                (("-n", "1"), "call"),
                (("-n", "1"), "setup"),
            ]
        ),
    ],
)
def test_a_reporter_that_raises_costs_no_record(project: Project, args: tuple[str, ...], when: str) -> None:
    project.write("conftest.py", RAISES.replace("WHEN", repr(when)))
    project.models("good", "broken", "rest")
    result = project.run(*args)
    assert "another plugin's reporter broke" in result.out + result.err
    found = result.outcomes
    assert found["good::validate[cpu]"] == found["broken::validate[cpu]"] == "passed"
    assert result.end
    assert result.end["exit_status"] != 0


@pytest.mark.slow
def test_a_plugin_that_raises_at_the_end_costs_no_report(project: Project) -> None:
    project.write("conftest.py", ENDS_BADLY)
    project.models("good")
    result = project.run()
    assert result.exit_code != 0
    assert result.end
    assert len(list((project.path / "result").glob("benchmark_success_*.csv"))) == 1


@pytest.mark.parametrize("args", [("-n", "2"), pytest.param((), marks=pytest.mark.slow)])
def test_a_path_that_is_not_utf8_fails_each_case_and_says_so(project: Project, args: tuple[str, ...]) -> None:
    folder = os.fsencode(project.path) + b"/caf\xe9"
    for name in (b"/zoo/a", b"/zoo/b"):
        os.makedirs(folder + name)  # noqa: PTH103 - a path of bytes
        Path(os.fsdecode(folder + name), "model.onnx").write_bytes(MODEL)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "--rootdir=."),
            *("--ortperf-mode=validate", "--ortperf-ep=cpu", "--ortperf-models=zoo", *args),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert (b"without workers: the path" in done.stdout) is bool(args)
    (path,) = Path(os.fsdecode(folder), "result").glob("records_*.jsonl")
    records, end = read_records(path)
    assert [record["outcome"] for record in records] == ["failed", "failed"]
    assert all("is not UTF-8, and ONNX Runtime takes no other" in each["failure"]["message"] for each in records)
    assert end
