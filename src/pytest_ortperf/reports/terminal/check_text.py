"""What `ortperf check` prints."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ortperf.records.checks import (
    LEAK,
    RUNS,
    SESSIONS,
    Growth,
    LeakCheck,
    LostBlocks,
    ThreadCheck,
    ThreadRun,
    ValgrindCheck,
)
from pytest_ortperf.records.record import Record

_ONE = {RUNS: "run", SESSIONS: "session"}
_TITLES = {RUNS: "runs on one session", SESSIONS: "sessions, each created, run once and destroyed"}
_BLOCKS_SHOWN = 5


def check_lines(record: Record) -> list[str]:
    """Return the checks of a case as lines."""
    lines = [record.case_id]
    if record.leak_check:
        lines += _leak_lines(record.leak_check)
    if record.valgrind_check:
        lines += _valgrind_lines(record.valgrind_check)
    if record.thread_check:
        lines += _thread_lines(record.thread_check)
    if record.failure and not any((record.leak_check, record.valgrind_check, record.thread_check)):
        lines.append(f"not checked: {record.failure.message}")
    elif record.failure and record.failure.kind not in ("leak", "race"):
        lines.append(record.failure.message)
    return lines


def growth_text(growth: Growth) -> str:
    """Return `heap: 1,040 B a run (95 % interval 1,038 to 1,041)`."""
    unit = f" {growth.unit}" if growth.unit else ""
    interval = f"95 % interval {_number(growth.low)} to {_number(growth.high)}"
    return f"{growth.name}: {_number(growth.per_call)}{unit} a {_ONE[growth.calls_of]} ({interval})"


def _leak_lines(check: LeakCheck) -> Iterator[str]:
    yield f"leaks: {check.verdict}"
    for calls_of in (RUNS, SESSIONS):
        found = [growth for growth in check.growths if growth.calls_of == calls_of]
        if found:
            calls = found[0].calls
            yield f"  {_TITLES[calls_of]}: {sum(calls):,} in {len(calls)} rounds"
        width = max((len(growth.name) for growth in found), default=0)
        for growth in found:
            yield f"    {growth.name:<{width}}  {growth.verdict:<7}  {_growth_detail(growth)}".rstrip()
    for name, reason in check.absent.items():
        yield f"  {name} was not read: {reason}"
    for text in check.advice:
        yield f"  try: {text}"


def _growth_detail(growth: Growth) -> str:
    unit = f" {growth.unit}" if growth.unit else ""
    one = _ONE[growth.calls_of]
    if growth.verdict == LEAK or growth.without_arena is not None:
        without = f"; with the arena off: {growth.without_arena}" if growth.without_arena else ""
        _, _, text = growth_text(growth).partition(": ")
        return f"{text}{without}"
    if not growth.unit:
        return ""
    return (
        f"below {_number(growth.least)}{unit} a {one}"
        if growth.verdict != "unsure"
        else f"{_number(growth.per_call)}{unit} a {one}"
    )


def _valgrind_lines(check: ValgrindCheck) -> Iterator[str]:
    yield (
        f"valgrind {check.version}: {check.verdict} in {check.sessions} sessions with {check.runs} runs each; "
        f"{check.lost_byte:,} B definitely lost, and {check.lost_elsewhere_byte:,} B by others"
    )
    for lost in check.lost[:_BLOCKS_SHOWN]:
        yield f"  {lost_text(lost)}"
        for frame in lost.where:
            yield f"      {frame}"
    if len(check.lost) > _BLOCKS_SHOWN:
        yield f"  and {len(check.lost) - _BLOCKS_SHOWN} more, in the results"


def lost_text(lost: LostBlocks) -> str:
    """Return `9,000 B in 9 blocks, by libleak.so`."""
    often = "" if lost.again else ", once in the process"
    return f"{lost.byte:,} B in {lost.blocks:,} blocks, by {lost.keyword}{often}"


def _thread_lines(check: ThreadCheck) -> Iterator[str]:
    yield f"{check.threads} threads: {check.verdict}"
    for run in check.runs:
        yield f"  {run_text(run)}"
        for message in run.messages:
            yield f"    {message}"


def run_text(run: ThreadRun) -> str:
    """Return how one way of threads went."""
    wrong = f", {run.wrong:,} outside tolerance" if run.wrong else ""
    differing = f"; {run.differing:,} with other bits{wrong}" if run.differing or run.wrong else ""
    return f"{run.sessions}: {run.verdict} ({sum(run.iterations):,} iterations, {run.inputs} sets of inputs{differing})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"  # noqa: PLR2004
