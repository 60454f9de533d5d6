"""Data sets on disk: inputs and reference outputs, in a `.pb` or `.npy` file each, or all in an `.npz` file.

Which file of a data set belongs to which input or output of the model.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pytest_ortperf.cases.model import Model
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.array_files import (
    NPY,
    NPZ,
    StoredArray,
    array_names,
    is_numbered,
    load_array,
    load_arrays,
)
from pytest_ortperf.execution.inputs.generated_inputs import parse_slices, rule_for
from pytest_ortperf.execution.inputs.proto_files import StoredFile, load
from pytest_ortperf.execution.inputs.tensor_types import Meta, TypeInfo, Value, as_floats, element_name, parse_type


def assign(
    files: Sequence[StoredFile],
    positions: Sequence[str],
    types: Mapping[str, TypeInfo],
    *,
    place: Path,
    order: Sequence[str] = (),
) -> dict[str, StoredFile]:
    """Return the files by the model's names.

    Args:
        files: In the order of their numbers.
        positions: Names the files belong to if the names in them are not the model's.
        types: All names of the model that may have a file, with their types.
        place: The data set's folder, for messages.
        order: Names given by the model list, one per file; wins.

    Raises:
        CaseError: If there are more files than names, if `order` does not fit, or if some names in the files
            contradict the positions.
    """
    stage = files[0].stage if files else "inputs"
    named = any(isinstance(file, StoredArray) and file.name for file in files)
    if order and not named:
        _check_order(order, files, types, place)
        return dict(zip(order, files, strict=True))
    names = [file.stored_name(types) for file in files]
    known = [name for name in names if name is not None]
    if len(known) == len(set(known)) == len(files):
        return dict(zip(known, files, strict=True))
    if len(files) > len(positions):
        what = "input" if stage == "inputs" else "output"
        raise CaseError(
            f"{place}: {len(files)} {what} files for {len(positions)} {what}s ({_named(positions)}); "
            f"store one {what}_<n>.pb for each {what}",
            stage=stage,
            kind="input error",
        )
    for file, name, position in zip(files, names, positions, strict=False):
        if name is not None and name != position:
            file.fail(
                f"holds '{name}', but by its number it would be '{position}', as not all files hold names of "
                f'the model ({_named(types)}); name the tensors in the files, or give "input_order" in the '
                "model list"
            )
    return dict(zip(positions, files, strict=False))


def _check_order(order: Sequence[str], files: Sequence[StoredFile], types: Mapping[str, TypeInfo], place: Path) -> None:
    unknown = [name for name in order if name not in types]
    if len(order) == len(files) == len(set(order)) and not unknown:
        return
    raise CaseError(
        f'{place}: "input_order" of the model list is {_named(order)}, for {len(files)} input files of the '
        f"inputs {_named(types)}; name each file's input once, in the order of the files",
        stage="inputs",
        kind="input error",
    )


def _named(names: Sequence[str] | Mapping[str, TypeInfo]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_FILE = re.compile(r"(input|output)_?(\d+)\.(?:pb|npy)", re.IGNORECASE)
_SET_PREFIX = "test_data"
_OF_DATA = (".pb", NPY, NPZ, ".pkl", ".pickle")
"""What a file in a data set's folder ends with that somebody meant to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """The files of one folder, or one `.npz` file."""

    name: str
    """The folder's: `test_data_set_0`, or the file's."""

    path: Path
    inputs: tuple[Path, ...]
    """Numbered files, in the order of their numbers."""

    outputs: tuple[Path, ...]
    arrays: tuple[Path, ...] = ()
    """`.npy` files named as an input or output of the model, and `.npz` files."""

    passed_over: tuple[str, ...] = field(default=(), compare=False)
    """Names of files that look like test data, and are not read."""


def find_data_sets(test_data: Path) -> list[DataSet]:
    """Return the data sets of a folder.

    Args:
        test_data: A folder with `input_0.pb`, `output_0.pb` (or `input0.pb`, `input_0.npy` ...), which is then the
            only data set; or one with folders `test_data*` of such files, or of `.npy` files named as the inputs and
            outputs, and with files `test_data*.npz`, which are taken in the order of the numbers in their names,
            folders first. Without any of these its `.npy` files, else each of its `.npz` files. Or an `.npz` file.

    Returns:
        At least one. Other files, and folders without such files, are left out; the first set names those that look
        like test data.

    Raises:
        CaseError: If there is none, or a folder cannot be read.
    """
    if test_data.suffix.lower() == NPZ and not test_data.is_dir():
        return [_archive(test_data)]
    own = _sets_in(test_data)
    names = sorted(_listed(test_data, folders=True), key=_natural_order)
    below = [data_set for name in names for data_set in _sets_in(test_data / name)]
    archives = [_archive(test_data / name) for name in _with_suffix(test_data, NPZ) if _is_set_name(name)]
    is_one = bool(own) and bool(own[0].inputs or own[0].outputs)
    found = own if is_one else [*below, *archives] or own
    if not found:
        raise CaseError(
            f"{test_data}: no data set found; expected files input_<n>.pb and output_<n>.pb (or .npy), folders "
            f"{_SET_PREFIX}* that hold them, or files {_SET_PREFIX}*{NPZ}; --ortperf-input=random generates inputs",
            stage="inputs",
            kind="input error",
        )
    return _with_passed_over(found, test_data, [*own, *below, *archives])


