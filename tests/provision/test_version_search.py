"""Which version is tried next, how many steps that takes, and the file that keeps them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.provision.version_search import (
    BAD,
    GOOD,
    SKIPPED,
    Step,
    VersionSearch,
    lines_of,
    read_state,
    write_state,
)

QUESTION = {"good": "1.0", "bad": "1.9", "options": ["-k", "bert"]}


def step(version: str, verdict: str, **more: Any) -> Step:
    return Step(version=version, verdict=verdict, text=f"is {verdict}", seconds=1.5, **more)


def search(*versions: str) -> VersionSearch:
    return VersionSearch(question=QUESTION, started="2026-11-30T12:00:00+00:00", versions=versions)


def searched(count: int, verdict_of: Callable[[int], str]) -> VersionSearch:
    """Return a finished search over versions called by their numbers."""
    names = [f"1.{number}" for number in range(count)]
    found = search(*names).with_step(step(names[-1], BAD))
    while (version := found.next_version()) is not None:
        left = found.steps_left()
        found = found.with_step(step(version, verdict_of(names.index(version))))
        assert found.steps_left() <= left
    return found


@pytest.mark.parametrize("count", [2, 3, 4, 7, 14, 16, 17])
def test_each_place_is_found_in_few_steps(count: int) -> None:
    for first_bad in range(1, count):
        found = searched(count, lambda number, first_bad=first_bad: BAD if number >= first_bad else GOOD)
        assert (found.last_good, found.first_bad) == (f"1.{first_bad - 1}", f"1.{first_bad}")
        assert len(found.steps) <= math.ceil(math.log2(count)) + 1


@pytest.mark.parametrize("count", [3, 8, 14])
def test_what_cannot_be_judged_leaves_a_range_that_holds_the_change(count: int) -> None:
    for first_bad, broken in itertools.product(range(1, count), range(1, count - 1)):

        def verdict(number: int, first_bad: int = first_bad, broken: int = broken) -> str:
            return SKIPPED if number == broken else BAD if number >= first_bad else GOOD

        found = searched(count, verdict)
        low, high = (int(version[2:]) for version in (found.last_good, found.first_bad))
        assert low < first_bad <= high
        assert set(range(low + 1, high)) <= {broken}
        assert [each.version for each in found.skipped] == [f"1.{number}" for number in range(low + 1, high)]


def test_the_number_of_steps_is_known_beforehand() -> None:
    found = search("1.0", "1.1", "1.2", "1.3", "1.9")
    assert found.steps_left() == 3
    assert found.with_step(step("1.9", BAD)).steps_left() == 2


def test_nightly_builds_go_between_the_releases_they_led_to() -> None:
    found = search("1.0", "1.1", "1.2").with_step(step("1.2", BAD)).with_step(step("1.1", GOOD))
    assert found.next_version() is None
    more = found.with_versions_between(["1.2.0.dev20261101", "1.2.0.dev20261102"])
    assert more.versions == ("1.0", "1.1", "1.2.0.dev20261101", "1.2.0.dev20261102", "1.2")
    assert more.next_version() == "1.2.0.dev20261102"
    assert more.with_versions_between(["1.2.0.dev20261101"]).versions == more.versions


def test_a_search_is_gone_on_with_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a/search.json"
    found = search("1.0", "1.1", "1.9").with_step(
        step("1.9", BAD, log_ratio=0.1, ratio_interval=(1.05, 1.15), pairs="p")
    )
    assert read_state(path, QUESTION) is None
    write_state(path, found)
    assert read_state(path, QUESTION) == found


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"question": {**QUESTION, "options": []}}, {"versions": None}],
    ids=["other schema", "other question", "damaged"],
)
def test_a_file_that_holds_no_such_search_is_left_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "search.json"
    write_state(path, search("1.0", "1.9"))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert read_state(path, QUESTION) is None


@pytest.mark.parametrize("text", ['{"schema": 1, "quest', "[]", ""])
def test_half_a_file_is_no_search(tmp_path: Path, text: str) -> None:
    path = tmp_path / "search.json"
    path.write_text(text)
    assert read_state(path, QUESTION) is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "result").touch()
    path = tmp_path / "result/search.json"
    with pytest.raises(ResultsFileError) as caught:
        write_state(path, search("1.0", "1.9"))
    assert str(caught.value) == f"{path}: was not written: File exists. Give another --results=DIR."


def test_the_table_has_what_was_tried_in_the_order_of_versions() -> None:
    found = search("1.0", "1.1", "1.2", "1.10").with_step(step("1.10", BAD)).with_step(step("1.1", SKIPPED))
    assert list(lines_of(found)) == [
        "1.0   good     the good end",
        "1.1   skipped  is skipped",
        "1.10  bad      is bad",
    ]
