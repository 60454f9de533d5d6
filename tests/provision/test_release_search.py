"""`ortperf ort` and `ortperf ab --base-ort` as commands, over a folder of wheels that stand for releases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin.project import MODEL
from provision.local_index import FAILING, SLOWER, local_pip, write_wheel
from pytest_ortperf.cli import main
from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.pairing.plan import Plan
from pytest_ortperf.provision.environments import Environments
from pytest_ortperf.provision.release_search import Question, ReleaseSearch
from pytest_ortperf.provision.version_judges import LatencyJudge
from pytest_ortperf.provision.version_search import BAD, GOOD

QUICK = ("--ortperf-ep=cpu", "--ortperf-threads=1", "-pno:hypothesispytest", "-pno:randomly", "-pno:cacheprovider")
RELEASES = ("1.90.0", "1.91.0", "1.92.0", "1.93.0", "1.94.0")


class Home:
    """A folder with a model list, wheels, a cache and results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wheels = path / "wheels"
        (path / "m.onnx").write_bytes(MODEL)
        (path / "models.json").write_text(json.dumps([{"name": name, "path": "m.onnx"} for name in ("one", "two")]))

    def ortperf(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environ = os.environ | local_pip(self.wheels)
        return subprocess.run(
            [sys.executable, "-m", "pytest_ortperf.cli", *arguments],
            cwd=self.path,
            env=environ | {"ORTPERF_LOCKS": str(self.path / "locks"), "XDG_CACHE_HOME": str(self.path / "home")},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def bisect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.ortperf("ort", "bisect", *arguments, "-k", "one", *QUICK)

    @property
    def search(self) -> dict[str, Any]:
        """What the one search has found."""
        (path,) = self.path.glob("result/ort-bisect_*/search.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines on standard error without their times, from the first step on."""
    lines = [line[9:] for line in done.stderr.splitlines()]
    return [line for line in lines if "installing" not in line and "ready after" not in line]


@pytest.mark.slow
def test_the_release_that_fails_is_found_and_shown(home: Home) -> None:
    for version in RELEASES:
        write_wheel(home.wheels, version, FAILING if version >= "1.93.0" else "")
    done = home.bisect("onnxruntime==1.90.0", "onnxruntime==1.94.0", "--on=failure")
    assert done.returncode == 0, done.stderr
    failed = "failed: ONNX Runtime failed on CPUExecutionProvider: RuntimeError: planted"
    options = "-k one --ortperf-ep=cpu --ortperf-threads=1 -pno:hypothesispytest -pno:randomly -pno:cacheprovider"
    (folder,) = home.path.glob("result/ort-bisect_*")
    lines = done.stdout.splitlines()
    assert [line.split("  ")[:2] for line in lines[:4]] == [
        ["1.90.0", "good   "[:4]],
        ["1.92.0", "good"],
        ["1.93.0", "bad"],
        ["1.94.0", "bad"],
    ]
    assert failed.partition(":")[0] in lines[2]
    assert lines[4:] == [
        "",
        "last good: onnxruntime 1.92.0",
        "first bad: onnxruntime 1.93.0",
        "",
        "show it:",
        f'  "$(ortperf ort use onnxruntime==1.92.0)" -m pytest --ortperf-mode=validate {options}',
        f'  "$(ortperf ort use onnxruntime==1.93.0)" -m pytest --ortperf-mode=validate {options}',
        "",
        f"for an issue: {folder}/repro: ISSUE.md, README.md, case.json, data, model.onnx, run.py",
        f"search: {folder}/search.json",
    ]
    assert [step["version"] for step in home.search["steps"]] == ["1.94.0", "1.92.0", "1.93.0"]
    issue = (folder / "repro/ISSUE.md").read_text()
    assert issue.startswith("# onnxruntime 1.93.0: one fails, and not with 1.92.0\n")
    assert "right: 'y'" in issue.partition("1.93.0 numpy")[0]
    assert "WRONG: RuntimeError: planted" in issue.partition("1.93.0 numpy")[2]


@pytest.mark.slow
def test_a_release_that_cannot_be_installed_is_passed_over_and_the_same_command_goes_on(home: Home) -> None:
    for version in RELEASES[:4]:
        write_wheel(home.wheels, version, {"1.91.0": "raise ImportError('no lib')", "1.93.0": FAILING}.get(version, ""))
    ends = ("onnxruntime==1.90.0", "onnxruntime==1.93.0", "--on=failure")
    (home.wheels / "onnxruntime-1.92.0-py3-none-any.whl").rename(home.path / "away")
    assert home.bisect(*ends).returncode == 0
    state = next(home.path.glob("result/ort-bisect_*/search.json"))
    found = json.loads(state.read_text())
    assert [(step["version"], step["verdict"]) for step in found["steps"]] == [("1.93.0", "bad"), ("1.91.0", "skipped")]
    state.write_text(json.dumps({**found, "is_over": False}))
    done = home.bisect(*ends)
    first, *rest = told(done)
    assert first == f"going on with the search of {found['started']}: 2 steps known; --fresh begins anew"
    assert not [line for line in rest if line.startswith("step ")]
    (skipped,) = [line for line in done.stdout.splitlines() if line.startswith("between them")]
    assert skipped.startswith("between them, not judged: 1.91.0, onnxruntime 1.91.0: cannot be imported by Python 3.")


@pytest.mark.slow
def test_no_change_between_two_releases_is_said_and_fails(home: Home) -> None:
    for version in RELEASES[:3]:
        write_wheel(home.wheels, version)
    done = home.bisect("onnxruntime==1.90.0", "onnxruntime==1.92.0", "--on=accuracy")
    assert (done.returncode, done.stdout) == (
        1,
        "1.90.0  good     the good end\n1.92.0  good     passed\n\nno change between 1.90.0 and 1.92.0\n",
    )
    assert home.search["is_over"] is True
    again = home.bisect("onnxruntime==1.90.0", "onnxruntime==1.92.0", "--on=accuracy")
    assert (again.returncode, again.stdout) == (1, done.stdout)
    assert told(again) == [f"this is the search of {home.search['started']}: 1 step known; --fresh begins anew"]


@pytest.mark.slow
def test_ends_that_cannot_be_judged_are_told(home: Home) -> None:
    write_wheel(home.wheels, "1.90.0", FAILING)
    write_wheel(home.wheels, "1.91.0", FAILING)
    ends = ("onnxruntime==1.90.0", "onnxruntime==1.91.0")
    done = home.bisect(*ends, "--on=failure")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("ortperf: 1.90.0, the good end, is not good: failed: ")
    done = home.ortperf("ort", "bisect", *ends, "--on=failure", "-k", "one or two", *QUICK)
    assert done.stderr.splitlines()[-1] == (
        "ortperf: -k and the other options select 2 cases (one::validate[cpu], two::validate[cpu]); a search is about "
        "one: name its model, and its provider with --ortperf-ep"
    )


@pytest.mark.slow
def test_latency_is_judged_by_pairs_of_processes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(home.wheels, "1.90.0")
    write_wheel(home.wheels, "1.91.0")
    write_wheel(home.wheels, "1.92.0", SLOWER)
    for name, value in local_pip(home.wheels).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ORTPERF_LOCKS", str(home.path / "locks"))
    monkeypatch.chdir(home.path)
    environments = Environments(lambda _: None, home.path / "cache")
    good, same, slower = (environments.use(f"onnxruntime=={version}") for version in ("1.90.0", "1.91.0", "1.92.0"))
    judge = LatencyJudge(
        good=good,
        options=("-k", "one", *QUICK),
        results=home.path / "result",
        tell=lambda _: None,
        plan=Plan(screen_pairs=2, confirm_pairs=4, pair_s=0.05),
    )
    end = judge.judge(slower, None)
    assert end.step.verdict == BAD
    assert end.step.log_ratio is not None
    assert end.step.log_ratio > 0.5
    assert end.nodeid == "models.json::one::benchmark[cpu]"
    assert judge.judge(same, end.step).step.verdict == GOOD
    assert judge.judge(slower, end.step).step.verdict == BAD


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("1.90.0", "1.90", "1.90.0 and 1.90: give two versions of one distribution"),
        ("onnxruntime==1.90.0", "ort-x==1.91.0", "onnxruntime==1.90.0 and ort-x==1.91.0: give two versions of one "),
    ],
)
def test_ends_are_two_versions_of_one_distribution(tmp_path: Path, good: str, bad: str, message: str) -> None:
    question = Question(good=good, bad=bad, symptom="failure", options=())
    with pytest.raises(SettingsError) as caught:
        ReleaseSearch(question, Environments(lambda _: None, tmp_path), tmp_path, lambda _: None)
    assert str(caught.value).startswith(message)


def test_a_wheel_is_no_end_of_a_search(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "1.90.0")
    question = Question(good=str(wheel), bad="1.91.0", symptom="failure", options=())
    with pytest.raises(OrtPerfError) as caught:
        ReleaseSearch(question, Environments(lambda _: None, tmp_path), tmp_path, lambda _: None)
    assert str(caught.value) == (
        f"{wheel}: a search goes from one release or nightly build to another; give two versions"
    )


def test_no_environments_are_listed_with_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ort", "list", f"--cache={tmp_path}"]) == 0
    assert capsys.readouterr().out == "no environments; ortperf ort use makes them\n"


@pytest.mark.slow
def test_use_prints_the_interpreter_alone_and_list_shows_it(home: Home) -> None:
    write_wheel(home.wheels, "1.90.0")
    done = home.ortperf("ort", "use", "onnxruntime==1.90.0")
    python = Path(done.stdout.rstrip("\n"))
    assert done.stdout == f"{python}\n"
    assert python.is_relative_to(home.path / "home/pytest-ortperf/artifacts")
    title, row = home.ortperf("ort", "list").stdout.splitlines()
    assert title.split() == ["runtime", "MiB", "last", "used", "packages", "interpreter"]
    assert (row.startswith("onnxruntime 1.90.0  "), row.endswith(f"  as here   {python}")) == (True, True)


@pytest.mark.slow
def test_ab_makes_the_environments_of_its_sides(home: Home) -> None:
    write_wheel(home.wheels, "1.90.0")
    write_wheel(home.wheels, "1.91.0", SLOWER)
    effort = ("--screen-pairs=1", "--confirm-pairs=3", "--pair-time=0.05", "-k", "one")
    done = home.ortperf("ab", "--base-ort=onnxruntime==1.90.0", "--current-ort=onnxruntime==1.91.0", *effort, *QUICK)
    assert done.returncode == 1, done.stderr
    assert "latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 0 SAME" in done.stdout
    (path,) = home.path.glob("result/pairs_*.jsonl")
    header = json.loads(path.read_text().partition("\n")[0])
    sides = [header[side]["environment"]["packages"]["onnxruntime"] for side in ("base", "current")]
    assert sides == ["1.90.0", "1.91.0"]
