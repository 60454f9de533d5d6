"""Runs that were cut short, and cases that a run was not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_ortperf.records.environment.run_header import Selection
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.comparison.compared_side import Side, side_of
from pytest_ortperf.reports.comparison.run_comparison import compare, failing
from record_examples import make_end, make_environment, make_header, make_record, make_run

ALL = [make_record(model, provider) for model in ("alpha", "beta") for provider in ("cpu", "cuda")]


def run_with(records: list[Record], *, end: dict[str, Any] | None = None, **header: Any) -> StoredRun:
    options = {"mode": "both"} | header.pop("options", {})
    selection = Selection(**({"providers": ("cpu", "cuda")} | header.pop("selection", {})))
    environment = make_environment(fingerprint="one")
    made = make_header(run="r1", options=options, selection=selection, environment=environment, **header)
    return make_run(records, header=made, end=make_end(**(end or {})))


def named(name: str, *runs: StoredRun) -> Side:
    return side_of(name, runs)


def found(base: list[StoredRun], current: list[StoredRun]) -> tuple[list[str], list[str]]:
    """Return what is missing, and what was left out and why."""
    comparison = compare(named("base", *base), named("current", *current))
    missing = [f"{each.kind}: {each.case_id}" for each in failing(comparison, ("missing",))]
    return missing, [each.text for each in comparison.not_asked]


WHOLE = run_with(ALL)
ALPHA = ALL[:2]
BETA_IDS = tuple(record.nodeid for record in ALL[2:])


@pytest.mark.parametrize(
    ("run", "left_out"),
    [
        (run_with(ALPHA, end={"deselected": BETA_IDS}, selection={"keyword": "alpha"}), "-k 'alpha' left 2 cases"),
        (run_with(ALPHA, end={"deselected": BETA_IDS}, selection={"marker": "a or b"}), "-m 'a or b' left 2 cases"),
        (run_with(ALPHA, end={"deselected": BETA_IDS}), "a plugin left 2 cases"),
        (run_with(ALPHA, selection={"last_failed": True}), "--lf left 2 cases"),
        (
            run_with(ALPHA, selection={"arguments": ("models.json::alpha",)}),
            "its arguments (models.json::alpha) left 2 cases",
        ),
        (run_with(ALL[::2], providers=("cpu",), selection={"providers": ("cpu",)}), "--ortperf-ep left 2 cases"),
    ],
)
def test_cases_that_were_deselected_are_neither_missing_nor_new(run: StoredRun, left_out: str) -> None:
    assert found([WHOLE], [run]) == ([], [f"{left_out} out of current"])
    assert found([run], [WHOLE]) == ([], [f"{left_out} out of base"])
    assert compare(named("base", run), named("current", WHOLE)).changes == ()


def test_a_case_that_nothing_left_out_is_missing() -> None:
    assert found([WHOLE], [run_with(ALPHA)]) == (["missing model: beta"], [])
    other_model = run_with(ALPHA, end={"deselected": BETA_IDS[:1]}, selection={"keyword": "x"})
    assert found([WHOLE], [other_model]) == (["missing model: beta"], ["-k 'x' left 1 case out of current"])
    assert found([WHOLE], [run_with(ALL[:3])]) == (["missing: beta::benchmark[cuda]"], [])


def test_a_provider_that_auto_no_longer_finds_is_missing() -> None:
    run = run_with(ALL[::2], providers=("cpu",), selection={"providers": ("auto",)})
    assert found([WHOLE], [run])[0] == ["missing: alpha::benchmark[cuda]", "missing: beta::benchmark[cuda]"]


def test_a_model_that_left_the_list_is_missing_although_the_lists_have_other_names() -> None:
    run = run_with(
        [make_record("alpha", nodeid="new.json::alpha::benchmark[cpu]")], selection={"arguments": ("new.json",)}
    )
    assert found([run_with(ALL[::2])], [run]) == (["missing model: beta"], [])


@pytest.mark.parametrize(
    ("records", "base_options", "options", "left_out"),
    [
        ([make_record(mode="validate")], {}, {"mode": "validate"}, "--ortperf-mode left 1 case out of current"),
        ([], {"fp16": True}, {}, "--ortperf-fp16 left 1 case out of current"),
        ([], {"dim": ["batch=8"]}, {}, "--ortperf-dim left 1 case out of current"),
    ],
)
def test_options_that_choose_cases_leave_out_the_others(
    records: list[Record], base_options: dict[str, Any], options: dict[str, Any], left_out: str
) -> None:
    extra = {"fp16": {"precision": "fp16"}, "dim": {"dims": {"batch": 8}}}.get(next(iter(base_options), ""), {})
    shared = [make_record("alpha")] if base_options else []
    base = run_with([*shared, *records, make_record(**extra)], options=base_options)
    assert found([base], [run_with([*shared, *records], options=options)]) == ([], [left_out])


def test_every_run_of_a_side_has_to_leave_a_case_out() -> None:
    alpha = run_with(ALPHA, end={"deselected": BETA_IDS}, selection={"keyword": "alpha"})
    assert found([WHOLE], [alpha, alpha])[0] == []
    assert found([WHOLE], [alpha, run_with(ALPHA)])[0] == ["missing model: beta"]


@pytest.mark.parametrize(
    ("header", "end", "text"),
    [
        (
            {"collected": 32},
            None,
            "its records file has no end line, so it was killed or is still running; it holds 4 of 32 cases",
        ),
        ({}, None, "its records file has no end line, so it was killed or is still running; it holds 4 cases"),
        ({}, {"exit_status": 2, "collected": 9}, "it was stopped (interrupted); it holds 4 of 9 cases"),
        (
            {},
            {"stopped": "stopping after 1 failures", "collected": 9},
            "it was stopped (stopping after 1 failures); it holds 4 of 9 cases",
        ),
    ],
)
def test_a_run_that_was_cut_short_fails_either_side(
    header: dict[str, Any], end: dict[str, Any] | None, text: str
) -> None:
    run = make_run(ALL, header=make_header(run="r1", **header), end=None if end is None else make_end(**end))
    for base, current, name in ((run, WHOLE, "base run r1"), (WHOLE, run, "current run r1")):
        comparison = compare(named("base", base), named("current", current))
        (change,) = failing(comparison, ("incomplete",))
        assert (change.kind, change.case_id, change.text) == ("incomplete", name, f"{text}. Make the run again")


def test_a_run_that_stopped_at_its_last_case_is_whole() -> None:
    run = run_with(ALL, end={"stopped": "stopping after 1 failures", "collected": 4})
    assert failing(compare(named("base", WHOLE), named("current", run)), ("incomplete",)) == []
