"""The records file: JSON Lines, one header, one line a record, one end; written as each item ends.

A line is one object in ASCII with a `type`: `header`, `record` or `end`. Numbers JSON has no word for are
the strings `NaN`, `Infinity` and `-Infinity`. Reading is in `reading`, which this module hands on.

Records files found and read back, as far as they are whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, TypeAlias

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import as_dict, from_dict
from pytest_ortperf.records.environment.run_header import RunEnd, RunHeader
from pytest_ortperf.records.packed_numbers import PackedNumbers
from pytest_ortperf.records.record import Record, last_attempts
from pytest_ortperf.records.record_checks import check_record
from pytest_ortperf.safe_files import open_regular, shortened

SCHEMA = 1
"""Of the records file. 1: the first."""

Line: TypeAlias = RunHeader | Record | RunEnd

TYPES: Mapping[str, type[Line]] = {"header": RunHeader, "record": Record, "end": RunEnd}

DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
"""What a line raises that is no JSON, or JSON of another shape than its type's."""

MOST_BYTE = 1 << 27
"""Of a line: one of a million samples has 3 MB."""

_RUN = re.compile(r"records_(?P<stamp>\d{8}-\d{6})(?:-(?P<number>\d{1,4}))?\.jsonl")
_NAMES_SHOWN = 8
_RUNS_SEARCHED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
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


def read_run(path: Path) -> StoredRun:
    """Return a records file; damaged lines are left out and named in its notes.

    Raises:
        ResultsFileError: If there is no such file, its header is damaged, or another schema version wrote it.
    """
    notes: list[str] = []
    try:
        with open_regular(path) as file:
            found = _lines_of(file)
            header = _read_header(path, next(found, _Line(1, b"")).content)
            lines: list[tuple[int, Line]] = [(1, header), *_read_lines(path, found, notes)]
    except OSError as error:
        raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error
    return run_of(path, lines, notes)


def numbered(data: bytes) -> list[tuple[int, bytes]]:
    """Return number and text of each line of a records file; the last is empty unless it is cut off."""
    return list(enumerate(data.split(b"\n"), start=1))


def read_lines(path: Path, lines: Sequence[tuple[int, bytes]]) -> tuple[list[tuple[int, Line]], list[str]]:
    """Return number and meaning of each line that is whole, the header first, and notes on those that are not.

    Args:
        path: For messages.
        lines: As `numbered` returns them.

    Raises:
        ResultsFileError: If the header is damaged, or another schema version wrote it.
    """
    notes: list[str] = []
    header = _read_header(path, lines[0][1] if lines else b"")
    last = len(lines) - 1
    rest = (
        _Line(number, content, is_whole=place < last)
        for place, (number, content) in enumerate(lines)
        if place > 0 and (content or place < last)
    )
    return [(1, header), *_read_lines(path, rest, notes)], notes


