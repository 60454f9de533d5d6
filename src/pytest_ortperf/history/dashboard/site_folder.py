"""The files of a site: written whole, only where they changed, and removed only where a dashboard put them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import ResultsFileError
from pytest_ortperf.records.store import write_whole

MARKER = "ortperf-dashboard.json"
"""Says that a folder is a site of ours, and what was built there last."""

OURS = re.compile(
    r"(?:index|series)\.html"
    r"|assets/[\w.-]+"
    r"|data/(?:index|runs)\.js"
    r"|data/run/\d+\.js"
    r"|data/case/[0-9a-f]+/(?:case|\d+)\.js"
    r"|reports/report_[^/]+\.html"
)
"""Names that a dashboard gives; files with others are never touched."""


class SiteFolder:
    """A folder that a site is built in.

    Attributes:
        path: Where it is.
        state: What the last build left in the marker; empty for a new site.
        written: Files that this build wrote.
        written_byte: Their size.
        removed: Files of earlier builds that this one removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state: Mapping[str, Any] = {}
        self.written = 0
        self.written_byte = 0
        self.removed = 0
        self._kept: set[str] = set()

    @classmethod
    def open(cls, path: Path) -> SiteFolder:
        """Return a folder that is new, empty, or a site of ours.

        Raises:
            ResultsFileError: If it holds something else, or cannot be read.
        """
        site = cls(path)
        try:
            if path.exists() and not path.is_dir():
                raise ResultsFileError(f"{path}: is a file. Give a folder for the site.")
            marker = path / MARKER
            if marker.is_file():
                site.state = _state(marker)
            elif path.is_dir() and any(path.iterdir()):
                raise ResultsFileError(
                    f"{path}: is not empty and no dashboard (it has no {MARKER}). Give a new folder, or empty this one."
                )
        except OSError as error:
            raise ResultsFileError(f"{path}: cannot be read: {error.strerror}.") from error
        return site

    def numbered(self) -> dict[int, list[str]]:
        """Return the cases that have a file of points, sorted, by its number."""
        found: dict[int, list[str]] = {}
        for path in (self.path / "data" / "case").glob("*/*.js"):
            if path.stem.isdecimal():
                found.setdefault(int(path.stem), []).append(path.parent.name)
        return {number: sorted(names) for number, names in found.items()}

    def keep(self, name: str) -> None:
        """Leave a file of an earlier build as it is."""
        self._kept.add(name)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, unless it has these bytes already.

        Raises:
            ResultsFileError: If it cannot be written.
        """
        self._kept.add(name)
        path = self.path / name
        try:
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return
            write_whole(path, data)
        except OSError as error:
            raise _not_written(path, error) from error
        self.written += 1
        self.written_byte += len(data)

    def copy(self, name: str, source: Path) -> bool:
        """Copy a file, unless the copy is as old and as large; return whether it is there.

        Raises:
            ResultsFileError: If it cannot be written.
        """
        path = self.path / name
        try:
            found = source.stat()
        except OSError:
            return False
        self._kept.add(name)
        try:
            if path.is_file():
                there = path.stat()
                if there.st_size == found.st_size and there.st_mtime_ns == found.st_mtime_ns:
                    return True
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}")
            shutil.copy2(source, unfinished)
            unfinished.replace(path)
        except OSError as error:
            raise _not_written(path, error) from error
        self.written += 1
        self.written_byte += found.st_size
        return True

    def claim(self) -> None:
        """Mark a new folder as a site before its first file is written, so that a build that is killed can go on.

        Raises:
            ResultsFileError: If it cannot be written.
        """
        if not (self.path / MARKER).is_file():
            self._mark({})

    def finish(self, state: Mapping[str, Any]) -> None:
        """Remove what earlier builds left, and keep the state for the next one.

        Raises:
            ResultsFileError: If a file cannot be written or removed.
        """
        for name in sorted(set(self._files()) - self._kept):
            path = self.path / name
            try:
                path.unlink(missing_ok=True)
                self.removed += 1
                _remove_empty(path.parent, self.path)
            except OSError as error:
                raise ResultsFileError(f"{path}: cannot be removed: {error.strerror}.") from error
        self._mark(state)

    def _mark(self, state: Mapping[str, Any]) -> None:
        self.write(MARKER, json.dumps(state, separators=(",", ":"), sort_keys=True).encode("ascii") + b"\n")

    def _files(self) -> Iterator[str]:
        for folder, _, names in os.walk(self.path):
            for name in names:
                found = Path(folder, name).relative_to(self.path).as_posix()
                if OURS.fullmatch(found):
                    yield found


def _state(marker: Path) -> Mapping[str, Any]:
    """Return the state of the last build; empty where it is damaged, so that everything is built again."""
    try:
        found = json.loads(marker.read_bytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _remove_empty(folder: Path, site: Path) -> None:
    while folder != site and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _not_written(path: Path, error: OSError) -> ResultsFileError:
    return ResultsFileError(f"{path}: was not written: {error.strerror or error}. Make room, or give another folder.")
