"""`ortperf dashboard`: a static site of the history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_ortperf.commands.compare import add_history_option
from pytest_ortperf.errors import HistoryError
from pytest_ortperf.history.opening import open_history

_SHOWN = 10
"""Branches in a message."""

DESCRIPTION = """\
Write a static site of the history: what changed in the newest runs, the matrix of models and providers, and a chart
and a table of every series. Open index.html in a browser, or put the folder on any web server. The same folder
given again is renewed: only files that changed are written."""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "dashboard",
        help="write a static site of the history: what changed, and every series over time",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="SITE",
        help="folder of the site: new, empty, or written by this command before",
    )
    add_history_option(parser)
    parser.add_argument(
        "--branch",
        action="append",
        default=[],
        metavar="NAME",
        help="runs of this branch alone; repeatable (default: all branches)",
    )
    parser.add_argument(
        "--reports",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="results folder with report_<run>.html of runs, which the site links to; repeatable "
        "(default: the folders that the runs were added from)",
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the site and return the exit status.

    Raises:
        OrtPerfError: If the history cannot be read or the site cannot be written.
    """
    history = open_history(arguments.history, progress=_say)

    from pytest_ortperf.history.dashboard.site import build_site
    from pytest_ortperf.history.dashboard.stored_history import StoredHistory

    shown = StoredHistory(history, arguments.branch, _say)
    if arguments.branch and not shown.runs:
        branches = sorted({run.branch for run in history.runs() if run.branch})
        raise HistoryError(
            f"history {history.database.name}: has no run of branch {', '.join(arguments.branch)}; "
            f"its branches: {', '.join(branches[:_SHOWN]) or 'none'}."
        )
    built = build_site(shown, arguments.output, arguments.reports, _say)
    print(
        f"{arguments.output / 'index.html'}: {built.runs:,} runs, {built.series:,} series; "
        f"{built.written:,} files written ({built.written_byte / 1e6:.1f} MB), {built.removed:,} removed"
    )
    return 0


def _say(text: str) -> None:
    """Say what takes long, where somebody sees it."""
    if sys.stderr.isatty():
        print(f"ortperf: {text}", file=sys.stderr)
