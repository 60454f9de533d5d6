"""`ortperf list`: the runs of a results folder, oldest first."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.errors import ResultsFileError

if TYPE_CHECKING:
    from pytest_ortperf.records.store import StoredRun

DESCRIPTION = """\
List the runs of results folders in the order they were made: run id, date, commit, ONNX Runtime version, number of
cases, and whether the run came to its end. Run ids are what `ortperf compare` and `ortperf report --run` take."""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "list",
        help="list the runs of a results folder",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER", help="results folder, or records file (default: result)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table and return the exit status.

    Raises:
        ResultsFileError: If a folder holds no run.
    """
    from pytest_ortperf.records.store import find_run, runs_of

    folders = arguments.folders or [Path("result")]
    paths = [path for folder in folders for path in (runs_of(folder) if folder.is_dir() else [find_run(folder)])]
    rows = [_row(path) for path in paths]
    if not rows:
        find_run(folders[0])
    print("\n".join([json.dumps(rows, indent=1)] if arguments.json else _table(rows)))
    return 0


def _row(path: Path) -> dict[str, object]:
    from pytest_ortperf.records.store import read_run

    try:
        return _facts(read_run(path))
    except ResultsFileError as error:
        return {"run": path.stem.removeprefix("records_"), "state": str(error).removeprefix(f"{path}: ").rstrip(".")}


def _facts(stored: StoredRun) -> dict[str, object]:
    from pytest_ortperf.reports.comparison.compared_side import unfinished
    from pytest_ortperf.reports.tables.columns import runtime_version

    header = stored.header
    return {
        "run": header.run,
        "date": header.started[:16].replace("T", " "),
        "commit": header.labels.get("commit", "")[:10],
        "onnxruntime": runtime_version(header.environment) or "",
        "cases": len({record.nodeid for record in stored.records}),
        "state": unfinished(stored) or "complete",
    }


def _table(rows: list[dict[str, object]]) -> list[str]:
    titles = {"run": "run", "date": "date (UTC)", "commit": "commit", "onnxruntime": "ONNX Runtime", "cases": "cases"}
    titles["state"] = "state"
    lines = [list(titles.values()), *([str(row.get(name, "")) for name in titles] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
