"""Records files found and read back, as far as they are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import from_dict
from pytest_ortperf.records.environment.run_header import RunEnd, RunHeader
from pytest_ortperf.records.record import Record

SCHEMA = 1
"""Of the records file. 1: the first."""

Line: TypeAlias = RunHeader | Record | RunEnd

TYPES: Mapping[str, type[Line]] = {"header": RunHeader, "record": Record, "end": RunEnd}

DAMAGE = (ValueError, TypeError, KeyError, AttributeError)
"""What a line raises that is no JSON, or JSON of another shape than its type's."""

_RUN = re.compile(r"records_(?P<stamp>.+?)(?:-(?P<number>\d{1,4}))?\.jsonl")
_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One records file, read."""

    path: Path
    header: RunHeader
    records: tuple[Record, ...]
    """In the order they were written."""

    end: RunEnd | None
    """`None` if the run did not come to its end."""

    notes: tuple[str, ...] = ()
    """What of the file could not be used, and why."""


def records_path(folder: Path, run: str) -> Path:
    """Return where the records of a run stand."""
    return folder / f"records_{run}.jsonl"


def read_run(path: Path) -> Run:
    """Return a records file; damaged lines are left out and named in its notes.

    Raises:
        ResultsFileError: If there is no such file, its header is damaged, or another schema version wrote it.
    """
    data = _read_bytes(path)
    first, *rest = data.split(b"\n")
    header = _read_header(path, first)
    notes: list[str] = []
    lines = list(_read_lines(path, rest, notes))
    ends = [line for line in lines if isinstance(line, RunEnd)]
    return Run(
        path=path,
        header=header,
        records=tuple(line for line in lines if isinstance(line, Record)),
        end=ends[-1] if ends else None,
        notes=tuple(notes),
    )


def find_run(results: Path, run: str | None = None) -> Path:
    """Return a records file: the one given, or of a results folder the one of a run id, or the newest.

    Raises:
        ResultsFileError: If there is none; says what was found instead.
    """
    if results.is_file():
        if run is not None and results != records_path(results.parent, run):
            raise ResultsFileError(
                f"{results}: is not the records file of run {run!r}. Give its folder, or leave the run out."
            )
        return results
    if not results.is_dir():
        raise ResultsFileError(
            f"{results}: no such file or folder. Give a results folder or a records_<run>.jsonl in one."
        )
    found = sorted((path for path in results.glob("records_*.jsonl")), key=_age)
    if run is not None:
        return _with_id(results, run, found)
    whole = [path for path in found if path.stat().st_size]
    if not whole:
        raise ResultsFileError(f"{results}: holds no records_<run>.jsonl of a run; {_contents(results)}.")
    return whole[-1]


def _with_id(results: Path, run: str, found: Sequence[Path]) -> Path:
    wanted = records_path(results, run)
    if wanted in found:
        return wanted
    runs = _shown([path.stem.removeprefix("records_") for path in reversed(found)]) or "none"
    raise ResultsFileError(f"{results}: holds no run {run!r}; its runs, newest first: {runs}.")


def _age(path: Path) -> tuple[str, int]:
    """Sort runs by their second, then by their number in it; `...-2` is the second run, not a minute."""
    match = _RUN.fullmatch(path.name)
    if match is None:
        return path.name, 1
    return match["stamp"], int(match["number"] or 1)


def _contents(folder: Path) -> str:
    names = _shown(sorted(path.name for path in folder.iterdir()))
    return f"found were {names}" if names else "it is empty"


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error


def _read_header(path: Path, line: bytes) -> RunHeader:
    if not line:
        raise ResultsFileError(f"{path}: holds no run; it ended before its first line was written.")
    try:
        data = json.loads(line)
        schema = data["schema"]
        is_header = data["type"] == "header"
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: line 1 is no header of a run ({error}).") from error
    if not is_header:
        raise ResultsFileError(f"{path}: line 1 is no header of a run (its type is {data['type']!r}).")
    if schema != SCHEMA:
        raise ResultsFileError(
            f"{path}: has schema version {schema!r}; this pytest-ortperf reads {SCHEMA}. "
            f"Read it with the version that wrote it, or make the run again."
        )
    try:
        return from_dict(RunHeader, data)
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: line 1 is no header of a run ({error}).") from error


def _read_lines(path: Path, lines: Sequence[bytes], notes: list[str]) -> Iterator[Line]:
    """Yield what each line holds. Only the last may lack its line end; whole without it, it counts."""
    for number, line in enumerate(lines, start=2):
        is_last = number == len(lines) + 1
        if is_last and not line:
            return
        try:
            yield _decode(json.loads(line))
        except DAMAGE as error:
            what = "is cut off" if is_last else f"is damaged ({error})"
            notes.append(f"{path.name}: line {number} {what} and was left out.")


def _decode(data: dict[str, Any]) -> Line:
    cls = TYPES.get(data["type"])
    if cls is None or cls is RunHeader:
        raise ValueError(f"a line of type {data['type']!r} is not expected here")
    return from_dict(cls, data)
