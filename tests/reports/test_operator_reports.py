"""Operators by time in the tables, the terminal and JUnit."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

from pytest_ortperf.records.record import Placement, Record
from pytest_ortperf.reports.junit import properties
from pytest_ortperf.reports.tables.csv_tables import write_tables
from pytest_ortperf.reports.terminal.summary import summary_lines
from record_examples import make_latency, make_operators, make_placement, make_record, make_run

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

MIXED = Placement(
    nodes_by_provider={CUDA: 7, CPU: 1},
    op_types_by_provider={CUDA: {"Conv": 4, "Relu": 3}, CPU: {"NonZero": 1}},
    source="assignment info",
)
PROFILE = make_operators(
    ("cuda", "FusedConv", 3, 6.0), ("cuda", "Conv", 1, 1.5), ("cpu", "NonZero", 1, 0.5), run_ms=9.0
)


def detector(**changes: object) -> Record:
    record = make_record(
        "detector", "cuda", placement=MIXED, operators=PROFILE, latencies=(make_latency(8.0, 8.0, 8.0),)
    )
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def rows_of(name: str, folder: Path, *records: Record) -> list[dict[str, str]]:
    paths = write_tables(make_run(records), folder)
    (path,) = (path for path in paths if path.name.startswith(f"benchmark_{name}_2"))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def text_of(*records: Record, width: int = 100, verbose: bool = False) -> list[str]:
    lines = summary_lines(make_run(records), width=width, files=(), results=Path("result"), verbose=verbose)
    texts = [text for text, _ in lines]
    start = next((place for place, text in enumerate(texts) if text.startswith("share of the time of all oper")), None)
    if start is None:
        return []
    found = texts[start : texts.index("", start)]
    title = found[:1] if found[0].endswith("as run") else found[:2]
    assert " ".join(" ".join(title).split()) == (
        "share of the time of all operators, in a profiled session apart; nodes as run"
    )
    return found[len(title) :]


def test_share_of_time_is_beside_the_share_of_nodes(tmp_path: Path) -> None:
    (row,) = rows_of("metrics", tmp_path, detector())

    assert (row["ratio_of_nodes_on_provider"], row["ratio_of_execution_time_on_provider"]) == ("0.875", "0.9375")
    assert (row["profiled_run_ms"], row["operators_ms"], row["between_operators_ms"]) == ("9.0", "8.0", "1.0")
    assert (row["execution_time_on_provider_ms"], row["profiled_runs"]) == ("7.5", "10")
    assert row["profile_note"] == ""


def test_what_is_between_overlapping_operators_is_not_known(tmp_path: Path) -> None:
    overlapping = dataclasses.replace(PROFILE, overlapping=True, notes=("one", "two"))
    (row,) = rows_of("metrics", tmp_path, detector(operators=overlapping))

    assert (row["operators_ms"], row["between_operators_ms"], row["profile_note"]) == ("8.0", "", "one; two")


def test_operators_without_time_have_no_share(tmp_path: Path) -> None:
    nothing = make_operators(("cuda", "Conv", 1, 0.0))
    (row,) = rows_of("metrics", tmp_path, detector(operators=nothing))
    (conv,) = (it for it in rows_of("op_metrics", tmp_path, detector(operators=nothing)) if it["op_type"] == "Conv")

    assert (row["ratio_of_execution_time_on_provider"], row["operators_ms"]) == ("", "0.0")
    assert (conv["time_ms"], conv["time_percent"]) == ("0.0", "")


def test_types_as_assigned_and_as_run_share_a_table(tmp_path: Path) -> None:
    kernels = tuple(dataclasses.replace(it, kernel_ns=it.time_ns * 2) for it in PROFILE.operators[:1])
    profile = dataclasses.replace(PROFILE, operators=(*kernels, *PROFILE.operators[1:]))
    rows = rows_of("op_metrics", tmp_path, detector(operators=profile))

    assert [[*row.values()][12:] for row in rows] == [
        [CPU, "NonZero", "1", "1", "0.5", "6.25", ""],
        [CUDA, "Conv", "4", "1", "1.5", "18.75", ""],
        [CUDA, "FusedConv", "", "3", "6.0", "75.0", "12.0"],
        [CUDA, "Relu", "3", "", "", "", ""],
    ]


def test_one_model_lists_its_operators() -> None:
    assert text_of(detector()) == [
        "  detector cuda: 3 FusedConv 75 %, 1 Conv 18.8 %, 1 NonZero on cpu 6.25 %",
        "    1 of 9 ms of a run were between operators",
    ]


def test_many_types_are_cut_short_and_wrapped() -> None:
    rows = [("cpu", f"Operator{number}", number, 10.0 - number) for number in range(1, 9)]
    profile = make_operators(*rows, run_ms=50.0, overlapping=True, notes=("a run took 3.0 times as long",))
    cpu = make_record("detector", "cpu", operators=profile, latencies=(make_latency(8.0),))

    assert text_of(cpu, width=60) == [
        "  detector cpu: 1 Operator1 20.5 %, 2 Operator2 18.2 %,",
        "    3 Operator3 15.9 %, 4 Operator4 13.6 %,",
        "    5 Operator5 11.4 %, 3 more 20.5 %",
        "    operators overlapped, in several threads",
        "    a run took 3.0 times as long",
    ]


def test_several_models_list_them_where_asked() -> None:
    other = make_record("bert", "cpu", placement=make_placement(Add=1), latencies=(make_latency(1.0),))

    assert text_of(detector(), other) == []
    assert text_of(detector(), other, verbose=True)[0].startswith("  detector cuda: 3 FusedConv 75 %")


def test_a_failed_benchmark_lists_none() -> None:
    assert text_of(detector(outcome="failed"), verbose=True) == []


def test_junit_has_the_shares_on_the_provider() -> None:
    found = dict(properties(detector()))

    assert (found["ortperf.ops_on_ep"], found["ortperf.time_on_ep"]) == ("0.875", "0.9375")
    assert "ortperf.time_on_ep" not in dict(properties(detector(operators=None)))
