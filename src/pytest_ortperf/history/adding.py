"""What the user names -> runs that are added: records files, results folders, folders of CSV files, patterns."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ortperf.errors import OrtPerfError, ResultsFileError
from pytest_ortperf.history.kept_run import KeptRun, kept_records, kept_script
from pytest_ortperf.history.opening import now_and_then, open_history
from pytest_ortperf.plain_text import without_password
from pytest_ortperf.records.store import runs_of
from pytest_ortperf.reports.comparison.sources.script_tables import is_script_folder

if TYPE_CHECKING:  # it takes libraries that may be missing
    from pytest_ortperf.history.store import Added, History

FORMS = (
    "records files, results folders (all their runs), folders with the CSV files of the ONNX Runtime script, or "
    "patterns such as 'result/records_2026*.jsonl'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one file or folder."""

    path: Path
    added: Added | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None
    """Why it was not added."""


def found_runs(texts: Sequence[str], root: Path) -> list[Path]:
    """Return the records files and CSV folders that texts name, each once, in the order in which runs were made.

    Raises:
        ResultsFileError: If one names nothing.
    """
    found = [path for text in texts for path in _named(text, root)]
    return list(dict.fromkeys(found))


def add_runs(history: History, paths: Sequence[Path], labels: Mapping[str, str]) -> Iterator[Answer]:
    """Add runs one after the other and yield what became of each; one that cannot be read keeps no other back.

    Raises:
        HistoryError: If the database does not answer.
    """
    for path in paths:
        try:
            run = kept(path, labels)
        except ResultsFileError as error:
            yield Answer(path=path, problem=str(error))
        else:
            yield Answer(path=path, added=history.add(run), notes=run.parsed.stored.notes)


def kept(path: Path, labels: Mapping[str, str]) -> KeptRun:
    """Return the run of a records file, or of a folder of CSV files.

    Raises:
        ResultsFileError: If it cannot be read.
    """
    return kept_script(path, labels) if path.is_dir() else kept_records(path, labels)


def keep_run(url: str, path: Path, tell: Callable[[str], None]) -> tuple[str, bool]:
    """Add the run that just ended, and return a line about it, and whether it is there; nothing is raised.

    Args:
        url: Of the history.
        path: Its records file.
        tell: Is told what takes long.
    """
    try:
        history = open_history(url, create=True, progress=now_and_then(tell))
        added = history.add(kept_records(path))
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has its results
        why = str(error) if isinstance(error, OrtPerfError) else f"{type(error).__name__}: {error}"
        command = shlex.join(["ortperf", "history", "add", str(path), f"--history={without_password(url)}"])
        return f"not added to the history: {why} The run's records are kept; add them later: {command}", False
    return f"added to the history {history.database.name} as run {added.id}: {added.points} points", True


def _named(text: str, root: Path) -> list[Path]:
    path = root / text
    if path.is_dir():
        if is_script_folder(path):
            return [path]
        runs = _begun(runs_of(path))
        if not runs:
            raise ResultsFileError(f"{text}: holds no records_<run>.jsonl of a run, and no CSV files. Give {FORMS}.")
        return runs
    if path.is_file():
        if path.suffix == ".csv":
            raise ResultsFileError(f"{text}: give the folder that this file is in: all of its tables are one run.")
        return [path]
    matching = sorted(glob.glob(text, root_dir=root)) if glob.has_magic(text) else []  # noqa: PTH207 - takes absolute ones
    if not matching:
        raise ResultsFileError(f"{text}: is no file and no folder. Give {FORMS}.")
    return _begun(each for name in matching for each in _named(name, root))


def _begun(paths: Iterable[Path]) -> list[Path]:
    """Return files without those that are empty, of runs that are about to begin or never did; and folders."""
    return [path for path in paths if path.is_dir() or path.stat().st_size]
