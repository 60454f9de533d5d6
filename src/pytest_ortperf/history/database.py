"""Where a history stands, and how it is opened: SQLite in one file, or PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.plain_text import without_password

FORMS = "a file such as history.db or sqlite:///history.db, or postgresql://USER:PASSWORD@HOST/DATABASE"

_WAIT_S = 60
"""For other writers of a SQLite file."""

_RETRY_S = 10.0
"""After a connection was lost in the middle."""

_CONNECT_S = 5
_LOCK = 0x6F727470
"""Of PostgreSQL: who creates or rebuilds the tables."""

_PASSING = ("40001", "40P01")
"""SQL states: other writers were in the way, and the same again will do."""

T = TypeVar("T")


class Database:
    """Connections to a database; none is held between uses.

    Attributes:
        name: Its URL without the password; of SQLite the file.
    """

    def __init__(self, given: str) -> None:
        self._url = _url(given)
        self.file = Path(self._url.database or "") if self._url.drivername.startswith("sqlite") else None
        shown = self._url.set(drivername="postgresql").render_as_string(hide_password=True)
        self.name = str(self.file) if self.file else shown
        self._engine = _engine(self._url)

    @property
    def is_there(self) -> bool:
        """Whether there is such a file; of a server nothing is known."""
        return self.file is None or self.file.is_file()

    def create(self) -> None:
        """Create the file of SQLite, where it is none yet.

        Raises:
            HistoryError: If it cannot be.
        """
        if self.file is None or self.is_there:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.file, timeout=_WAIT_S)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer then do not wait for each other
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"{self.file}: the history was not made: {error}.") from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees the database as it is now.

        Raises:
            HistoryError: If the database does not answer.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    def write(self, change: Callable[[Connection], T]) -> T:
        """Make a change in one transaction, all of it or nothing; again, if the connection is lost in the middle.

        Raises:
            HistoryError: If the database does not answer, or does not come back.
        """
        end: float | None = None
        while True:
            try:
                return self._write_once(change)
            except DBAPIError as error:
                now = time.monotonic()
                end = end or (now + _RETRY_S if self._may_pass(error) else 0.0)
                if now >= end:
                    raise self._error(error) from error
                time.sleep(0.2)
            except SQLAlchemyError as error:
                raise self._error(error) from error

    def lock(self, connection: Connection, *, shared: bool = False) -> None:
        """Wait until no other process creates or rebuilds the tables, and keep it so until the transaction ends.

        Args:
            connection: Of the transaction; in SQLite it is the only one that writes anyway.
            shared: Whether for adding, which several may do at once.
        """
        if self.file is None:
            kind = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
            connection.execute(text(f"SELECT {kind}({_LOCK})"))

    def _write_once(self, change: Callable[[Connection], T]) -> T:
        options = {"ortperf_writes": True}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            return change(connection)

    def _may_pass(self, error: DBAPIError) -> bool:
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or state in _PASSING or (state or "").startswith("57P")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._error(error) from error

    def _error(self, error: SQLAlchemyError) -> HistoryError:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        return HistoryError(f"history {self.name}: {cause[0].rstrip('.')}.")


def _url(given: str) -> URL:
    """Return the URL; a text without a scheme is a file of SQLite."""
    if "://" not in given:
        return URL.create("sqlite", database=str(Path(given)))
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        why = f"is no URL of a database ({error})"
        raise HistoryError(f"history {without_password(given)}: {why}. Give {FORMS}.") from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database:
        return url
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise HistoryError(
        f"history {url.render_as_string(hide_password=True)}: is no database of a history. Give {FORMS}."
    )


def _engine(url: URL) -> Engine:
    if url.drivername.startswith("postgresql"):
        return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_S})
    # the driver's own transactions would begin too late, and commit before each change of a table
    arguments = {"timeout": _WAIT_S, "isolation_level": None}
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=arguments)

    def begin(connection: Connection) -> Any:
        writes = connection.get_execution_options().get("ortperf_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "begin", begin)
    return engine
