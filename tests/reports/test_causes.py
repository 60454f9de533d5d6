from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.causes import Cause, failure_causes, remark_causes
from pytest_ortperf.reports.ci_output import ci_lines
from pytest_ortperf.reports.markdown import run_markdown
from pytest_ortperf.reports.page.run_page import run_page
from pytest_ortperf.reports.tables.rows import sorted_rows
from pytest_ortperf.reports.terminal.summary import summary_lines
from record_examples import make_failure, make_record, make_run
from reports.page.examples import data_of, words


def failed(model: str, message: str, kind: str = "session error") -> Record:
    return make_record(model, mode="validate", outcome="failed", failure=make_failure(kind=kind, message=message))


def causes(*records: Record) -> list[Cause]:
    return failure_causes(sorted_rows(make_run(records)))


def test_messages_of_one_cause_differ_in_names_numbers_and_paths_alone() -> None:
    found = causes(
        failed("a", "no session: Load model from /x/a/model.onnx failed: node 'n1' of 12\nmore"),
        failed("bb", 'no session: Load model from ./y/bb/m.onnx failed: node "other" of 7'),
        failed("c", "no session: NotImplemented"),
        failed("d", "it ran out of memory", kind="runtime error"),
    )
    assert [cause.title for cause in found] == [
        "2 failed: session error: no session: Load model from /x/a/model.onnx failed: node 'n1' of 12 (or similar)",
        "1 failed: session error: no session: NotImplemented",
        "1 failed: runtime error: it ran out of memory",
    ]


def test_a_failure_without_a_message_is_named_by_its_outcome() -> None:
    assert [cause.title for cause in causes(make_record(outcome="timed_out"))] == ["1 timed out"]


SEVERAL = make_run(
    [
        *(failed(f"model-{number}", f"output 'y{number}' is off by 0.{number}") for number in range(4)),
        *(
            make_record(f"model-{number}", outcome="skipped", reason=f"validation failed: y{number} is off")
            for number in range(3)
        ),
        make_record("gone", outcome="crashed", failure=make_failure(kind="crash", message="crashed with signal 11")),
        make_record("late", outcome="timed_out", failure=make_failure(kind="timeout", message="timed out after 3 s")),
        *(make_record(f"other-{number}", outcome="skipped", reason="needs a GPU") for number in range(2)),
    ]
)


def test_every_output_gives_the_same_causes_in_the_same_words() -> None:
    rows = sorted_rows(SEVERAL)
    failures, remarks = failure_causes(rows), remark_causes(rows)
    assert [cause.title for cause in failures] == [
        "4 failed: session error: output 'y0' is off by 0.0 (or similar)",
        "1 crashed with signal 11",
        "1 timed out after 3 s",
    ]
    assert [cause.title for cause in remarks] == ["2 skipped: needs a GPU"]
    assert [cause.consequence for cause in failures] == ["3 benchmarks not run because of it", "", ""]
    outputs = {
        "terminal": "\n".join(text for text, _ in summary_lines(SEVERAL, width=120, files=(), results=Path("result"))),
        "page": words(run_page(SEVERAL)),
        "annotations": "\n".join(ci_lines(SEVERAL, (), {"GITHUB_ACTIONS": "true"})),
    }
    for name, text in outputs.items():
        for cause in [*failures, *(remarks if name != "annotations" else [])]:
            assert cause.title in text, name
        assert "3 benchmarks not run because of it" in text, name
    markdown = re.sub("[`]", "", run_markdown(SEVERAL))
    assert "| 4 failed | session error: output 'y0' is off by 0.0 (or similar)<br>3 benchmarks not run" in markdown
    assert "| 2 skipped | needs a GPU |" in markdown


def test_a_cause_on_the_page_shows_its_cases_and_what_they_kept_from_running() -> None:
    data = data_of(run_page(SEVERAL))
    of_first = [row["model"] for row in data["rows"] if 0 in row.get("causes", [])]
    assert of_first == [f"model-{number}" for number in range(4)]
    assert data["causes"][0] == "failed: session error: output 'y0' is off by 0.0 (or similar)"
    assert [row["model"] for row in data["rows"] if 3 in row.get("causes", [])] == ["other-0", "other-1"]


@pytest.mark.parametrize("text", ["'a'", '"a"', "/data/a", "0x1f", "-1.5e-3"])
def test_what_varies_does_not_tell_causes_apart(text: str) -> None:
    other = {"'": "'b c'", '"': '"b c"', "/": "~/b/c.onnx", "0": "0xab", "-": "7"}[text[0]]
    (cause,) = causes(failed("a", f"found {text} here"), failed("b", f"found {other} here"))
    assert len(cause.records) == 2
