"""After an illegal access each CUDA call of that process fails and ONNX Runtime goes to the CPU; in that one only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gpu.illegal_access import candidates
from gpu.project import CUDA, GpuProject, Result, multilayer, nodes_on_cuda, told

OWN_KERNEL = "own_kernel"
SIGNS = ("illegal memory access", "CUDA failure 700", "CUDA error 700")

CONFTEST = """
from broken_context import break_context

def pytest_ortperf_before_first_run(case, session):
    if case.model.name == "own_kernel" and case.provider.name == "cuda":
        break_context()
"""


def write_models(project: GpuProject, names: list[str]) -> list[str]:
    """Write a healthy model before, between and after those that break; return the names of the healthy ones."""
    shutil.copy(Path(__file__).with_name("broken_context.py"), project.path)
    (project.path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    known = {**candidates(), OWN_KERNEL: (multilayer(), {})}
    healthy = [f"healthy_{number}" for number in range(len(names) + 1)]
    entries: list[dict[str, Any]] = [{"name": healthy[0], "path": "healthy.onnx"}]
    for name, after in zip(names, healthy[1:], strict=True):
        entries += [{"name": name, "inputs": known[name][1]}, {"name": after, "path": "healthy.onnx"}]
    graphs = {"healthy": multilayer(), **{name: known[name][0] for name in names}}
    project.models(entries, graphs)
    return healthy


def broken(result: Result, names: list[str]) -> list[str]:
    """Return which models ended with the error."""
    records = {record.model: record for record in result.records}
    return [name for name in names if any(sign in told(records[name]) for sign in SIGNS)]


@pytest.mark.parametrize(("isolation", "mode"), [("forked", "benchmark"), ("pool", "validate")])
def test_an_illegal_access_fails_alone(
    project: GpuProject, isolation: str, mode: str, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*candidates(), OWN_KERNEL]
    healthy = write_models(project, names)
    result = project.run(f"--ortperf-mode={mode}", "--ortperf-ep=cuda", f"--ortperf-isolation={isolation}")
    worked = broken(result, names)
    record_property("illegal_access", ", ".join(worked))
    with capsys.disabled():
        print(f"\n{isolation}: error 700 from {', '.join(worked)}")  # noqa: T201 - which one works is a finding
        for name in names:
            print(f"  {name}: {result.of(name).outcome}: {told(result.of(name)).partition(chr(10))[0][:200]}")  # noqa: T201
    assert OWN_KERNEL in worked
    # a context in that state may also end the process when the session goes
    assert {result.of(name).outcome for name in worked} <= {"failed", "crashed"}
    assert [name for name in worked if result.of(name).latencies] == []
    assert {name: result.of(name).outcome for name in healthy} == dict.fromkeys(healthy, "passed")
    placed = {name: result.of(name).placement for name in healthy}
    assert {name: set(found.nodes_by_provider) for name, found in placed.items() if found} == {
        name: {CUDA} for name in healthy
    }


def test_in_one_process_nothing_after_it_is_reported_as_cuda(project: GpuProject) -> None:
    before, after = write_models(project, [OWN_KERNEL])
    # such a process may also die where it ends
    result = project.run("--ortperf-mode=benchmark", "--ortperf-ep=cuda", "--ortperf-isolation=none", exit_codes=None)
    assert result.of(before).outcome == "passed"
    assert nodes_on_cuda(result.of(before)) > 0
    assert broken(result, [OWN_KERNEL]) == [OWN_KERNEL]
    assert (result.of(after).outcome, result.of(after).latencies) == ("failed", ())
