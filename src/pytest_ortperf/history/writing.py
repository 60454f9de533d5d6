"""How runs come into the tables, and how the derived ones are made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.database import Database
from pytest_ortperf.history.derivation import Derived, Origin, derive, identity
from pytest_ortperf.history.kept_run import KeptRun, Line, Parsed, parse, unpacked
from pytest_ortperf.history.schema import (
    META,
    OUTCOME,
    POINT,
    RECORD,
    RETIRED,
    RUN,
    SCHEMA,
    SCRIPT_RESULT,
    SCRIPT_SPEC,
    SERIES,
    SOURCE_RUN,
    TEST_CASE,
    derived,
    kept,
)
from pytest_ortperf.history.script_views import VIEWS

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of a run that was added."""

    id: int
    run: str
    is_new: bool
    is_relabelled: bool
    """Whether it was there with other labels."""

    lines: int
    """That the history did not have."""

    points: int
    state: str


def schema_of(connection: Connection) -> int | None:
    """Return the number of the schema; `None` where there is no history."""
    if not inspect(connection).has_table(META.name):
        return None
    found = connection.scalar(select(META.c.value).where(META.c.name == "schema"))
    return int(found) if found else None


def update_tables(database: Database, connection: Connection, progress: Progress) -> None:
    """Create the tables, or make them again, unless another process has done so meanwhile."""
    database.lock(connection)
    found = schema_of(connection)
    if found == SCHEMA:
        return
    if found is None:
        _refuse_others(database, connection)
    else:
        progress(f"bringing the history from schema {found} to {SCHEMA}")
    kept.create_all(connection)
    rebuild_tables(database, connection, progress)


def _refuse_others(database: Database, connection: Connection) -> None:
    """Leave alone what is not ours: our tables have plain names, and derived ones are dropped before they are made."""
    there = inspect(connection)
    ours = {*kept.tables, *derived.tables, *VIEWS}
    others = sorted(ours.intersection((*there.get_table_names(), *there.get_view_names())))
    if others:
        raise HistoryError(
            f"{database.name}: holds no history, but tables of something else that has the same names "
            f"({', '.join(others)}). Give a database of its own, or in PostgreSQL a schema of its own: "
            f"?options=-csearch_path%3DNAME at the end of the address."
        )


def rebuild_tables(database: Database, connection: Connection, progress: Progress) -> int:
    """Make all derived tables again; return the number of runs."""
    database.lock(connection)
    _drop_derived(connection)
    kept.create_all(connection)
    derived.create_all(connection)
    for name, query in VIEWS.items():
        connection.execute(text(f"CREATE VIEW {name} AS {query}"))
    connection.execute(delete(META).where(META.c.name == "schema"))
    connection.execute(META.insert(), {"name": "schema", "value": str(SCHEMA)})
    ids = connection.scalars(select(SOURCE_RUN.c.id).order_by(SOURCE_RUN.c.id)).all()
    for number, run in enumerate(ids, start=1):
        progress(f"rebuilding run {number} of {len(ids)}")
        _derive(connection, run)
    return len(ids)


def _drop_derived(connection: Connection) -> None:
    for name in VIEWS:
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
    derived.drop_all(connection)
    for name in RETIRED:
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))


def add_run(database: Database, connection: Connection, run: KeptRun, lines: Mapping[int, bytes]) -> Added:
    """Add a run, or what is new of one that is there.

    Args:
        database: Where.
        connection: In a transaction.
        run: Which.
        lines: Packed, by number.

    Raises:
        HistoryError: If another version of the program rebuilt the tables meanwhile.
    """
    database.lock(connection, shared=True)
    if schema_of(connection) != SCHEMA:
        raise HistoryError(f"history {database.name}: another pytest-ortperf has just changed its tables. Try again.")
    row = {
        "key": run.key,
        "kind": run.kind,
        "run": run.run,
        "added_at": now(),
        "source": run.source,
        "labels": json.dumps(dict(run.labels), sort_keys=True),
    }
    is_relabelled = False
    query = select(SOURCE_RUN.c.id).where(SOURCE_RUN.c.key == run.key)
    is_new = connection.scalars(query).one_or_none() is None
    if is_new:
        is_new = bool(connection.execute(_insert(connection, SOURCE_RUN), _storable(row)).rowcount)
    found = connection.scalars(query.with_for_update()).one()
    if run.labels and not is_new:
        changed = update(SOURCE_RUN).where(SOURCE_RUN.c.id == found, SOURCE_RUN.c.labels != row["labels"])
        is_relabelled = bool(connection.execute(changed.values(labels=row["labels"])).rowcount)
    known = set(connection.scalars(select(RECORD.c.number).where(RECORD.c.run == found)))
    fresh = [{"run": found, "number": number, "data": lines[number]} for number in sorted(lines) if number not in known]
    points = 0
    if fresh:
        _insert_rows(connection, RECORD, fresh)
    if fresh or is_relabelled:
        is_all = known <= lines.keys()
        points = _derive(connection, found, run.parsed if is_all else None)
    state = connection.scalars(select(RUN.c.state).where(RUN.c.id == found)).one()
    return Added(
        id=found,
        run=run.run,
        is_new=is_new,
        is_relabelled=is_relabelled,
        lines=len(fresh),
        points=points,
        state=state,
    )


def _derive(connection: Connection, run: int, parsed: Parsed | None = None) -> int:
    """Make the derived rows of a run again; return the number of its points."""
    row = connection.execute(select(SOURCE_RUN).where(SOURCE_RUN.c.id == run)).mappings().one()
    parsed = parsed or parse(row["kind"], row["run"], lines_of(connection, run))
    origin = Origin(
        id=run,
        kind=row["kind"],
        added_at=row["added_at"],
        source=row["source"],
        labels=json.loads(row["labels"]),
        digest=f"{len(parsed.lines)}-{identity(row['key'], row['labels']):x}",
    )
    found = derive(parsed, origin)
    for table in (POINT, OUTCOME, SCRIPT_RESULT, SCRIPT_SPEC):
        connection.execute(delete(table).where(table.c.run == run))
    connection.execute(delete(RUN).where(RUN.c.id == run))
    _insert_derived(connection, found)
    return len(found.points)


def _insert_derived(connection: Connection, found: Derived) -> None:
    connection.execute(RUN.insert(), _storable(found.run))
    # in the order of their ids: writers that have some in common then never wait for each other in a circle
    _insert_rows(connection, TEST_CASE, [found.cases[key] for key in sorted(found.cases)])
    _insert_rows(connection, SERIES, [found.series[key] for key in sorted(found.series)])
    _insert_rows(connection, POINT, [found.points[key] for key in sorted(found.points)])
    _insert_rows(connection, OUTCOME, found.outcomes)
    _insert_rows(connection, SCRIPT_RESULT, found.script_results)
    _insert_rows(connection, SCRIPT_SPEC, found.script_specs)


def _insert(connection: Connection, table: Any) -> Any:
    """Return an insertion that leaves what is there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def _insert_rows(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(_insert(connection, table), [_storable(row) for row in rows])


def _storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with texts that every database takes: half characters and NUL become escapes."""
    return {name: _whole(value) if isinstance(value, str) else value for name, value in row.items()}


def _whole(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def lines_of(connection: Connection, run: int) -> Iterator[Line]:
    """Return the lines that were kept of a run."""
    query = select(RECORD.c.number, RECORD.c.data).where(RECORD.c.run == run).order_by(RECORD.c.number)
    return (Line(number, unpacked(data)) for number, data in connection.execute(query))


def now() -> str:
    """Return the time, as all tables have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
