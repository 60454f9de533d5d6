"""The text of a bug report's folder."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

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
