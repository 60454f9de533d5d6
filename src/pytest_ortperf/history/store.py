"""A history: runs kept whole, and what is asked of them.

Adding is one transaction a run, and adding a run again adds only what is new of it. So writers need not know of each
other, and one that was killed is simply started again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, delete, func, select

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.database import Database
from pytest_ortperf.history.kept_run import KeptRun, packed, parse
from pytest_ortperf.history.schema import ACCEPTANCE, OUTCOME, POINT, RUN, SCHEMA, SERIES, SOURCE_RUN, TEST_CASE
from pytest_ortperf.history.writing import (
    Added,
    Progress,
    add_run,
    lines_of,
    now,
    rebuild_tables,
    schema_of,
    update_tables,
)
from pytest_ortperf.plain_text import without_password
from pytest_ortperf.records.store import StoredRun

__all__ = ["Acceptance", "Added", "History", "Outcome", "Point", "Progress", "Run", "Series"]

_ROWS_AT_ONCE = 10_000
_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """That somebody takes a run for what others are held against."""

    at: str
    by: str | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run."""

    id: int
    """The order of adding; it never changes."""

    run: str
    kind: str
    """`records`, or `script` of a folder of CSV files."""

    added_at: str
    started: str
    branch: str | None
    commit_id: str | None
    commit_date: str | None
    identifier: str | None
    groups: tuple[str, ...]
    labels: Mapping[str, str]
    options: Mapping[str, Any]
    host: str | None
    machine: str | None
    """Fingerprint of the hardware."""

    device: str | None
    onnxruntime: str | None
    """Distribution and version, such as `onnxruntime 1.31.1`."""

    complete: bool
    state: str
    """`complete`, or what cut it short."""

    cases: int
    passed: int
    failed: int
    deselected: tuple[str, ...]
    notes: tuple[str, ...]
    """What of its file could not be used."""

    digest: str
    """Changes when lines come to it."""

    source: str | None
    """File or folder that it was added from."""

    url: str | None
    acceptance: Acceptance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase:
    """A case on one machine, as the table `test_case` holds it."""

    nodeid: str
    list: str
    case_id: str
    model: str
    model_hash: str | None
    mode: str
    provider: str
    precision: str | None
    dims: str
    settings: str
    group: str | None
    machine: str | None
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series(StoredCase):
    """One quantity of one case on one machine, over runs."""

    id: int
    """A hash of the case and of all below: the same in each database."""

    lineage: int
    """The same for all contents of the model."""

    metric: str
    unit: str
    timing: str
    """Timing mode; empty for quantities of a whole case."""


@dataclass(frozen=True, slots=True)
class Point:
    """The value of a series in a run."""

    run: int
    series: int
    value: float
    low: float | None
    high: float | None
    n: int | None
    flags: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(StoredCase):
    """How a case of a run ended."""

    run: int
    number: int
    outcome: str
    kind: str | None
    text: str | None