def _with_passed_over(found: Sequence[DataSet], test_data: Path, known: Sequence[DataSet]) -> list[DataSet]:
    """Return the data sets; the first names what else looks like test data in the folder, and in theirs."""
    read = {path for data_set in found for path in (*data_set.inputs, *data_set.outputs, *data_set.arrays)}
    folders = dict.fromkeys([test_data, *(each.path for each in (*found, *known) if each.path.is_dir())])
    seen = [folder / name for folder in folders for name in _with_suffix(folder, *_OF_DATA)]
    left = [path for path in seen if path not in read and (_is_in_set(path, test_data) or path.suffix.lower() != ".pb")]
    names = tuple(path.relative_to(test_data).as_posix() for path in left)
    return [dataclasses.replace(found[0], passed_over=names), *found[1:]]


def _is_in_set(path: Path, test_data: Path) -> bool:
    """Whether a `.pb` file is meant as data: elsewhere it may be a model of another framework."""
    return path.parent != test_data or _is_set_name(test_data.name) or _FILE.fullmatch(path.name) is not None


def unused_arrays(data_set: DataSet, names: Collection[str]) -> list[str]:
    """Return what is stored under a name that the model does not have.

    Args:
        data_set: Where.
        names: Of all inputs and outputs.

    Raises:
        CaseError: If a file cannot be read.
    """
    found = []
    for path in data_set.arrays:
        if path.suffix.lower() == NPY:
            found += [path.name] if path.stem not in names else []
        else:
            found += [f"'{name}' in {path.name}" for name in array_names(path) if name not in names]
    return found


def _files(data_set: DataSet, stage: str, metas: Sequence[Meta]) -> list[StoredFile]:
    """Return what is stored of the inputs or outputs."""
    numbered = data_set.inputs if stage == "inputs" else data_set.outputs
    files: list[StoredFile] = [
        load_array(path, stage) if path.suffix.lower() == NPY else load(path, stage) for path in numbered
    ]
    for path in data_set.arrays:
        if path.suffix.lower() == NPZ:
            files += load_arrays(path, stage, metas)
        elif any(path.stem == meta.name for meta in metas):
            files.append(load_array(path, stage))
    return files


def read_inputs(
    data_set: DataSet,
    metas: Sequence[Meta],
    model: Model,
    *,
    overridable: Sequence[Meta] = (),
    cast_floats: bool = False,
) -> dict[str, Value]:
    """Return the stored inputs by the model's names.

    Files belong to the inputs named in them if all of these are inputs of the model, otherwise to the
    inputs in the order of the session; `model.input_order` overrides both.

    Args:
        data_set: Where they are.
        metas: What `InferenceSession.get_inputs` returns.
        model: Gives the order and the slices.
        overridable: What `get_overridable_initializers` returns: inputs that may be stored but need not.
        cast_floats: Turn float tensors of another precision into the model's instead of refusing them.

    Returns:
        One value per input, of its type and fixed dimensions. Optionals without a file are left out.

    Raises:
        CaseError: If a file cannot be read, or count, type or shape do not fit the model.
    """
    types = {meta.name: parse_type(meta.type) for meta in (*metas, *overridable)}
    shapes = {meta.name: list(meta.shape) for meta in (*metas, *overridable)}
    files = _files(data_set, "inputs", (*metas, *overridable))
    positions = [meta.name for meta in metas]
    by_name = assign(files, positions, types, order=model.input_order, place=data_set.path)
    _check_complete(by_name, metas, data_set, len(files))
    inputs = {}
    for name, file in by_name.items():
        value = _read(file, types[name], cast_floats=cast_floats)
        value = _sliced(value, file, rule_for(model.inputs, name).slices)
        _check_type(value, types[name], name, file)
        _check_shape(value, shapes[name], name, file)
        inputs[name] = value
    return inputs


def read_outputs(data_set: DataSet, metas: Sequence[Meta], model: Model) -> dict[str, Value]:
    """Return the stored reference outputs by the model's names.

    Files belong to outputs as in `read_inputs`; by position they belong to `model.outputs` if there are as
    many, else to all outputs in the session's order.

    Args:
        data_set: Where they are.
        metas: What `InferenceSession.get_outputs` returns.
        model: Says which outputs to take; the rest are left out.

    Returns:
        One value per file taken; fewer than the model has outputs if fewer are stored. Types and shapes are
        as stored: whether the outputs have them too is for the comparison to say.

    Raises:
        CaseError: If a file cannot be read, or there are more files than outputs.
    """
    types = {meta.name: parse_type(meta.type) for meta in metas}
    files = _files(data_set, "reference", metas)
    wanted = model.outputs or tuple(types)
    positions = wanted if len(files) == len(wanted) and set(wanted) <= set(types) else tuple(types)
    by_name = assign(files, positions, types, place=data_set.path)
    return {name: file.read(types[name]) for name, file in by_name.items() if name in wanted}


