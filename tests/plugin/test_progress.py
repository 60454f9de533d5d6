"""Live progress, in a terminal."""

from __future__ import annotations

import re

import pytest

from plugin.project import PLAIN, Project
from plugin.terminal import Terminal

QUICK = ("--ortperf-env=off", "--ortperf-operators=off", "--ortperf-track-memory=off")
ARGS = (*PLAIN, *QUICK, "--ortperf-ep=cpu", "--ortperf-warmup=1", "--ortperf-min-time=1", "--ortperf-max-time=1")
MEASURED = re.compile(
    r"^(?P<worker>gw\d )?(?P<case>\S+) host: n=\d+, half-width \d+\.\d % -> 3\.0 %(, \d+ s left)?( \| .*)?$"
)


def shown(terminal: Terminal) -> set[str]:
    """Return the cases whose progress stood on the terminal, those of the workers with their names."""
    matches = [MEASURED.match(line) for line in terminal.seen]
    return {(match["worker"] or "") + match["case"] for match in matches if match}


def without_numbers(lines: list[str]) -> list[str]:
    """Return the lines up to the summary, with numbers made the same."""
    head = next(number for number, line in enumerate(lines) if re.match(r"=+ ortperf =+", line))
    return [re.sub(r"\d+", "0", re.sub(r"PASSED .* \[", "PASSED [", line)) for line in lines[:head]]


@pytest.mark.parametrize(
    "args",
    [(), *(pytest.param(args, marks=pytest.mark.slow) for args in (("-v", "--color=no"), ("-q", "-p", "no:forked")))],
)
def test_a_line_below_tells_of_the_case_and_is_gone_afterwards(project: Project, args: tuple[str, ...]) -> None:
    project.models("a", "b")
    with_line = Terminal(project.path, *ARGS, "--ortperf-mode=benchmark", *args)
    assert with_line.exit_code == 0, with_line.screen.lines
    assert shown(with_line) == {"a::benchmark[cpu]", "b::benchmark[cpu]"}
    without = Terminal(
        project.path, *ARGS, "--ortperf-mode=benchmark", "--ortperf-progress=off", "--ortperf-iterations=9", *args
    )
    assert shown(without) == set()
    assert without_numbers(with_line.screen.lines) == without_numbers(without.screen.lines)


@pytest.mark.slow
def test_the_controller_tells_of_its_workers(project: Project) -> None:
    project.models("a", "b")
    terminal = Terminal(project.path, *ARGS, "--ortperf-mode=benchmark", "-n", "2", columns=150)
    assert terminal.exit_code == 0, terminal.screen.lines
    assert {case.partition(" ")[2] for case in shown(terminal)} == {"a::benchmark[cpu]", "b::benchmark[cpu]"}
    assert any("| gw" in line and "waiting for the hardware" in line for line in terminal.seen)
    assert not any("host: n=" in line for line in terminal.screen.lines)
    assert list(project.path.glob("ortperf-progress-*")) == []


@pytest.mark.slow
def test_calls_in_tests_have_their_progress_too(project: Project) -> None:
    project.write("test_own.py", "def test_it(ortperf):\n    print('mine')\n    ortperf.benchmark('m.onnx')\n")
    terminal = Terminal(project.path, *ARGS, "test_own.py")
    assert terminal.exit_code == 0, terminal.screen.lines
    assert shown(terminal) == {"m::benchmark[cpu]"}
    assert any(re.match(r"test_own\.py \. +\[100%\]$", line) for line in terminal.screen.lines)
    assert not any("mine" in line for line in terminal.seen)


def test_an_interrupt_leaves_a_clean_terminal(project: Project) -> None:
    project.models("a")
    args = (*PLAIN, "--ortperf-ep=cpu", "--ortperf-warmup=1", "--ortperf-min-time=30")
    terminal = Terminal(project.path, *args, "--ortperf-mode=benchmark", interrupt_at="host: n=")
    assert terminal.exit_code == 2
    assert any("KeyboardInterrupt" in line for line in terminal.screen.lines)
    assert not any("host: n=" in line for line in terminal.screen.lines)


@pytest.mark.slow
def test_results_stand_above_the_line_while_the_next_case_runs(project: Project) -> None:
    project.models("a", "b")
    terminal = Terminal(project.path, *ARGS, "--ortperf-mode=benchmark")
    row = re.compile(r"a cpu  \d+\.\d+ us \+-<?\d+\.\d %( [a-z]+)?")
    assert any(row.fullmatch(line) for line in terminal.seen)
    assert not any(row.fullmatch(line) for line in terminal.screen.lines)


@pytest.mark.slow
def test_a_long_line_is_cut_at_the_edge(project: Project) -> None:
    project.models("a" * 60)
    terminal = Terminal(project.path, *ARGS, "--ortperf-mode=benchmark", "-v", columns=50)
    assert terminal.exit_code == 0
    assert any(re.fullmatch(r"a{46}\.\.\.", line) for line in terminal.seen)
    assert not any(re.fullmatch(r"a{46}\.\.\.", line) for line in terminal.screen.lines)


@pytest.mark.parametrize("args", [("-qq",), ("--ortperf-isolation=none",)])
@pytest.mark.slow
def test_nothing_is_shown_where_it_would_disturb(project: Project, args: tuple[str, ...]) -> None:
    project.models("a")
    terminal = Terminal(project.path, *ARGS, "--ortperf-mode=benchmark", *args)
    assert terminal.exit_code == 0
    assert not any("host: n=" in line for line in terminal.seen)


@pytest.mark.slow
def test_nothing_is_shown_without_a_terminal(project: Project) -> None:
    project.models("a")
    result = project.run(*ARGS, mode="benchmark")
    assert result.exit_code == 0
    assert "n=" not in result.out
    assert "\x1b" not in result.out
