"""A model list for models that lie around: found below a folder, named, and written down."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.cases.directory import FOLDERS_AT_MOST
from pytest_ortperf.cases.issues import shown_path
from pytest_ortperf.cases.names import NAME_CHARACTERS
from pytest_ortperf.errors import ModelListError

_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "__MACOSX"})
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
"""A folder that holds one of these is a virtual environment."""

_RESULTS = re.compile(r"records_.+\.jsonl")
_DATA = "test_data"
_ARCHIVE = ".npz"

_TELL_NOTHING = frozenset({"model", "models", "onnx"})
"""Names of files and folders that do not say which model it is."""

_NOT_IN_NAMES = re.compile(r"::+|[@\[\]]|[^\S ]+")
_LINE = 110
"""An entry of more characters takes a line for each key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model file and the test data that lies beside it."""

    name: str
    path: Path
    test_data: Path | None = None
    """Its folder, or one above that has no model of its own, if that holds `test_data*`."""


@dataclass(slots=True)
class _Folder:
    models: list[str]
    has_data: bool


def find_models(root: Path) -> tuple[tuple[FoundModel, ...], tuple[str, ...]]:
    """Return the models below a folder, sorted by path, and what could not be read, with the reason.

    Hidden folders, virtual environments, `node_modules` and results folders are passed over; links are followed.

    Raises:
        ModelListError: If there are too many folders.
    """
    unreadable: list[str] = []
    folders = dict(_walk(root, unreadable))
    paths = sorted(path / name for path, folder in folders.items() for name in folder.models)
    found = []
    for name, path in zip(_names(root, paths), paths, strict=True):
        data = _data_folder(path, root, folders)
        found.append(FoundModel(name=name, path=path, test_data=data))
    return tuple(found), tuple(unreadable)


def data_beside(path: Path) -> FoundModel:
    """Return one model with the test data in its folder."""
    folder = _read_folder(*next(((names, files) for _, names, files in os.walk(path.parent)), ([], [])))
    return FoundModel(name=path.stem, path=path, test_data=path.parent if folder.has_data else None)


def list_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a model list as JSON, short entries on a line each."""
    return '{\n  "models": [\n' + ",\n".join(map(entry_text, entries)) + "\n  ]\n}\n"


def _walk(root: Path, unreadable: list[str]) -> Iterator[tuple[Path, _Folder]]:
    seen: set[str] = set()

    def note(error: OSError) -> None:
        unreadable.append(f"{shown_path(Path(error.filename))} cannot be read ({error.strerror})")

    for text, names, files in os.walk(root, followlinks=True, onerror=note):
        path = Path(text)
        real = os.path.realpath(path)
        # links may lead round in a circle, or to what is found elsewhere
        if real in seen or (path != root and _is_no_source(names, files)):
            names.clear()
            continue
        seen.add(real)
        if len(seen) > FOLDERS_AT_MOST:
            raise ModelListError(f"{shown_path(root)} has over {FOLDERS_AT_MOST} folders below; name a smaller folder")
        folder = _read_folder(names, files)
        names[:] = sorted(name for name in names if not name.startswith((".", _DATA)) and name not in _SKIPPED)
        yield path, folder


def _is_no_source(names: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a folder is a virtual environment or holds results."""
    return any(mark in names or mark in files for mark in _ENVIRONMENT_MARKS) or any(map(_RESULTS.fullmatch, files))


def _read_folder(names: Iterable[str], files: Iterable[str]) -> _Folder:
    visible = sorted(name for name in files if not name.startswith("."))
    archives = [name for name in visible if name.lower().startswith(_DATA) and name.lower().endswith(_ARCHIVE)]
    return _Folder(
        models=[name for name in visible if name.lower().endswith(".onnx")],
        has_data=bool(archives) or any(name.lower().startswith(_DATA) for name in names),
    )


def _data_folder(path: Path, root: Path, folders: Mapping[Path, _Folder]) -> Path | None:
    """Return the model's own folder, or the nearest one above without a model, if it holds test data."""
    own = path.parent
    for folder in (own, *own.parents):
        known = folders.get(folder)
        if known is None or (folder != own and known.models):
            return None
        if known.has_data:
            return folder
        if folder == root:
            return None
    return None


def _names(root: Path, paths: Sequence[Path]) -> Iterator[str]:
    """Yield a name for each path: as few of its last parts as tell it from all others."""
    parts = [_telling_parts(root, path) for path in paths]
    lengths = [1] * len(parts)
    while True:
        names = ["/".join(own[-length:]) for own, length in zip(parts, lengths, strict=True)]
        taken = Counter(names)
        longer = [
            length + 1 if taken[name] > 1 and length < len(own) else length
            for name, own, length in zip(names, parts, lengths, strict=True)
        ]
        if longer == lengths:
            break
        lengths = longer
    used: set[str] = set()
    for name in map(_valid, names):
        number, unique = 1, name
        while unique in used:
            number += 1
            unique = f"{name}-{number}"
        used.add(unique)
        yield unique


def _telling_parts(root: Path, path: Path) -> list[str]:
    parts = [root.resolve().name, *path.relative_to(root).with_suffix("").parts]
    while len(parts) > 1 and parts[-1].lower() in _TELL_NOTHING:
        parts.pop()
    return [part for part in parts if part]


def _valid(name: str) -> str:
    """Return the name without what pytest ids give a meaning, or no terminal shows."""
    plain = _NOT_IN_NAMES.sub("_", name)
    shown = "".join(character if character.isprintable() else "_" for character in plain)
    return shown[-(NAME_CHARACTERS - 10) :].strip() or "model"


def entry_text(entry: Mapping[str, Any]) -> str:
    """Return an entry of a list as JSON, indented as `list_text` has it."""
    line = _json(entry)
    if len(line) <= _LINE:
        return f"    {line}"
    parts = [f"      {_json(key)}: {_json(value)}" for key, value in entry.items()]
    return "    {\n" + ",\n".join(parts) + "\n    }"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # a file name need not be valid text
    return text if text.isprintable() else json.dumps(value)
