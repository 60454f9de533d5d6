"""A command below one of `ortperf`, such as `ortperf zoo pull`."""

from __future__ import annotations

import argparse
from typing import Any


def subcommand(commands: Any, name: str, summary: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return the parser of a new one; description and epilog keep their lines, and options have to be whole."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser
