"""The reader of trtexec's exported times, against real files and the summaries of the runs that wrote them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.trtexec.timed import parse_times

DATA = Path(__file__).parents[2] / "data" / "trtexec_json"
TRUTH: Mapping[str, Any] = json.loads((DATA / "ground_truth.json").read_text(encoding="utf-8"))
WHOLE = sorted(name for name, truth in TRUTH.items() if "records" in truth and "refused" not in truth)
REFUSED = sorted(name for name, truth in TRUTH.items() if "refused" in truth)
OLD = (8, 4, 1)


def read(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def described(samples_ns: tuple[int, ...]) -> Mapping[str, float]:
    """Return statistics in ms; percentiles as trtexec takes them."""
    ordered = [sample / 1e6 for sample in sorted(samples_ns)]
    count = len(ordered)
    percentiles = {
        f"p{percent}": ordered[max(count - 1 - int((1 - percent / 100) * count), 0)] for percent in (90, 95, 99)
    }
    return {
        "n": count,
        "mean": statistics.fmean(ordered),
        "median": statistics.median(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        **percentiles,
    }


@pytest.mark.parametrize("name", WHOLE)
def test_real_files_give_the_statistics_of_their_runs(name: str) -> None:
    times = parse_times(read(name), version=OLD, warm_up_ms=200)
    assert described(times.latency_ns) == pytest.approx(TRUTH[name]["latency_ms_without_warmup"], rel=5e-6)
    assert described(times.compute_ns) == pytest.approx(TRUTH[name]["compute_ms_without_warmup"], rel=5e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_real_files_of_old_versions_are_refused(name: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_times(read(name), version=OLD, warm_up_ms=200)
    assert str(caught.value) == (
        f"trtexec's file of times cannot be used: it is from {TRUTH[name]['refused']}, which is not supported. Logs of "
        f"TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is supported for running. "
        f"Install one of these versions and run trtexec again."
    )
    assert (caught.value.stage, caught.value.kind) == ("timing", "runtime error")


def test_copies_are_what_latency_has_over_compute() -> None:
    text = read("v7x_jetson_times_b32.json")
    with pytest.raises(CaseError, match="it is from TensorRT 7 or older, which is not supported"):
        parse_times(text, version=OLD, warm_up_ms=200)
    renamed = text.replace('"inMs"', '"h2dMs"').replace('"outMs"', '"d2hMs"')
    times = parse_times(renamed, version=OLD, warm_up_ms=200)
    sums = [sum(parts) / 1e6 for parts in zip(times.h2d_ns, times.compute_ns, times.d2h_ns, strict=True)]
    assert sums == pytest.approx([latency / 1e6 for latency in times.latency_ns], rel=1e-4)


@pytest.mark.parametrize(("version", "count"), [(None, 248), ((8, 5, 0), 248), ((8, 5, 1), 263), ((11, 1, 0), 263)])
def test_new_versions_have_left_out_the_warm_up_themselves(version: tuple[int, int, int] | None, count: int) -> None:
    times = parse_times(read("v8x_rtx3090_fp32_times.json"), version=version, warm_up_ms=200)
    assert len(times.compute_ns) == count


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "v7x_jetson_times_CONCATENATED_b64_b128.json",
            "it is not whole JSON (Extra data: line 48 column 1 (char 13612)): trtexec was ended, or wrote to it twice",
        ),
        ("v8x_a100_fp16_times_TRUNCATED.txt", "it is not whole JSON"),
    ],
)
def test_files_that_are_cut_or_joined_are_refused(name: str, message: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_times(read(name), version=OLD, warm_up_ms=200)
    assert message in str(caught.value)
    assert (caught.value.stage, caught.value.kind) == ("timing", "runtime error")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "it is not a list of records"),
        ("[1]", "it is not a list of records"),
        ("[]", "it has no query after 200 ms of warm-up"),
        ('[{"startComputeMs": 300}]', "its records have the keys startComputeMs"),
        ('[{"startComputeMs": "late"}]', "startComputeMs is 'late' in one of its records"),
        (
            '[{"startComputeMs": 300, "h2dMs": 0, "d2hMs": 0, "computeMs": NaN}]',
            "computeMs is nan in one of its records",
        ),
    ],
)
def test_other_contents_are_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(CaseError, match="trtexec's file of times cannot be used: ") as caught:
        parse_times(text, version=OLD, warm_up_ms=200)
    assert str(caught.value).endswith(message)


@given(share=st.floats(0, 0.999))
def test_a_cut_file_gives_no_numbers(share: float) -> None:
    text = read("v7x_jetson_times_b128.json").rstrip()
    with pytest.raises(CaseError, match="not whole JSON"):
        parse_times(text[: math.floor(len(text) * share)], version=OLD, warm_up_ms=200)
