from __future__ import annotations

import pytest

from pytest_ortperf.records.latency import Latency, Summary
from pytest_ortperf.records.record import Record, TensorFact
from pytest_ortperf.reports.tables.gains import Gain, Gains, gain, list_of, reference_name, references_of
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


def with_interval(low: float, median: float, high: float, timing: str) -> Latency:
    """Return a latency whose median has an interval, all in ms."""
    summary = Summary(
        count=100,
        min_ns=1,
        max_ns=100_000_000,
        mean_ns=median * 1e6,
        p50_ns=median * 1e6,
        p50_low_ns=low * 1e6,
        p50_high_ns=high * 1e6,
    )
    return Latency(timing=timing, samples_ns=(), warmup_iterations=0, summary=summary)


CUDA = make_record(provider="cuda", latencies=(with_interval(9.5, 10.0, 10.5, "bound"), make_latency(12.0)))
TENSORRT = make_record(
    provider="tensorrt", latencies=(with_interval(4.9, 5.0, 5.2, "bound"), make_latency(7.0, timing="bound+copies"))
)
STANDALONE = make_record(
    provider="trtexec",
    provider_full_name="trtexec",
    latencies=(with_interval(3.9, 4.0, 4.2, "bound"), with_interval(5.9, 6.0, 6.1, "bound+copies")),
)


def test_tensorrt_is_held_against_cuda_and_against_itself_alone() -> None:
    gains = Gains(make_header(), (CUDA, TENSORRT, STANDALONE))
    over_cuda, over_itself = gains.of(TENSORRT), gains.of(TENSORRT, "trtexec")
    assert over_cuda == Gain(
        percent=50.0,
        reference="cuda",
        timing="bound",
        low_percent=pytest.approx((9.5 - 5.2) / 9.5 * 100),
        high_percent=pytest.approx((10.5 - 4.9) / 10.5 * 100),
    )
    assert over_itself == Gain(
        percent=-25.0,
        reference="trtexec",
        timing="bound",
        low_percent=pytest.approx((3.9 - 5.2) / 3.9 * 100),
        high_percent=pytest.approx((4.2 - 4.9) / 4.2 * 100),
    )
    assert gains.standalone(TENSORRT, TENSORRT.latencies[0]) == over_itself
    assert gains.of(STANDALONE) == Gain(
        percent=60.0,
        reference="cuda",
        timing="bound",
        low_percent=pytest.approx((9.5 - 4.2) / 9.5 * 100),
        high_percent=pytest.approx((10.5 - 3.9) / 10.5 * 100),
    )


def test_without_an_interval_on_both_sides_a_gain_has_none() -> None:
    gains = Gains(make_header(), (CUDA, TENSORRT, STANDALONE))
    found = gains.of_timing(TENSORRT, TENSORRT.latencies[1], "trtexec")
    assert found is not None
    assert (found.timing, found.low_percent, found.high_percent) == ("bound+copies", None, None)


def test_times_that_cover_different_things_give_no_gain() -> None:
    host = make_record(provider="tensorrt", latencies=(make_latency(5.0),))
    assert Gains(make_header(), (host, STANDALONE)).of(host, "trtexec") is None
    half = make_record(provider="tensorrt", precision="fp16", latencies=TENSORRT.latencies)
    assert Gains(make_header(), (half, STANDALONE)).of(half, "trtexec") is None


def test_the_reference_of_the_run_comes_first_and_stands_once() -> None:
    assert references_of("tensorrt", make_header()) == ("cuda", "trtexec")
    assert references_of("tensorrt", make_header(reference_provider="trtexec")) == ("trtexec",)
    assert references_of("trtexec", make_header()) == ("cuda",)
    assert references_of("cpu", make_header()) == ()
    assert references_of("of another version", make_header()) == ()


def shaped(provider: str, *shapes: tuple[int, ...] | None) -> Record:
    inputs = tuple(
        TensorFact(name=f"x{number}", dtype="float", shape=shape, origin="generated")
        for number, shape in enumerate(shapes)
    )
    return make_record(provider=provider, latencies=(make_latency(4.0),), inputs=inputs)


@pytest.mark.parametrize(
    ("cpu", "cuda", "difference"),
    [
        ([(1, 8)], [(1, 8)], None),
        ([(1, 8)], [(1, 1)], "input 'x0' is (1, 8) and (1, 1)"),
        ([(1, 8), (2,)], [(1, 8), (3,)], "input 'x1' is (2,) and (3,)"),
        ([None], [(3,)], None),
        ([(1, 8)], [], None),
    ],
)
def test_there_is_no_gain_between_different_shapes(
    cpu: list[tuple[int, ...] | None], cuda: list[tuple[int, ...] | None], difference: str | None
) -> None:
    base, record = shaped("cpu", *cpu), shaped("cuda", *cuda)
    gains = Gains(make_header(), [base, record])
    assert [text for *_, text in gains.not_comparable()] == ([difference] if difference else [])
    assert (gains.of(record) is None) == (gains.reference_of(record) is None) == bool(difference)
