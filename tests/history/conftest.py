"""Histories in SQLite, and in a PostgreSQL that these tests start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from history.runs import Server, running_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as found:
        if found is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        yield found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a new history goes."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    found: Server = request.getfixturevalue("server")
    return found.new_database(f"test_{next(_numbers)}")
