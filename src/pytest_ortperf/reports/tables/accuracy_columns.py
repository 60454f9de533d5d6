"""The accuracy table: one row per output of each data set that was compared, and per check of a case's own outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from pytest_ortperf.quantities import ERRORS, NEEDED, PRECISION, QUANTITIES, Group, Quantity
from pytest_ortperf.records.record import ConsistencyCheck, DataSetAccuracy, OutputAccuracy, Record
from pytest_ortperf.reports.tables.columns import IDENTITY, Cell, Column, at


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparisonRow:
    """A row."""

    record: Record
    data_set: DataSetAccuracy | None = None
    output: OutputAccuracy | None = None
    check: ConsistencyCheck | None = None


def compared_rows(records: Iterable[Record]) -> Iterator[OutputComparisonRow]:
    """Yield the outputs of each record in their order, then its checks."""
    for record in records:
        for data_set in record.accuracy:
            for output in data_set.outputs:
                yield OutputComparisonRow(record=record, data_set=data_set, output=output)
        for check in record.checks:
            yield OutputComparisonRow(record=record, check=check)


def _of(name: str) -> Column[OutputComparisonRow]:
    """Return the column of an output's field of that name."""
    return Column(name, at(f"output.{name}"))


def _of_group(group: Group) -> Iterator[Column[OutputComparisonRow]]:
    """Yield the columns of quantities, each with what the tolerance asks for beside it."""
    for each in QUANTITIES:
        if each.group == group:
            yield Column(each.name, partial(_cell, each))
            if each.bound:
                yield _of(each.bound)


def _cell(quantity: Quantity, row: OutputComparisonRow) -> Cell:
    cell: Cell = quantity.cell(row.output or row.check)  # a check has some of these fields too
    return cell


def _identity(column: Column[Record]) -> Column[OutputComparisonRow]:
    return Column(column.name, lambda row: column.get(row.record))


def _verdict(row: OutputComparisonRow) -> Cell:
    return row.output.verdict if row.output else row.check.outcome if row.check else None


def _shape(row: OutputComparisonRow) -> Cell:
    if row.output is None or row.output.shape is None:
        return None
    return ",".join(map(str, row.output.shape)) or "scalar"


def _index(row: OutputComparisonRow) -> Cell:
    if row.output is None or row.output.worst_index is None:
        return None
    return ",".join(map(str, row.output.worst_index)) or "scalar"


def _note(row: OutputComparisonRow) -> Cell:
    if row.output is not None:
        return row.output.message
    return row.check.note if row.check else None


ACCURACY: tuple[Column[OutputComparisonRow], ...] = (
    *map(_identity, IDENTITY),
    Column("data_set", at("data_set.data_set")),
    Column("reference", at("data_set.reference")),
    Column("output", at("output.name")),
    Column("check", lambda row: row.check.name if row.check else "reference"),
    Column("verdict", _verdict),
    _of("dtype"),
    Column("shape", _shape),
    *_of_group(ERRORS),
    _of("weakness"),
    _of("rtol"),
    _of("atol"),
    *_of_group(NEEDED),
    Column("worst_index", _index),
    _of("worst_output"),
    _of("worst_reference"),
    Column("golden", at("output.relative.golden")),
    *_of_group(PRECISION),
    Column("message", _note),
)
