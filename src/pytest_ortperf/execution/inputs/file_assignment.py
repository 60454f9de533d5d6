"""Which file of a data set belongs to which input or output of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.inputs.proto_files import ProtoFile, stored_name
from pytest_ortperf.execution.inputs.tensor_types import TypeInfo


def assign(
    files: Sequence[ProtoFile],
    positions: Sequence[str],
    types: Mapping[str, TypeInfo],
    *,
    place: Path,
    order: Sequence[str] = (),
) -> dict[str, ProtoFile]:
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
    if order:
        _check_order(order, files, types, place)
        return dict(zip(order, files, strict=True))
    names = [stored_name(file, types) for file in files]
    known = [name for name in names if name is not None]
    if len(known) == len(set(known)) == len(files):
        return dict(zip(known, files, strict=True))
    if len(files) > len(positions):
        what = "input" if stage == "inputs" else "output"
        raise CaseError(
            f"{place}: {len(files)} {what} files for {len(positions)} {what}s ({_listed(positions)}); "
            f"store one {what}_<n>.pb for each {what}",
            stage=stage,
            kind="input error",
        )
    for file, name, position in zip(files, names, positions, strict=False):
        if name is not None and name != position:
            file.fail(
                f"holds '{name}', but by its number it would be '{position}', as not all files hold names of "
                f'the model ({_listed(types)}); name the tensors in the files, or give "input_order" in the '
                "model list"
            )
    return dict(zip(positions, files, strict=False))


def _check_order(order: Sequence[str], files: Sequence[ProtoFile], types: Mapping[str, TypeInfo], place: Path) -> None:
    unknown = [name for name in order if name not in types]
    if len(order) == len(files) == len(set(order)) and not unknown:
        return
    raise CaseError(
        f'{place}: "input_order" of the model list is {_listed(order)}, for {len(files)} input files of the '
        f"inputs {_listed(types)}; name each file's input once, in the order of the files",
        stage="inputs",
        kind="input error",
    )


def _listed(names: Sequence[str] | Mapping[str, TypeInfo]) -> str:
    return ", ".join(f"'{name}'" for name in names)