def run_of(path: Path, lines: Sequence[tuple[int, Line]], notes: Sequence[str]) -> StoredRun:
    """Return the run that lines are of."""
    found = [line for _, line in lines]
    return StoredRun(
        path=path,
        header=next(line for line in found if isinstance(line, RunHeader)),
        records=last_attempts(line for line in found if isinstance(line, Record)),
        # a run that was resumed has an end for each of its parts, and came to its end with the last line
        end=found[-1] if isinstance(found[-1], RunEnd) else None,
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
    found = runs_of(results)
    if run is not None:
        return _with_id(results, run, found)
    whole = [path for path in found if path.stat().st_size]
    if not whole:
        raise ResultsFileError(f"{results}: holds no records_<run>.jsonl of a run; {_contents(results)}.")
    return whole[-1]


def earlier_durations(results: Path, nodeids: Collection[str]) -> dict[str, float]:
    """Return how long cases took when they last ran, in seconds, by node id; those that never did are absent.

    Args:
        results: Folder of the runs; the newest 50 are read, and what is damaged in them is left out.
        nodeids: Of the cases.
    """
    found: dict[str, float] = {}
    for path in reversed(runs_of(results)[-_RUNS_SEARCHED:]):
        wanted = set(nodeids) - found.keys()
        if not wanted:
            break
        found |= dict(_durations(raw_lines(path), wanted))
    return found


def _durations(lines: Iterable[bytes], wanted: Collection[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        with contextlib.suppress(*DAMAGE):
            data = json.loads(line)
            if data["type"] == "record" and data["nodeid"] in wanted and data["outcome"] != "skipped":
                seconds = data["duration_ns"] / 1e9
                if 0 <= seconds < math.inf:
                    yield data["nodeid"], seconds


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a records file as they are; none of a file that cannot be read."""
    with contextlib.suppress(OSError), open_regular(path) as file:
        for line in _lines_of(file):
            if line.content is not None:
                yield line.content


def runs_of(results: Path) -> list[Path]:
    """Return the records files of a folder in the order they were made; those with other names come first."""
    return in_order(path for path in results.glob("records_*.jsonl") if path.is_file())


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Return records files in the order they were made."""
    return sorted(paths, key=_age)


def _with_id(results: Path, run: str, found: Sequence[Path]) -> Path:
    wanted = records_path(results, run)
    if wanted in found:
        return wanted
    runs = _shown([path.stem.removeprefix("records_") for path in reversed(found)]) or "none"
    raise ResultsFileError(f"{results}: holds no run {run!r}; its runs, newest first: {runs}.")


def _age(path: Path) -> tuple[str, int, str]:
    """Sort runs by their second, then by their number in it; `...-2` is the second run, not a minute."""
    match = _RUN.fullmatch(path.name)
    if match is None:
        return "", 0, path.name
    return match["stamp"], int(match["number"] or 1), path.name


def _contents(folder: Path) -> str:
    names = _shown(sorted(path.name for path in folder.iterdir()))
    return f"found were {names}" if names else "it is empty"


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


class _Line(NamedTuple):
    number: int
    content: bytes | None
    """Without its line end; `None` if it is longer than `MOST_BYTE`."""

    is_whole: bool = False
    """Whether it has a line end."""

    offset: int | None = None
    """Where it begins in its file, if it is read from there."""


def _lines_of(file: BinaryIO) -> Iterator[_Line]:
    """Yield the lines of a records file, one at a time: a run of thousands of cases may have gigabytes.

    Nothing is read after a line that is too long: it may have no end.
    """
    offset = 0
    for number in itertools.count(1):
        line = file.readline(MOST_BYTE)
        if not line:
            return
        is_whole = line.endswith(b"\n")
        if len(line) == MOST_BYTE and not is_whole:
            yield _Line(number, None, is_whole=True)
            return
        yield _Line(number, line.removesuffix(b"\n"), is_whole, offset)
        offset += len(line)


def _read_header(path: Path, line: bytes | None) -> RunHeader:
    if line == b"":
        raise ResultsFileError(f"{path}: holds no run; it ended before its first line was written.")
    try:
        if line is None:
            raise ValueError(_TOO_LONG)
        data = json.loads(line)
        schema = data["schema"]
        is_header = data["type"] == "header"
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: line 1 is no header of a run ({_why(error)}).") from error
    if not is_header:
        raise ResultsFileError(f"{path}: line 1 is no header of a run (its type is {shortened(repr(data['type']))}).")
    if schema != SCHEMA:
        raise ResultsFileError(
            f"{path}: has schema version {shortened(repr(schema))}; this pytest-ortperf reads {SCHEMA}. "
            f"Read it with the version that wrote it, or make the run again."
        )
    try:
        return from_dict(RunHeader, data)
    except DAMAGE as error:
        raise ResultsFileError(f"{path}: line 1 is no header of a run ({_why(error)}).") from error


def _read_lines(path: Path, lines: Iterable[_Line], notes: list[str]) -> Iterator[tuple[int, Line]]:
    """Yield number and meaning of each line. Only the last may lack its line end; whole without it, it counts."""
    for line in lines:
        try:
            if line.content is None:
                raise ValueError(_TOO_LONG)
            found = _decode(json.loads(line.content))
        except DAMAGE as error:
            what = f"is damaged ({_why(error)})" if line.is_whole else "is cut off"
            notes.append(f"{path.name}: line {line.number} {what} and was left out.")
            continue
        if isinstance(found, Record) and line.offset is not None:
            leave_samples_in(path, found, line.content, line.offset)
        yield line.number, found


_TOO_LONG = f"it has {MOST_BYTE:,} bytes or more; what follows is not read"


def _why(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else shortened(str(error))


def leave_samples_in(path: Path, record: Record, line: bytes, offset: int) -> None:
    """Have a record read its samples from its line in a file when somebody looks at them.

    Args:
        path: The file.
        record: Keeps everything else.
        line: That holds it.
        offset: Where the line begins.
    """
    for latency in record.latencies:
        if isinstance(latency.samples_ns, PackedNumbers):
            latency.samples_ns.leave_in(path, line, offset)


def _decode(data: dict[str, Any]) -> Line:
    cls = TYPES.get(data["type"])
    if cls is None or cls is RunHeader:
        raise ValueError(f"a line of type {shortened(repr(data['type']), 60)} is not expected here")
    found = from_dict(cls, data)
    if isinstance(found, Record):
        check_record(found)
    return found


__all__ = [
    "SCHEMA",
    "RecordsFile",
    "StoredRun",
    "check_writable",
    "earlier_durations",
    "encode_line",
    "find_run",
    "in_order",
    "new_run_id",
    "numbered",
    "raw_lines",
    "read_lines",
    "read_run",
    "records_path",
    "run_of",
    "runs_of",
    "write_whole",
]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: it gets its name only when all of it has been written.

    Raises:
        OSError: If it could not be; what stood there before still does.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        # such as /dev/stdout
        path.write_bytes(data)
        return
    unfinished = path.with_name(f".{path.name[:_NAME_CHARACTERS]}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_CHUNK = 1 << 20
_LOCKED_S = 5
_NAME_CHARACTERS = 200

WAY_OUT = "Make room or give another folder with --ortperf-results=DIR."


def check_writable(folder: Path) -> None:
    """Create the folder and prove that a file can be written there; nothing is left behind.

    Raises:
        ResultsFileError: With the reason and the way out.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\n" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise _not_written(folder, "results cannot be written here", error) from error


def new_run_id(folder: Path, now: datetime) -> str:
    """Return a run id of this second that no other run of the folder has, and claim it by an empty file.

    Run ids of a folder follow the order of its runs: where the clock went back, the id continues the newest run's.

    Raises:
        ResultsFileError: If the file cannot be made.
    """
    newest, last, _ = max(map(_age, runs_of(folder)), default=("", 0, ""))
    stamp = max(now.strftime("%Y%m%d-%H%M%S"), newest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(folder, "the folder was not made", error) from error
    number = last + 1 if stamp == newest else 1
    while True:
        run = stamp if number == 1 else f"{stamp}-{number}"
        try:
            records_path(folder, run).touch(exist_ok=False)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _not_written(records_path(folder, run), "the file was not created", error) from error
        else:
            return run


class RecordsFile:
    """The open records file of a run; one writer, nothing buffered.

    Attributes:
        path: Where it stands.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._torn = False

    @classmethod
    def create(cls, folder: Path, run: str, header: RunHeader) -> Self:
        """Open the file of a run, new or just claimed by `new_run_id`, and write its header.

        Raises:
            ResultsFileError: If it holds another run, or cannot be written; no empty file is left behind.
        """
        path = records_path(folder, run)
        descriptor = _opened(path)
        records = cls(path, descriptor)
        if os.fstat(descriptor).st_size:
            records.close()
            raise ResultsFileError(f"{path}: already holds a run. Take another run id; new_run_id gives a free one.")
        try:
            records._write(encode_line(header), f"the header of run {run}")
        except ResultsFileError:
            records.close()
            path.unlink(missing_ok=True)
            raise
        return records

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open the file of a run that ended before, to continue it; a last line that was cut off is taken away.

        Raises:
            ResultsFileError: If somebody still writes it, or it cannot be written.
        """
        descriptor = _opened(path)
        try:
            _mend(path, descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _not_written(path, "the file was not continued", error) from error
        return cls(path, descriptor)

    def append(self, record: Record, data: Mapping[str, Any] | None = None) -> None:
        """Write one record as a whole line.

        Args:
            record: Is written; its samples are read from the file from now on.
            data: The record as `as_dict` returns it, where the caller has that already.

        Raises:
            ResultsFileError: If not all of it could be written; the file then still ends with a whole line.
        """
        line = encode_line(record, data)
        offset = self._write(line, f"the record of {record.case_id}")
        leave_samples_in(self.path, record, line, offset)

    def end(self, end: RunEnd) -> None:
        """Write the last line and close the file.

        Raises:
            ResultsFileError: If it could not be written; the file is closed all the same.
        """
        try:
            self._write(encode_line(end), "the end of the run")
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes, what: str) -> int:
        """Write a line; return where in the file it begins."""
        try:
            if not self.path.exists():
                self._make_again()
        except OSError as error:
            raise _not_written(self.path, f"{what} was not written", error) from error
        data = (b"\n" if self._torn else b"") + line
        whole = os.fstat(self._descriptor).st_size
        begin = whole + len(data) - len(line)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise _not_written(self.path, f"{what} was not written", error) from error
        finally:
            self._torn = bool(data) and not self._cut_back(whole)
        return begin

    def _make_again(self) -> None:
        """Put the lines so far back where somebody removed the file: the open one, without a name, still has them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        again = os.open(self.path, _OPEN | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            position = 0
            while chunk := os.pread(self._descriptor, _CHUNK, position):
                position += os.write(again, chunk)
        except OSError:
            os.close(again)
            self.path.unlink(missing_ok=True)
            raise
        os.close(self._descriptor)
        self._descriptor = again

    def _cut_back(self, whole: int) -> bool:
        """Drop a half line; where even that fails, the next line must start on a line of its own."""
        try:
            os.ftruncate(self._descriptor, whole)
        except OSError:
            return False
        return True


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, _OPEN | os.O_CREAT, 0o666)
    except OSError as error:
        raise _not_written(path, "the file was not opened", error) from error
    if not _is_ours(descriptor):
        os.close(descriptor)
        raise ResultsFileError(f"{path}: is still being written by another run. Wait for its end, or stop it.")
    return descriptor


def _mend(path: Path, descriptor: int) -> None:
    """Take a last line away that is no whole JSON, or end it where only its line end is missing."""
    before, last = 0, b""
    with path.open("rb") as file:
        for line in file:
            before += len(last)
            last = line
    if not last or last.endswith(b"\n"):
        return
    try:
        json.loads(last)
    except ValueError:
        os.ftruncate(descriptor, before)
    else:
        os.write(descriptor, b"\n")


def _is_ours(descriptor: int) -> bool:
    """Lock a file that is written; children of a writer that was killed may hold it for a moment."""
    end = time.monotonic() + _LOCKED_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        except OSError:  # no locks on this file system
            return True
        else:
            return True


def encode_line(line: Line, taken_apart: Mapping[str, Any] | None = None) -> bytes:
    """Return a header, record or end as one line of strict JSON.

    Args:
        line: What.
        taken_apart: The same as `as_dict` returns it, where that is known.
    """
    name = next(name for name, cls in TYPES.items() if isinstance(line, cls))
    return json_line({"type": name, **(as_dict(line) if taken_apart is None else taken_apart)})


def json_line(data: Mapping[str, Any]) -> bytes:
    """Return an object, in builtins as `as_dict` returns them, as one line of strict JSON in ASCII."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def _not_written(path: Path, what: str, error: OSError) -> ResultsFileError:
    reason = error.strerror or str(error)
    return ResultsFileError(f"{path}: {what}: {reason} ({_free_space(path)}). {WAY_OUT}")


def _free_space(path: Path) -> str:
    """Return the space left on the file system of the nearest folder that exists."""
    for place in (path, *path.parents):
        try:
            status = os.statvfs(place)
        except OSError:
            continue
        return f"{status.f_bavail * status.f_frsize:,} bytes free"
    return "free space unknown"
