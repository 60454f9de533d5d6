"""Recorded short runs, decided again: none is accused of what it is not, a twelvefold slowdown is always found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ortperf.reports.comparison.gross import CaseClass, bounds_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "gross-changes.md"


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    """Let the scripts' modules be imported as they import each other."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.slow
def test_one_run_is_never_slower_or_faster_than_the_next_one() -> None:
    from gross_replay import DATA, read_runs, same_table, same_verdicts

    verdicts = same_verdicts(read_runs(DATA))
    assert sum(counts.total() for counts in verdicts.values()) > 3000
    assert {verdict for counts in verdicts.values() for verdict in counts} <= {"SAME", "UNSURE"}
    assert same_table(verdicts) in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_model_twelve_times_as_slow_is_always_found_on_an_idle_machine() -> None:
    from gross_replay import DATA, planted_table, planted_verdicts, read_runs

    found = planted_verdicts(read_runs(DATA))
    idle = [counts for key, counts in found.items() if key.factor == 12 and not key.load]
    assert sum(counts.total() for counts in idle) > 100
    assert {verdict for counts in idle for verdict in counts} == {"SLOWER"}
    assert planted_table(found) in PAGE.read_text(encoding="utf-8")


def test_the_bounds_lie_above_what_they_were_derived_from() -> None:
    from gross_replay import BOUNDS_DATA, derive, read_runs

    table = derive(read_runs(BOUNDS_DATA)).partition("\n\n")[0]
    assert table in PAGE.read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) == 15
    for median, threads, calm, *_, largest, closest in rows:
        found = CaseClass(is_slow=median == "1 ms or more", is_alone=threads == "one", on_device=False)
        bounds = bounds_of(found)[calm]
        assert float(largest) < bounds.single
        assert float(closest) < bounds.several


@pytest.mark.slow
def test_what_users_are_promised_of_one_thread_is_found() -> None:
    from gross_replay import DATA, planted_verdicts, read_runs

    for kind, counts in planted_verdicts(read_runs(DATA)).items():
        promised = kind.factor >= (2 if kind.runs == 1 else 1.5)
        if promised:
            assert counts["SLOWER"] / counts.total() > 0.9, kind
