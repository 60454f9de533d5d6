"""Builds the site: reads what is new of the history, and writes what changed of the files.

A build after a run was added reads the newest block of runs and those that recent runs are held against; files of
older blocks stay as they are. The files of a site follow from the history alone, however often it was built before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.history.dashboard.changes import EarlierRuns, levels, newest_runs
from pytest_ortperf.history.dashboard.lost_cases import by_run, lost_cases
from pytest_ortperf.history.dashboard.pages import assets, overview_page, series_page
from pytest_ortperf.history.dashboard.site_data import (
    BLOCK,
    MOST_OTHERS,
    Catalogue,
    Judged,
    case_data,
    index_data,
    points_data,
    run_data,
    runs_data,
    script,
)
from pytest_ortperf.history.dashboard.site_folder import SiteFolder
from pytest_ortperf.history.dashboard.stored_history import StoredHistory
from pytest_ortperf.history.dashboard.view import Case, ChangePoint, Outcome, Point, Run, Series
from pytest_ortperf.reports.tables.rows import FAILED

FORMAT = 1
"""Of the files; another one makes a site anew."""

RECENT = 30
"""Runs whose changes and matrix the first page shows, besides the newest of the main branch on each machine."""

_FILE_NAME = re.compile(r"[\w.-]{1,100}")
"""A run id of somebody else may be any text."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build did."""

    runs: int
    series: int
    written: int
    """Files."""

    written_byte: int
    removed: int


def build_site(
    history: StoredHistory, folder: Path, reports: Sequence[Path] = (), progress: Progress = lambda _: None
) -> Built:
    """Build a site, or renew one.

    Args:
        history: What it shows.
        folder: New, empty, or a site of ours.
        reports: Folders that may hold the runs' pages, besides those that the runs were added from.
        progress: Is told what goes on.

    Raises:
        OrtPerfError: If the history cannot be read, the folder is not ours, or a file cannot be written.
    """
    site = SiteFolder.open(folder)
    site.claim()
    runs = history.runs
    found = history.series
    judged, outcomes = _judged(history, runs, {number: series for number, (series, _) in found.items()}, progress)
    catalogue = _catalogue(history, found, outcomes)
    points = [point for point in history.change_points if point.series in found]
    state = _write_points(site, history, runs, catalogue, points, progress)
    progress("writing pages")
    there = [run.id for run in runs if _copy_report(site, run, reports)]
    for each in judged:
        site.write(f"data/run/{each.run.id}.js", script(f"run/{each.run.id}", run_data(each, catalogue)))
    site.write("data/runs.js", script("runs", runs_data(runs, there, catalogue.metrics)))
    site.write("data/index.js", script("index", index_data(judged, points, catalogue, EarlierRuns(runs).main_branch)))
    for name, data in assets():
        site.write(name, data)
    site.write("series.html", series_page())
    site.write("index.html", overview_page(runs, judged, points, catalogue))
    site.finish(state)
    return Built(
        runs=len(runs),
        series=len(found),
        written=site.written,
        written_byte=site.written_byte,
        removed=site.removed,
    )


def _judged(
    history: StoredHistory, runs: Sequence[Run], series: Mapping[int, Series], progress: Progress
) -> tuple[list[Judged], list[Outcome]]:
    """Return recent runs beside earlier ones, the newest of each branch and machine first; and how cases ended."""
    earlier = EarlierRuns(runs)
    last = runs[-RECENT:]
    newest = [run for run in newest_runs(runs) if run in last or run.branch == earlier.main_branch]
    recent = list(dict.fromkeys([*newest, *reversed(last)]))
    before = {run.id: earlier.of(run) for run in recent}
    needed = sorted({run.id for run in recent} | {other.id for found in before.values() for other in found})
    progress(f"reading {len(needed)} recent runs")
    values: dict[int, dict[int, float]] = {run: {} for run in needed}
    for point in history.points(needed):
        if point.series in series:
            values[point.run][point.series] = point.value
    outcomes = list(history.outcomes(needed))
    ended = by_run(outcomes)
    judged = []
    for run in recent:
        found, fleets = levels(values[run.id], [values[other.id] for other in before[run.id]], series)
        failed = {it.case: it.kind for it in ended.get(run.id, {}).values() if it.outcome in FAILED}
        judged.append(
            Judged(
                run=run,
                values=values[run.id],
                levels=found,
                fleets=fleets,
                lost=lost_cases(run, before[run.id], ended),
                failed=failed,
                earlier=before[run.id],
                is_newest=run in newest,
            )
        )
    return judged, outcomes


