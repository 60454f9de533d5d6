"""`ortperf history`: runs kept in a database, for trends, change points and baselines."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.compare import add_history_option
from pytest_ortperf.errors import HistoryError, SettingsError

if TYPE_CHECKING:
    from pytest_ortperf.history.adding import Answer
    from pytest_ortperf.history.changes import ChangePoint
    from pytest_ortperf.history.store import Run

NOT_ADDED = 1
_LEAST_P = 1e-15
"""Smaller ones are beyond what the arithmetic tells apart."""

DESCRIPTION = """\
Keep runs in a database: one file of SQLite, or PostgreSQL, where many machines add theirs. Every record is kept whole;
trends, change points, the dashboard and baselines (history:BRANCH) are made of them. A run added twice is one run."""

EXAMPLES = """\
examples:
  ortperf history add result                            all runs of the folder result, to history.db
  ortperf history add 'night/*/records_*.jsonl' --history=postgresql://host/perf
  ortperf history add old/onnx-zoo-models --label branch=main --label commit=44cd0f8a
                                                        CSV files of the ONNX Runtime script
  ortperf history list --branch=main                    its runs, oldest first
  ortperf history accept 20261123-210146 --why='fp16 by default'
                                                        what history:BRANCH compares with from now on
  ortperf history changes                               where a latency changed, and the command that confirms it
  ortperf history triage 3f2a9c10-15 expected --note='larger batch'
                                                        what became of one of them
  ortperf history rebuild                               make everything but the records again
