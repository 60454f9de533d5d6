"""`ortperf compare`: two results side by side, and an exit status for CI."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.errors import ResultsFileError, SettingsError
from pytest_ortperf.history.opening import DEFAULT, HISTORY

if TYPE_CHECKING:
    from pytest_ortperf.reports.comparison.compared_side import Side
    from pytest_ortperf.reports.comparison.explain import Explanation
    from pytest_ortperf.reports.comparison.run_comparison import Comparison
    from pytest_ortperf.reports.comparison.thresholds import FailOn

FAILED = 1
_IN_FOLDER = "comparison.csv"

DESCRIPTION = """\
Compare two results: latency by case and timing mode, new and fixed failures, accuracy, placement, memory,
session creation, missing and new models.

BASE and CURRENT are each a records file, a results folder (all its complete runs of the same thing), a run id, a
folder or single file with the CSV tables of the ONNX Runtime script, a JSON file of pytest-benchmark, a pattern such
as 'result/records_2026*.jsonl', several of these joined by commas, or a git revision whose runs are in the results
folder. BASE can also be history:BRANCH: the accepted run of a branch in the history, or its newest complete runs,
of the machine of CURRENT. Several runs of the same thing are better evidence than one.

Exit status: 0; 1 if something is SLOWER, a failure is new, a case is missing or a run was cut short (--fail-on chooses
what counts); 2 for arguments or files that cannot be used."""

EXAMPLES = """\
examples:
  ortperf compare before after                                  two results folders
  ortperf compare main result --threshold=20%                   decide on 20 %, whatever the evidence
  ortperf compare -p old/latency.csv -c new/latency.csv --threshold=20% -o out
                                                                the ONNX Runtime script's tables and options
  ortperf compare -p a1 a2 a3 -c b1 b2 b3                       three runs on each side
  ortperf compare history:main result                           the branch main in history.db, on the same machine
