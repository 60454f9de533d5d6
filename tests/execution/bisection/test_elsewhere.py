"""Where an error grows most behind the first node out of tolerance: searched, tried by itself, and named too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from test_find import chain, outputs_of, search

from pytest_ortperf.execution.bisection.find import allowed_sessions, bisect
from pytest_ortperf.records.bisection import Bisection

COUNT = 24


def scaled(path: Path, off: Mapping[int, float], last: str = "Neg") -> Path:
    """Write 24 products with 1, of which some are off, and one more node."""
    values = ["p", *(f"v{i}" for i in range(COUNT))]
    nodes = [
        helper.make_node("Abs", ["x"], ["p"], name="positive"),
        *(helper.make_node("Mul", [values[i], f"w{i}"], [values[i + 1]], name=f"n{i}") for i in range(COUNT)),
        helper.make_node(last, [values[-1], *(["much"] if last == "Sub" else [])], ["y"], name="last"),
    ]
    weights = {f"w{i}": np.full(4, 1 + off.get(i, 0), np.float32) for i in range(COUNT)}
    if last == "Sub":
        weights["much"] = np.full(4, 0.9999, np.float32)
    path.parent.mkdir(exist_ok=True)
    return chain(path, nodes, weights, [1, 4])


def found_in(folder: Path, off: Mapping[int, float], last: str = "Neg") -> Bisection:
    asked = search(scaled(folder / "model.onnx", off, last), against=scaled(folder / "sound.onnx", {}, last))
    given = dataclasses.replace(asked.settings.given, inputs={"x": np.ones((1, 4), np.float32)})
    found = bisect(dataclasses.replace(asked, settings=dataclasses.replace(asked.settings, given=given)))
    assert found.sessions <= found.sessions_allowed == allowed_sessions(COUNT + 2)
    return found


SMALL, ADDING_UP = {3: 3e-3}, {2: 4e-4, 3: 4e-4, 4: 4e-4}


@pytest.mark.parametrize(
    ("first", "name", "alone", "said"),
    [
        (SMALL, "n3", True, "By itself, on the reference's inputs, it is wrong too."),
        (ADDING_UP, "n2", False, "The error leaves tolerance at n4 (Mul, node 5), which is right by itself."),
    ],
)
def test_a_larger_fault_behind_the_suspect_is_searched_and_named_too(
    tmp_path: Path,
    first: Mapping[int, float],
    name: str,
    alone: bool,  # noqa: FBT001 - a parameter
    said: str,
) -> None:
    found = found_in(tmp_path, {**first, 17: 0.9})
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == (name, alone)
    assert found.other is not None
    assert (found.other.node.name, found.other.fails_alone) == ("n17", True)
    assert found.other.growth > 100
    assert said in found.conclusion
    assert found.conclusion.endswith(
        f"Behind it the error grows {found.other.growth:.0f} times at n17 (Mul, node 18). "
        "n17 is a second suspect: by itself, on the reference's inputs, it is wrong."
    )
    assert found.other.part_folder == str(tmp_path / "elsewhere")
    [computed], [expected] = outputs_of(tmp_path / "elsewhere")
    assert computed == pytest.approx(1.9 * expected, rel=1e-5)


def test_a_node_that_only_makes_an_error_larger_is_right_by_itself(tmp_path: Path) -> None:
    found = found_in(tmp_path, SMALL, "Sub")
    assert (found.suspect.name if found.suspect else None, found.fails_alone) == ("n3", True)
    assert found.other is not None
    assert (found.other.node.name, found.other.fails_alone, found.other.part_folder) == ("last", False, None)
    assert found.conclusion.endswith(
        "last (Sub, node 25). last is right by itself, on the reference's inputs: it makes larger what comes in."
    )
    assert not (tmp_path / "elsewhere").exists()


def test_an_error_that_grows_at_the_suspect_alone_has_no_other(tmp_path: Path) -> None:
    assert found_in(tmp_path, {17: 0.9}).other is None
