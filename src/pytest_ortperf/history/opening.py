"""The way to a history for commands and the plugin: nothing else of this package is imported while none is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_ortperf.errors import HistoryError

if TYPE_CHECKING:
    from pytest_ortperf.history.store import History

DEFAULT = "history.db"
"""In the folder that a command is called in."""

HISTORY = "history:"
"""What a baseline out of a history begins with; a branch follows."""

_EACH_S = 1.0
"""Between two lines of progress."""

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
            f"a history needs {error.name}, which is not installed here: "
            f"python -m pip install 'pytest-ortperf[history]'"
        ) from error


def now_and_then(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what passes on what takes long, no more than once a second."""
    last = time.monotonic()

    def progress(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _EACH_S:
            last = time.monotonic()
            tell(text)

    return progress
