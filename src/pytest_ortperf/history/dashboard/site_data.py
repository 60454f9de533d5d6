"""What the scripts of a site read: one file per topic, each a call of `ortperf` with JSON.

A case's points lie in blocks of runs. When a run is added only the newest block changes, so a site of a million points
is renewed by a few megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ortperf.history.dashboard.changes import Fleet, Level, ranked
from pytest_ortperf.history.dashboard.lost_cases import Lost
from pytest_ortperf.history.dashboard.view import Case, ChangePoint, Metric, Point, Run, Series
from pytest_ortperf.reports.page.packing import shown

BLOCK = 32
"""Runs whose points lie in one file of a case; counted in the order of adding."""

MOST_CHANGES = 200
"""Changes of a run on the first page, the largest first; the matrix marks all of them."""

MOST_POINTS = 1000
"""Change points on the first page, the newest first."""

MOST_OTHERS = 12
"""Other cases of a model that its pages link to."""

_DIGITS = 5
"""Of a value; the record has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What there is in the history."""

    series: Mapping[int, tuple[Series, Case]]
    """By id."""

    keys: Mapping[Case, str]
    """Of every case that has series, or that a recent run has, in the order they appeared in."""

    metrics: Mapping[str, Metric]
    """By name, in the order that pages offer them."""

    with_series: frozenset[Case]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A recent run beside its earlier ones."""

    run: Run
    values: Mapping[int, float]
    """By series."""

    levels: Mapping[int, Level]
    """Of those that earlier runs have too."""

    fleets: Sequence[Fleet]
    lost: Sequence[Lost]
    failed: Mapping[Case, str]
    """Kind of failure, by case."""

    earlier: Sequence[Run]
    is_newest: bool
    """Of its branch and machine."""


def script(name: str, data: Mapping[str, Any], *, is_text: bool = True) -> bytes:
    """Return a file of data: the same bytes for the same data, ASCII alone.

    Args:
        name: Of the file, without its ending.
        data: JSON.
        is_text: Whether there may be texts, in which hidden characters become visible.
    """
    text = json.dumps(shown(data) if is_text else data, allow_nan=False, separators=(",", ":"))
    return f"ortperf({json.dumps(name)},{text});\n".encode("ascii")


def packed_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return rows under one list of names."""
    return {"columns": list(columns), "rows": [list(row) for row in rows]}


def points_data(points: Iterable[Point], series: Mapping[int, Series]) -> dict[str, Any]:
    """Return the points of one case: runs, and for each metric its values and, where there are some, its intervals."""
    by_metric: dict[str, dict[int, Point]] = {}
    for point in points:
        by_metric.setdefault(series[point.series].metric, {})[point.run] = point
    runs = sorted({run for found in by_metric.values() for run in found})
    return {"runs": runs, "values": {metric: _columns(by_metric[metric], runs) for metric in sorted(by_metric)}}


def _columns(points: Mapping[int, Point], runs: Sequence[int]) -> list[list[float | None]]:
    found = [points.get(run) for run in runs]
    columns = [[_rounded(point.value) if point else None for point in found]]
    if any(point and point.low is not None and point.high is not None for point in found):
        columns.append([_rounded(point.low) if point else None for point in found])
        columns.append([_rounded(point.high) if point else None for point in found])
    return columns


def _rounded(value: float | None) -> float | None:
    if value is None:
        return None
    found = float(f"{value:.{_DIGITS}g}")
    return int(found) if found.is_integer() and abs(found) < 1e15 else found  # noqa: PLR2004 - floats hold it exactly


def case_data(
    case: Case,
    metrics: Sequence[str],
    blocks: Sequence[int],
    others: Iterable[tuple[str, Case]],
    points: Iterable[tuple[ChangePoint, Series]],
) -> dict[str, Any]:
    """Return what is known of a case besides its points.

    Args:
        case: Which.
        metrics: Names of those it has.
        blocks: Numbers of the files of its points.
        others: Key and case of those of the same model.
        points: Change points of its series.
    """
    near = [
        (key, " ".join(filter(None, (it.dims, it.variant, it.device if it.device != case.device else "", it.settings))))
        for key, it in others
    ]
    return {
        "model": case.model,
        "dims": case.dims,
        "variant": case.variant,
        "device": case.device,
        "group": case.group,
        "settings": case.settings,
        "blocks": list(blocks),
        "metrics": list(metrics),
        "others": packed_rows(("key", "name"), near),
        "points": packed_rows(
            ("metric", "run", *_POINT),
            ((about.metric, point.run, *_point_row(point, about)) for point, about in points),
        ),
    }


_POINT = ("id", "percent", "better", "before", "after", "state", "note", "command")


def _point_row(point: ChangePoint, series: Series) -> tuple[Any, ...]:
    better = 0 if not point.change else 1 if (point.change > 0) is series.more_is_better else -1
    return (
        point.id,
        round(100 * point.change, 1),
        better,
        _rounded(point.before),
        _rounded(point.after),
        point.state,
        point.note or None,
        "\n".join(point.commands) or None,
    )


def runs_data(runs: Iterable[Run], reports: Iterable[int], metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Return what pages show of runs, and what their quantities are.

    Args:
        runs: In the order of time.
        reports: Runs whose page is part of the site.
        metrics: By name.
    """
    there = set(reports)
    columns = ("id", "run", "time", "branch", "commit", "version", "device", "state", "passed", "failed", "report")
    rows = (
        (
            run.id,
            run.run,
            run.started[:16],
            run.branch,
            run.commit,
            run.version,
            run.device,
            f"{run.state}, accepted" if run.is_accepted else run.state,
            run.passed,
            run.failed,
            1 if run.id in there else None,
        )
        for run in runs
    )
    return {
        **packed_rows(columns, rows),
        "metrics": {name: {"title": it.title, "unit": it.unit, "help": it.meaning} for name, it in metrics.items()},
    }


