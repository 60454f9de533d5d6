"""What a site needs of a history, in the words of a site."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from pytest_ortperf.history import store
from pytest_ortperf.history.changes import change_points
from pytest_ortperf.history.dashboard.view import Case, ChangePoint, Metric, Outcome, Point, Run, Series
from pytest_ortperf.history.schema import OUTCOME, POINT, SCHEMA, TEST_CASE
from pytest_ortperf.quantities import ENERGY, OUTPUT, QUANTITIES, Footprint

_USUAL_TIMINGS = ("", "host")
"""Modes that the name of a quantity leaves out."""

_ABOUT = {quantity.name: (place, quantity) for place, quantity in reversed(list(enumerate(QUANTITIES)))}

_FLOORS: Mapping[str, tuple[float, float]] = {
    "latency_p50_ms": (0.05, 0.01),
    "nodes_on_provider_percent": (0.0, 0.5),
}
"""Relative and absolute, of quantities that are judged by none of the rules below."""

_ENERGY_FLOORS = (0.05, 1.0)
_ERROR_FLOORS = (1.0, 0.0)


class StoredHistory:
    """Reads a history.

    Args:
        history: Is open.
        branches: Whose runs count; all of them if empty.
        progress: Is told what takes long.
    """

    def __init__(
        self, history: store.History, branches: Sequence[str] = (), progress: store.Progress = lambda _: None
    ) -> None:
        self._history = history
        self._branches = tuple(branches)
        self._progress = progress

    @cached_property
    def runs(self) -> Sequence[Run]:
        """Runs in the order they were made."""
        found = self._history.runs()
        return [_run(run) for run in found if not self._branches or run.branch in self._branches]

    @cached_property
    def series(self) -> Mapping[int, tuple[Series, Case]]:
        """Every series with its case, by id: one for all contents of a model."""
        there = self._with_points() if self._branches else self._stored.keys()
        return {it.lineage: (_series(it), _case(it)) for it in self._stored.values() if it.id in there}

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Every quantity that there are series of, by name: the median latency first, then as they are declared."""
        found = {_metric_name(it): it for it in self._stored.values() if it.lineage in self.series}
        order = sorted(found, key=lambda name: (_place(found[name]), name))
        return {name: _metric(found[name]) for name in order}

    def points(self, runs: Collection[int]) -> Iterator[Point]:
        """Yield the points of runs."""
        lineages = {number: it.lineage for number, it in self._stored.items()}
        for point in self._history.points(runs=runs):
            if math.isfinite(point.value) and point.series in lineages:
                yield Point(lineages[point.series], point.run, point.value, point.low, point.high)

    def outcomes(self, runs: Collection[int]) -> Iterator[Outcome]:
        """Yield how each case of runs ended, in the order of the run."""
        with self._history.database.read() as connection:
            with_group = select(TEST_CASE, TEST_CASE.c.group_name.label("group"))
            cases = {row.id: row for row in connection.execute(with_group)}
            known = {number: _case(row) for number, row in cases.items()}
            for run in runs:
                query = select(OUTCOME).where(OUTCOME.c.run == run).order_by(OUTCOME.c.number)
                for row in connection.execute(query):
                    of = cases[row.test_case]
                    yield Outcome(
                        run=run,
                        nodeid=of.nodeid,
                        case=known[row.test_case],
                        mode=of.mode,
                        outcome=row.outcome,
                        kind=row.kind or row.outcome.replace("_", " "),
                        text=row.text or "",
                    )

    @cached_property
    def change_points(self) -> Sequence[ChangePoint]:
        """Change points of the runs, brought up to date: the newest first."""
        known = {run.id for run in self.runs}
        return [
            ChangePoint(
                id=it.id,
                series=it.series.lineage,
                run=it.run.id,
                before=it.before,
                after=it.after,
                state=it.state,
                note=it.note or "",
                commands=it.commands,
            )
            for it in change_points(self._history, progress=self._progress)
            if it.run.id in known
        ]

    def _with_points(self) -> Collection[int]:
        """Return the ids of series that the runs have points of."""
        found: set[int] = set()
        with self._history.database.read() as connection:
            for run in self.runs:
                found.update(connection.scalars(select(POINT.c.series).where(POINT.c.run == run.id)))
        return found

    @cached_property
    def _stored(self) -> Mapping[int, store.Series]:
        return {it.id: it for it in self._history.series()}


