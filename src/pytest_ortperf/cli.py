"""The `ortperf` command: what can be done with results, and with one case outside a run."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_ortperf.commands.ab import add_command as add_ab
from pytest_ortperf.commands.bisect_repro import add_case_commands
from pytest_ortperf.commands.compare import add_command as add_compare
from pytest_ortperf.errors import OrtPerfError

USAGE_ERROR = 2

EXAMPLES = """\
examples:
  ortperf report result                            the newest run in the folder result
  ortperf report result --run 20261123-210146      that run
  ortperf report records_1.jsonl --output /tmp     one records file, tables to another folder
  ortperf compare 20261122-180000 20261123-210146  the second run against the first
  ortperf ab --current-python=new/bin/python       this environment and another, measured in turns
  ortperf bisect 'bert::validate[cuda-fp16]'       the node whose outputs leave tolerance
  ortperf repro 'bert::validate[cuda-fp16]'        a folder that shows it with ONNX Runtime alone
  ortperf schema > models.schema.json              for an editor that completes model lists
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0; 1 for what `compare` fails on; 2 with a message on standard error.

    Args:
        argv: Arguments without the program's name; the process's own unless given.

    Raises:
        SystemExit: For `--help`, `--version` and arguments that argparse refuses.
    """
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if more and not hasattr(arguments, "takes_more"):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    arguments.more = more
    try:
        status = int(arguments.call(arguments))
        sys.stdout.flush()
    except OrtPerfError as error:
        print(f"ortperf: {error}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _drop_output()
        return 0
    except OSError as error:  # of what is printed: files tell of theirs
        _drop_output()
        print(f"ortperf: {error.strerror or error}", file=sys.stderr)
        return USAGE_ERROR
    return status


def _drop_output() -> None:
    """Keep Python from trying once more, at its end, to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.records.pairs_file import is_pairs_file
    from pytest_ortperf.records.store import find_run, read_run
    from pytest_ortperf.reports.tables.csv_tables import write_tables
    from pytest_ortperf.reports.terminal.summary import summary_lines

    if is_pairs_file(arguments.results):
        return _report_pairs(arguments.results)
    run = read_run(find_run(arguments.results, arguments.run))
    folder = arguments.output or run.path.parent
    files = [run.path, *write_tables(run, folder)]
    width = shutil.get_terminal_size().columns
    for text, _ in summary_lines(run, width=width, files=files, results=folder):
        print(text)
    return 0


def _report_pairs(path: Path) -> int:
    from pytest_ortperf.commands.compare import print_comparison
    from pytest_ortperf.records.pairs_file import read_pairs
    from pytest_ortperf.reports.comparison.paired import compare_pairs

    print_comparison(compare_pairs(read_pairs(path)), [], everything=True)
    return 0


def _schema(_: argparse.Namespace) -> int:
    from pytest_ortperf.cases.model_list import schema_text

    print(schema_text().rstrip("\n"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ortperf",
        description="Work with results of pytest-ortperf, with one case, or with two sides that are measured in turns.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ortperf {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    report = commands.add_parser(
        "report",
        help="write the CSV files of a run again and print its summary",
        description="Write the CSV files of a run again, from its records file, and print its summary. Of a pairs file "
        "of `ortperf ab`, print the comparison.",
    )
    report.add_argument("results", type=Path, metavar="RESULTS", help="results folder, records file or pairs file")
    report.add_argument("--run", metavar="ID", help="run id, such as 20261123-210146; the newest unless given")
    report.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for the files; that of the records file unless given",
    )
    report.set_defaults(call=_report)

    add_compare(commands)
    add_ab(commands)
    add_case_commands(commands)

    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of model lists",
        description="Print the JSON Schema of model lists, for editors and other checkers.",
    )
    schema.set_defaults(call=_schema)
    return parser


def _version() -> str:
    try:
        return version("pytest-ortperf")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
