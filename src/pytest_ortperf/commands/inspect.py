"""`ortperf inspect`: what a model, or a list of models, holds, and what this machine can do with it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from pytest_ortperf.commands.ab import seconds
from pytest_ortperf.errors import SettingsError

INCOMPLETE = 1
DEADLINE_S = 120.0

DESCRIPTION = """\
Show what a model, or a list or directory of models, holds.

Of a model (.onnx): size, versions, precision, operators, inputs and outputs, the
dimensions that have no size and what is assumed for them, whether it can be
converted to fp16, and how many of its nodes each execution provider takes that can
be used on this machine.

Of a list (JSON) or a directory: a line for each model, missing files, the issues of
the list, how many cases the options make of it, and how long they will take.

All further options are pytest's, as in a run: --ortperf-ep=cuda, -k bert. Models are
read in child processes with a deadline: a broken one can do no harm.

Exit status: 0; 1 if files are missing or cannot be read, or if the list has issues;
2 for arguments, or a model, that cannot be used."""

EXAMPLES = """\
examples:
  ortperf inspect bert.onnx                      what it is, and who takes it
  ortperf inspect bert.onnx --ortperf-ep=cuda    one provider, or why not
  ortperf inspect models.json --ortperf-fp16     its models and that run's cases
  ortperf inspect zoo -k resnet --json           a part of a directory, as JSON
"""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "inspect",
        help="show what a model or a model list holds, and what this machine can do with it",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("source", type=Path, metavar="MODEL|LIST", help="model (.onnx), model list (JSON) or directory")
    parser.add_argument("--json", action="store_true", help="print the same facts as JSON")
    add_deadline(parser)
    parser.set_defaults(call=run, takes_more=True)


def add_deadline(parser: argparse.ArgumentParser) -> None:
    """Add the option that bounds the time of a child process."""
    parser.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE_S,
        metavar="SECONDS",
        help=f"for reading one model, and for one session (default: {DEADLINE_S:g})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Inspect, print, and return the exit status.

    Raises:
        OrtPerfError: If the source or an option cannot be used.
    """
    from pytest_ortperf.collection.source_inspection import inspect_list, inspect_model
    from pytest_ortperf.records.codec import as_dict
    from pytest_ortperf.reports.terminal.inspection_text import list_lines, model_lines

    source: Path = arguments.source
    if not source.exists():
        raise SettingsError(f"{source} does not exist; name a model (.onnx), a model list (JSON) or a directory")
    width = shutil.get_terminal_size().columns
    if source.is_dir() or source.suffix.lower() == ".json":
        listed = inspect_list(source, arguments.more, arguments.deadline)
        facts, lines, is_whole = as_dict(listed), list_lines(listed, width), listed.is_whole
    else:
        model = inspect_model(source, arguments.more, arguments.deadline)
        facts, lines, is_whole = as_dict(model), model_lines(model, width), not model.model.missing
    sys.stdout.write((json.dumps(facts, indent=1) if arguments.json else "\n".join(lines)) + "\n")
    return 0 if is_whole else INCOMPLETE
