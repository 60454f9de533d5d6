"""`history:BRANCH` as a side of a comparison: the accepted run, or the newest complete ones, of the same machine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.kept_run import RECORDS
from pytest_ortperf.history.opening import open_history
from pytest_ortperf.reports.comparison.compared_side import Side, side_of
from pytest_ortperf.reports.comparison.sources.side_sources import alike

if TYPE_CHECKING:  # it takes libraries that may be missing
    from pytest_ortperf.history.store import History, Run

MOST_RUNS = 10
"""Complete runs that are looked at, the newest; those of another ONNX Runtime or other options are left out.

A single run is judged against stored ones from six on."""


def read_baseline(text: str, url: str, machine: str | None) -> Side:
    """Return the runs of a branch on a machine that a run is held against.

    Args:
        text: `history:BRANCH`; without a branch, runs of every branch.
        url: Of the history.
        machine: Fingerprint.

    Raises:
        HistoryError: If there are none; says what there is instead.
    """
    branch = text.partition(":")[2] or None
    history = open_history(url)
    runs = [run for run in history.runs(branch=branch) if run.kind == RECORDS]
    usable = [run for run in runs if run.complete and run.machine == machine]
    if not usable:
        raise HistoryError(_nothing(text, history, branch, runs, machine))
    accepted = [run for run in usable if run.acceptance]
    if accepted:
        newest = max(accepted, key=lambda run: (run.acceptance.at if run.acceptance else "", run.id))
        side = side_of(f"{text} (accepted run {newest.run})", [history.stored_run(newest.id)])
        return dataclasses.replace(side, notes=(*side.notes, *_why(newest)))
    found = [history.stored_run(run.id) for run in usable[-MOST_RUNS:]]
    return alike(f"{text} (newest run {usable[-1].run})", found)


def _why(run: Run) -> list[str]:
    given = run.acceptance
    if given is None or not given.why:
        return []
    return [f"run {run.run} was accepted{f' by {given.by}' if given.by else ''}: {given.why}"]


def _nothing(text: str, history: History, branch: str | None, runs: list[Run], machine: str | None) -> str:
    name = history.database.name
    where = f"{text}: the history {name}"
    if not runs:
        branches = sorted({run.branch for run in history.runs() if run.branch})
        known = f"its branches: {', '.join(branches)}" if branches else "none of its runs has a label branch"
        which = f"no run of branch {branch}" if branch else "no run"
        return (
            f"{where} holds {which} ({known}). Add one: ortperf history add RESULTS --history={name}, or run pytest "
            f"on that branch with --ortperf-history={name}."
        )
    complete = [run for run in runs if run.complete]
    if not complete:
        return f"{where} holds no complete run of it: {runs[-1].run}: {runs[-1].state}. Make the run again."
    others = sorted({run.machine or "unknown machine" for run in complete})
    return (
        f"{where} holds no complete run of it on this machine ({machine or 'unknown'}), but on {'; '.join(others)}. "
        f"Measure the baseline here, or name a run: ortperf history list --history={name}."
    )
