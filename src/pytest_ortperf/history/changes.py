"""Change points of a history: brought up to date with its runs, and what people said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection, delete, select

from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.change_points import NEAR, LevelChange, level_changes, windows_of
from pytest_ortperf.history.confirming import confirming_commands
from pytest_ortperf.history.schema import ANALYSED, CHANGE_POINT, POINT, SERIES, TEST_CASE, TRIAGE
from pytest_ortperf.history.steps import Values
from pytest_ortperf.history.store import History, Progress, Run, Series

NEW, CONFIRMED, EXPECTED, FIXED = "new", "confirmed", "expected", "fixed"
STATES = (NEW, CONFIRMED, EXPECTED, FIXED)

METRIC = "latency_p50_ms"
"""The quantity whose changes are looked for."""

_ID_DIGITS = 8
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A place where a series changed its level, and what became of it."""

    id: str
    """For people; the same after a rebuild, as long as the place does not move."""

    series: Series
    """With the new level."""

    run_before: Run
    """The last with the old level."""

    run: Run
    """The first with the new one."""

    before: float
    """Median of the old level in the unit of the series, less what all series of a run have in common."""

    after: float
    noise: float
    """Relative standard deviation from run to run around both levels, robust."""

    p_value: float
    state: str
    """One of `STATES`."""

    note: str | None
    commands: tuple[str, ...]
    """What confirms it."""

    @property
    def percent(self) -> float:
        """Change of the level."""
        return 100 * (self.after / self.before - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A row of `change_point`."""

    lineage: int
    run: int
    series: int
    run_before: int
    before: float
    after: float
    noise: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A row of `triage`."""

    lineage: int
    run: int
    state: str
    why: str | None


def update_changes(history: History, progress: Progress = lambda _: None) -> int:
    """Look for changes that new runs may have brought; return the number of these runs.

    What earlier runs settled stays as it is. Runs of different machines or branches are never compared.
    """
    with history.database.read() as connection:
        if not _new(_analysed(connection), history.runs()):
            return 0

    def change(connection: Connection) -> int:
        history.database.lock(connection)
        analysed = _analysed(connection)
        places: dict[tuple[str | None, str | None], list[Run]] = {}
        for run in history.runs():  # again: those that came while another process had the lock
            places.setdefault((run.machine, run.branch), []).append(run)
        count = 0
        for runs in places.values():
            new = _new(analysed, runs)
            if new:
                progress(f"looking for changes in {len(new)} new of {len(runs)} runs")
                _update_place(connection, runs, first_new=runs.index(new[0]))
                connection.execute(delete(ANALYSED).where(ANALYSED.c.run.in_([run.id for run in new])))
                connection.execute(ANALYSED.insert(), [{"run": run.id, "digest": run.digest} for run in new])
            count += len(new)
        return count

    return history.database.write(change)


def change_points(
    history: History, states: Iterable[str] = STATES, progress: Progress = lambda _: None
) -> list[ChangePoint]:
    """Return the change points in some states, brought up to date: the newest runs first, the largest change first."""
    update_changes(history, progress)
    with history.database.read() as connection:
        found = [_Found(**row) for row in connection.execute(select(CHANGE_POINT)).mappings()]
        said = _said(connection)
    runs = history.runs()
    order = {run.id: place for place, run in enumerate(runs)}
    wanted = [(each, _state_of(each, said, order)) for each in found]
    wanted = [(each, triage) for each, triage in wanted if (triage.state if triage else NEW) in set(states)]
    series = {each.id: each for each in history.series(ids={each.series for each, _ in wanted})}
    by_id = {run.id: run for run in runs}
    points = [_change_point(each, triage, series[each.series], by_id) for each, triage in wanted]
    return sorted(points, key=lambda point: (-order[point.run.id], -abs(point.percent), point.id))


def set_state(
    history: History, identifier: str, state: str, *, note: str | None = None, by: str | None = None
) -> ChangePoint:
    """Say what a change point is, and return it; `new` takes back what was said.

    Raises:
        HistoryError: If there is no such change point.
    """
    known = change_points(history)
    point = next((point for point in known if point.id == identifier), None)
    if point is None:
        raise HistoryError(
            f"{identifier}: no change point has this id. `ortperf history changes --all` lists those there are, "
            f"with their ids: {len(known)}."
        )
    order = {run.id: place for place, run in enumerate(history.runs())}
    row = {
        "lineage": point.series.lineage,
        "run": point.run.id,
        "state": state,
        "changed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "changed_by": by,
        "why": note,
    }

    def change(connection: Connection) -> None:
        for said in _said(connection):
            if said.lineage == row["lineage"] and _apart(said.run, point.run.id, order) <= NEAR:
                connection.execute(delete(TRIAGE).where(TRIAGE.c.lineage == said.lineage, TRIAGE.c.run == said.run))
        if state != NEW:
            connection.execute(TRIAGE.insert(), row)

    history.database.write(change)
    return next(point for point in change_points(history) if point.id == identifier)


def _analysed(connection: Connection) -> dict[int, str]:
    rows = connection.execute(select(ANALYSED.c.run, ANALYSED.c.digest))
    return {row.run: row.digest for row in rows}


def _new(analysed: Mapping[int, str], runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if analysed.get(run.id) != run.digest]


def _update_place(connection: Connection, runs: Sequence[Run], first_new: int) -> None:
    """Replace the change points of runs of one branch and machine that are not settled."""
    windows = windows_of(len(runs), first_new)
    start, settled = windows[0].start, windows[0].settled
    ids = [run.id for run in runs]
    columns = {run: column for column, run in enumerate(ids)}
    known = [
        _Found(**row)
        for row in connection.execute(select(CHANGE_POINT).where(CHANGE_POINT.c.run.in_(ids))).mappings()
        if columns[row["run"]] < settled
    ]
    open_runs = ids[settled:]
    connection.execute(delete(CHANGE_POINT).where(CHANGE_POINT.c.run.in_(open_runs)))
    for lineages, values in _fleets(connection, ids[start:]):
        rows = {lineage: row for row, lineage in enumerate(lineages)}
        settled_changes = [_level_change(each, rows, columns) for each in known if each.lineage in rows]
        found = level_changes(values, windows, settled_changes)
        if found:
            connection.execute(
                CHANGE_POINT.insert(), [_row(connection, lineages[change.series], change, ids) for change in found]
            )


def _fleets(connection: Connection, runs: Sequence[int]) -> list[tuple[list[int], Values]]:
    """Return the lineages of each provider and timing mode, and their values: one row each, one column a run."""
    columns = {run: column for column, run in enumerate(runs)}
    query = (
        select(SERIES.c.id, SERIES.c.lineage, TEST_CASE.c.provider, SERIES.c.timing)
        .join(TEST_CASE, TEST_CASE.c.id == SERIES.c.test_case)
        .where(SERIES.c.metric == METRIC)
    )
    fleets: dict[tuple[str, str], dict[int, int]] = {}
    for series, lineage, provider, timing in connection.execute(query):
        fleets.setdefault((provider, timing), {})[series] = lineage
    made, places = [], {}
    for _, members in sorted(fleets.items()):
        lineages = sorted(set(members.values()))
        rows = {lineage: row for row, lineage in enumerate(lineages)}
        values = np.full((len(lineages), len(runs)), np.nan)
        made.append((lineages, values))
        places.update({series: (values, rows[lineage]) for series, lineage in members.items()})
    of_runs = select(POINT.c.series, POINT.c.run, POINT.c.value).where(POINT.c.run.in_(runs))
    for series, run, value in connection.execute(of_runs.execution_options(yield_per=_ROWS_AT_ONCE)):
        if series in places:
            values, row = places[series]
            values[row, columns[run]] = value
    return made


def _level_change(found: _Found, rows: Mapping[int, int], columns: Mapping[int, int]) -> LevelChange:
    return LevelChange(
        series=rows[found.lineage],
        before=columns[found.run_before],
        at=columns[found.run],
        before_level=found.before,
        after_level=found.after,
        noise=found.noise,
        p_value=found.p_value,
    )


def _row(connection: Connection, lineage: int, change: LevelChange, runs: Sequence[int]) -> dict[str, float]:
    run = runs[change.at]
    query = select(SERIES.c.id).join(POINT, POINT.c.series == SERIES.c.id)
    series = connection.scalars(query.where(SERIES.c.lineage == lineage, POINT.c.run == run)).first()
    return {
        "lineage": lineage,
        "run": run,
        "series": series or lineage,
        "run_before": runs[change.before],
        "before": change.before_level,
        "after": change.after_level,
        "noise": change.noise,
        "p_value": change.p_value,
    }


def _said(connection: Connection) -> list[_Said]:
    columns = (TRIAGE.c.lineage, TRIAGE.c.run, TRIAGE.c.state, TRIAGE.c.why)
    return [_Said(**row) for row in connection.execute(select(*columns)).mappings()]


def _state_of(found: _Found, said: Iterable[_Said], order: Mapping[int, int]) -> _Said | None:
    """Return what was said of a change point, though its place may have moved by a few runs since."""
    near = [each for each in said if each.lineage == found.lineage and _apart(each.run, found.run, order) <= NEAR]
    return min(near, key=lambda each: _apart(each.run, found.run, order), default=None)


def _apart(one: int, other: int, order: Mapping[int, int]) -> float:
    return abs(order[one] - order[other]) if one in order and other in order else float("inf")


def _change_point(found: _Found, said: _Said | None, series: Series, runs: Mapping[int, Run]) -> ChangePoint:
    before, at = runs[found.run_before], runs[found.run]
    return ChangePoint(
        id=f"{found.lineage:016x}"[:_ID_DIGITS] + f"-{at.id}",
        series=series,
        run_before=before,
        run=at,
        before=found.before,
        after=found.after,
        noise=found.noise,
        p_value=found.p_value,
        state=said.state if said else NEW,
        note=said.why if said else None,
        commands=confirming_commands(before, at, series, is_slower=found.after > found.before),
    )
