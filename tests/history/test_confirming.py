"""The command that confirms a change point, carried out as it is printed."""

import itertools
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from history.test_changes import filled
from model_examples import model_of, save
from pytest_ortperf.history.confirming import confirming_commands

SHORT = "--screen-pairs=1 --confirm-pairs=1 --pair-time=0.2"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path, layers: int) -> str:
    """Commit a model of some layers, and return the commit."""
    weights = {"w": np.full((64, 64), 0.01, np.float32)}
    names = ["x", *(f"h{number}" for number in range(1, layers)), "y"]
    nodes = [helper.make_node("MatMul", [one, "w"], [two]) for one, two in itertools.pairwise(names)]
    save(model_of(nodes, {"x": [64, 64]}, weights), folder / "m3.onnx")
    (folder / "models.json").write_text('{"models": [{"name": "m3", "path": "m3.onnx"}]}')
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.slow
def test_two_commits_are_measured_in_turns(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    commits = [committed(repository, layers) for layers in (4, 8)]
    history = filled(tmp_path, np.ones((1, 8)))
    (run,) = history.runs()
    series = next(each for each in history.series(model="m3") if each.metric == "latency_p50_ms")
    before, at = (replace(run, commit_id=commit) for commit in commits)
    *checkouts, measure = confirming_commands(before, at, series, is_slower=True)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in checkouts:
        subprocess.run(shlex.split(command), cwd=repository, env=environ, check=True, capture_output=True)
    program = [sys.executable, "-m", "pytest_ortperf.cli", *shlex.split(f"{measure} {SHORT}")[1:]]
    done = subprocess.run(program, cwd=repository, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    assert "1 case on both sides" in done.stderr
    assert "m3::benchmark[cpu]" in done.stdout
