"""Case -> InferenceSession on the provider asked for, or an error: never a silent fallback."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.settings import ExecutionSettings
from pytest_ortperf.records.record import SessionFact

CPU = "CPUExecutionProvider"

_LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


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


def create_session(source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks) -> Created:
    """Create the session of a case.

    Raises:
        CaseError: Stage `session`; kind `provider unavailable` if the provider is not there or could not load,
            `session error` in ONNX Runtime's own words for everything else.
    """
    options = session_options(settings)
    hooks.configure_session(options)
    wanted = requested_providers(case, settings)
    _require_compiled_in(case.provider)
    session, nanoseconds = _create(source, options, wanted, case.provider)
    active = tuple(session.get_providers())
    if case.provider.full_name not in active:
        raise CaseError(
            f"asked for {case.provider.full_name}, but the session has {', '.join(active)}: ONNX Runtime could not "
            f"load that provider; the log below says why",
            stage="session",
            kind="provider unavailable",
        )
    fact = SessionFact(
        requested_providers=tuple(name for name, _ in wanted),
        active_providers=active,
        provider_options={name: dict(given) for name, given in wanted if given},
        graph_optimization=settings.graph_optimization,
        intra_op_threads=settings.threads,
        creation_ns=nanoseconds,
    )
    return Created(session=session, fact=fact)


def session_options(settings: ExecutionSettings) -> onnxruntime.SessionOptions:
    """Return the options that the settings ask for; node placement is recorded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = _LEVELS[settings.graph_optimization]
    if settings.threads:
        options.intra_op_num_threads = settings.threads
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def requested_providers(case: Case, settings: ExecutionSettings) -> list[tuple[str, Mapping[str, str]]]:
    """Return the provider list: the case's own with its options, its companions, and the CPU last."""

    def given(name: str) -> dict[str, str]:
        return {**case.model.ep_options.get(name, {}), **settings.ep_options.get(name, {})}

    from pytest_ortperf.cases.providers import short_name

    names = [case.provider.full_name, *case.provider.companions]
    if CPU not in names:
        names.append(CPU)
    return [(name, given(short_name(name))) for name in names]


def _require_compiled_in(provider: Provider) -> None:
    available = onnxruntime.get_available_providers()
    if provider.full_name not in available:
        raise CaseError(
            f"{provider.full_name} is not part of this ONNX Runtime {onnxruntime.__version__}, which has "
            f"{', '.join(available)}; install the distribution that has it, or drop {provider.name} "
            f"from --ortperf-ep",
            stage="session",
            kind="provider unavailable",
        )


def _create(
    source: str | bytes,
    options: onnxruntime.SessionOptions,
    wanted: list[tuple[str, Mapping[str, str]]],
    provider: Provider,
) -> tuple[onnxruntime.InferenceSession, int]:
    names: list[Any] = [(name, dict(given)) for name, given in wanted]
    start = time.perf_counter_ns()
    try:
        session = onnxruntime.InferenceSession(source, options, providers=names, enable_fallback=0)
    except Exception as error:
        raise CaseError(
            f"no session on {provider.full_name}: {type(error).__name__}: {str(error).strip()}",
            stage="session",
            kind="session error",
        ) from error
    return session, time.perf_counter_ns() - start
