"""The records file: JSON Lines, one header, one line a record, one end; written as each item ends.

A line is one object in ASCII with a `type`: `header`, `record` or `end`. Numbers JSON has no word for are
the strings `NaN`, `Infinity` and `-Infinity`. Reading is in `reading`, which this module hands on.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.codec import as_dict
from pytest_ortperf.records.environment.run_header import RunEnd, RunHeader
from pytest_ortperf.records.reading import SCHEMA, TYPES, Line, Run, find_run, read_run, records_path
from pytest_ortperf.records.record import Record

__all__ = [
    "SCHEMA",
    "RecordsFile",
    "Run",
    "check_writable",
    "encode_line",
    "find_run",
    "new_run_id",
    "read_run",
    "records_path",
]

_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_CHUNK = 1 << 20

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

    Raises:
        ResultsFileError: If the file cannot be made.
    """
    stamp = now.strftime("%Y%m%d-%H%M%S")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(folder, "the folder was not made", error) from error
    number = 1
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
        try:
            descriptor = os.open(path, _OPEN | os.O_CREAT, 0o666)
        except OSError as error:
            raise _not_written(path, "the file was not opened", error) from error
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

    def append(self, record: Record, data: Mapping[str, Any] | None = None) -> None:
        """Write one record as a whole line.

        Args:
            record: Is written.
            data: The record as `as_dict` returns it, where the caller has that already.

        Raises:
            ResultsFileError: If not all of it could be written; the file then still ends with a whole line.
        """
        self._write(encode_line(record, data), f"the record of {record.case_id}")

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

    def _write(self, line: bytes, what: str) -> None:
        try:
            if not self.path.exists():
                self._make_again()
        except OSError as error:
            raise _not_written(self.path, f"{what} was not written", error) from error
        data = (b"\n" if self._torn else b"") + line
        whole = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise _not_written(self.path, f"{what} was not written", error) from error
        finally:
            self._torn = bool(data) and not self._cut_back(whole)

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
