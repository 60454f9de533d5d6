"""A writer of a history, in a process of its own that can be killed."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.history.store import History

GAVE_UP = 3

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])  # all of them import it once


def start(url: str, paths: Sequence[Path], answer: Path) -> ForkServerProcess:
    """Start a writer that adds records files one after the other.

    Args:
        url: Of the history.
        paths: Of the files.
        answer: File that gets what it says if it gives up.
    """
    process = _context.Process(target=_add, args=(url, paths, answer))
    process.start()
    return process


def _add(url: str, paths: Sequence[Path], answer: Path) -> None:
    try:
        history: History = open_history(url, create=True)
        for path in paths:
            history.add(kept_records(path))
    except OrtPerfError as error:
        answer.write_text(str(error))
        sys.exit(GAVE_UP)
