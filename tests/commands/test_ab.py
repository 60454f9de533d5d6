"""`ortperf ab` as a command: its arguments, what it refuses, and its files."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pair_examples import RUN, make_fact, make_pairs_header
from pairing.ab_project import CURRENT, QUICK, AbProject, told
from pausing import pausing
from plugin.test_interrupts import wait_for
from pytest_ortperf.cli import main
from pytest_ortperf.commands.ab import _require_the_same
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.pairs import PairsHeader


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> AbProject:
    return AbProject(tmp_path)


SAME = (
    "ortperf: both sides are the same; say in what they differ, with --current-ort, --current-python, "
    "--current-models, --current-ep or --current-option, or measure this machine's noise floor with --aa\n"
)
NOT_AA = "ortperf: --aa measures the same against the same; leave out the options of one side alone\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], SAME),
        (["--ortperf-ep=cpu", "-k", "bert"], SAME),
        (["--base-ep=cpu", "--current-ep=cpu"], SAME),
        ([f"--current-python={sys.executable}"], SAME),
        (["--base-option=--ortperf-threads=1", "--current-option=--ortperf-threads=1"], SAME),
        (["--aa", "--current-ep=cpu"], NOT_AA),
        (["--aa", "--base-models=models.json"], NOT_AA),
        (
            ["--base-ort=1.31.0", "--base-python=python3"],
            "ortperf: --base-ort makes an environment, --base-python names one: give one of them\n",
        ),
        (
            ["--current-ort=newest"],
            "ortperf: 'newest' is no ONNX Runtime: give VERSION, nightly:DATE, a wheel, or the folder of a build; ",
        ),
        (["--aa", "--fail-on=speed"], "ortperf: --fail-on: unknown speed; choose from latency, failures, accuracy, "),
        (["--aa", "-o", "a.txt"], "ortperf: --output a.txt: the ending must be one of .csv, .md, .json, .html\n"),
        (["--aa", "--floor=gone"], "ortperf: gone: cannot be read: No such file or directory.\n"),
        (["--aa", "--resume"], "ortperf: result: holds no pairs of run (any); its runs, newest first: none.\n"),
        (["--aa", "--resume=m.json"], "ortperf: result: holds no pairs of run m.json; its runs, newest first: none.\n"),
        (["--aa", "--resume", "m.json"], "ortperf: result: holds no pairs of run m.json; its runs, newest first: none"),
        (["--aa", "--results=m.json"], ": was not opened: File exists. Give another --results=DIR.\n"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_starts(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (here / "m.json").write_text("[]")
    assert main(["ab", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("m.json", "[]")]


def test_ctrl_c_before_anything_starts_gives_no_traceback(project: AbProject) -> None:
    floor = project.path / "floor.json"
    floor.write_text("{}", encoding="utf-8")
    environ, paused = pausing(project.path / "pause", "floor.json")
    run = project.start("--aa", f"--floor={floor}", **environ)
    wait_for(paused.exists, "the command to read")
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    assert (project.printed(), project.files) == ("ortperf: interrupted\n", [])


COUNTS = ("--screen-pairs", "--confirm-pairs")
BAD_COUNTS = ("0", "-1", "abc", "1.5", "")
TIMES = ("--pair-time", "--budget")
BAD_TIMES = ("0", "-1", "abc", "nan", "inf", "")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *((option, value, f"{value!r} is no whole number of at least 1") for option in COUNTS for value in BAD_COUNTS),
        *((option, value, f"{value!r} is no number of seconds above 0") for option in TIMES for value in BAD_TIMES),
        ("--seed", "abc", "invalid int value: 'abc'"),
    ],
)
def test_a_wrong_number_is_told_by_argparse(
    here: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ab", "--aa", f"{option}={value}"])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert (out, list(here.iterdir())) == ("", [])
    assert err.splitlines()[-1] == f"ortperf ab: error: argument {option}: {message}"


def test_help_says_what_is_done_and_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ab", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "most time of timed iterations on each side of a pair (default: 1)" in " ".join(out.split())
    assert (
        "  ortperf ab --aa                                                             this machine's noise floor\n"
        in out
    )


def test_another_command_takes_no_options_of_pytest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "a", "b", "--ortperf-ep=cpu"])
    assert capsys.readouterr().err.splitlines()[-1] == ("ortperf: error: unrecognized arguments: --ortperf-ep=cpu")


def changed(**changes: Any) -> PairsHeader:
    """Return a header with another base."""
    header = make_pairs_header()
    environment = changes.pop("environment", {})
    base = dataclasses.replace(
        header.base, environment=dataclasses.replace(header.base.environment, **environment), **changes
    )
    return dataclasses.replace(header, base=base)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: make_pairs_header(plan={"screen_pairs": 4}), "plan"),
        (lambda: changed(options={"threads": 2}), "options of the base"),
        (lambda: changed(environment={"packages": {"onnxruntime": "1.30"}}), "versions of the base"),
        (lambda: changed(cases=()), "cases of the base"),
        (lambda: changed(environment={"fingerprint": "a laptop"}), "machine of the base"),
        (
            lambda: make_pairs_header(current=make_fact("base", (), fingerprint="a laptop")),
            "options of the current, cases of the current, machine of the current",
        ),
    ],
)
def test_a_run_is_gone_on_with_as_it_was(make: Callable[[], PairsHeader], what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _require_the_same(make_pairs_header(), make())
    assert str(caught.value) == (
        f"--resume: run {RUN} was another comparison ({what}); give the options it had, or begin a new run without "
        f"--resume"
    )


def test_another_order_of_cases_is_no_other_comparison() -> None:
    stored = make_pairs_header(base=make_fact(cases=("a", "b")))
    _require_the_same(stored, dataclasses.replace(stored, started="later", base=make_fact(cases=("b", "a"))))


def refused(project: AbProject, *arguments: str) -> list[str]:
    """Return the message of a run that could not begin; it leaves no file."""
    done = project.ab(*arguments, "-pno:hypothesispytest")
    assert (done.returncode, done.stdout, project.files) == (2, "", [])
    assert "Traceback" not in done.stderr
    first, *lines = told(done)
    assert first == "starting both sides"
    return lines


def interpreter(project: AbProject, text: str) -> str:
    path = project.path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_is_not_there_is_told(project: AbProject) -> None:
    project.models("a")
    assert refused(project, "--current-python=gone/bin/python") == [
        "ortperf: --current-python=gone/bin/python: No such file or directory; give a Python interpreter"
    ]


def test_an_interpreter_without_the_package_is_told_with_the_way_out(project: AbProject) -> None:
    project.models("a")
    python = interpreter(project, f'exec {sys.executable} -I -S "$@"')
    lines = refused(project, f"--base-python={python}")
    assert lines[0] == f"ortperf: the base side, {python}: the process is gone:"
    assert "No module named 'pytest_ortperf'" in lines[1]
    assert lines[2:] == [f"Install this package there: {python} -m pip install pytest-ortperf"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"), [("exit 0", "  it printed nothing"), ("echo no Python; sleep 1; exit 3", "  no Python")]
)
def test_what_is_no_interpreter_is_told(project: AbProject, text: str, said: str) -> None:
    project.models("a")
    python = interpreter(project, text)
    assert refused(project, f"--base-python={python}") == [
        f"ortperf: the base side, {python}: the process is gone:",
        said,
    ]


def test_options_that_a_side_cannot_use_are_told_with_the_side_and_the_reason(project: AbProject) -> None:
    project.models("a")
    lines = refused(project, "--base-ep=cpu", "--current-ep=cpuu")
    assert lines[0] == f"ortperf: the current side, {sys.executable}: the process is gone:"
    assert lines[1].startswith("  ERROR: --ortperf-ep: unknown execution provider 'cpuu'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CURRENT, "-k", "zzz"), "ortperf: base: its options collect no case; see -k, --ortperf-ep and the model list"),
        (
            ("--current-models=other.json",),
            "ortperf: no case is on both sides; base has a::benchmark[cpu], current has b::",
        ),
        (("--current-models=both.json",), "ortperf: current: "),
        ((CURRENT, "--ortperf-colour=red"), f"ortperf: the base side, {sys.executable}: the process is gone:"),
    ],
)
def test_what_no_side_can_collect_is_told(project: AbProject, arguments: tuple[str, ...], message: str) -> None:
    project.models("a")
    project.models("b", name="other.json")
    project.models("a", {"name": "a"}, name="both.json")
    lines = refused(project, *arguments, "--ortperf-ep=cpu")
    assert lines[0].startswith(message)


@pytest.mark.slow
def test_a_floor_of_another_machine_is_refused_before_anything_is_measured(project: AbProject) -> None:
    project.models("a")
    (project.path / "floor.json").write_text('{"schema": 1, "run": "1", "fingerprint": "a laptop", "cases": []}')
    (line,) = refused(project, CURRENT, *QUICK, "--floor=floor.json")
    assert line.startswith("ortperf: --floor: was measured on another machine (a laptop), this is ")
