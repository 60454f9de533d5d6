"""`ortperf report`: the reports of a run once more, from its records."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ortperf.records.store import StoredRun
    from pytest_ortperf.reports.comparison.run_comparison import Comparison


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    from pytest_ortperf.reports.writers import CSV_KINDS, formats

    parser = commands.add_parser(
        "report",
        help="write the reports of a run again and print its summary",
        description="Write the page and the CSV files of a run again, from its records file, and print its summary. "
        "Of a pairs file of `ortperf ab`, print the comparison.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results folder, records file or pairs file")
    parser.add_argument("--run", metavar="ID", help="run id, such as 20261123-210146; the newest unless given")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a file that ends in .html, .md or .json: that report alone; or a folder for all files, that of the "
        "records file unless given; repeatable",
    )
    parser.add_argument(
        "--baseline", metavar="RUN", help="an earlier run, as for `ortperf compare`: the page shows what changed"
    )
    parser.add_argument(
        "--csv",
        choices=CSV_KINDS,
        help="'original' writes the files of ONNX Runtime's TensorRT performance script instead of the nine tables",
    )
    parser.add_argument(
        "--format",
        choices=formats(),
        help="write this alone: a JSON file for readers of pytest-benchmark's results",
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the reports, print the summary, and return the exit status.

    Raises:
        OrtPerfError: If a file cannot be read or written.
    """
    from pytest_ortperf.records.pairs_file import is_pairs_file
    from pytest_ortperf.records.store import find_run, read_run
    from pytest_ortperf.reports.terminal.summary import summary_lines

    if is_pairs_file(arguments.results):
        return _report_pairs(arguments.results)
    stored = read_run(find_run(arguments.results, arguments.run))
    comparison = _comparison(stored, arguments.baseline)
    places = arguments.output or [stored.path.parent]
    kinds = {"csv": arguments.csv, "only_format": arguments.format}
    written = [path for place in places for path in _write(stored, place, comparison, **kinds)]
    width = shutil.get_terminal_size().columns
    folder = next((place for place in arguments.output if not place.suffix), stored.path.parent)
    for text, _ in summary_lines(stored, width=width, files=[stored.path, *written], results=folder):
        print(text)
    return 0


def _write(stored: StoredRun, place: Path, comparison: Comparison | None, **kinds: str | None) -> list[Path]:
    """Write one report into a file, or all into a folder."""
    from pytest_ortperf.errors import ResultsFileError
    from pytest_ortperf.reports.writers import write_report, write_reports

    if place.is_dir() or not place.suffix:
        return write_reports(stored, place, comparison, **kinds)
    if kinds["only_format"]:
        raise ResultsFileError(f"{place}: is no folder; --format={kinds['only_format']} gives its file a name itself.")
    write_report(stored, place, comparison)
    return [place]


def _comparison(stored: StoredRun, baseline: str | None) -> Comparison | None:
    if baseline is None:
        return None
    from pytest_ortperf.reports.comparison.compared_side import side_of
    from pytest_ortperf.reports.comparison.run_comparison import compare
    from pytest_ortperf.reports.comparison.sources.side_sources import read_side

    base = read_side(baseline, stored.path.parent, Path.cwd())
    return compare(base, side_of(stored.header.run, [stored]))


def _report_pairs(path: Path) -> int:
    from pytest_ortperf.commands.compare import print_comparison
    from pytest_ortperf.records.pairs_file import read_pairs
    from pytest_ortperf.reports.comparison.paired import compare_pairs

    print_comparison(compare_pairs(read_pairs(path)), [], everything=True)
    return 0
