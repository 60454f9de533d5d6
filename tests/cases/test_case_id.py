from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.cases.case_id import CaseId, validation_nodeid
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.running.outcome import record_of_lost_item

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=8).filter(
    lambda name: name_issue(name) is None
)
DIMS = st.text(st.sampled_from("ab1-_.=: "), min_size=1, max_size=8).filter(
    # `=2-` ends the size of a dimension, and `fp16-` at the very beginning is a precision
    lambda name: not re.search(r"=\d+-", name) and not name.startswith(("fp16-", "-"))
)
IDS = st.builds(
    CaseId,
    model=NAMES,
    mode=st.sampled_from(["validate", "benchmark"]),
    provider=st.sampled_from(["cpu", "cuda", "tensorrt"]),
    precision=st.sampled_from([None, "fp16"]),
    dims=st.dictionaries(DIMS, st.integers(0, 10**6), max_size=3).map(lambda found: tuple(found.items())),
    source=st.sampled_from([None, "models.json", "lists/my models.json", "a::b/[1]/models.json", "x::validate[cpu]/m"]),
)


@given(IDS)
def test_what_is_formatted_is_parsed_again(case: CaseId) -> None:
    assert CaseId.parse(case.nodeid) == case
    assert CaseId.parse(f"{case.nodeid}@some group") == case


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models.json",
        "models.json::bert",
        "tests/test_a.py::test_b[cpu]",
        "bert::validate[]",
        "bert::validate[-fp16]",
        "bert::validate[cpu-]",
        "bert::validate[cpu-fp32]",
        "bert::validate[cpu-batch]",
        "bert::validate[cpu-batch=]",
        "bert::validate[cpu-batch=8-]",
        "::validate[cpu]",
        "bert::validate[cpu]::more",
    ],
)
def test_other_texts_are_no_case(text: str) -> None:
    assert CaseId.parse(text) is None


def test_only_the_mode_changes_for_a_validation() -> None:
    assert validation_nodeid("m.json::benchmark::benchmark[cpu]") == "m.json::benchmark::validate[cpu]"
    assert validation_nodeid("x::benchmark[a]/m.json::b::benchmark[cpu]") == "x::benchmark[a]/m.json::b::validate[cpu]"
    assert validation_nodeid("tests/test_a.py::test_b") == "tests/test_a.py::test_b"


def test_an_item_lost_with_its_worker_is_recorded_under_its_own_model_and_dimensions() -> None:
    record = record_of_lost_item(
        "models.json::a:b::benchmark[cuda-fp16-batch-size=8-length=128]", "gw1", "died", lambda _: None
    )

    assert record is not None
    assert (record.model, record.mode, record.provider) == ("a:b", "benchmark", "cuda")
    assert record.provider_full_name == "CUDAExecutionProvider"
    assert record.case_id == "a:b::benchmark[cuda-fp16-batch-size=8-length=128]"
    assert (record.precision, record.dims) == ("fp16", {"batch-size": 8, "length": 128})
    assert (record.outcome, record.worker) == ("crashed", "gw1")
