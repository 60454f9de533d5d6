"""Model directories: folders with an `.onnx` file and `test_data*` folders or `.npz` files become models."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ortperf.cases.issues import Issues, shown_path, shown_value
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.names import name_issue

FOLDERS_AT_MOST = 100_000
"""Folders read before giving up: `/` was named, or links to each other make ever more paths."""

_LAYOUT = """holds no models. Expected is a folder per model, at any depth, such as
      resnet50/model.onnx
      resnet50/test_data_set_0/input_0.pb
      resnet50/test_data_set_0/output_0.pb
    where test data may be left out; or name a model list (JSON) with --ortperf-models=PATH"""

_ONNX = ".onnx"
_DATA = re.compile(r".*\.np[yz]|(?:input|output)_?\d+\.pb", re.IGNORECASE)
"""Files that look like test data."""

_DIGITS = re.compile(r"(\d+)")


@dataclass(slots=True, eq=False)
class _Folder:
    """One folder of the tree; `name` is its posix path below the root, empty for the root."""

    path: str
    name: str
    parent: _Folder | None = None
    linked: bool = False
    """True if a symbolic link was followed on the way to it."""

    data_owner: _Folder | None = None
    """The nearest folder with test data and no `.onnx` file, itself or above."""

    onnx_files: list[str] = field(default_factory=list)
    folders: list[tuple[str, bool]] = field(default_factory=list)
    """Names, and whether each is a symbolic link; without test data."""

    has_data: bool = False
    data_files: list[str] = field(default_factory=list)
    """Files that look like test data, outside any."""

    below: list[_Folder] = field(default_factory=list)
    """Of a data owner: the folders that its test data is for."""

    def child(self, name: str, *, linked: bool) -> _Folder:
        return _Folder(f"{self.path}/{name}", _below(self, name), self, self.linked or linked, self.data_owner)

    def ancestors(self) -> Iterator[_Folder]:
        folder = self.parent
        while folder is not None:
            yield folder
            folder = folder.parent


@dataclass(frozen=True, slots=True)
class _Found:
    """A model file, named."""

    name: str
    file: str
    """Posix path below the root."""

    test_data: str | None


def read_directory(root: Path, tell: Callable[[str], None] = lambda _: None) -> tuple[Model, ...]:
    """Return the models below a folder, sorted by name with numbers by value; no model file is opened.

    A folder with one `.onnx` file gives one model, named by the folder's path below `root` (`root` itself by
    its own name); several files give one each, named by the files. `test_data*` folders and `test_data*.npz` files
    beside them are theirs. A folder with test data and no `.onnx` file lends it to the files further below that have
    none; where that is a single file, it is the folder's model. Hidden names and `__MACOSX` are passed over,
    symbolic links are followed. A file whose name cannot be a model's is left out.

    Args:
        root: The folder.
        tell: Is told which models and which test data are left out, one message each.

    Raises:
        ModelListError: With every issue of the directory, or the expected layout if there are no models.
    """
    issues = Issues(shown_path(root))
    absolute = root.absolute()
    folders = _walk(str(absolute), issues)
    found = [model for folder in folders for model in _models_of(folder, absolute, issues)]
    found.sort(key=_natural)
    found = _well_named(found, issues, tell)
    for folder in folders:
        if folder.data_files and folder.onnx_files and not folder.has_data:
            tell(_passed_over(folder, issues.title))
    if not found and not issues.lines:
        issues.add(_LAYOUT)
    issues.check()
    return tuple(_as_model(model, absolute, issues.title, absolute.name) for model in found)


def _walk(root: str, issues: Issues) -> list[_Folder]:
    waiting = [_Folder(root, "")]
    read: list[_Folder] = []
    while waiting:
        folder = waiting.pop()
        if len(read) == FOLDERS_AT_MOST:
            issues.add(f"has over {FOLDERS_AT_MOST} folders below; name a smaller directory of models")
            break
        _list_folder(folder, issues)
        _own_data(folder)
        read.append(folder)
        for name, linked in folder.folders:
            child = folder.child(name, linked=linked)
            if not (child.linked and _comes_round(child)):
                waiting.append(child)
    return read


def _list_folder(folder: _Folder, issues: Issues) -> None:
    try:
        with os.scandir(folder.path) as entries:
            for entry in entries:
                if not entry.name.startswith((".", "__MACOSX")):
                    _sort_entry(entry, folder)
    except OSError as error:
        tail = str(error.filename or folder.path).removeprefix(folder.path)
        where = shown_value((folder.name + tail).lstrip("/")) if folder.name or tail else "the directory"
        issues.add(f"{where} cannot be read ({error.strerror}); make it readable, or move it elsewhere")


def _sort_entry(entry: os.DirEntry[str], folder: _Folder) -> None:
    if _is_folder(entry):
        if entry.name.lower().startswith("test_data"):
            folder.has_data = True
        else:
            folder.folders.append((entry.name, entry.is_symlink()))
    elif entry.name.lower().endswith(_ONNX):  # a dangling link too: its model then fails with that reason
        folder.onnx_files.append(entry.name)
    elif entry.name.lower().startswith("test_data") and entry.name.lower().endswith(".npz"):
        folder.has_data = True
    elif _DATA.fullmatch(entry.name):
        folder.data_files.append(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself leads nowhere
            return False
        raise


def _own_data(folder: _Folder) -> None:
    """Decide whose test data the files of a folder, and of those below it, take."""
    if folder.has_data:
        folder.data_owner = None if folder.onnx_files else folder
    elif folder.onnx_files and folder.data_owner:
        folder.data_owner.below.append(folder)


def _comes_round(folder: _Folder) -> bool:
    """Return true if a folder is one of those above it, which only links can do."""
    try:
        own = os.stat(folder.path)  # noqa: PTH116
        return any(os.path.samestat(own, os.stat(above.path)) for above in folder.ancestors())  # noqa: PTH116
    except OSError:  # listing it names the reason
        return False


def _models_of(folder: _Folder, root: Path, issues: Issues) -> Iterator[_Found]:
    owner = folder.data_owner
    if owner is folder and not folder.below:
        issues.add(
            f"{shown_value(folder.name or root.name)} holds test data but no .onnx file of its own, in it or "
            f"below it; add the model, or remove the folder"
        )
    data = folder if folder.has_data else owner
    named_by = folder
    if owner is not None and len(owner.below) == 1:
        named_by = owner
    for file in folder.onnx_files:
        alone = len(folder.onnx_files) == 1
        name = (named_by.name or root.name) if alone else _below(folder, file[: -len(_ONNX)])
        yield _Found(name, _below(folder, file), data.path if data else None)


def _below(folder: _Folder, name: str) -> str:
    return f"{folder.name}/{name}" if folder.name else name


def _natural(model: _Found) -> tuple[list[str | int], str]:
    parts = _DIGITS.split(model.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], model.file


def _well_named(found: Iterable[_Found], issues: Issues, tell: Callable[[str], None]) -> list[_Found]:
    """Return the models whose name can be in a case id; one left alone without any is an issue."""
    files: dict[str, str] = {}
    kept: list[_Found] = []
    refused: list[str] = []
    for model in found:
        issue = name_issue(model.name)
        file = shown_value(model.file)
        if issue:
            refused.append(f"{file}: the name {shown_value(model.name)} {issue}; rename the folder or file")
            continue
        if model.name in files:
            issues.add(
                f"{file} and {shown_value(files[model.name])} both give the name {shown_value(model.name)}; "
                f"rename one of the two"
            )
        files[model.name] = model.file
        kept.append(model)
    if not kept:
        issues.lines += refused
    elif not issues.lines:
        for text in refused:
            tell(f"{issues.title}: model left out: {text}")
    return kept


def _passed_over(folder: _Folder, title: str) -> str:
    names = ", ".join(shown_value(_below(folder, name)) for name in sorted(folder.data_files))
    return (
        f"{title}: passed over, though it looks like test data: {names}; name an .npz file test_data_<n>.npz, and put "
        f"others into a folder test_data_set_<n>"
    )


def read_model(path: Path) -> Model:
    """Return the model of one `.onnx` file, named by the file; test data beside it is its own.

    Raises:
        ModelListError: If the file's name cannot be a model's.
    """
    issues = Issues(shown_path(path))
    absolute = path.absolute()
    folder = _Folder(str(absolute.parent), "")
    _list_folder(folder, issues)
    issue = name_issue(path.stem)
    if issue:
        issues.add(f"the name {shown_value(path.stem)} {issue}; rename the file, or name it in a model list")
    issues.check()
    data = folder.path if folder.has_data else None
    found = _Found(path.stem, path.name, data)
    return _as_model(found, absolute.parent, shown_path(path.parent), path.stem)


def _as_model(model: _Found, root: Path, title: str, group: str) -> Model:
    return Model(
        name=model.name,
        group=group,
        path=root / model.file,
        origin=f"{title}/{model.file}",
        test_data=Path(model.test_data) if model.test_data else None,
    )