def run_data(judged: Judged, catalogue: Catalogue) -> dict[str, Any]:
    """Return every value of a run with its change, and what failed or is missing, by case."""
    keys, names = catalogue.keys, list(catalogue.metrics)
    words = {keys[case]: kind for case, kind in judged.failed.items()}
    words |= {keys[lost.case]: lost.word for lost in judged.lost if lost.is_missing}
    cells: dict[str, list[Any]] = {}
    for number, value in sorted(judged.values.items()):
        series, case = catalogue.series[number]
        level = judged.levels.get(number)
        change = [round(100 * level.change, 1), level.better] if level else [None, 0]
        cells.setdefault(keys[case], []).extend([names.index(series.metric), _rounded(value), *change])
    return {
        "about": _about(judged),
        "metrics": names,
        "cases": [[key, words.get(key), cells.get(key, [])] for key in sorted({*cells, *words})],
    }


def _about(judged: Judged) -> str:
    if not judged.earlier:
        return "The first run of its branch on this machine: there is nothing to hold it against."
    runs = f"{len(judged.earlier)} earlier {'run' if len(judged.earlier) == 1 else 'runs'}"
    branch = judged.earlier[-1].branch
    of_branch = f" of {branch}" if branch else ""
    return f"Held against {runs}{of_branch}, {judged.earlier[0].run} to {judged.earlier[-1].run}."


def index_data(
    judged: Sequence[Judged], points: Sequence[ChangePoint], catalogue: Catalogue, main_branch: str | None
) -> dict[str, Any]:
    """Return what the first page shows.

    Args:
        judged: Recent runs, the newest of each branch and machine first.
        points: Change points, the newest first.
        catalogue: Of the history.
        main_branch: Whose newest run the matrix shows first.
    """
    places = {case: place for place, case in enumerate(catalogue.keys)}
    states = {(point.series, point.run): point.state for point in points}
    changes = [
        (
            places[catalogue.series[level.series.id][1]],
            level.series.metric,
            each.run.id,
            _rounded(level.value),
            _rounded(level.median),
            round(100 * level.change, 1),
            level.better,
            level.word,
            [_rounded(value) for value in (*level.earlier, level.value)],
            states.get((level.series.id, each.run.id)),
        )
        for each in judged
        for level in ranked(each.levels.values())[:MOST_CHANGES]
    ]
    lost = [
        (places[it.case], it.run.id, it.mode, it.word, it.is_missing or None, it.text or None, it.last_passed)
        for each in judged
        for it in each.lost
    ]
    found = [
        (places[case], series.metric, point.run, *_point_row(point, series))
        for point in points[:MOST_POINTS]
        for series, case in [catalogue.series[point.series]]
    ]
    return {
        "cases": packed_rows(
            ("key", "model", "dims", "variant", "device", "group", "series"),
            (
                (
                    key,
                    case.model,
                    case.dims,
                    case.variant,
                    case.device,
                    case.group,
                    case in catalogue.with_series or None,
                )
                for case, key in catalogue.keys.items()
            ),
        ),
        "variants": sorted({case.variant for case in catalogue.keys}),
        "newest": [each.run.id for each in judged if each.is_newest],
        "recent": [each.run.id for each in judged],
        "branch": main_branch,
        "changes": packed_rows(
            ("case", "metric", "run", "value", "median", "percent", "better", "word", "spark", "state"), changes
        ),
        "lost": packed_rows(("case", "run", "mode", "word", "missing", "text", "last"), lost),
        "points": packed_rows(("case", "metric", "run", *_POINT), found),
    }
