"""Which fp16 converter makes models that run: the bundled ones and the light ones of the onnx package, on the CPU.

    pip install onnxconverter-common
    python benchmarks/fp16_converters.py

Each conversion runs in a process of its own, because some results crash ONNX Runtime. `pytest-ortperf` is what
`--ortperf-fp16` does: ONNX Runtime's converter with some work before and after it.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.execution.inputs.case_data import cast_floats
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.model.fp16 import convert

ROOT = Path(__file__).parents[1]
CLOSE = 0.02
"""Largest error, as a share of the largest reference value of the output, that still counts as right."""

TIMEOUT_S = 300


def by_common(model: onnx.ModelProto, *, keep: bool) -> onnx.ModelProto:
    """Convert with onnxconverter-common's defaults."""
    from onnxconverter_common.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=keep)


def by_onnxruntime(model: onnx.ModelProto, *, keep: bool) -> onnx.ModelProto:
    """Convert with the defaults of ONNX Runtime's converter."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=keep)


def by_us(model: onnx.ModelProto, *, keep: bool) -> onnx.ModelProto:
    """Convert as `--ortperf-fp16` does."""
    return convert(onnx.shape_inference.infer_shapes(model), Fp16Rule(io="keep" if keep else "cast"))[0]


CONVERTERS: Mapping[str, Callable[..., onnx.ModelProto]] = {
    "onnxconverter-common": by_common,
    "onnxruntime.transformers": by_onnxruntime,
    "pytest-ortperf": by_us,
}


def outcome_of(model: Model, converter: str, optimization: str, *, keep: bool) -> str:
    """Return how one conversion ended: `ok`, `wrong`, or the step that failed."""
    step = "conversion fails"
    try:
        converted = CONVERTERS[converter](onnx.load_model(model.path), keep=keep)
        step = "no session"
        session = _session(converted.SerializeToString(), optimization)
        step = "no run"
        error = _error(model, _session(str(model.path), "disable"), session)
    except Exception as failure:  # noqa: BLE001 - each is a result
        print(f"{step}: {type(failure).__name__}: {failure}", file=sys.stderr)
        return step
    if not np.isfinite(error):
        return "overflows"
    return "ok" if error <= CLOSE else f"wrong by {error:.1%}"


def _session(source: str | bytes, optimization: str) -> onnxruntime.InferenceSession:
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimization == "all" else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _error(model: Model, given: onnxruntime.InferenceSession, converted: onnxruntime.InferenceSession) -> float:
    inputs = generate_inputs(given.get_inputs(), model=model, dims={}, seed=0)
    pairs = zip(given.run(None, inputs), converted.run(None, cast_floats(inputs, converted.get_inputs())), strict=True)
    errors = [_relative(expected, got) for expected, got in pairs if np.asarray(expected).dtype == np.float32]
    return max(errors, default=0.0)


def _relative(expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> float:
    if expected.shape != got.shape:
        return float("inf")
    largest = float(np.max(np.abs(expected), initial=0)) or 1.0
    return float(np.max(np.abs(expected - got.astype(np.float32)), initial=0)) / largest


def isolated(model: Model, converter: str, optimization: str, io: str) -> str:
    """Return the outcome of one conversion, made in a process of its own."""
    command = [sys.executable, __file__, "--one", model.name, converter, optimization, io]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode < 0:
        return f"crash ({signal.Signals(-done.returncode).name})"
    return str(json.loads(done.stdout.splitlines()[-1]))


def table(models: Sequence[Model], io: str, optimization: str) -> list[str]:
    """Return the lines of a Markdown table: a row a model, a column a converter, and the sums."""
    rows = []
    good = Counter[str]()
    for model in models:
        cells = {converter: isolated(model, converter, optimization, io) for converter in CONVERTERS}
        good.update(converter for converter, cell in cells.items() if cell == "ok")
        rows.append(f"| {model.name} | {' | '.join(cells.values())} |")
        print(rows[-1], file=sys.stderr)
    sums = " | ".join(f"**{good[converter]} of {len(models)}**" for converter in CONVERTERS)
    return [f"| model | {' | '.join(CONVERTERS)} |", "|---|---|---|---|", *rows, f"| ok | {sums} |"]


def all_models() -> tuple[Model, ...]:
    """Return the bundled and the light models."""
    return read_models(ROOT / "models.json", workspace=None)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=4, metavar=("MODEL", "CONVERTER", "OPTIMIZATION", "IO"), help="used by itself")
    one = parser.parse_args().one
    if one:
        name, converter, optimization, io = one
        model = next(model for model in all_models() if model.name == name)
        print(json.dumps(outcome_of(model, converter, optimization, keep=io == "keep")))
        return
    packages = ("onnxruntime", "onnx", "onnxconverter-common", "numpy")
    print(f"{datetime.now(UTC):%Y-%m-%d}, " + ", ".join(f"{name} {version(name)}" for name in packages))
    for io, optimization, title in (
        ("keep", "disable", "Inputs and outputs stay float32"),
        ("cast", "disable", "Inputs and outputs become float16"),
        ("keep", "all", "Inputs and outputs stay float32, with graph optimisation"),
    ):
        print("\n".join(["", f"## {title}", "", *table(all_models(), io, optimization)]))


if __name__ == "__main__":
    main()
