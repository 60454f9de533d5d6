from __future__ import annotations

import pytest

from pytest_ortperf.gates.paired_gains import contests_of
from pytest_ortperf.records.pairs import SCREEN, Pair, PairSide
from pytest_ortperf.reports.comparison.paired import paired_lines
from record_examples import make_latency, make_record, make_run


def measured(model: str, provider: str, **changes: object) -> object:
    return make_record(model, provider, **{"latencies": (make_latency(1.0),), **changes})


def test_cases_that_passed_on_a_provider_and_its_reference_provider_are_measured_in_turns() -> None:
    run = make_run(
        [
            measured("bert", "cpu"),
            measured("bert", "cuda"),
            measured("bert", "tensorrt"),
            measured("vgg", "cuda"),
            measured("gpt", "cpu", outcome="failed"),
            measured("gpt", "cuda"),
            measured("gpt", "tensorrt", outcome="failed"),
            measured("vit", "cpu", latencies=()),
            measured("vit", "cuda"),
        ]
    )

    found = {(each.reference, each.provider): cases for each, cases in contests_of(run).items()}

    assert found == {
        ("cpu", "cuda"): {"bert::benchmark[cuda]": "bert::benchmark[cpu]"},
        ("cuda", "tensorrt"): {"bert::benchmark[tensorrt]": "bert::benchmark[cuda]"},
    }


def pair(log_ratio: float, number: int) -> Pair:
    side = PairSide(median_ns=2e6, mean_ns=2e6, min_ns=2_000_000, iterations=6, turns_ns=(2e6,) * 6)
    return Pair(
        round=number,
        stage=SCREEN,
        case_id="bert::benchmark[cuda]",
        timing="host",
        log_ratio=log_ratio,
        base=side,
        current=side,
        order="ABBABA",
    )


def test_the_interval_of_a_gain_reaches_from_the_least_of_six_pairs_to_the_greatest() -> None:
    pairs = [pair(value, number) for number, value in enumerate([-0.70, -0.69, -0.68, -0.71, -0.67, -0.66])]

    assert paired_lines(pairs, "cpu", 100) == [
        "gain over cpu, in turns",
        "case                   timing  cpu ms  ms     gain            interval  pairs",
        "bert::benchmark[cuda]  host         2   2  +49.6 %  +48.3 % to +50.8 %      6",
    ]


@pytest.mark.parametrize("count", [1, 5])
def test_fewer_pairs_have_no_interval(count: int) -> None:
    rows = paired_lines([pair(0.1, number) for number in range(count)], "cpu", 100)

    assert rows[-1].split() == ["bert::benchmark[cuda]", "host", "2", "2", "-10.5", "%", str(count)]


def test_without_pairs_there_is_no_table() -> None:
    assert paired_lines([], "cpu", 100) == []
