"""Cases that fail or die on one side, or on both: each is told once, and the others are measured all the same."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from pairing.ab_project import CURRENT, QUICK, AbProject, Entry, places, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

DEATH = "crash in stage {0}: crashed with signal 11 (SIGSEGV) in stage {0}"


def entries(new: str, fixed: str, other: str, **left_out: str) -> list[Entry]:
    """Return a side's list: where two models of one name are not the same file, the sides differ."""
    names = ("good", "open_dies_on_current", "turn_dies_on_current", "turn_fails_on_current", "open_dies_on_both")
    return [
        *names,
        other,
        {"name": "expected", "path": "broken.onnx", "xfail": {"reason": "not yet"}},
        {"name": "new_failure", "path": new},
        {"name": "fixed_failure", "path": fixed},
        {"name": "fails", "path": "broken.onnx"},
        {"name": "left_out", **left_out},
    ]


@pytest.mark.slow
def test_each_failure_is_told_once_and_in_its_class(project: AbProject) -> None:
    project.models(*entries("m.onnx", "broken.onnx", "gone"), name="base.json")
    project.models(*entries("broken.onnx", "m.onnx", "added", skip="too slow here"), name="current.json")
    lists = ("--base-models=base.json", "--current-models=current.json", CURRENT)
    outputs = ("-o", "a.csv", "-o", "deep/a.md", "-o", "a.json", "-o", "a.html")
    done = project.ab(*lists, *QUICK, "--screen-pairs=1", "--confirm-pairs=1", *outputs, "--results=deep")
    assert done.returncode == 1, done.stderr
    lines = told(done)
    (path,) = (project.path / "deep").glob("pairs_*.jsonl")
    assert lines[:2] == ["starting both sides", f"10 cases on both sides; pairs go to deep/{path.name}"]
    assert lines[2].startswith("expected: about 12 s for 1 pair of 10 cases; ")
    assert lines[3].startswith("screen 1 of 1: 10 cases in ")
    assert f"\npairs: deep/{path.name}\n\nfails on latency, failures, missing, incomplete: 6\n" in done.stdout
    broken = f"{project.path}/broken.onnx is no ONNX model, or is cut short (8 bytes): it does not parse; write or "
    written = json.loads((project.path / "a.json").read_text())
    assert {row["case_id"].partition("::")[0]: (row["verdict"], row["text"]) for row in written["rows"][1:]} == {
        "open_dies_on_current": ("new failure", DEATH.format("session")),
        "turn_dies_on_current": ("new failure", DEATH.format("timing")),
        "turn_fails_on_current": (
            "new failure",
            "runtime error in stage timing: the run failed: RuntimeError: no more",
        ),
        "new_failure": ("new failure", f"model error in stage model: {broken}download it again"),
        "fixed_failure": ("fixed failure", "was model error"),
        "left_out": ("skipped now", "was run, is skipped now: too slow here"),
        "gone": ("missing model", "1 case in all"),
        "added": ("new model", "1 case in all"),
    }
    assert Counter(row["topic"] for row in written["rows"]) == {"latency": 1, "failures": 5, "missing": 3}
    assert written["rows"][0]["case_id"] == "good::benchmark[cpu]"
    assert sorted(written["still_failing"]) == ["fails::benchmark[cpu]", "open_dies_on_both::benchmark[cpu]"]
    assert len((project.path / "a.csv").read_text().splitlines()) == 1 + len(written["rows"])
    assert "- new failure: `new_failure::benchmark[cpu]`: model error" in (project.path / "deep/a.md").read_text()
    assert "turn_dies_on_current::benchmark[cpu]" in (project.path / "a.html").read_text()


@pytest.mark.slow
def test_a_case_that_fails_in_a_later_pair_gets_no_more_and_stays_failed(project: AbProject) -> None:
    project.models("second_fails_on_current", "good")
    done = project.ab(CURRENT, *QUICK, "--screen-pairs=3", "--confirm-pairs=1", "--fail-on=failures")
    assert done.returncode == 1, done.stderr
    assert "failures: 1 new failure\n" in done.stdout
    stored = project.stored
    failing = [each for each in stored.records if each.case_id.startswith("second_fails")]
    assert [(each.round, each.record.outcome) for each in failing if each.side == "current"] == [
        (0, "passed"),
        (1, "failed"),
    ]
    assert [place for place in places(stored.pairs) if place[0] == "screen"] == [
        ("screen", 0, "good"),
        ("screen", 0, "second_fails_on_current"),
        ("screen", 1, "good"),
        ("screen", 2, "good"),
    ]


@pytest.mark.slow
def test_a_side_whose_interpreter_ends_is_started_again(project: AbProject) -> None:
    project.models("good", "interpreter_ends_on_current")
    done = project.ab(CURRENT, *QUICK, "--screen-pairs=1", "--confirm-pairs=1", "--fail-on=failures")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in told(done) if line.endswith("it is started again")]
    assert line == "  it printed nothing; it is started again"
    assert (
        f"interpreter_ends_on_current::benchmark[cpu]: the current side, {sys.executable}: the process is gone:"
        in told(done)
    )
    assert [place for place in places(project.stored.pairs) if place[0] == "screen"] == [
        ("screen", 0, "good"),
        ("screen", 0, "interpreter_ends_on_current"),
    ]
    assert (
        Counter((each.side, each.case_id, each.stage, each.round) for each in project.stored.records).most_common(1)[0][
            1
        ]
        == 1
    )
