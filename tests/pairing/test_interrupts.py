"""Runs that are cut off by signals or a budget: what was measured is kept, nothing is left behind, and they go on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pairing.ab_project import CURRENT, QUICK, AbProject, places, told
from pausing import pausing
from plugin.test_interrupts import wait_for
from pytest_ortperf.execution.machine.lease import Claim, holding
from pytest_ortperf.execution.record_builder import Journal
from pytest_ortperf.records.pairs import DONE, RunEnd
from pytest_ortperf.records.pairs_file import read_pairs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SOON_S = 10
"""Far less than what a case that hangs is given."""

AA = ("--aa", "--screen-pairs=1", *QUICK)


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured_and_resume_measures_the_rest(project: AbProject) -> None:
    # the seed has it that the one that hangs is neither the first nor the last
    project.models("a", "b", "turn_hangs_on_base")
    run = project.start(*AA, "--seed=3")
    project.wait_until_it_happened()
    wait_for(lambda: {text[0] for text in project.processes().values()} >= {"T"}, "the other side to be stopped")
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(SOON_S) == 130
    project.require_nothing_left()
    printed = project.printed()
    assert "interrupted; what was measured is kept, and --resume goes on\n" in printed
    assert "latency: 0 SLOWER, 0 FASTER, 1 UNSURE, 0 SAME; paired ratio is current / base\n" in printed
    assert "\nThe run was interrupted before 2 of 3 cases had all their pairs; --resume goes on.\n" in printed
    assert "Traceback" not in printed
    (first,) = places(project.stored.pairs)
    assert first in [("screen", 0, "a"), ("screen", 0, "b")]
    done = project.ab(*AA, "--seed=3", "--resume")
    assert done.returncode == 0, done.stderr
    assert told(done)[2].startswith("expected: about ")
    assert told(done)[2].endswith(" for 1 pair of 3 cases (1 of 3 cases known from an earlier run)")
    assert told(done)[3].startswith("screen 1 of 1: 2 cases in ")
    assert places(project.stored.pairs) == [
        ("screen", 0, "a"),
        ("screen", 0, "b"),
        ("screen", 0, "turn_hangs_on_base"),
    ]
    assert len(project.stored.records) == 6
    assert project.stored.end == RunEnd(reason=DONE, cases=3, left=0)
    assert {pair.duration_ns is None for pair in project.stored.pairs} == {False}


@pytest.mark.slow
def test_a_killed_leader_leaves_whole_lines_and_no_process(project: AbProject) -> None:
    project.models("a", "b", "turn_hangs_on_base")
    run = project.start(*AA, "--seed=3")
    project.wait_until_it_happened()
    wait_for(lambda: {text[0] for text in project.processes().values()} >= {"T"}, "the other side to be stopped")
    assert len(project.processes()) == 5
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait(SOON_S) == -signal.SIGKILL
    project.require_nothing_left()
    assert len(places(project.stored.pairs)) == 1
    assert project.stored.notes == ()
    assert project.files[0].read_bytes().endswith(b"\n")


def has_header(project: AbProject) -> bool:
    return any(path.stat().st_size for path in project.files)


@contextmanager
def held_claim(project: AbProject, name: str) -> Iterator[None]:
    """Hold hardware that a benchmark waits for."""
    (project.path / "locks").mkdir(exist_ok=True)
    journal = Journal(captures=False)
    with holding(project.path / "locks", Claim(name, shared=False), journal):
        yield
    journal.close()


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_waits_for_hardware_ends_at_once(project: AbProject, signal_number: signal.Signals) -> None:
    project.models("a")
    with held_claim(project, "cpu"):
        run = project.start(*AA)
        # leader, two interpreters, and the process of the first case
        wait_for(lambda: has_header(project) and len(project.processes()) == 4, "the case to wait")
        time.sleep(1)
        assert (run.poll(), project.stored.pairs) == (None, ())
        os.kill(run.pid, signal_number)
        assert run.wait(SOON_S) == (130 if signal_number == signal.SIGINT else -signal_number)
        project.require_nothing_left()
    assert "Traceback" not in project.printed()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["open_hangs_on_base", "turn_hangs_on_base"])
def test_a_case_that_hangs_is_killed_at_its_deadline_and_is_a_failure(project: AbProject, model: str) -> None:
    project.models("a", model)
    run = project.start("--screen-pairs=1", "--confirm-pairs=1", CURRENT, *QUICK, "--ortperf-timeout=2")
    assert run.wait(60) == 0
    assert f"failures: 1 fixed failure\n  fixed failure  {model}::benchmark[cpu]: was timeout\n" in project.printed()
    (failed,) = [each for each in project.stored.records if each.record.failure]
    assert (failed.side, failed.record.outcome) == ("base", "timed_out")
    assert failed.record.failure is not None
    assert failed.record.failure.message == (
        f"timed out after 2 s in stage {'session' if model.startswith('open') else 'timing'}; its process was killed. "
        f"Give it more with --ortperf-timeout or the model list's timeout"
    )
    assert {model for _, _, model in places(project.stored.pairs)} == {"a"}


@pytest.mark.slow
def test_a_budget_ends_a_run_without_an_error(project: AbProject) -> None:
    project.models("a")
    done = project.ab(CURRENT, *QUICK, "--budget=1e-9")
    assert done.returncode == 0, done.stderr
    name = project.files[0].name
    assert told(done) == [
        "starting both sides",
        f"1 case on both sides; pairs go to result/{name}",
        (
            "expected: about 8 s for 3 pairs of 1 case; about 26 s more if all look changed "
            "(estimated: no earlier run has these cases); no pair begins after 1e-09 s"
        ),
        "the budget of 1e-09 s is spent; --resume goes on",
    ]
    assert done.stdout.splitlines()[-6:] == [
        "differs  --ortperf-threads absent -> 3",
        "",
        "No pair was measured.",
        "The budget of 1e-09 s ran out before its case had all its pairs; --resume goes on.",
        "",
        f"pairs: result/{name}",
    ]


@pytest.mark.slow
def test_ctrl_c_while_the_report_is_written_gives_no_traceback(project: AbProject) -> None:
    project.models("a")
    environ, paused = pausing(project.path / "pause", "report.md")
    run = project.start(*AA, "-o", "report.md", **environ)
    wait_for(paused.exists, "the report")
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(SOON_S) == 130
    project.require_nothing_left()
    (path,) = project.files
    assert project.printed().endswith(
        f" interrupted while the report was made; ortperf report result/{path.name} prints it\n"
    )
    assert "Traceback" not in project.printed()


@pytest.mark.slow
def test_a_run_is_gone_on_with_by_the_same_options_alone(project: AbProject) -> None:
    project.models("left", "right")
    project.ab(CURRENT, *QUICK, "--screen-pairs=1", "--confirm-pairs=1", "--budget=0.001")
    (path,) = project.files
    before = path.read_bytes()
    options = (CURRENT, *QUICK, "--confirm-pairs=1", f"--resume={path.stem.removeprefix('pairs_')}")
    other = project.ab(*options, "--screen-pairs=2", "--ortperf-graph-optimization=basic", "-k", "left")
    assert other.returncode == 2
    assert told(other)[-1] == (
        f"ortperf: --resume: run {path.stem.removeprefix('pairs_')} was another comparison (plan, options of the base, "
        f"options of the current, cases of the base, cases of the current); give the options it had, or begin a new "
        f"run without --resume"
    )
    assert path.read_bytes() == before
    same = project.ab(*options, "--screen-pairs=1", "--fail-on=failures")
    assert same.returncode == 0, same.stderr
    assert [place for place in places(project.stored.pairs) if place[0] == "screen"] == [
        ("screen", 0, "left"),
        ("screen", 0, "right"),
    ]


HARDWARE = """
import __main__
from pytest_ortperf.execution.machine.lease import Claim

