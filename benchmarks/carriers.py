"""Models of this repository that extra work is planted into, with their entries of the model list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto

from pytest_ortperf.cases.model_list import read_models
from pytest_ortperf.execution.inputs.generated_inputs import generate_inputs
from pytest_ortperf.execution.inputs.stored_data import find_data_sets, read_inputs
from pytest_ortperf.execution.session.creation import session_options
from pytest_ortperf.execution.session.session_config import SessionConfig

ROOT = Path(__file__).parents[1]
LIST = ROOT / "models.json"
PATHS = ("path", "test_data")
ONE_THREAD = SessionConfig(
    graph_optimization="all", intra_op_threads=1, inter_op_threads=1, config={"session.intra_op.allow_spinning": "0"}
)

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A model with what is needed to run it."""

    name: str
    entry: Entry
    """Of a model list, less the name and where the model is."""

    model: ModelProto
    feeds: Mapping[str, npt.NDArray[Any]]
    output: str
    """The smallest of its float outputs, which work is planted before."""


def entries() -> list[dict[str, Any]]:
    """Return this repository's model list, its paths made absolute."""
    listed = json.loads(LIST.read_text(encoding="utf-8"))["models"]
    return [{key: str(ROOT / value) if key in PATHS else value for key, value in entry.items()} for entry in listed]


def load_carrier(name: str) -> Carrier:
    """Return a model of this repository's list, its weights inside, with the inputs that a benchmark gives it."""
    model = next(model for model in read_models(LIST, workspace=None) if model.name == name)
    proto = onnx.load(model.path)
    session = open_session(proto)
    metas = session.get_inputs()
    if model.test_data is None:
        feeds = generate_inputs(metas, model=model, dims={}, seed=0)
    else:
        feeds = read_inputs(find_data_sets(model.test_data)[0], metas, model)
    results = zip(session.get_outputs(), session.run(None, feeds), strict=True)
    floats = {meta.name: value.size for meta, value in results if meta.type == "tensor(float)"}
    entry = {key: value for key, value in _entry(name).items() if key not in {"name", "path", "source", "xfail"}}
    if model.test_data is None:
        entry["inputs"] = {glob: {"fill": rule.fill} for glob, rule in model.inputs.items()}
    return Carrier(name, entry, proto, feeds, min(floats, key=lambda output: floats[output]))


def open_session(model: ModelProto | Path) -> onnxruntime.InferenceSession:
    """Return a session on the CPU with one thread."""
    source = model if isinstance(model, Path) else model.SerializeToString()
    options = session_options(ONE_THREAD)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def same_outputs(carrier: Carrier, other: ModelProto) -> bool:
    """Return whether a model gives the carrier's outputs, bit for bit."""
    expected, actual = (open_session(model) for model in (carrier.model, other))
    names = [meta.name for meta in expected.get_outputs()]
    if names != [meta.name for meta in actual.get_outputs()]:
        return False
    values = (session.run(names, dict(carrier.feeds)) for session in (expected, actual))
    return all(one.dtype == two.dtype and np.array_equal(one, two) for one, two in zip(*values, strict=True))


def _entry(name: str) -> Entry:
    return next(entry for entry in entries() if entry["name"] == name)
