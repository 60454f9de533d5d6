"""What is said of a case while it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_ortperf.execution.record_builder import Journal
from pytest_ortperf.recording.progress import recent_notes, status_text

CASE = "bert::benchmark[cpu]"


def progress(iterations: int = 84, half_width: float | None = 0.014, **changes: object) -> dict[str, object]:
    values = {"timing": "host", "iterations": iterations, "half_width": half_width, "target": 0.01, "seconds_left": 3.2}
    return values | changes


@pytest.fixture
def journal() -> Iterator[Journal]:
    found = Journal()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("notes", "elapsed_s", "text"),
    [
        ({}, 0.6, "bert::benchmark[cpu]: starting, 1 s"),
        ({"stage": "session"}, 7.4, "bert::benchmark[cpu]: creating the session, 7 s"),
        ({"stage": "comparison"}, 200, "bert::benchmark[cpu]: comparison, 3 min"),
        (
            {"stage": "timing", "progress": progress()},
            9,
            "bert::benchmark[cpu] host: n=84, half-width 1.4 % -> 1.0 %, 3 s left",
        ),
        ({"progress": progress(half_width=None, seconds_left=None)}, 9, "bert::benchmark[cpu] host: n=84"),
        ({"progress": progress(target=None)}, 9, "bert::benchmark[cpu] host: n=84, half-width 1.4 %, 3 s left"),
    ],
)
def test_text_of_a_case(notes: dict[str, object], elapsed_s: float, text: str) -> None:
    assert status_text(CASE, notes, elapsed_s) == text


def test_the_last_progress_is_found_behind_long_samples(journal: Journal) -> None:
    journal.note(pid=1, nodeid="models.json::" + CASE, case=CASE)
    for count in (1, 2, 3):
        journal.note(samples={"timing": "host", "ns": [123456] * 5000, "warmup": 3})
        journal.note(progress=progress(count))
    notes = recent_notes(journal.notes_descriptor)
    assert (notes["case"], notes["progress"]["iterations"]) == (CASE, 3)


def test_a_new_stage_ends_the_progress_of_the_one_before(journal: Journal) -> None:
    journal.note(pid=1, case=CASE)
    journal.note(stage="timing")
    journal.note(progress=progress())
    journal.note(stage="profile")
    assert recent_notes(journal.notes_descriptor) == {"pid": 1, "case": CASE, "stage": "profile"}


def test_a_journal_without_notes_is_about_no_case(journal: Journal) -> None:
    assert recent_notes(journal.notes_descriptor) == {}
    journal.note(pid=1, case=CASE)
    journal.reset()
    assert recent_notes(journal.notes_descriptor) == {}
