"""A failing case -> a folder that shows the failure with ONNX Runtime and numpy alone.

The text of a bug report's folder.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal as signals
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.rules import Tolerance
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.accuracy.output_accuracy import effective
from pytest_ortperf.execution.bisection.find import Search, find_part, reference_name
from pytest_ortperf.execution.bisection.judgement import Judge, case_tolerance, ending_of, wrong_outputs
from pytest_ortperf.execution.bisection.sessions import Sessions
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ValueWriter
from pytest_ortperf.execution.machine.devices import nvml_gpus
from pytest_ortperf.execution.model.external_data import external_files
from pytest_ortperf.execution.model.fp16 import CONVERTED
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.model.precision import PreparedModel, loss_text, prepare_model
from pytest_ortperf.execution.session.assumed_shapes import assume_shapes
from pytest_ortperf.execution.session.creation import requested_providers
from pytest_ortperf.execution.session.session_config import session_config_of
from pytest_ortperf.records.environment.host import collect_environment
from pytest_ortperf.records.environment.run_header import Environment

_PACKAGES = ("onnx", "numpy", "tensorrt", "openvino")
_RUN = """\
```console
$ pip install onnxruntime numpy   # or the distribution with the execution provider
$ python run.py
```"""
_MORE = """\
`python run.py --provider CPUExecutionProvider` runs the same elsewhere, `--graph-optimization disable` leaves ONNX
Runtime's own optimisations out. The exit status is 0 where the outputs are as expected, 1 where not, 125 where it
cannot be tried: as `git bisect run` takes it."""
_FILES = """\
- `model.onnx`: the model
- `case.json`: execution provider, session options, tolerances, and which file holds which input or expected output
- `data/`: these, as numpy arrays
- `run.py`: the script"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the reader is to know."""

    case_id: str
    provider: str
    symptom: str
    reference: str
    converted: str | None
    """How the model came about, if not as it was given."""

    answer: str
    """What the script said where the folder was made."""

    def with_answer(self, answer: str) -> Told:
        """Return the same with what the script said."""
        return dataclasses.replace(self, answer=answer)


def readme(told: Told, environment: Environment) -> str:
    """Return the text, in Markdown."""
    model = f"`model.onnx` is {told.converted}." if told.converted else ""
    title = _title(told.symptom)
    paragraphs = [
        f"# {told.provider}: {title}",
        *([told.symptom] if told.symptom != title else []),
        f"Expected: {told.reference}. {model}".strip(),
        "Run it; only `onnxruntime` and `numpy` are needed:",
        _RUN,
        "It printed:",
        f"```text\n{told.answer}\n```",
        _MORE,
        "## Versions",
        "\n".join(f"- {name}: {value}" for name, value in _versions(environment)),
        "## Files",
        _FILES,
    ]
    return "\n\n".join(paragraphs) + "\n"


def _versions(environment: Environment) -> list[tuple[str, str]]:
    known = {
        "ONNX Runtime": environment.onnxruntime_distribution,
        "Python": environment.python,
        **{name: environment.packages.get(name) for name in _PACKAGES},
        "operating system": environment.os,
        "CPU": environment.cpu,
        "GPU": ", ".join(gpu.name for gpu in environment.gpus) or None,
        "driver": environment.driver,
        "CUDA": environment.cuda,
        "cuDNN": environment.cudnn,
        "TensorRT": environment.tensorrt,
    }
    return [(name, value) for name, value in known.items() if value]


def _title(text: str) -> str:
    """Return the beginning of a symptom, up to the measures of an error."""
    return re.split(r"\n|, rtol=|; max abs error", text.strip(), maxsplit=1)[0]


MODEL, DATA = "model.onnx", "data"
SCRIPT = Path(__file__).with_name("repro_script.py")
"""The script of a folder, which calls it `run.py`."""

_RIGHT, _WRONG = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BugReport:
    """What was written."""

    files: tuple[str, ...]
    shows_it: bool
    """Whether the script of the folder failed here as the case does."""

    text: str
    """What the script said, or how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What goes into the folder."""

    inputs: Mapping[str, Value]
    expected: Mapping[str, Value]
    tolerances: Mapping[str, Tolerance]
    any_float: bool
    """Whether floats of another precision are the type that is expected."""

    told: Told


def write_bug_report(search: Search, *, smallest: bool = False) -> BugReport:
    """Write the folder, and run its script once.

    Args:
        search: The case, and the folder.
        smallest: Whether the graph is searched for the wrong node first, and the small model that fails is taken.

    Raises:
        CaseError: If the case cannot be run at all, has no reference, or `smallest` finds nothing wrong.
    """
    search.folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare_model(search.case, search.settings)
    case = assume_shapes(search.case, prepared, search.settings, search.hooks)
    search = dataclasses.replace(search, case=case)
    content = _smallest(search, prepared) if smallest else _whole(search, prepared)
    _write_data(search, content, prepared)
    status, text = _try(search)
    told = content.told.with_answer(text)
    environment = collect_environment(nvml_gpus(), workspace=None)
    (search.folder / "README.md").write_text(readme(told, environment), encoding="utf-8")
    files = tuple(sorted(path.name for path in search.folder.iterdir()))
    return BugReport(files=files, shows_it=status not in (_RIGHT, 125), text=text)


