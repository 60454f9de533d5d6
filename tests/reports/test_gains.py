from __future__ import annotations

import pytest

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.gains import Gain, Gains, gain, list_of, reference_name
from record_examples import make_header, make_latency, make_record


@pytest.mark.parametrize(("base_ns", "other_ns", "percent"), [(4, 1, 75.0), (2, 4, -100.0), (3, 3, 0.0), (0, 1, None)])
def test_gain_is_what_is_saved_of_the_base(base_ns: int, other_ns: int, percent: float | None) -> None:
    assert gain(base_ns, other_ns) == percent


@pytest.mark.parametrize(
    ("provider", "chosen", "name"),
    [
        ("tensorrt", None, "cuda"),
        ("cuda", None, "cpu"),
        ("cpu", None, None),
        ("tensorrt", "cpu", "cpu"),
        ("cpu", "cuda", "cuda"),
        ("MyExecutionProvider", None, "cpu"),
        ("a-runner", None, None),
    ],
)
def test_the_reference_is_the_runs_or_the_providers_own(provider: str, chosen: str | None, name: str | None) -> None:
    assert reference_name(provider, make_header(reference_provider=chosen)) == name


CPU = make_record(provider="cpu", latencies=(make_latency(8.0, 10.0, 12.0), make_latency(6.0, timing="bound")))


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (
            make_record(provider="cuda", latencies=(make_latency(2.5),)),
            Gain(percent=75.0, reference="cpu", timing="host"),
        ),
        (
            make_record(
                provider="cuda",
                latencies=(make_latency(1.0, timing="graph"), make_latency(3.0, timing="bound"), make_latency(5.0)),
            ),
            Gain(percent=50.0, reference="cpu", timing="bound"),
        ),
        (
            make_record(provider="cuda", latencies=(make_latency(5.0), make_latency(3.0, timing="bound"))),
            Gain(percent=50.0, reference="cpu", timing="bound"),
        ),
        (make_record(provider="cuda", latencies=(make_latency(1.0, timing="graph"),)), None),
        (make_record(provider="cuda"), None),
        (make_record(provider="cuda", outcome="failed", latencies=(make_latency(2.5),)), None),
        (make_record("vgg", "cuda", latencies=(make_latency(2.5),)), None),
        (make_record(provider="cuda", precision="fp16", latencies=(make_latency(2.5),)), None),
        (make_record(provider="cuda", dims={"batch": 8}, latencies=(make_latency(2.5),)), None),
        (make_record(provider="cuda", nodeid="b.json::bert::benchmark[cuda]", latencies=(make_latency(1),)), None),
        (make_record(provider="tensorrt", latencies=(make_latency(2.5),)), None),
        (CPU, None),
    ],
)
def test_gains_are_between_equal_cases_and_timing_modes(other: Record, found: Gain | None) -> None:
    assert Gains(make_header(), (CPU, other)).of(other) == found


def test_a_reference_that_failed_gives_no_gain() -> None:
    cpu = make_record(provider="cpu", outcome="crashed", latencies=(make_latency(10.0),))
    cuda = make_record(provider="cuda", latencies=(make_latency(5.0),))
    assert Gains(make_header(), (cpu, cuda)).of(cuda) is None


def test_a_list_is_what_stands_before_the_model() -> None:
    assert list_of(make_record("bert", nodeid="a/models.json::bert::benchmark[cpu]")) == "a/models.json"
