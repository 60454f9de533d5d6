"""Faults planted into the bundled models: a fast part of benchmarks/fault_injection.py, with its promises."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FAST = ("dynamic_mlp", "multi_io", "lstm")
BLUNT = {
    "NaN in one element",
    "fp16 overflow to infinity",
    "fp16 overflow, saturated",
    "slice off by one",
    "transposed output",
    "last column missing",
    "second half not written",
    "another dtype",
    "stale output buffer",
    "wrong class on a softmax",
    "one integer or bool wrong",
    "every element 10 % too large",
    "sign of every element",
    "constant output",
    "NaN in every element",
    "no elements",
    "every element 10 % too large, outputs of 1e-06",
    "sign of every element, outputs of 1e-06",
    "constant output, outputs of 1e-06",
}
"""Faults that every precision's policy has to catch wherever they are."""


@pytest.fixture(scope="module")
def injection() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    import fault_injection

    yield fault_injection
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def rows(injection: ModuleType) -> list[Any]:
    subjects = [subject for subject in injection.subjects(light=False) if subject.name in FAST]
    return [row for subject in subjects for row in injection.rows_of(subject)]


def test_blunt_faults_are_caught_in_every_precision(injection: ModuleType, rows: list[Any]) -> None:
    planted = [row for row in rows if row.fault.kind in BLUNT]
    missed = [
        (row.model, row.fault.kind, row.fault.where, precision)
        for row in planted
        for precision in injection.PRECISIONS
        if not row.verdicts[precision].caught
    ]

    assert {row.fault.kind for row in planted} >= BLUNT - {"wrong class on a softmax"}
    assert missed == []


def test_what_a_precision_can_show_and_lets_pass_is_a_weight_inside_the_tolerance(
    injection: ModuleType, rows: list[Any]
) -> None:
    missed = {
        (precision, row.model, row.fault.kind)
        for row in rows
        for precision in injection.PRECISIONS
        if row.verdicts[precision].visible and not row.verdicts[precision].caught
    }

    assert missed <= {
        ("fp32", "multi_io", "one weight off by 1 %"),
        ("fp32", "multi_io", "one weight off by 10 %"),
        ("tf32", "multi_io", "sign of one weight"),
        ("fp16", "dynamic_mlp", "one weight off by 1 %"),
        ("fp16", "dynamic_mlp", "one weight off by 10 %"),
        ("fp16", "multi_io", "sign of one weight"),
        ("bf16", "multi_io", "two channels swapped"),
        ("int8", "dynamic_mlp", "bias dropped"),
        ("bf16", "multi_io", "weight clipped to half its largest"),
        ("bf16", "multi_io", "weight 10 % too large"),
        ("int8", "dynamic_mlp", "weight clipped to half its largest"),
        ("int8", "dynamic_mlp", "weight 10 % too large"),
        ("int8", "lstm", "weight 10 % too large"),
    }


def test_the_originals_defaults_pass_most_of_them(rows: list[Any]) -> None:
    caught = sum(row.original for row in rows)
    ours = sum(row.verdicts["fp32"].caught for row in rows)

    assert caught < len(rows) / 2 < ours


def test_clean_outputs_pass_in_every_precision(injection: ModuleType) -> None:
    refused = [
        text
        for subject in injection.subjects(light=False)
        if subject.name in FAST
        for text in injection.refused_clean(subject)
    ]

    assert refused == []
