"""The `ortperf` command: what can be done with models, with results, and with one case outside a run."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from pytest_ortperf.commands import (
    ab,
    bisect_repro,
    check,
    compare,
    dashboard,
    history,
    image,
    init,
    inspect,
    list_runs,
    ort,
    report,
    schema,
    wrap,
    zoo,
)
from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.plain_text import PlainOutput

USAGE_ERROR = 2
INTERRUPTED = 130

COMMANDS = (
    init.add_command,
    zoo.add_command,
    inspect.add_command,
    list_runs.add_command,
    report.add_command,
    compare.add_command,
    ab.add_command,
    ort.add_command,
    image.add_command,
    bisect_repro.add_bisect,
    bisect_repro.add_repro,
    history.add_command,
    dashboard.add_command,
    check.add_command,
    wrap.add_command,
    schema.add_command,
)
"""In the order of the help."""

EXAMPLES = """\
examples:
  ortperf init                                     a model list for the models of this folder
  ortperf zoo pull mnist-8 resnet50-v1-7           models of the ONNX Model Zoo, and a list for them
  ortperf inspect bert.onnx                        what it is, and which providers take it
  ortperf list result                              the runs in the folder result
  ortperf report result                            the newest run in the folder result
  ortperf report result --run 20261123-210146      that run
  ortperf report records_1.jsonl --output /tmp     one records file, tables to another folder
  ortperf compare 20261122-180000 20261123-210146  the second run against the first
  ortperf ab --current-python=new/bin/python       this environment and another, measured in turns
  ortperf ab --base-ort=1.31.0 --current-ort=1.32.0 two releases of ONNX Runtime, measured in turns
  ortperf ort build --branch=main                  ONNX Runtime from source
  ortperf image run -m models.json                 in a container
  ortperf ort bisect 1.24.4 1.32.0 -k bert         the release that made it slower
  ortperf bisect 'bert::validate[cuda-fp16]'       the node whose outputs leave tolerance
  ortperf repro 'bert::validate[cuda-fp16]'        a folder that shows it with ONNX Runtime alone
  ortperf history add result                       keep its runs in history.db
  ortperf dashboard -o site --history=history.db   a static site of the history
  ortperf schema > models.schema.json              for an editor that completes model lists
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0; 1 for what a command fails on; 2 with a message; 130 after Ctrl-C.

    Args:
        argv: Arguments without the program's name; the process's own unless given.

    Raises:
        SystemExit: For `--help`, `--version` and arguments that argparse refuses.
    """
    parser = _parser()
    # what stands behind `--` is another program's; argparse would take it for arguments of ours
    given = list(sys.argv[1:] if argv is None else argv)
    own, after = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    arguments, more = parser.parse_known_args(own)
    more += after
    if more and not hasattr(arguments, "takes_more"):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    arguments.more = more
    try:
        with contextlib.redirect_stdout(PlainOutput(sys.stdout)), contextlib.redirect_stderr(PlainOutput(sys.stderr)):
            status = int(arguments.call(arguments))
            sys.stdout.flush()
    except OrtPerfError as error:
        print(f"ortperf: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("ortperf: interrupted", file=sys.stderr)
        return INTERRUPTED
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ortperf",
        description="Work with models, with results of pytest-ortperf, with one case, or with two sides that are "
        "measured in turns.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ortperf {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def _version() -> str:
    try:
        return version("pytest-ortperf")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
