"""The accuracy table: one row per output of each data set that was compared, and per check of a case's own outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_ortperf.records.record import ConsistencyCheck, DataSetAccuracy, OutputAccuracy, Record, RelativeError
from pytest_ortperf.reports.tables.columns import IDENTITY, Cell, Column


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
    return Column(name, lambda row: getattr(row.output, name) if row.output else None)


def _identity(column: Column[Record]) -> Column[OutputComparisonRow]:
    return Column(column.name, lambda row: column.get(row.record))


def _relative(row: OutputComparisonRow) -> RelativeError | None:
    return row.output.relative if row.output else None


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


def _error(row: OutputComparisonRow) -> Cell:
    return row.output.max_abs_error if row.output else row.check.max_abs_error if row.check else None


def _note(row: OutputComparisonRow) -> Cell:
    if row.output is not None:
        return row.output.message
    return row.check.note if row.check else None


ACCURACY: tuple[Column[OutputComparisonRow], ...] = (
    *map(_identity, IDENTITY),
    Column("data_set", lambda row: row.data_set.data_set if row.data_set else None),
    Column("reference", lambda row: row.data_set.reference if row.data_set else None),
    Column("output", lambda row: row.output.name if row.output else None),
    Column("check", lambda row: row.check.name if row.check else "reference"),
    Column("verdict", _verdict),
    _of("dtype"),
    Column("shape", _shape),
    Column("max_abs_error", _error),
    _of("max_rel_error"),
    _of("percent_mismatch"),
    _of("percent_mismatch_allowed"),
    _of("cosine"),
    _of("cosine_least"),
    _of("snr_db"),
    _of("snr_db_least"),
    _of("peak_percent"),
    _of("peak_percent_allowed"),
    _of("nonfinite_mismatches"),
    _of("rtol"),
    _of("atol"),
    _of("needed_rtol"),
    _of("needed_atol"),
    Column("worst_index", _index),
    _of("worst_output"),
    _of("worst_reference"),
    Column("golden", lambda row: it.golden if (it := _relative(row)) else None),
    Column("rmse_to_golden", lambda row: it.rmse if (it := _relative(row)) else None),
    Column("baseline_rmse_to_golden", lambda row: it.baseline_rmse if (it := _relative(row)) else None),
    _of("own_error"),
    _of("own_error_allowed"),
    Column("message", _note),
)
