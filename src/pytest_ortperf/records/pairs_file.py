"""The pairs file written, read back as far as it is whole, and gone on with."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.pairs import PAIRS_SCHEMA, NoiseFloor, Pair, PairsHeader, RoundEnd, RunEnd, SideRecord
from pytest_ortperf.records.store import DAMAGE, json_line, write_whole
from pytest_ortperf.safe_files import read_regular, shortened

Line: TypeAlias = PairsHeader | SideRecord | Pair | RoundEnd | RunEnd

_TYPES: Mapping[str, type[Line]] = {
    "header": PairsHeader,
    "record": SideRecord,
    "pair": Pair,
    "round": RoundEnd,
    "end": RunEnd,
}

MOST_BYTE = 1 << 30
"""Of a file; a pair takes a few hundred."""

_BEGINNING = b'{"type":"header"'
_RUN = re.compile(r"pairs_(?P<stamp>\d{8}-\d{6})(?:-(?P<number>\d+))?\.jsonl")
"""Of `ortperf ab`; that of `--ortperf-paired` has providers in its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPairs:
    """A pairs file, read."""

    path: Path
    header: PairsHeader
    pairs: tuple[Pair, ...]
    records: tuple[SideRecord, ...]
    rounds: tuple[RoundEnd, ...]
    end: RunEnd | None = None
    """What the file ends with; `None` if the run was killed, or is older."""

    notes: tuple[str, ...] = ()


def pairs_path(folder: Path, run: str) -> Path:
    """Return where the pairs of a run stand."""
    return folder / f"pairs_{run}.jsonl"


