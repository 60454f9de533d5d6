"""The table of checks: a row for each reading watched for leaks, block that valgrind calls lost, and way of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pytest_ortperf.records.checks import LEAK, UNSURE, Growth, LostBlocks, ThreadRun, ValgrindCheck
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.columns import IDENTITY, Cell, Column, at


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """A row."""

    record: Record
    kind: str
    """`leaks`, `valgrind` or `threads`."""

    result: str
    of: str
    growth: Growth | None = None
    lost: LostBlocks | None = None
    threads: ThreadRun | None = None

    @property
    def reading(self) -> str | None:
        """What was read, or what of a stack made lost blocks count."""
        return self.growth.name if self.growth else self.lost.keyword if self.lost else None

    @property
    def message(self) -> str | None:
        """What is to be known of it."""
        if self.threads:
            return "; ".join(self.threads.messages) or None
        if self.lost:
            return f"{self.lost.byte} B in {self.lost.blocks} blocks: {' < '.join(self.lost.where)}"
        without = self.growth.without_arena if self.growth else None
        return f"with the arena off: {without}" if without else None


def check_rows(records: Iterable[Record]) -> Iterator[CheckRow]:
    """Yield the rows of each record's checks."""
    for record in records:
        if record.leak_check:
            for growth in record.leak_check.growths:
                yield CheckRow(record=record, kind="leaks", of=growth.calls_of, result=growth.verdict, growth=growth)
        if record.valgrind_check:
            yield from _valgrind_rows(record, record.valgrind_check)
        for run in record.thread_check.runs if record.thread_check else ():
            yield CheckRow(record=record, kind="threads", of=run.sessions, result=run.verdict, threads=run)


def _valgrind_rows(record: Record, check: ValgrindCheck) -> Iterator[CheckRow]:
    of = f"{check.sessions} sessions, {check.runs} runs each"
    if not check.lost:
        yield CheckRow(record=record, kind="valgrind", of=of, result=check.verdict)
    for lost in check.lost:
        result = LEAK if lost.again else UNSURE
        yield CheckRow(record=record, kind="valgrind", of=of, result=result, lost=lost)


def _number(get: Callable[[CheckRow], Cell]) -> Callable[[CheckRow], Cell]:
    def rounded(row: CheckRow) -> Cell:
        value = get(row)
        return round(value, 3) if isinstance(value, float) else value

    return rounded


def _calls(row: CheckRow) -> int | None:
    found = row.growth.calls if row.growth else row.threads.iterations if row.threads else None
    return None if found is None else sum(found)


CHECKS: tuple[Column[CheckRow], ...] = (
    *(
        Column(column.name, lambda row, get=column.get: get(row.record))  # type: ignore[misc]
        for column in IDENTITY
        if column.name != "mode"
    ),
    Column("kind", lambda row: row.kind),
    Column("of", lambda row: row.of),
    Column("reading", lambda row: row.reading),
    Column("result", lambda row: row.result),
    Column("per_call", _number(at("growth.per_call"))),
    Column("per_call_low", _number(at("growth.low"))),
    Column("per_call_high", _number(at("growth.high"))),
    Column("per_call_least", _number(at("growth.least"))),
    Column("unit", lambda row: (row.growth.unit or None) if row.growth else None),
    Column("calls", _calls),
    Column("lost_byte", at("lost.byte")),
    Column("differing", at("threads.differing")),
    Column("wrong", at("threads.wrong")),
    Column("message", lambda row: row.message),
)
