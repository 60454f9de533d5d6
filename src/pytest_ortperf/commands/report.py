"""`ortperf report`: the reports of a run once more, from its records."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "report",
        help="write the CSV files of a run again and print its summary",
        description="Write the CSV files of a run again, from its records file, and print its summary. Of a pairs file "
        "of `ortperf ab`, print the comparison.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results folder, records file or pairs file")
    parser.add_argument("--run", metavar="ID", help="run id, such as 20261123-210146; the newest unless given")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the files; that of the records file unless given",
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the reports, print the summary, and return the exit status.

    Raises:
        ResultsFileError: If a file cannot be read or written.
    """
    from pytest_ortperf.records.pairs_file import is_pairs_file
    from pytest_ortperf.records.store import find_run, read_run
    from pytest_ortperf.reports.terminal.summary import summary_lines
    from pytest_ortperf.reports.writers import write_reports

    if is_pairs_file(arguments.results):
        return _report_pairs(arguments.results)
    stored = read_run(find_run(arguments.results, arguments.run))
    folder = arguments.output or stored.path.parent
    files = [stored.path, *write_reports(stored, folder)]
    width = shutil.get_terminal_size().columns
    for text, _ in summary_lines(stored, width=width, files=files, results=folder):
        print(text)
    return 0


def _report_pairs(path: Path) -> int:
    from pytest_ortperf.commands.compare import print_comparison
    from pytest_ortperf.records.pairs_file import read_pairs
    from pytest_ortperf.reports.comparison.paired import compare_pairs

    print_comparison(compare_pairs(read_pairs(path)), [], everything=True)
    return 0
