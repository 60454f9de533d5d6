"""Records of a run as the rows of tables, in an order that does not depend on which worker was first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.tables.columns import Measured, Placed
from pytest_ortperf.reports.tables.gains import Gains, counts, list_of

FAILED = ("failed", "crashed", "timed_out")

BECAUSE_OF_VALIDATION = ("validation failed", "validation crashed", "validation timed out")
"""How the reason of a benchmark begins that was skipped for a failure of its validation, which is listed by itself."""

Group = tuple[str, str | None]
"""Short provider name and precision: a group of columns in the wide tables."""

Subject = tuple[str, str, tuple[tuple[str, int], ...]]
"""Model list, model and dimensions: a row of the wide tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A run, sorted: by model, dimensions, provider in the order asked for, precision, mode."""

    run: StoredRun
    records: tuple[Record, ...]
    groups: tuple[Group, ...]

    @property
    def failed(self) -> tuple[Record, ...]:
        """Cases that failed, crashed or ran out of time."""
        return tuple(record for record in self.records if record.outcome in FAILED)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """One row per timing mode of each benchmark that passed, or broke only a limit."""
        gains = Gains(self.run.header, self.records)
        return tuple(
            Measured(
                record=record,
                latency=latency,
                summary=summarize(latency),
                gain=gains.of_timing(record, latency),
                standalone_gain=gains.standalone(record, latency),
                header=self.run.header,
            )
            for record in self.records
            if counts(record)
            for latency in record.latencies
        )

    @property
    def placed(self) -> tuple[Record, ...]:
        """One record per cell of the wide tables whose placement is known; a benchmark's before others."""
        found: dict[tuple[Subject, Group], Record] = {}
        for record in sorted(self.records, key=lambda record: record.mode):
            if record.placement is not None:
                found.setdefault((subject_of(record), group_of(record)), record)
        chosen = {id(record) for record in found.values()}
        return tuple(record for record in self.records if id(record) in chosen)

    @property
    def operators(self) -> Iterator[Placed]:
        """Yield one row per operator type, provider and placed record: as assigned, as run, or both."""
        for record in self.placed:
            by_provider = record.placement.op_types_by_provider if record.placement else {}
            nodes = {
                (assigned, kind): count for assigned, kinds in by_provider.items() for kind, count in kinds.items()
            }
            profiled = record.operators.operators if record.operators else ()
            times = {(time.provider, time.op_type): time for time in profiled}
            for key in sorted(nodes.keys() | times.keys()):
                yield Placed(record=record, assigned=key[0], op_type=key[1], nodes=nodes.get(key), time=times.get(key))

    @property
    def subjects(self) -> Mapping[Subject, tuple[Record, ...]]:
        """Records by the row of a wide table they belong to."""
        found: dict[Subject, list[Record]] = {}
        for record in self.records:
            found.setdefault(subject_of(record), []).append(record)
        return {subject: tuple(records) for subject, records in found.items()}


def sorted_rows(run: StoredRun) -> Rows:
    """Return the run in table order."""
    order = {name: number for number, name in enumerate(run.header.providers)}

    def key(record: Record) -> tuple[object, ...]:
        rank = order.get(record.provider, len(order))
        subject = (record.model, tuple(sorted(record.dims.items())), list_of(record))
        return (*subject, rank, record.provider, record.precision or "", record.mode, record.nodeid)

    return Rows(run=run, records=tuple(sorted(run.records, key=key)), groups=_groups(run.records, order))


def subject_of(record: Record) -> Subject:
    """Return the row of a wide table that a record belongs to."""
    return list_of(record), record.model, tuple(record.dims.items())


def group_of(record: Record) -> Group:
    """Return the group of columns of a wide table that a record belongs to."""
    return record.provider, record.precision


def group_name(group: Group) -> str:
    """Return `cuda_fp16`."""
    return "_".join(part for part in group if part)


def _groups(records: Iterable[Record], order: Mapping[str, int]) -> tuple[Group, ...]:
    """Return every provider asked for or seen, with every precision of the run."""
    seen = list(records)
    others = sorted({record.provider for record in seen} - set(order))
    precisions = sorted({record.precision for record in seen}, key=lambda precision: precision or "") or [None]
    return tuple((provider, precision) for precision in precisions for provider in (*order, *others))
