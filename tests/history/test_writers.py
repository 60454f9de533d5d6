"""Many writers at once, killed ones, a server that goes away in the middle: nothing is lost, and nothing twice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from history.runs import Server, records, write_run
from history.writer import GAVE_UP, start
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.store import History

pytestmark = pytest.mark.slow

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


class Writers:
    """Writers that run at once."""

    def __init__(self, url: str, shares: Sequence[Sequence[Path]], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._answers = [folder / f"{number}" for number in range(len(shares))]
        self.running = [start(url, each, answer) for each, answer in zip(shares, self._answers, strict=True)]

    def end(self) -> list[str]:
        """Wait for all and return what those that gave up said."""
        for writer in self.running:
            writer.join(120)
        assert {writer.exitcode for writer in self.running} <= {0, GAVE_UP}
        return [answer.read_text() for answer in self._answers if answer.exists()]

    def kill(self, dice: random.Random) -> int:
        """Kill all, one after the other, and return how many had not come to their end."""
        for writer in self.running:
            time.sleep(dice.random() * 0.1)
            writer.kill()
            writer.join()
        return [writer.exitcode for writer in self.running].count(-signal.SIGKILL)


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
    assert Writers(url, shares(files, 4), tmp_path / "first").end() == []
    assert content(open_history(url)) == expected


def test_writers_of_one_file_are_killed(files: list[Path], expected: dict[str, object], tmp_path: Path) -> None:
    check_killed(str(tmp_path / "history.db"), files, expected, 4, tmp_path)


def test_eight_writers_of_a_server(
    server: Server, files: list[Path], expected: dict[str, object], tmp_path: Path
) -> None:
    url = server.new_database("eight")
    assert Writers(url, shares(files, 8), tmp_path / "first").end() == []
    assert content(open_history(url)) == expected


def test_writers_of_a_server_are_killed(
    server: Server, files: list[Path], expected: dict[str, object], tmp_path: Path
) -> None:
    check_killed(server.new_database("killed"), files, expected, 8, tmp_path)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_is_restarted_in_the_middle(
    server: Server, files: list[Path], expected: dict[str, object], tmp_path: Path, mode: str
) -> None:
    url = server.new_database(f"restarted_{mode}")
    writers = Writers(url, shares(files, 8), tmp_path / "first")
    wait_for(url, 2)
    server.stop(mode)
    time.sleep(0.5)
    server.start()
    given_up = writers.end()
    assert all("connect" in text or "terminat" in text for text in given_up), given_up
    # what a user does who was told that a run was not added
    assert Writers(url, shares(files, 8), tmp_path / "again").end() == []
    assert content(open_history(url)) == expected


def check_killed(url: str, files: Sequence[Path], expected: dict[str, object], count: int, folder: Path) -> None:
    """Kill writers at any moment, start others in their place, and let these come to their end."""
    writers = Writers(url, shares(files, count), folder / "killed")
    wait_for(url, 2)
    assert writers.kill(random.Random(2)) > 0  # noqa: S311
    assert open_history(url).count()["run"] < len(files)
    assert Writers(url, shares(files, count), folder / "again").end() == []
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
