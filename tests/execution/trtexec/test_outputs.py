from __future__ import annotations

import numpy as np
import pytest

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.trtexec.program_tensors import TensorMeta, parse_outputs

PROB = TensorMeta("prob", "tensor(float)", [2, 2])
LABEL = TensorMeta("label", "tensor(int64)", ["n"])
MASK = TensorMeta("mask", "tensor(bool)", [])


def exported(*entries: tuple[str, str, str]) -> str:
    """Return a file as trtexec writes it."""
    texts = [
        f'{{ "name" : "{name}"\n  , "dimensions" : "{shape}"\n  , "values" : [ {values} ]\n  }}\n'
        for name, shape, values in entries
    ]
    return "[\n  " + ", ".join(texts) + "]\n"


def test_outputs_have_the_types_of_the_model() -> None:
    text = exported(("label", "3", "1, -2, 12345678901"), ("prob", "2x2", "0.5, 1e-07, -3, 0.1"), ("mask", "", "1"))
    found = parse_outputs(text, [PROB, LABEL, MASK])
    assert list(found) == ["prob", "label", "mask"]
    for name, expected in {
        "prob": np.array([[0.5, 1e-07], [-3, 0.1]], np.float32),
        "label": np.array([1, -2, 12345678901], np.int64),
        "mask": np.array(1, bool),
    }.items():
        value = found[name]
        assert isinstance(value, np.ndarray)
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected, strict=True)


def test_numbers_that_are_none_stay_so() -> None:
    value = parse_outputs(exported(("prob", "2x2", "nan, -inf, inf, -nan")), [PROB])["prob"]
    np.testing.assert_array_equal(value, np.array([[np.nan, -np.inf], [np.inf, np.nan]], np.float32))


def test_only_wanted_outputs_are_read() -> None:
    text = exported(("prob", "2x2", "1, 2, 3, 4"), ("nan", "1", "7"))
    assert list(parse_outputs(text, [PROB])) == ["prob"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not whole (JSONDecodeError: Expecting value: line 1 column 1 (char 0))"),
        (exported(("label", "1", "1")), "it lacks prob; it has label"),
        (exported(("prob", "2x2", "1, 2, 3")), "output 'prob' has dimensions 2x2 and 3 values"),
    ],
)
def test_file_that_cannot_be_used_says_why(text: str, why: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_outputs(text, [PROB])
    assert str(caught.value) == f"trtexec's file of outputs cannot be used: {why}"
    assert (caught.value.stage, caught.value.kind) == ("first_run", "runtime error")


def test_every_cut_of_a_file_is_refused() -> None:
    text = exported(("prob", "2x2", "0.5, 1e-07, -3, 0.25"), ("label", "1", "1"))
    for end in range(len(text.rstrip())):
        with pytest.raises(CaseError):
            parse_outputs(text[:end], [PROB, LABEL])
