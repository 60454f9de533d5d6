"""The way to a history for commands and the plugin: nothing else of this package is imported while none is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_ortperf.errors import HistoryError

if TYPE_CHECKING:
    from pytest_ortperf.history.store import History

DEFAULT = "history.db"
"""In the folder that a command is called in."""

_EXTRA = ("sqlalchemy", "psycopg", "greenlet")


def open_history(url: str, *, create: bool = False, progress: Callable[[str], None] = lambda _: None) -> History:
    """Open a history; see `History.open`.

    Raises:
        HistoryError: Also if the libraries that this takes are not installed.
    """
    try:
        from pytest_ortperf.history.store import History

        return History.open(url, create=create, progress=progress)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise HistoryError(
            f"A history needs {error.name}, which is not installed here: python -m pip install 'pytest-ortperf[history]'"
        ) from error
