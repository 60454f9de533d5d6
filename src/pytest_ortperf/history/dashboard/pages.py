"""The two pages of a site, and the files that both need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ortperf.history.dashboard.changes import LEAST_RUNS, Level, ranked, rule_text
from pytest_ortperf.history.dashboard.site_data import Catalogue, Judged
from pytest_ortperf.history.dashboard.view import Case, ChangePoint, Run
from pytest_ortperf.reports.frame import RUN_STYLES, joined, joined_script
from pytest_ortperf.reports.rendering import render

_HERE = Path(__file__).parent
_SHARED = ("dom.js", "theme.js", "address.js", _HERE / "assets" / "loading.js")

MOST_ITEMS = 6
"""In a card of the first page."""

_POLICY = (
    "default-src 'none'; style-src 'self' file:; script-src 'self' file:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types ortperf-data"
)
"""`file:` is what `'self'` does not mean where a site is opened from a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of a card."""

    name: str
    key: str | None
    metric: str | None = None
    figure: str = ""
    kind: str = ""
    about: str = ""
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One answer of the first page."""

    title: str
    kind: str
    items: Sequence[Item]
    empty: str = ""


def assets() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files beside the pages."""
    style = joined([*RUN_STYLES, _HERE / "assets" / "dashboard.css"])
    yield "assets/dashboard.css", style.encode("utf-8")
    for page, scripts in (("overview", ("overview.js",)), ("series", ("chart.js", "series.js"))):
        own = [_HERE / "assets" / name for name in scripts]
        yield f"assets/{page}.js", joined_script([*_SHARED, *own]).encode("utf-8")
    for path in sorted((_HERE / "vendor").glob("uPlot*")):
        yield f"assets/{path.name}", path.read_bytes()


def series_page() -> bytes:
    """Return the page of a case over time; its address says of which."""
    return _page(
        "series.html",
        title="ortperf: one case over time",
        styles=("assets/uPlot.min.css", "assets/dashboard.css"),
        scripts=("assets/uPlot.iife.min.js", "assets/series.js"),
    )


def overview_page(
    runs: Sequence[Run], judged: Sequence[Judged], points: Sequence[ChangePoint], catalogue: Catalogue
) -> bytes:
    """Return the first page: what changed in the newest run of each branch and machine.

    Args:
        runs: In the order of time.
        judged: Recent ones.
        points: Change points, the newest first.
        catalogue: Of the history.
    """
    newest = [each for each in judged if each.is_newest]
    cards = _cards(newest, points, catalogue) if runs else []
    return _page(
        "overview.html",
        title="ortperf: what changed",
        styles=("assets/dashboard.css",),
        scripts=("assets/overview.js",),
        headline=headline(runs, newest),
        facts=list(_facts(runs, catalogue)),
        notes=list(_notes(newest, catalogue)),
        cards=cards,
        most=MOST_ITEMS,
        rule=rule_text(),
        points_rule="A change point is a run from which on a series stays on another level. Of a new one, nobody has "
        "said yet what it is: run its command, then ortperf history triage ID confirmed, expected or fixed.",
    )


def _page(template: str, **values: Any) -> bytes:
    return render(template, _HERE / "templates", frame={"policy": _POLICY}, **values).encode("utf-8")


def headline(runs: Sequence[Run], newest: Sequence[Judged]) -> str:
    """Return the answer in one line."""
    if not runs:
        return "The history has no run yet"
    found = [level for each in newest for level in each.levels.values() if level.is_change]
    lost = [it for each in newest for it in each.lost]
    counts = (
        (sum(not it.is_missing for it in lost), "new failure", "new failures"),
        (sum(it.is_missing for it in lost), "missing case", "missing cases"),
        (sum(level.better < 0 for level in found), "value worse", "values worse"),
        (sum(level.better > 0 for level in found), "better", "better"),
    )
    words = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    where = "the newest run" if len(newest) == 1 else f"the newest runs of {len(newest)} branches and machines"
    if words:
        return f"{', '.join(words)} in {where}"
    if not any(each.levels for each in newest):
        return f"Nothing to compare yet: a value needs {LEAST_RUNS} earlier runs"
    return f"Nothing changed in {where}"


def _facts(runs: Sequence[Run], catalogue: Catalogue) -> Iterator[str]:
    if runs:
        last = runs[-1]
        yield f"newest run {last.run}"
        yield from ([f"branch {last.branch[:40]}"] if last.branch else [])
        yield from ([f"commit {last.commit[:12]}"] if last.commit else [])
        yield from ([f"ONNX Runtime {last.version}"] if last.version else [])
        yield f"{len(runs):,} {'run' if len(runs) == 1 else 'runs'} of {len(catalogue.series):,} series"


def _notes(newest: Sequence[Judged], catalogue: Catalogue) -> Iterator[str]:
    for each in newest:
        if each.run.state != "complete":
            yield f"Run {each.run.run} is {each.run.state}: cases may be missing from it."
        moved = [
            f"{catalogue.metrics[fleet.metric].title} of its {fleet.count} {fleet.variant} cases {fleet.ratio - 1:+.0%}"
            for fleet in each.fleets
            if abs(fleet.ratio - 1) >= fleet.floor
        ]
        if moved:
            yield (
                f"Run {each.run.run} moved as a whole: {', '.join(moved)}. That is the machine or the runtime, and is "
                f"taken out of what is listed here."
            )


def _cards(newest: Sequence[Judged], points: Sequence[ChangePoint], catalogue: Catalogue) -> list[Card]:
    found = [(each.run, level) for each in newest for level in ranked(each.levels.values())]
    worse = sorted((it for it in found if it[1].better < 0), key=lambda it: -abs(it[1].change))
    better = sorted((it for it in found if it[1].better > 0), key=lambda it: -abs(it[1].change))
    lost = [it for each in newest for it in each.lost]
    failed = [it for it in lost if not it.is_missing]
    missing = [it for it in lost if it.is_missing]
    names = {each.run.id: each.run for each in newest}
    cards = [
        Card(
            title="Worse",
            kind="failed" if worse else "passed",
            items=[_change(run, level, catalogue, len(names)) for run, level in worse],
            empty="No value is worse than in earlier runs.",
        ),
        Card(title="Better", kind="fast", items=[_change(run, level, catalogue, len(names)) for run, level in better]),
        Card(
            title="New failures",
            kind="failed" if failed else "passed",
            items=[
                Item(
                    name=f"{it.case.name} {it.mode}",
                    key=_key(it.case, catalogue),
                    about=f"{it.word}: {it.text}" if it.text else it.word,
                )
                for it in failed
            ],
            empty="No case fails that did not before.",
        ),
        Card(
            title="Missing cases",
            kind="warned",
            items=[
                Item(
                    name=f"{it.case.name} {it.mode}",
                    key=_key(it.case, catalogue),
                    about=f"last passed in run {it.last_passed}" if it.last_passed else it.text,
                )
                for it in missing
            ],
        ),
        Card(
            title="Change points to confirm",
            kind="warned",
            items=[_point(point, catalogue) for point in points if point.state == "new"],
        ),
    ]
    return [card for card in cards if card.items or card.empty]


def _key(case: Case, catalogue: Catalogue) -> str | None:
    return catalogue.keys[case] if case in catalogue.with_series else None


def _change(run: Run, level: Level, catalogue: Catalogue, runs: int) -> Item:
    _, case = catalogue.series[level.series.id]
    metric = catalogue.metrics[level.series.metric]
    unit = f" {metric.unit}" if metric.unit else ""
    about = f"{metric.title}: {level.value:.4g}{unit}, before {level.median:.4g}{unit}"
    if runs > 1:
        about += f"; run {run.run}" + (f" of {run.branch}" if run.branch else "")
    return Item(
        name=case.name,
        key=catalogue.keys[case],
        metric=level.series.metric,
        figure=_percent(level.change),
        kind="worse" if level.better < 0 else "better",
        about=about,
    )


def _percent(change: float) -> str:
    """Return what the scripts of the pages make of it too."""
    size = abs(100 * change)
    sign = "+" if change >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{size:.0f} %" if size >= 100 else f"{sign}{size:.1f} %"  # noqa: PLR2004 - three digits


def _command(point: ChangePoint) -> str | None:
    """Return the command that says whether a change is real, without those that prepare it."""
    return next((command for command in point.commands if command.startswith("ortperf ")), None)


def _point(point: ChangePoint, catalogue: Catalogue) -> Item:
    series, case = catalogue.series[point.series]
    is_better = (point.change > 0) is series.more_is_better
    return Item(
        name=case.name,
        key=catalogue.keys[case],
        metric=series.metric,
        figure=_percent(point.change),
        kind="better" if is_better else "worse",
        about=catalogue.metrics[series.metric].title,
        command=_command(point),
    )
