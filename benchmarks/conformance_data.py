"""The onnx project's conformance cases as one directory of models: `node/test_abs/model.onnx` and its data sets."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

STORED_KINDS = ("simple", "pytorch-operator", "pytorch-converted")
KINDS = ("node", *STORED_KINDS)
"""Those whose data comes with the onnx package, in the order of `load_model_tests`; `real` has to be downloaded."""

_MARK = "complete"


def write_cases(folder: Path, every: int = 1) -> list[str]:
    """Write the cases into a folder, unless a former call has; return their names, such as `node/test_abs`.

    Args:
        folder: Is made.
        every: Take each so many-th case of each kind, in the order of the names.
    """
    mark = folder / _MARK
    wanted = f"onnx {onnx.__version__}, every {every}"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write_node_cases(folder / "node", every)
        for kind in STORED_KINDS:
            _copy_stored_cases(kind, folder / kind, every)
        mark.write_text(wanted, encoding="utf-8")
    return sorted(f"{kind}/{path.name}" for kind in KINDS for path in (folder / kind).iterdir())


def _write_node_cases(folder: Path, every: int) -> None:
    with warnings.catch_warnings():
        # the package's own arithmetic on infinities
        warnings.simplefilter("ignore", RuntimeWarning)
        cases = sorted(load_model_tests(kind="node"), key=lambda case: case.name)
    for case in cases[::every]:
        _write_case(case, folder / case.name)


def _write_case(case: TestCase, folder: Path) -> None:
    if case.model is None or case.data_sets is None:
        raise ValueError(
            f"{case.name}: has no model or data in memory; this onnx {onnx.__version__} keeps it elsewhere"
        )
    folder.mkdir(parents=True)
    onnx.save(case.model, folder / "model.onnx")
    graph = case.model.graph
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data_set = folder / f"test_data_set_{number}"
        data_set.mkdir()
        _write_values(data_set, "input", inputs, graph.input)
        _write_values(data_set, "output", outputs, graph.output)


def _write_values(folder: Path, kind: str, values: Iterable[Any], infos: Iterable[onnx.ValueInfoProto]) -> None:
    for number, (value, info) in enumerate(zip(values, infos, strict=True)):
        content = as_proto(value, info).SerializeToString()
        (folder / f"{kind}_{number}.pb").write_bytes(content)


def as_proto(value: Any, info: onnx.ValueInfoProto) -> Any:
    """Return a value as the message that the declared type asks for; a message stays as it is."""
    if isinstance(value, onnx.TensorProto):
        return value
    if info.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, info.name)
    if info.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, info.name)
    # numpy functions return scalars where a tensor of rank 0 is meant
    return numpy_helper.from_array(np.asarray(value), info.name)


def _copy_stored_cases(kind: str, folder: Path, every: int) -> None:
    folder.mkdir()
    for source in sorted(path for path in (Path(DATA_DIR) / kind).iterdir() if (path / "model.onnx").exists())[::every]:
        shutil.copytree(source, folder / source.name)