class History:
    """An open history.

    Attributes:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str, *, create: bool = False, progress: Progress = lambda _: None) -> Self:
        """Open a history; one of an older version is brought up to date.

        Args:
            url: A file of SQLite, or the URL of a database.
            create: Whether to make one where there is none.
            progress: Is told what takes long.

        Raises:
            HistoryError: If there is none, it does not answer, or a newer version wrote it.
        """
        database = Database(url)
        if create:
            database.create()
        elif not database.is_there:
            raise HistoryError(f"{database.name}: there is no such history. {_way_out(url)}")
        history = cls(database)
        history._bring_up_to_date(progress, create=create)
        return history

    def add(self, run: KeptRun) -> Added:
        """Add a run, or what is new of one that is there.

        Raises:
            HistoryError: If it could not be: then nothing of it was added.
        """
        lines = {line.number: packed(line.data) for line in run.lines}
        return self.database.write(lambda connection: add_run(self.database, connection, run, lines))

    def accept(self, run: int, *, by: str | None = None, why: str | None = None) -> None:
        """Take a run for what later ones are held against."""
        row = {"run": run, "accepted_at": now(), "accepted_by": by, "why": why}

        def change(connection: Connection) -> None:
            connection.execute(delete(ACCEPTANCE).where(ACCEPTANCE.c.run == run))
            connection.execute(ACCEPTANCE.insert(), row)

        self.database.write(change)

    def withdraw(self, run: int) -> None:
        """Take back that a run was accepted."""
        self.database.write(lambda connection: connection.execute(delete(ACCEPTANCE).where(ACCEPTANCE.c.run == run)))

    def rebuild(self, progress: Progress = lambda _: None) -> int:
        """Make all derived tables again; return the number of runs."""
        return self.database.write(lambda connection: rebuild_tables(self.database, connection, progress))

    def runs(
        self,
        *,
        branch: str | None = None,
        machine: str | None = None,
        complete: bool | None = None,
        accepted: bool | None = None,
    ) -> list[Run]:
        """Return runs in the order they were made; those of a branch, a machine, or complete ones alone."""
        query = select(RUN, ACCEPTANCE.c.accepted_at, ACCEPTANCE.c.accepted_by, ACCEPTANCE.c.why)
        query = query.outerjoin(ACCEPTANCE, ACCEPTANCE.c.run == RUN.c.id).order_by(RUN.c.position, RUN.c.id)
        wanted = {RUN.c.branch: branch, RUN.c.machine: machine, RUN.c.complete: complete}
        for column, value in wanted.items():
            query = query if value is None else query.where(column == value)
        if accepted is not None:
            is_accepted = ACCEPTANCE.c.run.is_not(None)
            query = query.where(is_accepted if accepted else ~is_accepted)
        with self.database.read() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def series(
        self,
        *,
        metric: str | None = None,
        model: str | None = None,
        machine: str | None = None,
        ids: Collection[int] | None = None,
    ) -> list[Series]:
        """Return series by model, case and metric; those of a metric, a model, a machine, or of some ids alone."""
        query = select(SERIES, *_case_columns()).join(TEST_CASE, TEST_CASE.c.id == SERIES.c.test_case)
        query = query.order_by(TEST_CASE.c.model, TEST_CASE.c.nodeid, SERIES.c.timing, SERIES.c.metric, SERIES.c.id)
        for column, value in {SERIES.c.metric: metric, TEST_CASE.c.model: model, TEST_CASE.c.machine: machine}.items():
            query = query if value is None else query.where(column == value)
        with self.database.read() as connection:
            return [Series(**_without(row, "test_case")) for row in _of_ids(connection, query, SERIES.c.id, ids)]

    def points(self, series: Collection[int] | None = None, runs: Collection[int] | None = None) -> Iterator[Point]:
        """Yield points of series, or of runs: ordered by series, and in each by the order of its runs.

        Args:
            series: Ids; all unless given.
            runs: Ids; all unless given.
        """
        columns = (POINT.c.run, POINT.c.series, POINT.c.value, POINT.c.low, POINT.c.high, POINT.c.n, POINT.c.flags)
        query = select(*columns).join(RUN, RUN.c.id == POINT.c.run)
        if runs is not None:
            query = query.where(POINT.c.run.in_(sorted(runs)))
        query = query.order_by(POINT.c.series, RUN.c.position, RUN.c.id)
        with self.database.read() as connection:
            streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
            if series is None:
                yield from (Point(*row) for row in streamed.execute(query))
            for some in _batches(sorted(series or ())):
                yield from (Point(*row) for row in streamed.execute(query.where(POINT.c.series.in_(some))))

    def trend(self, series: int) -> list[Point]:
        """Return the points of one series in the order of its runs."""
        return list(self.points([series]))

    def outcomes(self, runs: Collection[int] | None = None) -> Iterator[Outcome]:
        """Yield how each case ended, by run and in the order of its lines."""
        columns = (OUTCOME.c[name] for name in ("run", "number", "outcome", "kind", "text"))
        query = select(*columns, *_case_columns()).join(TEST_CASE, TEST_CASE.c.id == OUTCOME.c.test_case)
        query = query.order_by(OUTCOME.c.run, OUTCOME.c.number)
        with self.database.read() as connection:
            streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
            for row in _of_ids(streamed, query, OUTCOME.c.run, runs):
                yield Outcome(**row)

    def record_lines(self, run: int) -> list[tuple[int, bytes]]:
        """Return number and text of each line that was kept of a run."""
        with self.database.read() as connection:
            return [(line.number, line.data) for line in lines_of(connection, run)]

    def stored_run(self, run: int) -> StoredRun:
        """Return a run as its file had it."""
        with self.database.read() as connection:
            kind, name = connection.execute(
                select(SOURCE_RUN.c.kind, SOURCE_RUN.c.run).where(SOURCE_RUN.c.id == run)
            ).one()
            return parse(kind, name, lines_of(connection, run)).stored

    def count(self) -> Mapping[str, int]:
        """Return how many runs, series and points there are."""
        with self.database.read() as connection:
            return {
                table.name: connection.scalar(select(func.count()).select_from(table)) or 0
                for table in (RUN, SERIES, POINT)
            }

    def _bring_up_to_date(self, progress: Progress, *, create: bool) -> None:
        schema = self._schema()
        if schema is None and not create:
            raise HistoryError(f"{self.database.name}: holds no history. {_way_out(self.database.name)}")
        if schema == SCHEMA:
            return
        if schema is not None and schema > SCHEMA:
            raise HistoryError(
                f"{self.database.name}: a newer pytest-ortperf wrote this history (schema {schema}; this one knows "
                f"{SCHEMA}). Update pytest-ortperf here."
            )
        self.database.write(lambda connection: update_tables(self.database, connection, progress))

    def _schema(self) -> int | None:
        with self.database.read() as connection:
            return schema_of(connection)


def _way_out(name: str) -> str:
    return f"Add the runs you have: ortperf history add result --history={without_password(name)}"


def _case_columns() -> list[ColumnElement[Any]]:
    names = [column.name for column in TEST_CASE.c if column.name not in ("id", "group_name")]
    return [*(TEST_CASE.c[name] for name in names), TEST_CASE.c.group_name.label("group")]


def _of_ids(
    connection: Connection, query: Select[Any], column: ColumnElement[int], ids: Collection[int] | None
) -> Iterator[RowMapping]:
    if ids is None:
        yield from connection.execute(query).mappings()
    for some in _batches(sorted(ids or ())):
        yield from connection.execute(query.where(and_(column.in_(some)))).mappings()


def _batches(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE))


def _without(row: RowMapping, name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def _run(row: RowMapping) -> Run:
    data = dict(row)
    at, by, why = data.pop("accepted_at"), data.pop("accepted_by"), data.pop("why")
    del data["position"]
    for name in ("groups", "deselected", "notes"):
        data[name] = tuple(json.loads(data[name]))
    for name in ("labels", "options"):
        data[name] = json.loads(data[name])
    return Run(acceptance=Acceptance(at=at, by=by, why=why) if at else None, **data)
