from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.records.record import Record, TensorFact
from pytest_ortperf.reports.markdown import run_markdown
from pytest_ortperf.reports.page.run_page import run_page
from pytest_ortperf.reports.standings import Fastest, MeanGain, Standing, fastest, interval_text, standings
from pytest_ortperf.reports.tables.rows import sorted_rows
from pytest_ortperf.reports.terminal.summary import summary_lines
from record_examples import make_failure, make_header, make_latency, make_record, make_run
from reports.page.examples import data_of, words

STEADY = tuple(1.0 + 0.001 * (number % 5) for number in range(60))


def measured(provider: str, factor: float, model: str = "bert", **changes: Any) -> Record:
    latency = make_latency(*(factor * sample for sample in STEADY))
    return make_record(model, provider, **{"latencies": (latency,), **changes})


def best_of(*records: Record) -> list[Fastest]:
    rows = sorted_rows(make_run(records))
    return list(fastest(rows, rows.measured).values())


def test_the_fastest_is_the_one_with_the_lowest_median() -> None:
    (found,) = best_of(measured("cpu", 8), measured("cuda", 2), measured("tensorrt", 3))
    assert (found.names, found.timing) == (("cuda",), "host")
    assert found.lead == pytest.approx(1.5)


def test_a_provider_whose_validation_failed_is_not_the_fastest() -> None:
    wrong = make_record(provider="cuda", mode="validate", outcome="failed", failure=make_failure())
    (found,) = best_of(measured("cpu", 8), measured("cuda", 2), measured("tensorrt", 3), wrong)
    assert found.names == ("tensorrt",)


def test_providers_whose_intervals_meet_are_as_fast() -> None:
    (found,) = best_of(measured("cpu", 1.0), measured("cuda", 1.0001))
    assert (found.text, found.lead) == ("cpu or cuda", None)
    (found,) = best_of(measured("cpu", 1.0), measured("cuda", 1.0001), measured("tensorrt", 2))
    assert found.text == "cpu or cuda"
    assert found.lead == pytest.approx(2)


def test_nothing_is_fastest_alone_or_at_other_shapes() -> None:
    assert best_of(measured("cpu", 1)) == []
    shapes = [
        measured(name, 1, inputs=(TensorFact(name="x", dtype="float", shape=(1, size), origin="generated"),))
        for name, size in (("cpu", 64), ("cuda", 224))
    ]
    assert best_of(*shapes) == []


def test_the_timing_mode_that_most_have_is_compared() -> None:
    bound = make_latency(*STEADY, timing="bound")
    host = make_latency(*(9 * sample for sample in STEADY))
    (found,) = best_of(measured("cpu", 5), measured("cuda", 1, latencies=(bound, host)))
    assert (found.names, found.timing) == (("cpu",), "host")
    (found,) = best_of(measured("cpu", 5, latencies=(host, bound)), measured("cuda", 1, latencies=(bound, host)))
    assert found.timing == "bound"


def standings_of(*records: Record) -> list[Standing]:
    rows = sorted_rows(make_run(records))
    return standings(rows, fastest(rows, rows.measured))


def test_standings_count_outcomes_and_average_gains() -> None:
    cpu, cuda = standings_of(
        *(measured("cpu", 8, model) for model in ("a", "b")),
        measured("cuda", 2, "a"),
        measured("cuda", 32, "b"),
        make_record("c", "cuda", outcome="skipped"),
        make_record("d", "cuda", outcome="crashed"),
    )
    assert (cpu.name, cpu.passed, cpu.failed, cpu.skipped, cpu.fastest_for, cpu.gain) == ("cpu", 2, 0, 0, 1, None)
    assert (cuda.name, cuda.passed, cuda.failed, cuda.skipped, cuda.fastest_for) == ("cuda", 2, 1, 1, 1)
    assert cuda.gain is not None
    assert cuda.gain.ratio == pytest.approx(1.0)
    assert (cuda.gain.cases, cuda.gain.reference) == (2, "cpu")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (None, None, ""),
        (1.9, 4.1, "1.9x to 4.1x faster"),
        (1.1, 1.25, "+9.1 to +20.0 %"),
        (1 / 3, 1 / 1.5, "3.0x to 1.5x slower"),
        (1 / 2.2, 1.3, "-120.0 to +23.1 %"),
    ],
)
def test_intervals_are_short(low: float | None, high: float | None, text: str) -> None:
    assert interval_text(MeanGain(ratio=1.0, low=low, high=high, cases=3, reference="cpu")) == text


def test_every_output_gives_the_same_standings() -> None:
    records = [
        *(measured("cpu", 4, f"m{number}") for number in range(6)),
        *(measured("cuda", 4 / (1 + 0.5 * number), f"m{number}") for number in range(6)),
    ]
    run = make_run(records, header=make_header(providers=("cpu", "cuda")))
    rows = sorted_rows(run)
    cpu, cuda = standings(rows, fastest(rows, rows.measured))
    assert (cpu.fastest_for, cpu.beside_others) == (1, 1)
    assert (cuda.fastest_for, cuda.beside_others) == (6, 1)
    assert cuda.gain is not None
    interval = interval_text(cuda.gain)
    assert interval == "1.3x to 3.4x faster"
    lines = [text for text, _ in summary_lines(run, width=120, files=(), results=Path("result"))]
    terminal = next(line for line in lines if line.startswith("cuda   "))
    assert terminal.split() == ["cuda", "6", "0", "0", "2.1x", "faster", *interval.split(), "6", "6"]
    assert f"cuda 6 0 0 2.1x faster vs cpu {interval} 6 6" in words(run_page(run))
    assert f"| `cuda` | 6 | 0 | 0 | 2.1x faster vs cpu | {interval} | 6 |" in run_markdown(run)
    assert (
        "6 cuda models, 1 of them level with another provider 1 cpu model, 1 of them level with another provider"
        in words(run_page(run))
    )


def test_the_matrix_of_the_page_marks_every_provider_that_is_as_fast() -> None:
    run = make_run(
        [measured("cpu", 1.0), measured("cuda", 1.0001), measured("cpu", 2, "t5"), measured("cuda", 1, "t5")]
    )
    rows = data_of(run_page(run))["rows"]
    assert [(row["model"], row.get("fastest")) for row in rows] == [
        ("bert", "close"),
        ("bert", "close"),
        ("t5", None),
        ("t5", "clear"),
    ]
    assert rows[3]["gain"][-1] == "2.0x faster"