def _whole(search: Search, prepared: PreparedModel) -> _Content:
    source = Path(prepared.source)
    reference = search.settings.given.reference_model or search.case.model.path
    sessions = Sessions(search.case, search.settings, search.hooks, search.timeout_s)
    tolerance = case_tolerance(search.case, search.settings, prepared)
    names = [value.name for value in onnx.load_model(source, load_external_data=False).graph.output]
    judge = Judge(tolerance, frozenset(names))
    ending = ending_of(sessions, source, reference, judge, search.data_set)
    stored = ending.data.references
    origin = "stored beside the model" if stored else reference_name(search.settings)
    wanted = list(search.case.model.outputs) or names
    expected = stored or sessions.reference(reference, ending.data.inputs, wanted)
    judged = [judge.judge(name, value, expected[name]) for name, value in ending.outputs.items() if name in expected]
    symptom = ending.broken.text if ending.broken else wrong_outputs(judged) or "the outputs are within tolerance"
    _copy_model(source, search.folder)
    return _Content(
        inputs=ending.data.inputs,
        expected=expected,
        tolerances={
            name: effective(tolerance(name), ending.outputs.get(name, value), value) for name, value in expected.items()
        },
        any_float=search.case.precision is not None,
        told=_told(search, prepared, symptom, origin),
    )


def _smallest(search: Search, prepared: PreparedModel) -> _Content:
    # the script reads files of its own: only the model is taken from there
    with tempfile.TemporaryDirectory(prefix="ortperf-smallest-") as work:
        found, part = find_part(dataclasses.replace(search, folder=Path(work) / "smallest"))
        if part is None:
            raise CaseError(found.conclusion, stage="comparison", kind="result accuracy issue")
        _copy_model(part.path, search.folder)
    place = f"; {found.suspect.name} ({found.suspect.op_type})" if found.suspect else ""
    return _Content(
        inputs=part.inputs,
        expected=part.expected,
        tolerances=part.limits,
        any_float=True,
        told=_told(search, prepared, f"{part.complaint}{place}", found.reference),
    )


def _told(search: Search, prepared: PreparedModel, symptom: str, reference: str) -> Told:
    lost = loss_text(prepared.fact)
    return Told(
        case_id=search.case.case_id,
        provider=search.case.provider.full_name,
        symptom=f"{lost}: {symptom}" if lost else symptom,
        reference=reference,
        converted="float16, converted from float32" if prepared.fact.fp16_from == CONVERTED else None,
        answer="",
    )


def _copy_model(source: Path, folder: Path) -> None:
    shutil.copyfile(source, folder / MODEL)
    for name in external_files(onnx.load_model(source, load_external_data=False)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / name, target)


def _write_data(search: Search, content: _Content, prepared: PreparedModel) -> None:
    data = search.folder / DATA
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    writer = ValueWriter(data)
    written = {
        "model": MODEL,
        **described_session(search.case, search.settings, prepared.source),
        "inputs": [[name, writer.write(value)] for name, value in content.inputs.items()],
        "expected": [[name, writer.write(value)] for name, value in content.expected.items()],
        "any_float": content.any_float,
        "tolerances": {name: _limits(given) for name, given in content.tolerances.items()},
    }
    (search.folder / "case.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(SCRIPT, search.folder / "run.py")


def described_session(case: Case, settings: ExecutionSettings, source: str | bytes) -> dict[str, Any]:
    """Return how the script of a folder makes the session of a case."""
    session_config = session_config_of(case, settings)
    wanted = requested_providers(source, case, settings)
    return {
        "providers": [[name, dict(given)] for name, given in wanted],
        "plugins": {name: path for name, path in settings.plugins.items() if name == case.provider.full_name},
        "session": {
            "graph_optimization": session_config.graph_optimization,
            "intra_op_threads": session_config.intra_op_threads,
            "inter_op_threads": session_config.inter_op_threads,
            "execution_mode": session_config.execution_mode,
            "config": dict(session_config.config),
            "free_dimensions": dict(case.dims) if fixes_dims(case, settings) else {},
            "custom_op_libraries": list(session_config.custom_op_libraries),
        },
    }


def _limits(given: Tolerance) -> dict[str, float | str | None]:
    names = ("rtol", "atol", "percent_mismatch", "cosine", "snr_db", "peak_percent", "top_k", "nan_pattern")
    return {name: getattr(given, name) for name in names}


def _try(search: Search) -> tuple[int, str]:
    """Run the script as its reader will; return its exit status and what it said."""
    try:
        done = subprocess.run(
            [sys.executable, "run.py"],
            cwd=search.folder,
            capture_output=True,
            text=True,
            timeout=search.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _WRONG, f"no result after {search.timeout_s:g} s"
    said = done.stdout.strip()
    if done.returncode < 0:
        known = {number.value: number.name for number in signals.Signals}
        said += f"\nended by signal {-done.returncode} ({known.get(-done.returncode, 'unknown')})"
    elif done.returncode not in (_RIGHT, _WRONG):
        said += "\n" + "\n".join(done.stderr.strip().splitlines()[-5:])
    return done.returncode, said.strip()