def _catalogue(
    history: StoredHistory, found: Mapping[int, tuple[Series, Case]], outcomes: Iterable[Outcome]
) -> Catalogue:
    with_series = dict.fromkeys(case for _, case in found.values())
    cases = dict.fromkeys([*with_series, *(outcome.case for outcome in outcomes)])
    return Catalogue(
        series=found,
        keys={case: case.key for case in cases},
        metrics=history.metrics,
        with_series=frozenset(with_series),
    )


def _write_points(
    site: SiteFolder,
    history: StoredHistory,
    runs: Sequence[Run],
    catalogue: Catalogue,
    changes: Sequence[ChangePoint],
    progress: Progress,
) -> Mapping[str, Any]:
    """Write the points of every case in blocks, and return what the next build has to know of them."""
    blocks: dict[int, list[Run]] = {}
    for run in runs:
        blocks.setdefault(run.id // BLOCK, []).append(run)
    series = {number: about for number, (about, _) in catalogue.series.items()}
    built = site.state.get("blocks", {}) if site.state.get("format") == FORMAT else {}
    there = site.numbered()
    state: dict[str, list[str]] = {}
    files: dict[str, list[int]] = {}
    for place, (number, members) in enumerate(sorted(blocks.items())):
        digest = _digest([(run.id, run.run, run.digest) for run in members])
        names = there.get(number, [])
        if built.get(str(number)) == [digest, _digest(names)]:
            for name in names:
                site.keep(_path(name, number))
        else:
            progress(f"reading block {place + 1} of {len(blocks)}")
            found = _by_case(history.points([run.id for run in members]), catalogue)
            names = sorted(catalogue.keys[case] for case in found)
            for case, points in found.items():
                key = catalogue.keys[case]
                data = script(f"case/{key}/{number}", points_data(points, series), is_text=False)
                site.write(_path(key, number), data)
        state[str(number)] = [digest, _digest(names)]
        for name in names:
            files.setdefault(name, []).append(number)
    _write_cases(site, catalogue, files, changes)
    return {"format": FORMAT, "blocks": state}


def _write_cases(
    site: SiteFolder,
    catalogue: Catalogue,
    blocks: Mapping[str, Sequence[int]],
    changes: Iterable[ChangePoint],
) -> None:
    """Write what is known of each case besides its points."""
    marks: dict[Case, list[tuple[ChangePoint, Series]]] = {}
    for change in changes:
        about, case = catalogue.series[change.series]
        marks.setdefault(case, []).append((change, about))
    metrics: dict[Case, set[str]] = {}
    models: dict[tuple[str, str], list[Case]] = {}
    for about, case in catalogue.series.values():
        metrics.setdefault(case, set()).add(about.metric)
    for case in metrics:
        models.setdefault((case.model, case.group), []).append(case)
    for case, names in metrics.items():
        key = catalogue.keys[case]
        near = [it for it in models[case.model, case.group][: MOST_OTHERS + 1] if it != case]
        others = [(catalogue.keys[it], it) for it in near]
        known = [name for name in catalogue.metrics if name in names]
        data = case_data(case, known, blocks.get(key, ()), others, marks.get(case, ()))
        site.write(f"data/case/{key}/case.js", script(f"case/{key}/case", data))


def _path(key: str, number: int) -> str:
    return f"data/case/{key}/{number}.js"


def _by_case(points: Iterable[Point], catalogue: Catalogue) -> dict[Case, list[Point]]:
    found: dict[Case, list[Point]] = {}
    for point in points:
        about = catalogue.series.get(point.series)
        if about is not None:
            found.setdefault(about[1], []).append(point)
    return found


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode("ascii")).hexdigest()


def _copy_report(site: SiteFolder, run: Run, folders: Sequence[Path]) -> bool:
    """Copy the page of a run, if there is one; return whether the site has it."""
    if not _FILE_NAME.fullmatch(run.run):
        return False
    name = f"report_{run.run}.html"
    places = [*([Path(run.results)] if run.results else []), *folders]
    source = next((place / name for place in places if (place / name).is_file()), None)
    return source is not None and site.copy(f"reports/{name}", source)
