"""Reference outputs by the CPU provider without graph optimisation: computed once per model and inputs."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnxruntime
from google.protobuf.message import DecodeError

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.inputs.case_data import CaseData, cast_floats
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.inputs.tensor_values import ModelRunner, ValueWriter, read_value, values_hash
from pytest_ortperf.execution.model.artifact_cache import Artifact
from pytest_ortperf.execution.model.fp64 import fp64_model
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.model.model_hash import content_key
from pytest_ortperf.execution.model.precision import cache_of
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.execution.session.session_config import session_config_of
from pytest_ortperf.records.environment.libraries import read_text

Width = Literal["own", "fp64"]
"""Floats as the model has them, or as float64."""

_NAME = "CPU, graph optimisation off"
_CHOOSES_KERNELS = re.compile(r"^(?:model name|flags|CPU part|Features)\s*:\s*(.*)$", re.MULTILINE)
_VERSION = 1
"""Of what is kept: a change of how it is computed or written counts it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCpu:
    """What the CPU is to compute."""

    path: Path
    """The model file."""

    case: Case
    """Gives outputs, dimensions and session settings."""

    settings: ExecutionSettings
    hooks: SessionHooks
    data: CaseData
    """The inputs; floats are cast to what the model declares."""

    width: Width = "own"
    optimized: bool = False
    """Whether ONNX Runtime rewrites the graph; a reference is computed without."""

    @property
    def plain_case(self) -> Case:
        """The case on the CPU, with its model as it is."""
        return dataclasses.replace(self.case, provider=CPU, precision=None)

    @property
    def plain_settings(self) -> ExecutionSettings:
        """The settings with graph optimisation as asked for."""
        return dataclasses.replace(self.settings, graph_optimization="all" if self.optimized else "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Outputs of the CPU."""

    outputs: Mapping[str, Value]
    name: str
    artifact: Artifact | None = None
    """Keeps what the outputs may still be read from."""


class NotAvailable(Exception):  # noqa: N818 - told, not raised further
    """The CPU provider has no kernel for float64; the text says of what."""


def cpu_reference(case: Case, settings: ExecutionSettings, hooks: SessionHooks, data: CaseData) -> Reference:
    """Return the outputs of the model as given on the CPU, and what to call them.

    Graph optimisation is off, so that a wrong fusion shows; the CPU's own cases are checked against it too.

    Raises:
        CaseError: Stage `reference`, if the CPU cannot run the model either.
    """
    path = settings.given.reference_model or case.model.path
    try:
        found = cpu_outputs(OnCpu(path=path, case=case, settings=settings, hooks=hooks, data=data))
    except Exception as error:
        raise CaseError(
            f"no reference outputs: the CPU provider cannot run the model with graph optimisation off: {error}. "
            f"Give stored outputs with test_data in the model list",
            stage="reference",
            kind="runtime error",
        ) from error
    if settings.given.reference_model:
        return dataclasses.replace(found, name=f"{path.name} on the {_NAME}")
    return found


def cpu_outputs(asked: OnCpu) -> Reference:
    """Return outputs of the CPU, found in the cache or computed now and kept there.

    They are not kept where code of the user's may change the session: custom operators and hooks have no hash.

    Raises:
        NotAvailable: If the model cannot be run in float64, and that is asked for.
    """
    if _is_changed_by_users(asked):
        return Reference(outputs=_computed(asked), name=_NAME)
    return _kept(_key(asked), lambda: _computed(asked), asked.settings)


def _kept(key: Mapping[str, Any], compute: Callable[[], dict[str, Value]], settings: ExecutionSettings) -> Reference:
    made: dict[str, Value] = {}

    def make(folder: Path) -> Mapping[str, Any]:
        made.update(compute())
        writer = ValueWriter(folder)
        return {"outputs": [[name, writer.write(value)] for name, value in made.items()]}

    artifact = cache_of(settings).get(key, make)
    outputs = made or {name: read_value(it, artifact.folder) for name, it in artifact.facts["outputs"]}
    return Reference(outputs=outputs, name=_NAME, artifact=artifact)


def _computed(asked: OnCpu) -> dict[str, Value]:
    source = _source(asked)
    try:
        return _run(source, asked)
    except Exception as error:
        if asked.width == "own":
            raise
        # most operators lack a kernel when the session is created, some, such as LSTM, when it runs
        raise NotAvailable(str(error.__cause__ or error).strip().partition("\n")[0]) from error


def _run(source: str | bytes, asked: OnCpu) -> dict[str, Value]:
    session = create_session(source, asked.plain_case, asked.plain_settings, asked.hooks).session
    inputs = cast_floats(asked.data.inputs, session.get_inputs())
    runner = ModelRunner(session, list(asked.case.model.outputs) or None, inputs)
    return dict(zip(runner.output_names, runner.run(), strict=True))


def _source(asked: OnCpu) -> str | bytes:
    if asked.width == "own":
        return str(asked.path)
    model = fp64_model(asked.path)
    if model is None:
        raise NotAvailable("the model is too large to be made float64")
    return bytes(model.SerializeToString())


def _is_changed_by_users(asked: OnCpu) -> bool:
    libraries = session_config_of(asked.plain_case, asked.settings).custom_op_libraries
    return bool(libraries) or bool(getattr(asked.hooks, "changes_sessions", False))


def _key(asked: OnCpu) -> dict[str, Any]:
    case, settings = asked.plain_case, asked.plain_settings
    session_config = session_config_of(case, settings)
    try:
        content = content_key(asked.path, cache_of(settings))
    except DecodeError:  # an ORT format file, say: what runs it knows
        content = {"model": f"{asked.path} {asked.path.stat().st_mtime_ns}"}
    return {
        "reference": _VERSION,
        "content": content,
        "inputs": values_hash(asked.data.inputs),
        "width": asked.width,
        "optimized": asked.optimized,
        "outputs": list(case.model.outputs),
        "dims": list(case.dims) if fixes_dims(case, settings) else [],
        "config": dict(session_config.config),
        "threads": [session_config.intra_op_threads, session_config.execution_mode],
        "onnxruntime": onnxruntime.__version__,
        # another processor takes other kernels, whose last bits differ
        "machine": [platform.machine(), *_processor(Path("/")), os.cpu_count()],
    }


@functools.cache
def _processor(root: Path) -> tuple[str, ...]:
    """Return what chooses among kernels: the processor's name and its instruction sets."""
    return tuple(sorted(set(_CHOOSES_KERNELS.findall(read_text(root / "proc/cpuinfo")))))
