"""`ortperf history changes` and `triage`: what they print, and their exit status."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from history.test_changes import PLACE, SELECTED, filled, with_step
from pytest_ortperf.cli import main

NEW, OLD = "onnxruntime 1.32.0", "onnxruntime 1.31.0"
HEAD = f"""\
  m3::benchmark[cpu]: slower by 8.7 % (0.9932 -> 1.08 ms, noise 1.4 %, p 8e-14)
  20261101-001300 ({OLD}, commit aaaaaaaaaa) -> 20261101-001400 ({NEW}, commit aaaaaaaaaa), main, EPYC, 2 cores
  $ ortperf ort bisect 1.31.0 1.32.0 {SELECTED}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a history in which one model became slower."""
    folder = tmp_path_factory.mktemp("made")
    filled(
        folder,
        with_step(),
        lambda number: {"environment": {"onnxruntime_distribution": NEW if number >= PLACE else OLD}},
    )
    return folder


@pytest.fixture
def history(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the history in the working folder."""
    for file in made.glob("history.db*"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("history")
def test_changes_are_listed_until_it_is_said_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "changes"]) == 0
    out = capsys.readouterr().out
    first, _, rest = out.partition("\n")
    identifier = first.partition(" ")[0]
    assert first == f"{identifier}  new"
    assert rest == f"{HEAD}\n1 new change point\n"
    assert main(["history", "triage", identifier, "expected", "--note=larger batch"]) == 0
    assert capsys.readouterr() == (f"{identifier} (m3::benchmark[cpu], +8.7 %) is expected: larger batch\n", "")
    assert main(["history", "changes"]) == 0
    assert capsys.readouterr() == ("0 new change points; --all lists 1 more\n", "")
    assert main(["history", "changes", "--all"]) == 0
    assert capsys.readouterr() == (f"{identifier}  expected: larger batch\n{HEAD}\n1 change point\n", "")


@pytest.mark.usefixtures("history")
def test_changes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "changes", "--json"]) == 0
    (point,) = json.loads(capsys.readouterr().out)
    assert {name: point[name] for name in ("state", "case", "metric", "run", "branch")} == {
        "state": "new",
        "case": "m3::benchmark[cpu]",
        "metric": "latency_p50_ms",
        "run": "20261101-001400",
        "branch": "main",
    }
    assert point["percent"] == pytest.approx(8.7, abs=0.1)


@pytest.mark.usefixtures("history")
def test_an_unknown_change_point_or_state_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "triage", "00000000-1", "fixed"]) == 2
    assert "no change point has this id" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["history", "triage", "00000000-1", "wontfix"])
    assert ended.value.code == 2
    assert "invalid choice: 'wontfix'" in capsys.readouterr().err


def test_a_history_without_changes_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path, np.ones((3, 8)))
    assert main(["history", "changes"]) == 0
    assert capsys.readouterr().out == "0 new change points\n"
