"""A session on the provider asked for, with the proof of where its nodes are."""

from __future__ import annotations

import dataclasses
import os
import tempfile
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
    has_assignment_info,
    placement_of_profile,
    read_placement,
    require_placement,
)
from pytest_ortperf.execution.session.resolved_options import lower_precisions, lower_precisions_note
from pytest_ortperf.records.record import Placement, SessionFact


def open_session(
    source: str | bytes, case: Case, settings: ExecutionSettings, facts: RecordBuilder, hooks: SessionHooks
) -> onnxruntime.InferenceSession:
    """Return the session of a case; what it is and where its nodes are goes to the facts.

    Raises:
        CaseError: Stage `session` or `placement`: no session, not on the provider asked for, or too little of it.
        CaseSkipped: For the session that a benchmark would time, if the one before showed that no node is left.
    """
    if case.mode == "benchmark" and facts.reason == FOLDED:
        # what is left to time is ONNX Runtime itself, and would stand under the provider's name
        raise CaseSkipped(FOLDED)
    with facts.entering("session"):
        _require_usable(case, settings)
        created = create_session(source, case, settings, hooks, log=facts.journal.log_tail)
    facts.session = created.fact
    _note_precision(case, facts, created.fact)
    with facts.entering("placement"):
        if has_assignment_info():
            facts.placement = read_placement(created.session)
        elif facts.placement is None:
            facts.placement = _profiled(source, case, settings, hooks)
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


def _profiled(source: str | bytes, case: Case, settings: ExecutionSettings, hooks: SessionHooks) -> Placement:
    """Run once in a session that writes a profile, for an ONNX Runtime that does not tell placement itself."""
    with tempfile.TemporaryDirectory(prefix="ortperf-profile-") as folder:
        profiling = InspectionHooks(hooks, frozenset({"profile"}), Path(folder))
        inspect(source, case, settings, profiling, range(1))
        return placement_of_profile(profiling.profile.read_text(encoding="utf-8"))
