"""A session on the provider asked for, with the proof of where its nodes are."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import onnxruntime

from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.errors import CaseError, CaseSkipped
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.precision import noted
from pytest_ortperf.execution.record_builder import RecordBuilder
from pytest_ortperf.execution.session.creation import SessionHooks, create_session
from pytest_ortperf.execution.session.inspection import InspectionHooks, inspect
from pytest_ortperf.execution.session.placement import (
    FOLDED,
    assignment_is_complete,
    completed,
    has_assignment_info,
    placement_of_profile,
    read_placement,
    refuse_unknown_placement,
    require_placement,
)
from pytest_ortperf.execution.session.resolved_options import lower_precisions, lower_precisions_note
from pytest_ortperf.records.record import Placement, SessionFact


def open_session(
    source: str | bytes,
    case: Case,
    settings: ExecutionSettings,
    facts: RecordBuilder,
    hooks: SessionHooks,
    creating: AbstractContextManager[None] = nullcontext(),  # noqa: B008 - it holds nothing
) -> onnxruntime.InferenceSession:
    """Return the session of a case; what it is and where its nodes are goes to the facts.

    Args:
        source: Path or serialised model.
        case: What is asked for.
        settings: Options for every case.
        facts: Of the case.
        hooks: The users'.
        creating: Entered while the session is created, and not while another is profiled to learn its placement.

    Raises:
        CaseError: Stage `session` or `placement`: no session, not on the provider asked for, or too little of it.
        CaseSkipped: For the session that a benchmark would time, if the one before showed that no node is left.
    """
    if case.mode == "benchmark" and facts.reason == FOLDED:
        # what is left to time is ONNX Runtime itself, and would stand under the provider's name
        raise CaseSkipped(FOLDED)
    with facts.entering("session"):
        _require_usable(case, settings)
        with creating:
            created = create_session(source, case, settings, hooks, log=facts.journal.log_tail)
    facts.session = created.fact
    _note_precision(case, facts, created.fact)
    with facts.entering("placement"):
        told = read_placement(created.session) if has_assignment_info() else None
        if told is not None and assignment_is_complete():
            facts.placement = told
        elif facts.placement is None:
            try:
                facts.placement = _profiled(source, case, settings, hooks, told)
            except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common base
                why = f"ONNX Runtime {onnxruntime.__version__} does not tell all of it, and no profile does: {error}"
                refuse_unknown_placement(case, told, created.fact.active_providers, settings.max_fallback_percent, why)
                facts.reason = f"placement is unknown: {why}"
                return created.session
        require_placement(case, facts.placement, settings.max_fallback_percent, facts.journal.log_tail)
    facts.reason = FOLDED if facts.placement.total_nodes == 0 else None
    return created.session


def _note_precision(case: Case, facts: RecordBuilder, session: SessionFact) -> None:
    model = facts.model_fact
    if model is None or model.compute_precision is not None:
        return
    given = session.provider_options.get(case.provider.full_name, {})
    lower = lower_precisions(case.provider, given, model.precision, os.environ)
    if lower:
        known = dataclasses.replace(model, compute_precision=lower[-1])
        facts.model_fact = noted(known, lower_precisions_note(lower))


def _require_usable(case: Case, settings: ExecutionSettings) -> None:
    name = case.provider.name
    problem = settings.unusable.get(name)
    # it was tried with the options of the command line alone: those of the model list may be what it needs
    has_more_options = bool(case.model.ep_options.get(name, {}).keys() - settings.ep_options.get(name, {}).keys())
    if problem is not None and not has_more_options:
        raise CaseError(
            f"{case.provider.full_name} cannot be used here: {problem}", stage="session", kind="provider unavailable"
        )


class _PlacementHooks(InspectionHooks):
    """Make a session whose profile shows the nodes as they were assigned, before the CPU provider fuses any."""

    told: Placement | None = None

    def configure_session(self, session_options: onnxruntime.SessionOptions) -> None:
        super().configure_session(session_options)
        levels = onnxruntime.GraphOptimizationLevel
        if session_options.graph_optimization_level != levels.ORT_DISABLE_ALL:
            session_options.graph_optimization_level = levels.ORT_ENABLE_BASIC

    def end(self, session: onnxruntime.InferenceSession) -> None:
        self.told = read_placement(session) if has_assignment_info() else None
        super().end(session)


def _profiled(
    source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks, told: Placement | None
) -> Placement:
    """Run once in a session that writes a profile, for an ONNX Runtime that does not tell all placement itself."""
    with tempfile.TemporaryDirectory(prefix="ortperf-profile-") as folder:
        profiling = _PlacementHooks(hooks, frozenset({"profile"}), Path(folder))
        inspect(source, case, settings, profiling, range(1))
        profiled = placement_of_profile(profiling.profile.read_text(encoding="utf-8"))
    return profiled if told is None or profiling.told is None else completed(told, profiling.told, profiled)
