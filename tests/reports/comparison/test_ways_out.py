"""UNSURE: the reason in a sentence, and the commands that settle it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_ortperf.records.record import ModelFact, Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.comparison.change_tables import markdown_text
from pytest_ortperf.reports.comparison.compared_side import side_of
from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
from pytest_ortperf.reports.comparison.run_comparison import Comparison, compare
from pytest_ortperf.reports.comparison.thresholds import FailOn
from pytest_ortperf.reports.comparison.ways_out import sentence, ways_out
from record_examples import make_environment, make_header, make_run
from reports.comparison.sides import fleet, timed


def run_with(records: list[Record], version: str = "1.31.0", **header: Any) -> StoredRun:
    options = {"mode": "benchmark", "ep": ["cpu"], "threads": "1"} | header.pop("options", {})
    environment = make_environment(
        fingerprint=header.pop("fingerprint", "one"), onnxruntime_distribution=f"onnxruntime {version}"
    )
    made = make_header(run="r1", environment=environment, options=options, **header)
    return make_run(records, header=made)


def compared(base: StoredRun, current: StoredRun, fail_on: FailOn | None = None) -> Comparison:
    return compare(side_of("old", [base]), side_of("new", [current]), fail_on or FailOn())


def hashed(record: Record, digest: str) -> Record:
    return dataclasses.replace(record, model_fact=ModelFact(path="m.onnx", byte=1, precision="fp32", sha256=digest))


A, B = [timed("a", 10)], [timed("a", 13)]
FEW = (
    "Only 1 case can be paired, and no canary was timed in both runs; 8 cases or a canary are needed to tell a slower "
    "machine from a slower model."
)


@pytest.mark.parametrize(
    ("base", "current", "what", "commands"),
    [
        (
            run_with(A),
            run_with(B, "1.32.0"),
            "measure both versions of ONNX Runtime in turns",
            ("ortperf ab --base-ort=1.31.0 --current-ort=1.32.0 --ortperf-threads=1 --ortperf-ep=cpu -k a",),
        ),
        (
            run_with([hashed(A[0], "1")], options={"models": ["old.json"]}),
            run_with([hashed(B[0], "2")], options={"models": ["new.json"]}),
            "measure both models in turns",
            ("ortperf ab --base-models=old.json --current-models=new.json --ortperf-threads=1 --ortperf-ep=cpu -k a",),
        ),
        (
            run_with([hashed(A[0], "1")], labels={"commit": "0123456789abcdef"}),
            run_with([hashed(B[0], "2")]),
            "measure both models in turns",
            (
                (
                    "ortperf ab --base-models=CHECKOUT_OF_0123456789/models.json --current-models=models.json "
                    "--ortperf-threads=1 --ortperf-ep=cpu -k a"
                ),
            ),
        ),
        (
            run_with(A),
            run_with(B, options={"threads": "2"}),
            "measure both settings in turns",
            (
                (
                    "ortperf ab --base-option=--ortperf-threads=1 --current-option=--ortperf-threads=2 "
                    "--ortperf-ep=cpu -k a"
                ),
            ),
        ),
        (
            run_with(A),
            run_with(B),
            "decide on a threshold of your choice",
            ("ortperf compare old new --threshold=20%",),
        ),
    ],
)
def test_what_differs_says_how_to_settle_it(
    base: StoredRun, current: StoredRun, what: str, commands: tuple[str, ...]
) -> None:
    (found,) = ways_out(compared(base, current))
    assert (found.reason, found.cases) == (FEW, ("a::benchmark[cpu]",))
    assert (found.what, found.commands) == (what, commands)


def noisy(command: tuple[str, ...], **header: Any) -> StoredRun:
    return run_with(fleet(noise=0.1, seed=len(command)), command=command, **header)


def test_few_runs_are_made_more() -> None:
    base = noisy(("pytest", "--ortperf-results=b"), options={"results": "b"})
    current = noisy(("pytest", "-k", "a or b", "--ortperf-results=c"), options={"results": "c"})
    found = ways_out(compared(base, current))[0]
    assert found.what == "make 2 more runs of each side and compare the folders"
    assert found.commands == (
        "pytest --ortperf-results=b",
        "pytest -k 'a or b' --ortperf-results=c",
        "ortperf compare b c",
    )
    found = ways_out(compared(noisy(("pytest",)), noisy(("pytest", "-q"))))[0]
    assert found.what == "make 3 more runs of each side and compare the folders"
    assert found.commands == (
        "pytest --ortperf-results=before",
        "pytest -q --ortperf-results=after",
        "ortperf compare before after",
    )


def test_a_threshold_that_cannot_be_told_is_no_reason_for_another() -> None:
    base, current = noisy(("pytest",)), noisy(("pytest", "-q"))
    found = ways_out(compared(base, current, FailOn(thresholds={"latency": 0.1})))
    assert found
    assert all(each.what.startswith("make 3 more runs") for each in found)


def test_reasons_are_sentences() -> None:
    assert sentence(FEW) == FEW
    assert sentence("the noise hides changes of up to 12.5 %") == "Noise hides changes of up to 12.5 %."
    assert sentence("it was measured on another machine") == "The two sides were measured on different machines."
    assert sentence("base: its warm-up did not become steady") == "Base: its warm-up did not become steady."


def test_the_closing_block_groups_by_reason_and_names_cases_in_full() -> None:
    names = [f"a_model_with_a_very_long_name_{'x' * 40}_{number}" for number in range(7)]
    comparison = compared(run_with([timed(name, 10) for name in names]), run_with([timed(name, 11) for name in names]))
    texts = [text for text, _ in comparison_lines(comparison, width=80)]
    start = texts.index("UNSURE 7: Only 7 cases can be paired, and no canary was timed in both runs; 8")
    assert texts[start + 1] == "  cases or a canary are needed to tell a slower machine from a slower model."
    assert " ".join(text.strip() for text in texts[start + 2 : -2]) == (
        f"{', '.join(f'{name}::benchmark[cpu]' for name in names[:6])} and 1 more"
    )
    assert texts[-2:] == [
        "  To settle it, decide on a threshold of your choice:",
        "    ortperf compare old new --threshold=20%",
    ]
    text = markdown_text(comparison)
    assert text.endswith(
        "To settle it, decide on a threshold of your choice.\n\n```console\n"
        "ortperf compare old new --threshold=20%\n```\n"
    )
