"""Write the bundled models with their inputs and reference outputs, or check the ones that are there.

`python models/make_models.py` writes; with `--check` it compares and exits with 1 on a difference. Outputs
are computed by `onnx.reference`, never by ONNX Runtime, so that they can tell when the latter is wrong.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from builders.bert import tiny_bert
from builders.cnn import small_cnn
from builders.detection import detector_head
from builders.graph import Array, BundledModel
from builders.mixed import external_weights, multi_io
from builders.quantized import int8_qdq_cnn
from builders.sequence import dynamic_mlp, lstm
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

BUILDERS: tuple[Callable[[], BundledModel], ...] = (
    tiny_bert,
    small_cnn,
    lstm,
    dynamic_mlp,
    detector_head,
    int8_qdq_cnn,
    external_weights,
    multi_io,
)

OUTPUT_RTOL = 1e-4
OUTPUT_ATOL = 1e-5
"""What stored float outputs may differ by: matrix products depend on the BLAS build. All else is exact."""


def write_models(root: Path) -> None:
    """Write every model folder below `root`, in place of one that is there."""
    for build in BUILDERS:
        bundled = build()
        folder = root / bundled.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write_model(folder, bundled)
        _write_data_sets(folder, bundled.data_sets)


def differences(expected: Path, actual: Path) -> list[str]:
    """Return one line for each file below the model folders that differs or is missing in one root."""
    expected_files, actual_files = _model_files(expected), _model_files(actual)
    lines = [f"{name}: missing" for name in sorted(expected_files - actual_files)]
    lines += [f"{name}: not written by this script" for name in sorted(actual_files - expected_files)]
    for name in sorted(expected_files & actual_files):
        difference = _difference(expected / name, actual / name)
        if difference:
            lines.append(f"{name}: {difference}")
    return lines


def main(arguments: list[str]) -> int:
    """Write or check the folders beside this file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file differs")
    root = Path(__file__).resolve().parent
    if not parser.parse_args(arguments).check:
        write_models(root)
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        write_models(Path(fresh))
        lines = differences(Path(fresh), root)
    print("\n".join(lines) if lines else f"{len(BUILDERS)} models are as this script writes them")
    return 1 if lines else 0


def _write_model(folder: Path, bundled: BundledModel) -> None:
    for name, contents in bundled.side_files.items():
        (folder / name).write_bytes(contents)
    path = folder / "model.onnx"
    path.write_bytes(bundled.model.SerializeToString(deterministic=True))
    onnx.checker.check_model(path, full_check=True)


def _write_data_sets(folder: Path, data_sets: Iterable[Mapping[str, Array]]) -> None:
    evaluator = ReferenceEvaluator(str(folder / "model.onnx"))
    for index, inputs in enumerate(data_sets):
        data_set = folder / f"test_data_set_{index}"
        data_set.mkdir()
        outputs = dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))
        _write_tensors(data_set, "input", inputs)
        _write_tensors(data_set, "output", outputs)


def _write_tensors(data_set: Path, kind: str, tensors: Mapping[str, Array]) -> None:
    for index, (name, array) in enumerate(tensors.items()):
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)
        (data_set / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString(deterministic=True))


def _model_files(root: Path) -> set[Path]:
    folders = [root / build.__name__ for build in BUILDERS]
    return {path.relative_to(root) for folder in folders for path in folder.rglob("*") if path.is_file()}


def _difference(expected: Path, actual: Path) -> str:
    if expected.read_bytes() == actual.read_bytes():
        return ""
    if not expected.name.startswith("output_"):
        return "differs"
    wanted, got = onnx.load_tensor(expected), onnx.load_tensor(actual)
    if (wanted.name, wanted.data_type, wanted.dims) != (got.name, got.data_type, got.dims):
        return "another tensor's name, dtype or shape"
    wanted_array, got_array = numpy_helper.to_array(wanted), numpy_helper.to_array(got)
    if np.allclose(got_array, wanted_array, rtol=OUTPUT_RTOL, atol=OUTPUT_ATOL):
        return ""
    return f"differs by up to {np.max(np.abs(got_array.astype(float) - wanted_array)):.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
