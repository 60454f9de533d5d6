"""What the user names -> a side: a file, a folder, run ids, or a git revision with stored results."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.store import StoredRun, find_run, read_run, records_path
from pytest_ortperf.reports.comparison.compared_side import Side, side_of
from pytest_ortperf.reports.comparison.script_tables import (
    is_pytest_benchmark,
    is_script_folder,
    read_pytest_benchmark,
    read_script_folder,
)

FORMS = (
    "a records file, a results folder (its newest run), a run id, a folder with the CSV files of the ONNX Runtime "
    "script, a JSON file of pytest-benchmark, several of these joined by commas, or a git revision with stored results"
)
_GIT_TIMEOUT_S = 5


def read_side(text: str, results: Path, root: Path) -> Side:
    """Return the side that a text names.

    Args:
        text: One of `FORMS`.
        results: Folder that run ids and revisions are looked for in.
        root: A folder of the repository that revisions are of.

    Raises:
        ResultsFileError: If it names nothing, or that cannot be read.
    """
    names = [text] if os.path.exists(root / text) else text.split(",")  # noqa: PTH110 - pathlib's raises on a long list
    parts = [_of_name(name, results, root) for name in names]
    known = [part for part in parts if part is not None]
    if len(known) == len(parts):
        return _joined(text, known)
    commit = commit_of(text, root)
    if commit is None:
        raise ResultsFileError(f"{text}: is no file, no run in {results} and no git revision of {root}. Give {FORMS}.")
    runs = [run for run in _readable(results) if run.header.labels.get("commit") == commit]
    if not runs:
        raise ResultsFileError(
            f"{text}: {results} holds no run of commit {commit[:12]}. Check it out, run pytest with --ortperf-mode, "
            f"and compare again; every run is labelled with its commit."
        )
    return side_of(f"{text} (commit {commit[:12]})", runs)


def commit_of(revision: str, root: Path) -> str | None:
    """Return the hash of a commit; `None` without git, repository or such a revision."""
    command = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        done = subprocess.run(  # noqa: S603 - a revision cannot be an option here
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("ascii", "replace").strip() or None


def _of_name(name: str, results: Path, root: Path) -> Side | None:
    """Return the side of one file, folder or run id; `None` if it is neither."""
    path = root / name
    if not name or not os.path.exists(path):  # noqa: PTH110
        path = records_path(results, name)
        return side_of(name, [read_run(path)]) if name and os.path.isfile(path) else None  # noqa: PTH113
    if path.is_dir() and is_script_folder(path):
        return read_script_folder(path)
    if is_pytest_benchmark(path):
        return read_pytest_benchmark(path)
    return side_of(name, [read_run(find_run(path))])


def _joined(text: str, sides: Sequence[Side]) -> Side:
    runs = tuple(run for side in sides for run in side.runs)
    return Side(name=text, runs=runs, notes=tuple(note for side in sides for note in side.notes))


def _readable(results: Path) -> Iterable[StoredRun]:
    """Yield the runs of a folder, oldest first; what is damaged or of another version is no run to choose."""
    for path in sorted(results.glob("records_*.jsonl")) if results.is_dir() else ():
        try:
            yield read_run(path)
        except ResultsFileError:
            continue
