from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.records.environment.machine_catalogue import finding
from pytest_ortperf.records.environment.machine_checks import Finding, HostReading, Level, MachineState, Reading, Span
from pytest_ortperf.reports.tables.machine_text import machine_lines, off_text
from pytest_ortperf.reports.terminal.summary import summary_lines
from record_examples import make_end, make_header, make_record, make_run

READING = Reading(host=HostReading(at_ns=0, own_cpu_ns=0))

HEAT = (
    "  The clock was below what the CPU can do: samples before and after are of two machines. "
    "Try: cool the machine, or lower the load with --ortperf-threads"
)
OTHERS = (
    "  Other work takes cores, caches and memory bandwidth from what is measured. "
    "Try: end other work, or wait until uptime shows a load near 0"
)
STOLEN = (
    "  Samples hold time in which the virtual machine did not run at all. "
    "Try: measure on dedicated hardware or an instance type without shared cores"
)


def state(*findings: Finding, discarded: int = 0) -> MachineState:
    span = Span(timing="host", before=READING, after=READING, discarded=discarded)
    return MachineState(spans=(span,), findings=findings)


def steal(seen: str, level: Level = "warning") -> Finding:
    return finding("steal", level, seen)


def test_a_quiet_machine_says_nothing() -> None:
    header = make_header(machine=(finding("load", "ok", "0"), finding("smt", "advice", "on")))
    records = [make_record(machine=state(finding("cpu-heat", "unknown", "the kernel does not tell")))]
    assert machine_lines(make_run(records, header=header)) == []
    assert machine_lines(make_run([make_record()])) == []


def test_each_kind_is_told_once_with_its_worst_value_and_reasons_are_shared() -> None:
    header = make_header(machine=(finding("load", "warning", "2 on 8 cores"), finding("aslr", "advice", "on")))
    records = [
        make_record(
            "a", machine=state(steal("3.0%"), finding("other-load", "warning", "others kept 3 of 8 cores busy"))
        ),
        make_record("b", machine=state(steal("4.0%"), finding("cpu-heat", "reject", "2 times"), discarded=1)),
        make_record("c"),
    ]
    lines = machine_lines(make_run(records, header=header))
    assert [(line.text, line.rejects) for line in lines] == [
        ("machine: cpu-heat: 2 times (1 benchmark)", True),
        (HEAT, True),
        ("machine: load: 2 on 8 cores", False),
        ("machine: other-load: others kept 3 of 8 cores busy (1 benchmark)", False),
        (OTHERS, False),
        ("machine: steal: 3.0% (one of 2 benchmarks)", False),
        (STOLEN, False),
        ("machine: 1 spoiled measurement was thrown away and made again", False),
        ("machine: could be quieter: aslr, see records_20261123-210146.jsonl", False),
    ]


@pytest.mark.parametrize(
    ("why", "advice", "reason"),
    [(None, None, []), ("Others wait", None, ["  Others wait."]), (None, "end them", ["  Try: end them"])],
)
def test_a_finding_without_reason_or_way_out_says_what_it_has(
    why: str | None, advice: str | None, reason: list[str]
) -> None:
    header = make_header(machine=(Finding(check="odd", level="warning", seen="3", why=why, advice=advice),))
    assert [line.text for line in machine_lines(make_run([], header=header))] == ["machine: odd: 3", *reason]


def test_of_many_kinds_the_rest_is_counted() -> None:
    checks = ("governor", "isolated-cores", "threads", "core-kinds", "load", "steal", "quota", "swapping")
    end = make_end(machine=tuple(finding(check, "warning", "x") for check in checks))
    texts = [line.text for line in machine_lines(make_run([], end=end))]
    assert texts[0] == "machine: governor: x"
    assert len(texts) == 2 * 6 + 1
    assert texts[-1] == "machine: and 2 more kinds, in records_20261123-210146.jsonl"


def test_the_summary_wraps_and_colours_them() -> None:
    run = make_run([make_record(machine=state(finding("cpu-heat", "reject", "2 times")))])
    lines = summary_lines(run, width=70, files=[], results=Path("result"))
    assert [line for line in lines if "red" in line[1]] == [
        ("machine: cpu-heat: 2 times (1 benchmark)", {"red": True}),
        ("  The clock was below what the CPU can do: samples before and after", {"red": True}),
        ("  are of two machines. Try: cool the machine, or lower the load with", {"red": True}),
        ("  --ortperf-threads", {"red": True}),
    ]


def test_a_row_names_what_was_off_alone() -> None:
    assert off_text(None) is None
    assert off_text(state(finding("cpu-heat", "unknown", "x"))) is None
    assert off_text(
        state(steal("3.0%"), finding("quota", "unknown", "x"), finding("cpu-heat", "reject", "2 times"))
    ) == ("warning: steal: 3.0%; reject: cpu-heat: 2 times")