def new_pairs(folder: Path, now: datetime) -> Path:
    """Return where the pairs of a run of this second go, and claim it by an empty file: no other run has it then.

    Raises:
        ResultsFileError: If the file cannot be made.
    """
    stamp = now.strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        path = pairs_path(folder, stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
        except FileExistsError as error:
            if not path.exists():
                raise _not_opened(path, error) from error
            number += 1
        except OSError as error:
            raise _not_opened(path, error) from error
        else:
            return path


class PairsFile:
    """The open file of a run; nothing is buffered.

    Attributes:
        path: Where it stands.
    """

    def __init__(self, path: Path) -> None:
        """Open a file to be appended to, new or not.

        Raises:
            ResultsFileError: If that cannot be, another process has it open, or it holds something else.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _not_opened(path, error) from error
        try:
            self._take()
            self._drop_half_line()
        except BaseException:
            self.close()
            raise

    def append(self, line: Line) -> None:
        """Write one line.

        Raises:
            ResultsFileError: If not all of it could be written.
        """
        name = next(name for name, cls in _TYPES.items() if isinstance(line, cls))
        key = {} if isinstance(line, PairsHeader) else {name: as_dict(line)}
        data = json_line({"type": name, **(key or as_dict(line))})
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise ResultsFileError(f"{self.path}: was not written: {error.strerror}.") from error
        if written < len(data):
            raise ResultsFileError(f"{self.path}: no room is left. Make some, and go on with --resume.")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> None:
        """Keep other processes from writing to the file, where its file system knows locks."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResultsFileError(f"{self.path}: another process writes to it; wait for its end.") from error
        except OSError:
            return

    def _drop_half_line(self) -> None:
        """Cut off what a run that was killed in the middle of a line has left; of nothing but a pairs file."""
        size = os.fstat(self._descriptor).st_size
        data = os.pread(self._descriptor, size, 0)
        if not data.startswith(_BEGINNING) and not _BEGINNING.startswith(data):
            raise ResultsFileError(f"{self.path}: is no pairs file; it was left as it is.")
        os.ftruncate(self._descriptor, data.rfind(b"\n") + 1)


def read_pairs(path: Path) -> StoredPairs:
    """Return a pairs file; damaged lines are left out and named.

    Raises:
        ResultsFileError: If there is none, or it is no pairs file of this schema.
    """
    try:
        first, *rest = read_regular(path, MOST_BYTE).split(b"\n")
    except OSError as error:
        raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error
    try:
        data = json.loads(first)
        is_header = data["type"] == "header" and data["schema"] == PAIRS_SCHEMA
        header = from_dict(PairsHeader, data) if is_header else None
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: line 1 is no header of a pairs file ({shortened(str(error))}).") from error
    if header is None:
        raise ResultsFileError(f"{path}: is no pairs file of schema {PAIRS_SCHEMA}.")
    notes: list[str] = []
    lines = list(_lines(path, rest, notes))
    return StoredPairs(
        path=path,
        header=header,
        pairs=tuple(line for line in lines if isinstance(line, Pair)),
        records=tuple(line for line in lines if isinstance(line, SideRecord)),
        rounds=tuple(line for line in lines if isinstance(line, RoundEnd)),
        end=lines[-1] if lines and isinstance(lines[-1], RunEnd) else None,
        notes=tuple(notes),
    )


def is_pairs_file(path: Path) -> bool:
    """Whether a file says that it is one."""
    return path.is_file() and path.name.startswith("pairs_") and path.suffix == ".jsonl"


def newest_first(results: Path) -> list[Path]:
    """Return the files that `ortperf ab` left in a folder."""
    return sorted((path for path in results.glob("pairs_*.jsonl") if _RUN.fullmatch(path.name)), key=_age, reverse=True)


def find_pairs(results: Path, run: str | None) -> Path:
    """Return the file of a run, the newest of a folder unless one is named.

    Raises:
        ResultsFileError: If there is none.
    """
    if run is not None and is_pairs_file(Path(run)):
        return Path(run)
    found = sorted(results.glob("pairs_*.jsonl"), key=_age) if results.is_dir() else []
    wanted = [
        path for path in found if (_RUN.fullmatch(path.name) if run is None else path == pairs_path(results, run))
    ]
    if not wanted:
        known = ", ".join(path.stem.removeprefix("pairs_") for path in reversed(found)) or "none"
        raise ResultsFileError(f"{results}: holds no pairs of run {run or '(any)'}; its runs, newest first: {known}.")
    return wanted[-1]


def _not_opened(path: Path, error: OSError) -> ResultsFileError:
    return ResultsFileError(f"{path}: was not opened: {error.strerror}. Give another --results=DIR.")


def _age(path: Path) -> tuple[str, int]:
    """Sort runs by their second, then by their number in it."""
    match = _RUN.fullmatch(path.name)
    return (path.name, 1) if match is None else (match["stamp"], int(match["number"] or 1))


def _lines(path: Path, lines: list[bytes], notes: list[str]) -> Iterator[Line]:
    for number, line in enumerate(lines, start=2):
        if not line and number == len(lines) + 1:
            return
        try:
            data = json.loads(line)
            yield from_dict(_TYPES[data["type"]], data[data["type"]])
        except DAMAGE as error:
            notes.append(f"{path.name}: line {number} is damaged ({shortened(str(error))}) and was left out.")


def write_floor(path: Path, floor: NoiseFloor) -> None:
    """Write a floor file.

    Raises:
        ResultsFileError: If it cannot be written.
    """
    try:
        write_whole(path, f"{json.dumps(as_dict(floor), indent=1)}\n".encode())
    except OSError as error:
        raise ResultsFileError(f"{path}: was not written: {error.strerror}.") from error


def read_floor(path: Path) -> NoiseFloor:
    """Return a floor file.

    Raises:
        ResultsFileError: If it cannot be read, or is none.
    """
    try:
        data: dict[str, Any] = json.loads(read_regular(path, MOST_BYTE))
        if data["schema"] != PAIRS_SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}, not {PAIRS_SCHEMA}")
        return from_dict(NoiseFloor, data)
    except OSError as error:
        raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: is no noise floor ({error}); make one with ortperf ab --aa.") from error
