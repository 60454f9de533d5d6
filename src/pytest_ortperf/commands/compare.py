"""`ortperf compare`: two results side by side, and an exit status for CI."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.errors import ResultsFileError, SettingsError

if TYPE_CHECKING:
    from pytest_ortperf.reports.comparison.explain import Explanation
    from pytest_ortperf.reports.comparison.run_comparison import Comparison

FAILED = 1

DESCRIPTION = """\
Compare two results: latency by case and timing mode, new and fixed failures, accuracy, placement, memory,
session creation, missing and new models.

BASE and CURRENT are each a records file, a results folder (its newest run), a run id, a folder with the CSV files
of the ONNX Runtime script, a JSON file of pytest-benchmark, several of these joined by commas, or a git revision
whose runs are in the results folder. Several runs of the same thing are better evidence than one.

Exit status: 0; 1 if something is SLOWER or a failure is new (--fail-on chooses what counts); 2 for arguments or
files that cannot be used."""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "compare",
        help="compare two results",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", metavar="BASE", help="what to compare with")
    parser.add_argument("current", metavar="CURRENT", help="what to look at")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("result"),
        metavar="DIR",
        help="folder that run ids and git revisions are looked for in (default: result)",
    )
    add_report_options(parser)
    parser.add_argument(
        "--explain",
        action="append",
        default=[],
        metavar="CASE",
        help="show a case in detail: samples, clocks, environments, operators; a part of its id will do; repeatable",
    )
    parser.add_argument("--all", action="store_true", help="list every pair, those that are SAME too")
    parser.set_defaults(call=run)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add what every comparison can be told about its end: what fails, and which files are written."""
    parser.add_argument(
        "--fail-on",
        metavar="TOPICS",
        help="what makes the exit status 1, separated by commas: latency, failures, accuracy, placement, memory, "
        "creation, missing, or none (default: latency,failures)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the comparison there too; its ending says how: .csv, .md, .json, .html; repeatable",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, write, and return the exit status.

    Raises:
        OrtPerfError: If an argument or file cannot be used.
    """
    from pytest_ortperf.reports.comparison.explain import explain
    from pytest_ortperf.reports.comparison.run_comparison import compare
    from pytest_ortperf.reports.comparison.side_sources import read_side

    check = status_of(arguments)
    root = Path.cwd()
    base, current = (read_side(text, arguments.results, root) for text in (arguments.base, arguments.current))
    comparison = compare(base, current)
    explanations = [explain(comparison, name) for name in arguments.explain]
    print_comparison(comparison, explanations, everything=arguments.all)
    write_outputs(arguments, comparison, explanations)
    return check(comparison)


def status_of(arguments: argparse.Namespace) -> Callable[[Comparison], int]:
    """Return what tells the exit status of a comparison; the options are checked at once.

    Raises:
        SettingsError: If one cannot be used.
    """
    from pytest_ortperf.reports.comparison.run_comparison import failing, read_fail_on

    fail_on = read_fail_on(arguments.fail_on)
    _check_outputs(arguments.output)

    def status(comparison: Comparison) -> int:
        found = failing(comparison, fail_on)
        if found:
            sys.stdout.write(f"\nfails on {', '.join(fail_on)}: {len(found)}\n")
        return FAILED if found else 0

    return status


def write_outputs(arguments: argparse.Namespace, comparison: Comparison, explanations: Sequence[Explanation]) -> None:
    """Write the files that were asked for.

    Raises:
        ResultsFileError: If one cannot be written.
    """
    from pytest_ortperf.reports.comparison.run_comparison import read_fail_on

    for path in arguments.output:
        _write(path, WRITERS[path.suffix](comparison, explanations, read_fail_on(arguments.fail_on)))


def _check_outputs(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.suffix not in WRITERS:
            raise SettingsError(f"--output {path}: the ending must be one of {', '.join(WRITERS)}")


def print_comparison(comparison: Comparison, explanations: Sequence[Explanation], *, everything: bool) -> None:
    """Print a comparison as wide as the terminal is."""
    from pytest_ortperf.reports.comparison.comparison_text import comparison_lines
    from pytest_ortperf.reports.comparison.explain import explanation_lines

    width = shutil.get_terminal_size().columns
    lines = [text for text, _ in comparison_lines(comparison, width=width, everything=everything)]
    for each in explanations:
        lines += ["", *explanation_lines(comparison, each)]
    sys.stdout.write("\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise ResultsFileError(f"{path}: not written: {error.strerror or error}.") from error


def _csv(comparison: Comparison, _: Sequence[Explanation], __: Sequence[str]) -> str:
    from pytest_ortperf.reports.comparison.change_tables import csv_text

    return csv_text(comparison)


def _markdown(comparison: Comparison, _: Sequence[Explanation], __: Sequence[str]) -> str:
    from pytest_ortperf.reports.comparison.change_tables import markdown_text

    return markdown_text(comparison)


def _json(comparison: Comparison, _: Sequence[Explanation], fail_on: Sequence[str]) -> str:
    from pytest_ortperf.reports.comparison.change_tables import json_text

    return json_text(comparison, fail_on)


def _html(comparison: Comparison, explanations: Sequence[Explanation], _: Sequence[str]) -> str:
    from pytest_ortperf.reports.comparison.comparison_page import page

    return page(comparison, explanations)


Writer = Callable[["Comparison", Sequence["Explanation"], Sequence[str]], str]

WRITERS: Mapping[str, Writer] = {".csv": _csv, ".md": _markdown, ".json": _json, ".html": _html}
