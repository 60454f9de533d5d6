"""The page of a run as bytes: what is in it, and what is not."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from pytest_ortperf.quantities import QUANTITIES
from pytest_ortperf.reports.page.page_data import COLUMNS
from pytest_ortperf.reports.page.run_page import run_page
from pytest_ortperf.reports.terminal.notes import LETTERS, WORDS
from record_examples import make_failure, make_latency, make_record, make_run, whole_record
from reports.page.examples import data_of, hostile, many, words
from reports.pictures.examples import make_picture


def test_the_same_run_makes_the_same_bytes() -> None:
    run = make_run([whole_record()])
    assert run_page(run) == run_page(run)
    packed = re.search(r'id="data">([^<]*)<', run_page(run))
    assert packed is not None
    assert base64.b64decode(packed[1])[4:8] == b"\0\0\0\0"  # no time in gzip's header


def test_the_answer_comes_first() -> None:
    failure = make_failure(kind="session error", message="no session: Fail")
    records = [
        make_record("a", outcome="failed", failure=failure),
        make_record("b"),
        make_record("c", outcome="skipped"),
    ]
    text = words(run_page(make_run(records)))
    assert (
        "1 of 3 cases of 3 models failed 1 passed 1 failed 1 skipped run 20261123-210146 · ONNX Runtime 1.31.1" in text
    )
    assert "Failed, by cause 1 failed: session error: no session: Fail a::benchmark[cpu]" in text
    assert "Nothing failed" not in text


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        ((), "No case was run"),
        (("passed",), "1 case of 1 model, none failed"),
        (("passed", "xfailed"), "2 cases of 2 models, none failed"),
        (("skipped", "skipped"), "2 cases of 2 models, all skipped"),
        (("crashed", "timed_out", "passed"), "2 of 3 cases of 3 models failed"),
    ],
)
def test_the_headline_counts(outcomes: tuple[str, ...], line: str) -> None:
    records = [make_record(f"m{number}", outcome=outcome) for number, outcome in enumerate(outcomes)]
    assert f'<h1 id="answers">{line}</h1>' in run_page(make_run(records))


def test_a_run_that_did_not_end_says_so() -> None:
    page = run_page(dataclasses.replace(make_run([make_record()]), end=None))
    assert "The run did not come to its end: cases may be missing here." in page


def test_validation_and_benchmark_of_a_case_are_one_row() -> None:
    validation = make_record(mode="validate", outcome="failed", failure=make_failure())
    data = data_of(run_page(make_run([make_record(), validation, make_record("other")])))
    assert [[case["case"] for case in row["cases"]] for row in data["rows"]] == [
        ["bert::validate[cpu]", "bert::benchmark[cpu]"],
        ["other::benchmark[cpu]"],
    ]
    assert data["rows"][0]["word"] == "runtime error"


def test_a_case_has_all_its_details() -> None:
    data = data_of(run_page(make_run([whole_record()])))
    (case,) = data["rows"][0]["cases"]
    titles = [block["title"] for block in case["blocks"]]
    assert titles == [
        "Latency",
        "Placement of 5 nodes",
        "Operators by time",
        "Accuracy",
        "Session",
        "Model",
        "Inputs",
        "Time in each stage, s",
        "Process",
    ]
    bars = next(block["bars"] for block in case["blocks"] if "bars" in block)
    assert bars == [["CUDA", 5, False, "3 MatMul, 2 Add"]]
    assert data["rows"][0]["values"]["latency_p50_ms"] == 2.0


def test_columns_are_quantities_and_only_those_with_values_are_shown() -> None:
    assert {column.quantity for column in COLUMNS} <= {quantity.name for quantity in QUANTITIES}
    data = data_of(run_page(make_run([make_record(session=None)])))
    assert data["columns"] == []


def test_the_policy_allows_this_style_and_script_and_nothing_else() -> None:
    page = run_page(many(3))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    blocks = {tag: re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("style", "script")}
    for tag, (text,) in blocks.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy.replace("&#43;", "+")
    assert policy.startswith("default-src &#39;none&#39;; ")
    assert "style=" not in page.partition("</style>")[2].partition("<script>")[0]
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)


def test_no_text_of_others_becomes_markup() -> None:
    page = run_page(hostile())
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "</template>{{" not in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
    data = json.dumps(data_of(page))
    assert "\\u001b" not in data
    assert "\\u202e" not in data.replace("\\\\u202e", "")


def test_each_note_of_the_terminal_has_a_word_on_the_page() -> None:
    assert WORDS.keys() == LETTERS.keys()
    shaky = dataclasses.replace(make_latency(*[1.0, 1.02, 1.1] * 10), status="unstable", steady=False)
    record = make_record(latencies=(shaky,), validation="never validated", assumed_dims={"batch": 1})
    (row,) = data_of(run_page(make_run([record])))["rows"]
    assert row["notes"] == [
        ["never validated", LETTERS["v"]],
        ["unstable", LETTERS["u"]],
        ["not steady", LETTERS["w"]],
        ["assumed sizes", "sizes were assumed: batch=1"],
    ]


def test_wrong_outputs_are_a_note_of_what_was_measured_with_them() -> None:
    wrong = make_record(mode="validate", outcome="failed", failure=make_failure(kind="result accuracy issue"))
    benchmark = make_record(latencies=(make_latency(1.0),), started="2026-11-23T21:01:48+00:00")
    rows = data_of(run_page(make_run([wrong, benchmark, dataclasses.replace(wrong, model="t5")])))["rows"]
    assert [(row["model"], row.get("notes")) for row in rows] == [
        ("bert", [["wrong outputs", LETTERS["f"]]]),
        ("t5", None),
    ]


def test_groups_are_named_once_and_rows_point_to_them() -> None:
    records = [make_record("a", group="zoo"), make_record("b", group="ours"), make_record("c")]
    data = data_of(run_page(make_run(records)))
    assert data["groups"] == ["zoo", "ours"]
    assert [row.get("group") for row in data["rows"]] == [0, 1, None]


def test_a_case_has_the_commands_that_the_terminal_gives() -> None:
    commands = {"run it again": "pytest models.json::bert::benchmark[cpu]", "find the node": "ortperf bisect bert"}
    failed = make_record("t5", outcome="failed", failure=make_failure(message="it broke"), commands=commands)
    rows = data_of(run_page(make_run([make_record(commands=commands), failed])))["rows"]
    found = [[(it["title"], it["text"]) for it in row["cases"][0]["blocks"] if "text" in it] for row in rows]
    wanted = [("Run it again", commands["run it again"]), ("Find the node", commands["find the node"])]
    assert found == [wanted, [("runtime error in timing", "it broke"), *wanted]]


def test_error_pictures_are_in_the_page_once() -> None:
    record = make_record(mode="validate", outcome="failed", failure=make_failure(), error_pictures=(make_picture(),))
    page = run_page(make_run([record]))
    assert page.count('<template id="pictures-0">') == 1
    assert data_of(page)["rows"][0]["cases"][0]["pictures"] == "pictures-0"


def test_100_models_on_6_variants_take_less_than_one_and_a_half_megabytes() -> None:
    assert len(run_page(many(20)).encode()) < 1_500_000 / 5


@pytest.mark.slow
def test_whole_100_models_on_6_variants_take_less_than_one_and_a_half_megabytes() -> None:
    assert len(run_page(many(100)).encode()) < 1_500_000


def test_the_assets_are_in_the_package() -> None:
    import pytest_ortperf.reports

    folder = Path(pytest_ortperf.reports.__file__).parent
    assert {path.name for path in (folder / "assets").iterdir()} >= {"page.css", "run.css", "main.js"}
    assert (folder / "templates" / "run_page.html").exists()
