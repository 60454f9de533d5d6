from __future__ import annotations

from pytest_ortperf.records.record import Concurrent, Record
from pytest_ortperf.reports.tables.rows import sorted_rows
from pytest_ortperf.reports.terminal.latency_text import timing_lines
from record_examples import make_latency, make_record, make_run

NO_GRAPH = "CPUExecutionProvider has no CUDA graphs; cuda and tensorrt have"
THREADS = Concurrent(
    timing="bound",
    iterations=(1000, 500),
    p50_ns=(1e6, 2e6),
    thread_ns=(1_000_000_000, 1_000_000_000),
    wall_ns=1_000_000_000,
    batch=8,
)


def lines(*records: Record, width: int = 200) -> list[str]:
    return timing_lines(sorted_rows(make_run(records)), width)


def test_a_run_in_plain_modes_has_nothing_to_say() -> None:
    assert lines(make_record(latencies=(make_latency(1.0),), stage_ns={"lease": 999_999_999})) == []


def test_refusals_notes_and_threads_are_told_by_case() -> None:
    record = make_record(
        precision="fp16",
        dims={"n": 2},
        refused_timings={"graph": NO_GRAPH},
        timing_notes={"host": "inputs rotate over 5 buffers"},
        concurrent=THREADS,
    )
    assert lines(record) == [
        f"bert cpu-fp16-n=2: graph not measured: {NO_GRAPH}",
        "bert cpu-fp16-n=2: host: inputs rotate over 5 buffers",
        (
            "bert cpu-fp16-n=2: 2 threads on one session, bound: 1500 iterations/s, 12000 inferences/s; "
            "median latency of a thread 1 to 2 ms"
        ),
    ]


def test_what_holds_for_many_cases_is_said_once() -> None:
    records = [make_record(name, refused_timings={"graph": NO_GRAPH}) for name in ("a", "b", "c")]
    assert lines(*records, make_record("d", outcome="failed", refused_timings={"graph": "?"})) == [
        f"a cpu, b cpu, c cpu: graph not measured: {NO_GRAPH}"
    ]
