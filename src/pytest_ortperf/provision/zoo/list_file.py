"""Models are added to a model list; what somebody wrote into it by hand stays as it is, character by character."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import entry_spans, read_models
from pytest_ortperf.cases.new_list import entry_text, list_text
from pytest_ortperf.errors import ModelListError
from pytest_ortperf.provision.zoo.catalogue import ZooError

_OTHER = ".zoo"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEntry:
    """What is to be said of a model."""

    name: str
    path: Path
    test_data: Path | None = None
    tags: tuple[str, ...] = ()

    def keys(self, folder: Path) -> dict[str, Any]:
        """Return the keys of an entry in a list that lies in a folder."""
        found: dict[str, Any] = {"name": self.name, "path": _relative(self.path, folder)}
        if self.test_data is not None:
            found["test_data"] = _relative(self.test_data, folder)
        if self.tags:
            found["tags"] = list(self.tags)
        return found


@dataclass(slots=True)
class Merged:
    """What became of a list."""

    path: Path
    """The one that was written, or would have been."""

    added: list[str] = field(default_factory=list)
    given_data: list[str] = field(default_factory=list)
    """Models whose entry was there and had no test data."""

    notes: list[str] = field(default_factory=list)
    """What could not be done, and why."""


def add_to_list(path: Path, entries: Sequence[ListedEntry]) -> Merged:
    """Write a list with these models, or add those that it does not have.

    An entry that is there stays as it is; only `test_data` is added to one without. Where the file is no model list
    that can be read, it stays too, and another one beside it is written.

    Raises:
        ZooError: If no list can be written.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            try:
                return _added(path, entries)
            except ModelListError as error:
                other = path.with_name(f"{path.stem}{_OTHER}{path.suffix}")
                merged = _added(other, entries)
                reason = str(error).splitlines()[-1].strip(" -")
                merged.notes.insert(0, f"{path.name} is no model list ({reason}) and was left alone")
                return merged
    except OSError as error:
        raise ZooError(f"{path}: not written: {error.strerror or error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _added(path: Path, entries: Sequence[ListedEntry]) -> Merged:
    merged = Merged(path=path)
    if not path.exists():
        if entries:
            _write(path, list_text([entry.keys(path.parent) for entry in entries]))
            merged.added = [entry.name for entry in entries]
        return merged
    listed = {model.name: model for model in read_models(path, workspace=None)}
    text = path.read_bytes().decode()
    new: list[Mapping[str, Any]] = []
    for entry in entries:
        known = listed.get(entry.name) or next((each for each in listed.values() if _is_same(each, entry)), None)
        if known is None:
            new.append(entry.keys(path.parent))
            merged.added.append(entry.name)
        elif not _is_same(known, entry):
            merged.notes.append(f"{entry.name} is in {path.name} with another path; its entry was left alone")
        elif known.test_data is None and entry.test_data is not None:
            text = _with_data(text, known.name, _relative(entry.test_data, path.parent))
            merged.given_data.append(entry.name)
    if new:
        *_, (_, end) = entry_spans(text.removeprefix("\ufeff"))
        end += text.startswith("\ufeff")
        newline = "\r\n" if "\r\n" in text else "\n"
        more = "".join(f",\n{entry_text(entry)}" for entry in new)
        text = text[:end] + more.replace("\n", newline) + text[end:]
    if new or merged.given_data:
        _write(path, text)
        read_models(path, workspace=None)
    return merged


def _is_same(known: Model, entry: ListedEntry) -> bool:
    return known.path.resolve() == entry.path.resolve()


def _with_data(text: str, name: str, data: str) -> str:
    """Return the list with `test_data` at the end of one entry."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    for start, end in entry_spans(text):
        value = json.loads(text[start:end])
        if isinstance(value, dict) and value.get("name") == name:
            before = text[: end - 1]
            inside = before.rstrip()
            key = f"{json.dumps('test_data')}: {json.dumps(data, ensure_ascii=False)}"
            indented = "\n" in text[start:end]
            space = _indentation(text[start:end]) if indented else " "
            return f"{mark}{inside},{space}{key}{before[len(inside) :]}{text[end - 1 :]}"
    return f"{mark}{text}"


def _indentation(entry: str) -> str:
    """Return the line end and spaces before the last key of an entry of several lines."""
    line = next((line for line in reversed(entry.splitlines()[1:-1]) if line.lstrip().startswith('"')), "      ")
    return "\n" + line[: len(line) - len(line.lstrip())]


def _write(path: Path, text: str) -> None:
    """Write a file whole, with the rights of the one it replaces."""
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with work.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            work.chmod(path.stat().st_mode & 0o7777)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder)).as_posix()
