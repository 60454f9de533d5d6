"""The script that compares results before and after a change: what it ignores, and how it shows differences."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RECORD = {
    "case_id": "net::validate[cpu]",
    "duration_ns": 12,
    "shape": [1, 2],
    "outputs": [{"name": "y"}, {"name": "z"}],
}
CELLS = "model,status,p50_ms\nnet,pass,1.5\nother,fail,\n"
JUNIT = """<testsuites><testsuite name="pytest" tests="1"><testcase name="net" time="0.1"><properties>
<property name="ortperf.mode" value="validate" /></properties><failure message="is 2 instead of 3">text</failure>
</testcase></testsuite></testsuites>"""


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    """Let the scripts' modules be imported as they import each other."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def compare() -> ModuleType:
    import same_results_compare

    return same_results_compare


def values(folder: Path, **changes: str) -> dict[str, Any]:
    """Return a document of a record, a table, a JUnit file and a text, after replacing words in each."""
    from same_results_document import Document, Replacement, Volatile

    def changed(text: str) -> str:
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    document = Document(
        (Volatile("*_ns", "time"), Volatile("*@time", "time"), Volatile("csv/*_ms", "time")),
        (Replacement(r"\b\d{4}-\d\d-\d\d\b", "<date>", "date"),),
    )
    document.words["/some/where"] = "<folder>"
    document.add_tree("record", "run: net", json.loads(changed(json.dumps(RECORD))))
    table, junit = folder / "table.csv", folder / "junit.xml"
    table.write_text(changed(CELLS), encoding="utf-8")
    junit.write_text(changed(JUNIT), encoding="utf-8")
    document.add_table("csv/status", "run", table)
    document.add_junit("junit", "run", junit)
    document.add_text("message", changed("made on 2026-01-02\nin /some/where/result"))
    made: dict[str, Any] = document.values()
    return made


@pytest.mark.parametrize("changes", [{}, {"12": "13", "0.1": "0.2", "1.5": "1.7", "2026-01-02": "2027-03-04"}])
def test_what_is_volatile_makes_no_difference(compare: ModuleType, tmp_path: Path, changes: dict[str, str]) -> None:
    assert compare.differences(values(tmp_path), values(tmp_path, **changes)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("shape", "size", ["removed: record/shape", "added:   record/size"]),
        ("duration_ns", "time_ns", ["removed: record/duration_ns", "added:   record/time_ns"]),
        (
            "[1, 2]",
            "[1, 3]",
            ["changed: record/shape: - [1, 2] of run: net", "changed: record/shape: + [1, 3] of run: net"],
        ),
        (
            '"z"',
            '"w"',
            [
                'changed: record/outputs/#/name: - ["y", "z"] of run: net',
                'changed: record/outputs/#/name: + ["y", "w"] of run: net',
            ],
        ),
        (
            "fail,",
            "pass,",
            [
                "changed: csv/status/status: - fail of run: other",
                "changed: csv/status/status: - pass of run: net",
                "changed: csv/status/status: + pass of run: net | run: other",
            ],
        ),
        (
            "ortperf.mode",
            "ortperf.kind",
            ["removed: junit/property/ortperf.mode", "added:   junit/property/ortperf.kind"],
        ),
        (
            "instead of",
            "and not",
            [
                "changed: junit/failure@message: - is 2 instead of 3 of run: net",
                "changed: junit/failure@message: + is 2 and not 3 of run: net",
            ],
        ),
        ("/result", "/results", ["changed: message: - in <folder>/result", "changed: message: + in <folder>/results"]),
    ],
)
def test_what_changed_is_shown(compare: ModuleType, tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    found = compare.differences(values(tmp_path), values(tmp_path, **{old: new}))
    assert sorted(found) == sorted(expected)


def test_column_is_part_of_its_table(compare: ModuleType, tmp_path: Path) -> None:
    found = compare.differences(values(tmp_path), values(tmp_path, p50_ms="median_ms"))
    assert found == [
        "changed: csv/status/columns in order: - model,status,p50_ms of run",
        "changed: csv/status/columns in order: + model,status,median_ms of run",
        "added:   csv/status/median_ms",
        "removed: csv/status/p50_ms",
    ]


def test_intended_changes_can_be_left_out(compare: ModuleType, tmp_path: Path) -> None:
    assert compare.differences(values(tmp_path), values(tmp_path, shape="size"), ["record/s*"]) == []


def test_many_values_are_a_digest_that_tells_of_each() -> None:
    from same_results_document import grouped

    cells = {f"case {number}": [str(number)] for number in range(50)}
    short = grouped(cells, few=12)
    assert short.startswith("50 values of 50 items #")
    assert grouped({**cells, "case 7": ["8"]}, few=12) != short
    assert len(grouped(cells, few=math.inf)) == 50


def test_volatile_table_has_a_reason_for_each() -> None:
    import same_results

    assert all(rule.reason for rule in (*same_results.VOLATILE, *same_results.TEXTS))
