"""`ortperf schema`: the JSON Schema of model lists."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of model lists",
        description="Print the JSON Schema of model lists, for editors and other checkers.",
    )
    parser.set_defaults(call=run)


def run(_: argparse.Namespace) -> int:
    """Print it and return the exit status."""
    from pytest_ortperf.cases.model_list import schema_text

    print(schema_text().rstrip("\n"))
    return 0