def _run(run: store.Run) -> Run:
    return Run(
        id=run.id,
        run=run.run,
        started=run.started,
        branch=run.branch,
        commit=run.commit_id,
        version=_version(run.onnxruntime),
        machine=run.machine,
        device=run.device,
        state=run.state,
        passed=run.passed,
        failed=run.failed,
        is_accepted=run.acceptance is not None,
        digest=f"{SCHEMA} {run.digest}",
        results=_folder(run.source),
        deselected=frozenset(run.deselected),
    )


def _version(distribution: str | None) -> str | None:
    """Return `1.31.1`, or `1.31.1 gpu` where another distribution than the usual one was measured."""
    name, _, number = (distribution or "").partition(" ")
    return f"{number} {name.removeprefix('onnxruntime').strip('-')}".strip() or None


def _folder(source: str | None) -> str | None:
    if not source:
        return None
    path = Path(source)
    return str(path if path.is_dir() else path.parent)


def _series(series: store.Series) -> Series:
    known = _ABOUT.get(series.metric)
    return Series(
        id=series.lineage,
        metric=_metric_name(series),
        unit=series.unit,
        variant=_variant(series),
        more_is_better=known is not None and known[1].is_least,
        is_time=series.unit in ("ms", "s"),
        floors=_floors(series),
    )


def _floors(series: store.Series) -> tuple[float, float] | None:
    """Return the relative and the absolute floor of a change; `None` where it is not judged."""
    if series.metric not in _ABOUT:
        return None
    quantity = _ABOUT[series.metric][1]
    if quantity.group.of == OUTPUT:
        return _ERROR_FLOORS
    if series.mode == "validate":
        return None
    if isinstance(quantity.comparison, Footprint):
        return quantity.comparison.share, quantity.comparison.least / quantity.scale.per
    if quantity.group == ENERGY and quantity.unit == "mJ":
        return _ENERGY_FLOORS
    return _FLOORS.get(series.metric)


def _metric_name(series: store.Series) -> str:
    """Return a name that no other series of its case has."""
    parts = [series.metric]
    if series.timing not in _USUAL_TIMINGS:
        parts.append(series.timing)
    if _is_of_validation(series):
        parts.append("validation")
    return " ".join(parts)


def _is_of_validation(series: store.Series) -> bool:
    """Whether it is measured in a validation, which a benchmark would measure too."""
    known = _ABOUT.get(series.metric)
    return series.mode == "validate" and not (known and known[1].group.of == OUTPUT)


def _metric(series: store.Series) -> Metric:
    known = _ABOUT.get(series.metric)
    unit = series.unit.lower().replace(" ", "_")
    title = series.metric.removesuffix(f"_{unit}").replace("_", " ")
    suffix = _metric_name(series).removeprefix(series.metric).strip()
    return Metric(
        title=f"{title}, {suffix}" if suffix else title,
        unit=series.unit,
        meaning=known[1].meaning if known else "",
    )


def _place(series: store.Series) -> tuple[bool, int]:
    """Return where a quantity stands."""
    known = _ABOUT.get(series.metric)
    place = -1 if series.metric == "latency_p50_ms" else known[0] if known else len(_ABOUT)
    return _is_of_validation(series), place


def _case(of: store.Series | Row[Any]) -> Case:
    return Case(
        model=of.model,
        dims=of.dims,
        variant=_variant(of),
        device=of.device or "",
        group=of.group or "",
        settings=of.settings,
        identity=(of.list, of.machine or ""),
    )


def _variant(of: store.Series | Row[Any]) -> str:
    return "-".join(filter(None, (of.provider, of.precision)))