def _sets_in(folder: Path) -> list[DataSet]:
    """Return the one data set of the files in a folder, or one for each of its `.npz` files."""
    numbered: dict[str, dict[int, Path]] = {"input": {}, "output": {}}
    for match in filter(None, map(_FILE.fullmatch, sorted(_listed(folder)))):
        kind, number = match[1].lower(), int(match[2])
        if number in numbered[kind]:
            raise CaseError(
                f"{folder / match[0]}: {kind} {number} is in '{numbered[kind][number].name}' too; remove one",
                stage="inputs",
                kind="input error",
            )
        numbered[kind][number] = folder / match[0]
    inputs, outputs = (tuple(path for _, path in sorted(files.items())) for files in numbered.values())
    archives = _with_suffix(folder, NPZ)
    halves = [name for name in archives if name.lower().startswith(("input", "output"))]
    named = [name for name in _with_suffix(folder, NPY) if not is_numbered(Path(name).stem)]
    if inputs or outputs or halves or named:
        arrays = tuple(folder / name for name in (*named, *halves))
        return [DataSet(name=folder.name, path=folder, inputs=inputs, outputs=outputs, arrays=arrays)]
    return [_archive(folder / name) for name in archives]


def _archive(path: Path) -> DataSet:
    return DataSet(name=path.stem, path=path, inputs=(), outputs=(), arrays=(path,))


def _is_set_name(name: str) -> bool:
    return name.lower().startswith(_SET_PREFIX)


def _with_suffix(folder: Path, *suffixes: str) -> list[str]:
    found = (name for name in _listed(folder) if name.lower().endswith(suffixes) and not name.startswith("."))
    return sorted(found, key=_natural_order)


def _listed(folder: Path, *, folders: bool = False) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not folders or (_is_set_name(entry.name) and entry.is_dir())]
    except OSError as error:
        raise CaseError(
            f"{folder}: the folder cannot be read ({error.strerror}); check the path and its permissions",
            stage="inputs",
            kind="input error",
        ) from error


def _natural_order(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name)]


def _read(file: StoredFile, info: TypeInfo, *, cast_floats: bool) -> Value:
    value = file.read(info)
    return as_floats(value, info.dtype) if cast_floats else value


def _sliced(value: Value, file: StoredFile, slices: str | None) -> Value:
    if slices is None:
        return value
    if not isinstance(value, np.ndarray):
        file.fail(f"slices {slices!r} apply to tensors only; remove them")
    try:
        return np.asarray(value[parse_slices(slices)], order="C")
    except IndexError as error:
        file.fail(f"slices {slices!r} do not fit shape {value.shape}; give at most {value.ndim}", error)


def _check_complete(by_name: Iterable[str], metas: Sequence[Meta], data_set: DataSet, count: int) -> None:
    missing = [meta.name for meta in metas if meta.name not in by_name and parse_type(meta.type).kind != "optional"]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        way = "store one input_<n>.pb for each input"
        if data_set.arrays:
            way = f"store one array for each input, under its name ({_named([meta.name for meta in metas])})"
            unknown = unused_arrays(data_set, [meta.name for meta in metas])
            way += f"; the names of others are not the inputs': {', '.join(unknown)}" if unknown else ""
        raise CaseError(
            f"{data_set.path}: {count} input files for {len(metas)} inputs, nothing for {names}; {way}",
            stage="inputs",
            kind="input error",
        )


def _check_type(value: Value, info: TypeInfo, name: str, file: StoredFile) -> None:
    elements = value if isinstance(value, list) else [value]
    stored = Counter(element_name(item.dtype) for item in elements if isinstance(item, np.ndarray))
    wrong = [element for element in stored if element != info.element]
    if info.element is not None and wrong:
        file.fail(
            f"holds tensor({wrong[0]}) for input '{name}', which the model declares as {info.text}; "
            f"store it as {info.element}"
        )


def _check_shape(value: Value, declared: Sequence[object], name: str, file: StoredFile) -> None:
    # ONNX Runtime says [] for scalars and for unknown ranks alike.
    if not isinstance(value, np.ndarray) or not declared:
        return
    fits = value.ndim == len(declared) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(declared, value.shape, strict=True)
    )
    if not fits:
        file.fail(
            f"shape {value.shape} for input '{name}', which the model declares as {_shape_text(declared)}; "
            'store that shape, or cut it with "slices" in the model list'
        )


def _shape_text(declared: Sequence[object]) -> str:
    return f"({', '.join('?' if dim is None else str(dim) for dim in declared)})"
