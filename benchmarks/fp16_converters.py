"""Which fp16 converter makes models that run, on the CPU: the bundled and the light ones, conformance cases, others.

    pip install onnxconverter-common
    python benchmarks/fp16_converters.py
    python benchmarks/fp16_converters.py --conformance
    python benchmarks/fp16_converters.py --models FOLDER

Each conversion runs in a process of its own, because some results crash ONNX Runtime. `pytest-ortperf` is what
`--ortperf-fp16` does. A converter whose package is missing is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from conformance_data import write_cases

from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.execution.inputs.case_data import cast_floats
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.inputs.stored_data import find_data_sets, read_inputs
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner
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
    converted, outcome = convert(model, Fp16Rule(io="keep" if keep else "cast"))
    if not outcome.nodes:
        raise NothingToConvert
    return converted


class NothingToConvert(Exception):  # noqa: N818 - no error: such a case is skipped
    """All nodes stay float32."""


CONVERTERS: Mapping[str, Callable[..., onnx.ModelProto]] = {
    "onnxconverter-common": by_common,
    "onnxruntime.transformers": by_onnxruntime,
    "pytest-ortperf": by_us,
}


def converters() -> list[str]:
    """Return the names of those that are installed."""
    has_common = importlib.util.find_spec("onnxconverter_common") is not None
    return [name for name in CONVERTERS if has_common or name != "onnxconverter-common"]


def outcome_of(
    model: Model, converter: str, optimization: str, *, keep: bool, sizes: Mapping[str, int] | None = None
) -> str:
    """Return how one conversion ended: `ok`, `wrong`, or the step that failed.

    Args:
        model: What is converted.
        converter: One of `CONVERTERS`.
        optimization: `all` or `disable`.
        keep: Whether inputs and outputs stay float32.
        sizes: Of dimensions that have none.
    """
    step = "not in float32"
    try:
        given = _session(str(model.path), "disable")
        inputs = _inputs(model, given, sizes or {})
        expected = ModelRunner(given, None, inputs).run()
        step = "conversion fails"
        converted = CONVERTERS[converter](onnx.load_model(model.path), keep=keep)
        step = "no session"
        session = _session(converted.SerializeToString(), optimization)
        step = "no run"
        got = ModelRunner(session, None, cast_floats(inputs, session.get_inputs())).run()
    except NothingToConvert:
        return "nothing to convert"
    except Exception as failure:  # noqa: BLE001 - each is a result
        print(f"{model.name}: {step}: {type(failure).__name__}: {failure}", file=sys.stderr)
        return step
    error = max((_relative(*pair) for pair in zip(_arrays(expected), _arrays(got), strict=True)), default=0.0)
    if not np.isfinite(error):
        return "overflows"
    return "ok" if error <= CLOSE else f"wrong by {error:.1%}"


def _session(source: str | bytes, optimization: str) -> onnxruntime.InferenceSession:
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimization == "all" else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _inputs(model: Model, session: onnxruntime.InferenceSession, sizes: Mapping[str, int]) -> dict[str, Value]:
    if any(model.path.parent.glob("test_data_set_*")):
        return read_inputs(find_data_sets(model.path.parent)[0], session.get_inputs(), model)
    return generate_inputs(session.get_inputs(), model=model, dims={}, assumed=sizes, seed=0)


def _arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _arrays(item)
    elif value is not None:
        yield np.asarray(value)


def _relative(expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> float:
    if expected.shape != got.shape:
        return float("inf")
    if expected.dtype != np.float32:
        return 0.0 if expected.dtype.kind not in "iub" or np.array_equal(expected, got) else 1.0
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(found)):
        return float("inf")
    largest = float(np.max(np.abs(wanted[finite]), initial=0)) or 1.0
    return float(np.max(np.abs(wanted[finite] - found[finite]), initial=0)) / largest


def isolated(model: Model, converter: str, optimization: str, io: str, sizes: Mapping[str, int] | None = None) -> str:
    """Return the outcome of one conversion, made in a process of its own."""

    def work(to: Connection) -> None:
        to.send(outcome_of(model, converter, optimization, keep=io == "keep", sizes=sizes))

    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe(duplex=False)
    child = forking.Process(target=work, args=(there,))
    child.start()
    there.close()
    ended = here.poll(TIMEOUT_S)
    try:
        return str(here.recv()) if ended else "no end"
    except EOFError:
        child.join()
        return f"crash ({signal.Signals(-(child.exitcode or 0)).name})"
    finally:
        child.kill()
        child.join()


def table(models: Sequence[Model], io: str, optimization: str) -> list[str]:
    """Return the lines of a Markdown table: a row a model, a column a converter, and the sums."""
    rows = []
    good = Counter[str]()
    names = converters()
    for model in models:
        cells = {converter: isolated(model, converter, optimization, io) for converter in names}
        good.update(converter for converter, cell in cells.items() if cell == "ok")
        rows.append(f"| {model.name} | {' | '.join(cells.values())} |")
        print(rows[-1], file=sys.stderr)
    sums = " | ".join(f"**{good[converter]} of {len(models)}**" for converter in names)
    return [f"| model | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|", *rows, f"| ok | {sums} |"]


def counts(models: Sequence[Model], io: str, optimization: str) -> list[str]:
    """Return the lines of a Markdown table: a row an outcome, a column a converter."""
    names = converters()
    found = {name: Counter[str]() for name in names}
    for model in models:
        for name in names:
            found[name][isolated(model, name, optimization, io).partition(" by ")[0]] += 1
    kinds = sorted({kind for each in found.values() for kind in each} - {"not in float32"}, key=_order)
    rows = [f"| {kind} | {' | '.join(str(found[name][kind]) for name in names)} |" for kind in kinds]
    return [f"| result | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|", *rows]


def _order(kind: str) -> int:
    first = ("ok", "nothing to convert")
    return first.index(kind) if kind in first else len(first)


def listed_models() -> tuple[Model, ...]:
    """Return the bundled and the light models."""
    return read_models(ROOT / "models.json", workspace=None)


def models_in(folder: Path) -> tuple[Model, ...]:
    """Return each model below a folder."""
    found = sorted(folder.rglob("*.onnx"))
    return tuple(Model(name=str(path.relative_to(folder)), path=path, origin=str(folder)) for path in found)


WAYS = (
    ("keep", "disable", "Inputs and outputs stay float32"),
    ("cast", "disable", "Inputs and outputs become float16"),
    ("keep", "all", "Inputs and outputs stay float32, with graph optimisation"),
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conformance", action="store_true", help="count over the onnx project's backend tests")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="models of a folder instead of the listed ones")
    given = parser.parse_args()
    packages = (
        "onnxruntime",
        "onnx",
        "numpy",
        *(["onnxconverter-common"] if len(converters()) == len(CONVERTERS) else []),
    )
    print(f"{datetime.now(UTC):%Y-%m-%d}, " + ", ".join(f"{name} {version(name)}" for name in packages))
    with tempfile.TemporaryDirectory() as folder:
        if given.conformance:
            write_cases(Path(folder))
        models = models_in(given.models or Path(folder)) if given.models or given.conformance else listed_models()
        for io, optimization, title in WAYS:
            lines = counts(models, io, optimization) if given.conformance else table(models, io, optimization)
            print("\n".join(["", f"## {title}", "", *lines]))


if __name__ == "__main__":
    main()