def claims_of(case, settings):
    return (Claim("current" if settings.threads == 3 else "base", shared=False),)

__main__.claims_of = claims_of
"""


@pytest.mark.slow
@pytest.mark.parametrize("busy", ["base", "current"])
def test_a_pair_that_waits_for_one_side_s_hardware_holds_nothing_of_the_other_s(project: AbProject, busy: str) -> None:
    project.models("a")
    (project.path / "conftest.py").write_text(HARDWARE)
    free = {"base": "current", "current": "base"}[busy]
    with held_claim(project, busy):
        run = project.start(CURRENT, *QUICK, "--screen-pairs=1", "--confirm-pairs=1", "--fail-on=failures")
        wait_for(lambda: has_header(project) and len(project.processes()) == 4, "the case to wait")
        time.sleep(1)
        # who has the one and wants the other, as this test does now, would wait for ever
        with held_claim(project, free):
            assert run.poll() is None
    assert run.wait(60) == 0
    assert [place for place in places(project.stored.pairs) if place[0] == "screen"] == [("screen", 0, "a")]
    assert len([record for record in project.stored.records if record.stage == "screen"]) == 2


@pytest.mark.slow
def test_two_runs_at_once_measure_one_pair_after_the_other(project: AbProject) -> None:
    project.models("log_on_base", {"name": "log_on_both"}, {"name": "plain"})
    runs = [project.start(*AA, output=name, NAME=name) for name in "xy"]
    assert [run.wait(90) for run in runs] == [0, 0]
    assert [len(read_pairs(path).pairs) for path in project.files] == [3, 3]
    log = (project.path / "log").read_text()
    assert sorted(log) == ["x"] * 4 + ["y"] * 4
    assert {log[place : place + 2] for place in range(0, len(log), 2)} == {"xx", "yy"}
