"""Many writers at once, killed ones, a server that goes away in the middle: nothing is lost, and nothing twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from history.runs import Server, records, write_run
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.store import History

pytestmark = pytest.mark.slow

WRITER = Path(__file__).with_name("writer.py")
MODELS = [f"model{number}" for number in range(12)]
RUNS_EACH = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder, f"202611{day:02}-{hour:02}0000", records(day + hour / 24, MODELS))
        for day in range(1, 9)
        for hour in range(RUNS_EACH)
    ]


@pytest.fixture(scope="module")
def expected(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a history holds that one writer made in peace."""
    history = open_history(str(tmp_path_factory.mktemp("alone") / "history.db"), create=True)
    for path in files:
        history.add(kept_records(path))
    return content(history)


def content(history: History) -> dict[str, object]:
    """Return everything but the order of adding, which is as it comes."""
    runs = {run.id: run.run for run in history.runs()}
    return {
        "runs": sorted(runs.values()),
        "lines": {name: history.record_lines(number) for number, name in runs.items()},
        "series": history.series(),
        "points": sorted((runs[point.run], point.series, point.value, point.low or 0) for point in history.points()),
        "outcomes": sorted((runs[each.run], each.number, each.nodeid, each.outcome) for each in history.outcomes()),
    }


def start(url: str, paths: Sequence[Path]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(WRITER), url, *map(str, paths)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(writers: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for writers and return what those that gave up said."""
    answers = [(writer, *writer.communicate(timeout=120)) for writer in writers]
    assert all("Traceback" not in err for _, _, err in answers)
    return [err for writer, _, err in answers if writer.returncode]


def shares(files: Sequence[Path], writers: int) -> list[list[Path]]:
    """Return the files of each writer: its own, and all of its neighbour's too."""
    own = [list(files[number::writers]) for number in range(writers)]
    mixed = [[*first, *second] for first, second in zip(own, own[1:] + own[:1], strict=True)]
    dice = random.Random(1)  # noqa: S311
    for each in mixed:
        dice.shuffle(each)
    return mixed


def test_four_writers_of_one_file(files: list[Path], expected: dict[str, object], tmp_path: Path) -> None:
    url = str(tmp_path / "history.db")
    assert end([start(url, share) for share in shares(files, 4)]) == []
    assert content(open_history(url)) == expected


def test_writers_of_one_file_are_killed(files: list[Path], expected: dict[str, object], tmp_path: Path) -> None:
    check_killed(str(tmp_path / "history.db"), files, expected, writers=4)


def test_eight_writers_of_a_server(server: Server, files: list[Path], expected: dict[str, object]) -> None:
    url = server.new_database("eight")
    assert end([start(url, share) for share in shares(files, 8)]) == []
    assert content(open_history(url)) == expected


def test_writers_of_a_server_are_killed(server: Server, files: list[Path], expected: dict[str, object]) -> None:
    check_killed(server.new_database("killed"), files, expected, writers=8)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_is_restarted_in_the_middle(
    server: Server, files: list[Path], expected: dict[str, object], mode: str
) -> None:
    url = server.new_database(f"restarted_{mode}")
    writers = [start(url, share) for share in shares(files, 8)]
    wait_for(url, 2)
    server.stop(mode)
    time.sleep(0.5)
    server.start()
    before = open_history(url).count()["run"]
    given_up = end(writers)
    assert all("not answer" in text or "connection" in text or "terminat" in text for text in given_up), given_up
    # what a user does who was told that a run was not added
    assert end([start(url, share) for share in shares(files, 8)]) == []
    assert content(open_history(url)) == expected
    assert before > 0


def check_killed(url: str, files: Sequence[Path], expected: dict[str, object], writers: int) -> None:
    """Kill writers at any moment, start others in their place, and let the last ones come to their end."""
    dice = random.Random(2)  # noqa: S311
    running = [start(url, share) for share in shares(files, writers)]
    for writer in running:
        assert writer.stdout is not None
        writer.stdout.readline()
    wait_for(url, 2)
    for writer in running:
        time.sleep(dice.random() * 0.1)
        writer.kill()
        writer.communicate()
    assert -9 in {writer.returncode for writer in running}
    assert open_history(url).count()["run"] < len(files)
    assert end([start(url, share) for share in shares(files, writers)]) == []
    assert content(open_history(url)) == expected


def wait_for(url: str, runs: int) -> None:
    """Wait until some runs are in."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if open_history(url).count()["run"] >= runs:
                return
        except Exception:  # noqa: BLE001, S110 - it is not there yet
            pass
        time.sleep(0.05)
    pytest.fail(f"no {runs} runs within a minute")
