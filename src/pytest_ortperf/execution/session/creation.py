"""Case -> InferenceSession on the provider asked for, or an error: never a silent fallback."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import CPU
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.machine.tensorrt_libraries import preload_tensorrt
from pytest_ortperf.execution.model.model_dimensions import fix_dimensions
from pytest_ortperf.execution.session.ep_registry import providers_argument
from pytest_ortperf.execution.session.placement import record_placement, require_recorded
from pytest_ortperf.execution.session.resolved_options import provider_options
from pytest_ortperf.execution.session.runtime_log import loader_reason, reason, shortened
from pytest_ortperf.execution.session.session_config import SessionConfig, session_config_of
from pytest_ortperf.records.record import SessionFact

_LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

_THREADS_SLEEP = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
"""For validations: a thread that waits for work by spinning answers sooner, which nobody measures there, and takes a
core from the process that the next case starts in. What is computed is the same."""

_WAYS_OUT = {
    "is not a registered function/op": (
        "if it is a custom operator, name its library with --ortperf-custom-op-library, or as custom_op_libraries of "
        "'session' in the model list"
    ),
    "disabled fallback to the CPU EP": "--ortperf-fallback=fail refuses nodes on the CPU instead",
}
"""By words of ONNX Runtime's messages."""


class SessionHooks(Protocol):
    """Where users act on a session."""

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        """Called before each creation."""

    def before_first_run(self, session: onnxruntime.InferenceSession) -> None:
        """Called just before the first run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A session and how it came about."""

    session: onnxruntime.InferenceSession
    fact: SessionFact


def create_session(
    source: str | bytes,
    case: Case,
    settings: ExecutionSettings,
    hooks: SessionHooks,
    *,
    log: Callable[[], Sequence[str]] = tuple,
) -> Created:
    """Create the session of a case.

    Args:
        source: Path or serialised model.
        case: Says which provider.
        settings: Options for every case.
        hooks: The users'.
        log: Returns what ONNX Runtime has printed so far; a reason is looked for there.

    Raises:
        CaseError: Stage `session`; kind `provider unavailable` if the provider is not there or could not load,
            `session error` in ONNX Runtime's own words for everything else.
    """
    session_config = session_config_of(case, settings)
    if case.mode == "validate":
        session_config = dataclasses.replace(session_config, config={**_THREADS_SLEEP, **session_config.config})
    options = session_options(session_config)
    fix_dimensions(options, case, settings)
    hooks.configure_session(options)
    require_recorded(options)
    wanted = requested_providers(source, case, settings)
    if case.provider.uses_tensorrt and settings.workspace is not None:
        preload_tensorrt(settings.workspace)
    device = settings.devices.get(case.provider.name)
    listed = providers_argument(options, wanted, settings.plugins, device)
    session, nanoseconds = make_session(source, options, listed, case.provider.full_name, log)
    active = tuple(session.get_providers())
    require_active(case.provider.full_name, active, log)
    fact = SessionFact(
        requested_providers=tuple(name for name, _ in wanted),
        active_providers=active,
        provider_options={name: dict(given) for name, given in wanted if given},
        graph_optimization=session_config.graph_optimization,
        intra_op_threads=session_config.intra_op_threads,
        creation_ns=nanoseconds,
    )
    return Created(session=session, fact=fact)


def session_options(session_config: SessionConfig) -> onnxruntime.SessionOptions:
    """Return the options that a session config asks for; node placement is recorded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = _LEVELS[session_config.graph_optimization]
    if session_config.intra_op_threads:
        options.intra_op_num_threads = session_config.intra_op_threads
    if session_config.inter_op_threads:
        options.inter_op_num_threads = session_config.inter_op_threads
    if session_config.execution_mode == "parallel":
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    record_placement(options)
    for key, value in session_config.config.items():
        options.add_session_config_entry(key, value)
    for library in session_config.custom_op_libraries:
        _load_custom_ops(options, library)
    return options


def requested_providers(
    source: str | bytes, case: Case, settings: ExecutionSettings
) -> list[tuple[str, Mapping[str, str]]]:
    """Return the provider list: the case's own with its options, its companions, and the CPU last."""
    listed: dict[str, Mapping[str, str]] = dict(provider_options(case, settings, source))
    given = {**case.model.ep_options.get(CPU.name, {}), **settings.ep_options.get(CPU.name, {})}
    listed.setdefault(CPU.full_name, given)
    return list(listed.items())


def require_active(asked: str, active: Sequence[str], log: Callable[[], Sequence[str]]) -> None:
    """Refuse a session that ONNX Runtime made without the provider asked for.

    Raises:
        CaseError: Stage `session`, kind `provider unavailable`, with the loader's own reason where the log has it.
    """
    if asked in active:
        return
    why = reason(log()) or "ONNX Runtime's log does not say why"
    raise CaseError(
        f"asked for {asked}, but the session has only {', '.join(active)}: {why}",
        stage="session",
        kind="provider unavailable",
    )


def _load_custom_ops(options: onnxruntime.SessionOptions, library: str) -> None:
    try:
        options.register_custom_ops_library(library)
    except Exception as error:
        raise CaseError(
            f"custom-op library {library} could not be loaded: {shortened(str(error))}",
            stage="session",
            kind="session error",
        ) from error


def make_session(
    source: str | bytes,
    options: onnxruntime.SessionOptions,
    providers: Any,
    asked: str,
    log: Callable[[], Sequence[str]] = tuple,
) -> tuple[onnxruntime.InferenceSession, int]:
    """Return a session and how long its creation took, in ns.

    Raises:
        CaseError: Stage `session`, in ONNX Runtime's words, and in the loader's if a library is missing.
    """
    start = time.perf_counter_ns()
    try:
        session = onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)
    except Exception as error:
        text = shortened(str(error).strip())
        missing = loader_reason([*str(error).splitlines(), *log()])
        raise CaseError(
            f"no session on {asked}: {type(error).__name__}: {text}"
            + (f" ({missing})" if missing and missing not in text else "")
            + "".join(f"; {way_out}" for words, way_out in _WAYS_OUT.items() if words in text),
            stage="session",
            kind="provider unavailable" if missing else "session error",
        ) from error
    return session, time.perf_counter_ns() - start