"""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "compare",
        help="compare two results",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", metavar="BASE", nargs="?", help="what to compare with")
    parser.add_argument("current", metavar="CURRENT", nargs="?", help="what to look at")
    parser.add_argument("-p", "--prev", metavar="BASE", nargs="+", help="BASE as the script spells it; takes several")
    parser.add_argument(
        "-c", "--current", dest="now", metavar="CURRENT", nargs="+", help="CURRENT, likewise; takes several"
    )
    parser.add_argument(
        "--ep", metavar="NAME", help="compare this execution provider alone: cpu, cuda, trt, native (trtexec), ..."
    )
    parser.add_argument(
        "--min-change",
        metavar="TIME",
        help="smallest change of a latency that counts, such as 5us or 0.2ms (default: 2us), beside 3 %% and the noise",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("result"),
        metavar="DIR",
        help="folder that run ids and git revisions are looked for in (default: result)",
    )
    add_history_option(parser)
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


def add_history_option(parser: argparse.ArgumentParser) -> None:
    """Add where the history is."""
    parser.add_argument(
        "--history",
        default=DEFAULT,
        metavar="URL",
        help=f"a file of SQLite, or postgresql://HOST/DATABASE (default: {DEFAULT})",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add what every comparison can be told about its end: what fails, and which files are written."""
    parser.add_argument(
        "--fail-on",
        metavar="TOPICS",
        help="what makes the exit status 1, separated by commas: latency, failures, accuracy, placement, memory, "
        "creation, missing, incomplete, or none (default: latency,failures,missing,incomplete). latency:20%%, "
        "memory:10%% and creation:50%% decide on that change, whatever the evidence",
    )
    parser.add_argument(
        "--threshold", metavar="PERCENT", help="--threshold=20%% is latency:20%% beside the other topics of --fail-on"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the comparison there too; its ending says how: .csv, .md, .json, .html; a folder gets "
        f"{_IN_FOLDER}; repeatable",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, write, and return the exit status.

    Raises:
        OrtPerfError: If an argument or file cannot be used.
    """
    from pytest_ortperf.reports.comparison.explain import explain
    from pytest_ortperf.reports.comparison.run_comparison import compare

    check = status_of(arguments)
    _least_change_ns(arguments)
    base, current = _sides(arguments)
    fail_on = dataclasses.replace(fail_on_of(arguments), least_change_ns=_least_change_ns(arguments))
    comparison = compare(base, current, fail_on)
    explanations = [explain(comparison, name) for name in arguments.explain]
    print_comparison(comparison, explanations, everything=arguments.all)
    write_outputs(arguments, comparison, explanations)
    return check(comparison)


def _least_change_ns(arguments: argparse.Namespace) -> float | None:
    from pytest_ortperf.reports.comparison.thresholds import read_time_ns

    text = arguments.min_change
    return None if text is None else read_time_ns(text, "--min-change")


def _sides(arguments: argparse.Namespace) -> tuple[Side, Side]:
    """Return what is compared.

    Raises:
        OrtPerfError: If a side is not named, or cannot be read.
    """
    from pytest_ortperf.reports.comparison.sources.side_sources import of_provider, read_side, read_sides

    root = Path.cwd()
    plain = [text for text in (arguments.base, arguments.current) if text is not None]
    if len(plain) == 2 and arguments.prev is arguments.now is None and plain[0].startswith(HISTORY):  # noqa: PLR2004
        current = read_side(plain[1], arguments.results, root)
        base = _of_history(plain[0], arguments.history, current)
    elif len(plain) == 2 and arguments.prev is arguments.now is None:  # noqa: PLR2004 - both
        base, current = (read_side(text, arguments.results, root) for text in plain)
    elif arguments.prev and arguments.now and not plain:
        base, current = (read_sides(texts, arguments.results, root) for texts in (arguments.prev, arguments.now))
    else:
        raise SettingsError("compare takes two sides: BASE CURRENT, or -p BASE... -c CURRENT...")
    if arguments.ep is None:
        return base, current
    found = of_provider(base, arguments.ep), of_provider(current, arguments.ep)
    if not any(side.last for side in found):
        known = sorted({case.record.provider for side in (base, current) for case in side.last.values()})
        raise SettingsError(f"--ep {arguments.ep}: no side has a case of it; they have {', '.join(known) or 'no case'}")
    return found


def _of_history(text: str, url: str, current: Side) -> Side:
    from pytest_ortperf.history.baseline import read_baseline

    machines = {run.fingerprint for run in current.runs}
    if len(machines) > 1:
        raise SettingsError(f"{text}: the other side was measured on several machines; name runs of one of them")
    return read_baseline(text, url, next(iter(machines), None))


def fail_on_of(arguments: argparse.Namespace) -> FailOn:
    """Return what fails the comparison, with its thresholds.

    Raises:
        SettingsError: If an option cannot be used.
    """
    from pytest_ortperf.reports.comparison.thresholds import read_fail_on, read_percent

    given = arguments.threshold
    share = None if given is None else read_percent(given, f"--threshold={given}")
    return read_fail_on(arguments.fail_on).with_threshold(share)


def status_of(arguments: argparse.Namespace) -> Callable[[Comparison], int]:
    """Return what tells the exit status of a comparison; the options are checked at once.

    Raises:
        SettingsError: If one cannot be used.
    """
    from pytest_ortperf.reports.comparison.run_comparison import failing

    fail_on = fail_on_of(arguments).topics
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
    topics = fail_on_of(arguments).topics
    for path in map(_file, arguments.output):
        _write(path, WRITERS[path.suffix](comparison, explanations, topics))


def _file(path: Path) -> Path:
    """Return the file that `-o` means: of a folder, the one in it."""
    return path / _IN_FOLDER if path.is_dir() or not path.suffix else path


def _check_outputs(paths: Sequence[Path]) -> None:
    for path in paths:
        if _file(path).suffix not in WRITERS:
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
    from pytest_ortperf.records.store import write_whole

    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
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
