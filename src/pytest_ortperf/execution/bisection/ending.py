"""What is wrong at the end of the graph: the model as the case runs it, before anything is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.bisection.judgement import Judge, Judgement
from pytest_ortperf.execution.bisection.sessions import Broken, Sessions, WholeRun
from pytest_ortperf.execution.inputs.case_data import CaseData
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.records.bisection import MISMATCH

_SEARCHABLE = ("session error", "runtime error", "crash", "timeout")
"""Kinds of failure that a part of the graph can show too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One data set, and what came of it."""

    data: CaseData
    outputs: Mapping[str, Value] = field(default_factory=dict)
    broken: Broken | None = None
    leaves_stored: str | None = None
    """How the outputs leave the stored ones, if they do."""

    @property
    def symptom(self) -> str:
        """As in `Bisection`."""
        return MISMATCH if self.broken is None else self.broken.symptom


def ending_of(sessions: Sessions, source: Path, reference: Path, judge: Judge, data_set: str | None) -> Ending:
    """Return how the case ends on the first data set that breaks it or leaves its stored outputs, else on the first.

    Args:
        sessions: Makes the sessions.
        source: The model as the case runs it.
        reference: The model that says what is right.
        judge: Of outputs.
        data_set: The one to look at, instead.

    Raises:
        CaseError: If it fails before there is anything to search, or there is no such data set.
    """
    runs = sessions.data_sets(source)
    endings = [_ending(run, sessions, reference, judge) for run in _chosen(runs, data_set)]
    return next((it for it in endings if it.broken or it.leaves_stored), endings[0])


def stop_early(broken: Broken) -> None:
    """Raise what no part of the graph can show, such as a provider that is not there."""
    if broken.kind not in _SEARCHABLE or broken.stage in ("inputs", "settings"):
        raise CaseError(broken.text, stage=broken.stage or "session", kind=broken.kind)


def wrong_outputs(judged: Sequence[Judgement]) -> str | None:
    """Return what is wrong with values, for people; `None` if nothing."""
    return "; ".join(f"'{it.name}': {it.text}" for it in judged if not it.is_within) or None


def _chosen(runs: Sequence[WholeRun], data_set: str | None) -> Sequence[WholeRun]:
    named = [run for run in runs if data_set is None or run.data is None or run.data.name == data_set]
    if not named:
        known = ", ".join(run.data.name for run in runs if run.data is not None)
        raise CaseError(
            f"no data set is called '{data_set}'; this case has {known}", stage="inputs", kind="input error"
        )
    return named


def _ending(run: WholeRun, sessions: Sessions, reference: Path, judge: Judge) -> Ending:
    if isinstance(run.result, Broken):
        stop_early(run.result)
        data = run.data or sessions.reference_data(reference, run.result.data_set)
        return Ending(data=data, broken=run.result)
    outputs = run.result.outputs
    stored = (run.data.references if run.data else None) or {}
    judged = [judge.judge(name, outputs[name], value) for name, value in stored.items() if name in outputs]
    if run.data is None:
        raise RuntimeError("outputs without inputs")
    return Ending(data=run.data, outputs=outputs, leaves_stored=wrong_outputs(judged))
