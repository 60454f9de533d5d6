from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_ortperf.execution.accuracy.error_pictures import error_picture
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.pictures import ErrorPicture


def shown(output: np.ndarray, reference: np.ndarray, rtol: float = 0.0, atol: float = 0.1) -> ErrorPicture:
    found = error_picture("set", "y", output, reference, (rtol, atol))
    assert found is not None
    return found


def test_errors_are_shares_of_what_is_allowed() -> None:
    reference = np.zeros((2, 3, 4), np.float32)
    output = reference.copy()
    output[1, 2, 3], output[1, 0, 1] = 0.2, 0.01
    picture = shown(output, reference)
    assert (picture.measure, picture.elements, picture.outside) == ("error / allowed error", 24, 1)
    histogram = picture.histogram
    assert (histogram.exact, histogram.not_finite, sum(histogram.counts)) == (22, 0, 2)
    assert [histogram.low + i * histogram.step for i, count in enumerate(histogram.counts) if count] == [-1.5, 0.0]
    assert [(it.index, it.output, it.reference, it.error) for it in picture.worst[:2]] == [
        ((1, 2, 3), "0.2", "0", 2.0),
        ((1, 0, 1), "0.01", "0", 0.1),
    ]


def test_the_plane_is_that_of_the_worst_element() -> None:
    output = np.zeros((2, 1, 100, 64), np.float32)
    output[1, 0, 99, 2] = 5
    heatmap = shown(output, np.zeros_like(output)).heatmap
    assert (heatmap.plane, heatmap.rows, heatmap.columns) == ("[1, 0, :, :]", 100, 64)
    assert (len(heatmap.cells), {len(line) for line in heatmap.cells}) == (32, {32})
    assert heatmap.worst_cell == (31, 1)
    assert heatmap.cells[31][1] == 50.0
    assert sum(cell or 0 for line in heatmap.cells for cell in line) == 50.0


def test_a_line_is_folded() -> None:
    output = np.zeros((1, 10), np.float32)
    output[0, 7] = 1
    heatmap = shown(output, np.zeros_like(output)).heatmap
    assert (heatmap.plane, heatmap.rows, heatmap.columns, heatmap.worst_cell) == ("[0, :] in rows of 4", 3, 4, (1, 3))
    assert heatmap.cells[1][3] == 10.0


def test_not_finite_is_worst_of_all() -> None:
    picture = shown(np.float32([1, np.nan, np.inf]), np.float32([5, 2, np.inf]))
    assert (picture.histogram.not_finite, picture.histogram.exact, picture.outside) == (1, 1, 2)
    assert (picture.worst[0].index, picture.worst[0].output, picture.worst[0].error) == ((1,), "nan", None)
    assert None in [cell for line in picture.heatmap.cells for cell in line]


def test_integers_without_tolerance_are_shown_by_their_error() -> None:
    picture = shown(np.array([3, 4]), np.array([3, 9]), atol=0.0)
    assert (picture.measure, picture.outside, picture.worst[0].output) == ("absolute error", 1, "4")


def test_a_scalar_has_a_picture_of_one_cell() -> None:
    heatmap = shown(np.array(1.0), np.array(2.0)).heatmap
    assert (heatmap.plane, heatmap.cells, heatmap.worst_cell) == ("[]", ((10.0,),), (0, 0))


@pytest.mark.parametrize(
    ("output", "reference"),
    [
        (np.ones(2), np.ones(3)),
        (np.ones(0), np.ones(0)),
        ([np.ones(2)], [np.ones(2)]),
        (np.array(["a"]), np.array(["b"])),
        (np.ones(2, np.complex64), np.ones(2, np.complex64)),
    ],
)
def test_what_has_no_errors_to_draw_has_no_picture(output: object, reference: object) -> None:
    assert error_picture("set", "y", output, reference, (0.0, 0.1)) is None  # type: ignore[arg-type]


def test_a_picture_is_small_and_survives_json() -> None:
    random = np.random.default_rng(0)
    reference = random.normal(size=(8, 64, 56, 56)).astype(np.float32)
    picture = shown(reference + random.normal(size=reference.shape).astype(np.float32), reference, rtol=1e-3)
    text = json.dumps(as_dict(picture))
    assert len(text) < 10_000
    assert from_dict(ErrorPicture, json.loads(text)) == picture