"""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "history",
        help="keep runs in a database",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for add_action in ACTIONS:
        add_action(actions)


def _add_add(actions: Any) -> None:
    parser = actions.add_parser(
        "add",
        help="add runs",
        description="Add runs. What is there already is left as it is; of a run that went on since, the new records "
        "are added. Runs that did not come to their end are added too and marked; no baseline is made of them. "
        "Exit status: 0; 1 if something named could not be read; 2 if the database does not answer.",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="records file, results folder (all its runs), folder with the CSV files of the ONNX Runtime script, or a "
        "pattern of these",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="label of these runs over their own: branch, commit, date (of the commit), url, or any other; repeatable",
    )
    add_history_option(parser)
    parser.set_defaults(call=_add)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help="list its runs, oldest first", description="List runs, oldest first.")
    parser.add_argument("--branch", metavar="NAME", help="runs of this branch alone")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    add_history_option(parser)
    parser.set_defaults(call=_list)


def _add_accept(actions: Any) -> None:
    parser = actions.add_parser(
        "accept",
        help="make a run the baseline of its branch",
        description="Accept a run: history:BRANCH then compares with it on its machine, until another one is accepted.",
    )
    parser.add_argument("run", metavar="RUN", help="run id, or its number in `ortperf history list`")
    parser.add_argument("--why", metavar="TEXT", help="reason, shown where others are compared with it")
    parser.add_argument("--by", metavar="NAME", help="who accepts it (default: the user's name)")
    parser.add_argument("--undo", action="store_true", help="take it back")
    add_history_option(parser)
    parser.set_defaults(call=_accept)


def _add_rebuild(actions: Any) -> None:
    parser = actions.add_parser(
        "rebuild",
        help="make everything but the records again",
        description="Make all tables but those of the records again. A newer pytest-ortperf does so by itself where "
        "its tables differ.",
    )
    add_history_option(parser)
    parser.set_defaults(call=_rebuild)


def _add_changes(actions: Any) -> None:
    parser = actions.add_parser(
        "changes",
        help="list change points: where a latency changed",
        description="List change points that are new, the newest first: runs from which on the median latency of a "
        "case is another one, what all cases have in common taken out. Each comes with the commands that confirm it. "
        "New runs are looked at first.",
    )
    parser.add_argument("--all", action="store_true", help="also those that are confirmed, expected or fixed")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    add_history_option(parser)
    parser.set_defaults(call=_changes)


def _add_triage(actions: Any) -> None:
    parser = actions.add_parser(
        "triage",
        help="say what a change point is",
        description="Say what a change point is: confirmed, expected, fixed, or new again. It is kept by a rebuild.",
    )
    parser.add_argument("id", metavar="ID", help="of the change point, as `ortperf history changes` lists it")
    parser.add_argument("state", metavar="STATE", choices=_STATES, help=", ".join(_STATES))
    parser.add_argument("--note", metavar="TEXT", help="reason, or where it is dealt with")
    parser.add_argument("--by", metavar="NAME", help="who says so (default: the user's name)")
    add_history_option(parser)
    parser.set_defaults(call=_triage)


_STATES = ("new", "confirmed", "expected", "fixed")

ACTIONS: tuple[Callable[[Any], None], ...] = (
    _add_add,
    _add_list,
    _add_changes,
    _add_triage,
    _add_accept,
    _add_rebuild,
)
"""In the order of the help."""


def _add(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.opening import open_history
    from pytest_ortperf.records.environment.labels import parse_labels

    try:
        labels = parse_labels(arguments.label)
    except SettingsError as error:
        raise SettingsError(str(error).replace("--ortperf-label", "--label")) from error
    history = open_history(arguments.history, create=True, progress=_progress())
    from pytest_ortperf.history.adding import add_runs, found_runs

    paths = found_runs(arguments.runs, Path.cwd())
    refused = new = 0
    for number, answer in enumerate(add_runs(history, paths, labels), start=1):
        place = f"{number} of {len(paths)}  " if len(paths) > 1 else ""
        for line in _lines_of(answer):
            print(f"{place}{line}", flush=True)
        refused += answer.added is None
        new += answer.added is not None and answer.added.is_new
    print(f"{history.database.name}: {new} new of {len(paths)}, {history.count()['run']} runs in all")
    return NOT_ADDED if refused else 0


def _lines_of(answer: Answer) -> list[str]:
    added = answer.added
    if added is None:
        return [f"not added: {answer.problem}"]
    if not added.lines:
        what = "is there already" + (", its labels are new" if added.is_relabelled else "")
    elif added.is_new:
        what = f"added: {added.points} points"
    else:
        what = f"went on: {added.lines} more lines, {added.points} points"
    state = "" if added.state == "complete" else f"; incomplete, no baseline: {added.state}"
    return [f"{added.run} {what}{state}", *answer.notes]


def _list(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.opening import open_history

    runs = open_history(arguments.history, progress=_progress()).runs(branch=arguments.branch)
    if arguments.json:
        print(json.dumps([_object(run) for run in runs], indent=1))
    else:
        print("\n".join(_table(runs)))
    return 0


def _object(run: Run) -> dict[str, object]:
    return {
        "number": run.id,
        "run": run.run,
        "started": run.started,
        "branch": run.branch,
        "commit": run.commit_id,
        "onnxruntime": run.onnxruntime,
        "machine": run.machine,
        "cases": run.cases,
        "passed": run.passed,
        "failed": run.failed,
        "state": run.state,
        "accepted": run.acceptance and {"at": run.acceptance.at, "by": run.acceptance.by, "why": run.acceptance.why},
    }


def _table(runs: Sequence[Run]) -> list[str]:
    titles = ("number", "run", "date (UTC)", "branch", "commit", "ONNX Runtime", "cases", "failed", "machine", "state")
    lines = [titles, *map(_row, runs)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _row(run: Run) -> tuple[str, ...]:
    state = run.state
    if run.acceptance:
        by = f" by {run.acceptance.by}" if run.acceptance.by else ""
        why = f": {run.acceptance.why}" if run.acceptance.why else ""
        state += f", accepted{by}{why}"
    return (
        str(run.id),
        run.run,
        run.started[:16].replace("T", " "),
        run.branch or "",
        (run.commit_id or "")[:10],
        (run.onnxruntime or "").rpartition(" ")[2],
        str(run.cases),
        str(run.failed),
        run.machine or "",
        state,
    )


def _accept(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.kept_run import RECORDS
    from pytest_ortperf.history.opening import open_history

    history = open_history(arguments.history, progress=_progress())
    run = _named(history.runs(), arguments.run)
    if arguments.undo:
        history.withdraw(run.id)
        print(f"{run.run} is no longer accepted")
        return 0
    if not run.complete:
        raise HistoryError(f"run {run.run} cannot be accepted: {run.state}. Accept a complete run.")
    if run.kind != RECORDS:
        raise HistoryError(f"run {run.run} cannot be accepted: CSV files tell too little of how they were measured.")
    history.accept(run.id, by=arguments.by or _user(), why=arguments.why)
    branch = run.branch or ""
    print(f"{run.run} is accepted: history:{branch} compares with it on {run.machine or 'its machine'}")
    return 0


def _named(runs: Sequence[Run], text: str) -> Run:
    found = [run for run in runs if text == run.run] or [run for run in runs if text == str(run.id)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(f"{run.id} ({run.host or 'unknown host'})" for run in found)
        raise HistoryError(f"run {text}: there are {len(found)} of this id; give the number of one: {numbers}.")
    newest = ", ".join(run.run for run in reversed(runs[-8:])) or "none"
    raise HistoryError(f"run {text}: is not in the history; its runs, newest first: {newest}.")


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user id, as in some containers
        return None


def _changes(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.opening import open_history

    history = open_history(arguments.history, progress=_progress())
    from pytest_ortperf.history.changes import NEW, STATES, change_points

    every = change_points(history, STATES, _progress())
    listed = [point for point in every if arguments.all or point.state == NEW]
    if arguments.json:
        print(json.dumps([_change_object(point) for point in listed], indent=1))
        return 0
    for point in listed:
        print("\n".join(_change_lines(point)), end="\n\n")
    known = "" if arguments.all or len(every) == len(listed) else f"; --all lists {len(every) - len(listed)} more"
    print(f"{len(listed)} {'' if arguments.all else 'new '}change point{'' if len(listed) == 1 else 's'}{known}")
    return 0


def _change_lines(point: ChangePoint) -> list[str]:
    series, note = point.series, f": {point.note}" if point.note else ""
    timing = f" {series.timing}" if series.timing not in ("", "host") else ""
    p_value = f"p {point.p_value:.0e}" if point.p_value > _LEAST_P else f"p < {_LEAST_P:.0e}"
    word = "slower" if point.after > point.before else "faster"
    numbers = f"{point.before:.4g} -> {point.after:.4g} {series.unit}, noise {100 * point.noise:.1f} %, {p_value}"
    runs = f"{_run_text(point.run_before)} -> {_run_text(point.run)}"
    return [
        f"{point.id}  {point.state}{note}",
        f"  {series.case_id}{timing}: {word} by {abs(point.percent):.1f} % ({numbers})",
        f"  {runs}{f', {point.run.branch}' if point.run.branch else ''}, {point.run.machine or 'unknown machine'}",
        *(f"  $ {command}" for command in point.commands),
    ]


def _run_text(run: Run) -> str:
    commit = f"commit {run.commit_id[:10]}" if run.commit_id else ""
    facts = ", ".join(filter(None, (run.onnxruntime, commit)))
    return f"{run.run} ({facts})" if facts else run.run


def _change_object(point: ChangePoint) -> dict[str, object]:
    return {
        "id": point.id,
        "state": point.state,
        "note": point.note,
        "case": point.series.case_id,
        "metric": point.series.metric,
        "timing": point.series.timing,
        "machine": point.run.machine,
        "branch": point.run.branch,
        "run_before": point.run_before.run,
        "run": point.run.run,
        "before": point.before,
        "after": point.after,
        "unit": point.series.unit,
        "percent": point.percent,
        "noise_percent": 100 * point.noise,
        "p_value": point.p_value,
        "commands": point.commands,
    }


def _triage(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.opening import open_history

    history = open_history(arguments.history, progress=_progress())
    from pytest_ortperf.history.changes import set_state

    point = set_state(history, arguments.id, arguments.state, note=arguments.note, by=arguments.by or _user())
    note = f": {point.note}" if point.note else ""
    print(f"{point.id} ({point.series.case_id}, {point.percent:+.1f} %) is {point.state}{note}")
    return 0


def _rebuild(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.history.opening import open_history

    history = open_history(arguments.history, progress=_progress())
    count = history.rebuild(_progress())
    print(f"{history.database.name}: {count} runs rebuilt")
    return 0


def _progress() -> Callable[[str], None]:
    from pytest_ortperf.history.opening import now_and_then

    return now_and_then(lambda text: print(text, file=sys.stderr, flush=True))
