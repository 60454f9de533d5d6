"""`ortperf zoo`: models of the ONNX Model Zoo, and of archives at any address, with a model list for them."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.subcommand import subcommand

if TYPE_CHECKING:
    from pytest_ortperf.pairing.status_line import StatusLine
    from pytest_ortperf.provision.zoo.downloads import Fetching
    from pytest_ortperf.provision.zoo.list_file import ListedEntry

LIST = """\
Show the models of the ONNX Model Zoo: name, size, opset, what it is for, and whether it is one of the 46 models of the
ONNX Runtime script's list. Nothing is asked for over the network."""

PULL = """\
Get models of the ONNX Model Zoo from the Hugging Face hub, check them against the zoo's SHA-256, and add them to a
model list. Finished files are never fetched twice; the same command goes on with what was interrupted. A name that is
not in the zoo's list is a repository of the hub: NAME of the zoo's organisation, or ORGANISATION/NAME, and
REPOSITORY:PATH where it has several models.

The hub has the models alone. Test data come from your own archives, by --with-data.

Exit status: 0; 1 if some models could not be got; 2 if none could; 130 after Ctrl-C."""

PULL_EXAMPLES = """\
examples:
  ortperf zoo pull mnist-8 resnet50-v1-7            two models -> models/, models.json
  ortperf zoo pull --original -j 8                  the 46 models of the ONNX Runtime script
  ortperf zoo pull -k 'resnet and not int8'         those that an expression selects
  ortperf zoo pull mnist-8 --with-data=/mnt/onnx    with test data from archives in a folder
"""

LINKS = """\
Get archives of models, as the ONNX Runtime script's setup_onnx_zoo.py did: each is unpacked into a folder of its
name, its first .onnx file by path is the model, and test data beside that are the model's. FILE is a text file with an
address a line, or an archive itself (tar, tar.gz, zip and others). #sha256=... at the end of an address is checked."""

LINKS_EXAMPLES = """\
examples:
  ortperf zoo links links.txt
  ortperf zoo links https://HOST/models/mnist-8.tar.gz#sha256=...
"""

MANY = """\
Get archives that hold many models each, as the ONNX Runtime script's setup_many_models.sh did: each is unpacked into a
folder of its name, and all .onnx files in it are models."""

MANY_EXAMPLES = """\
examples:
  ortperf zoo many https://HOST/partner-models.zip
"""

_SOME_FAILED, _NONE = 1, 2
_NAMES_SHOWN = 8


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    about = "Models of the ONNX Model Zoo, and of archives at any address."
    parser = commands.add_parser("zoo", help="get models of the ONNX Model Zoo, or of archives", description=about)
    under = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(under)
    _add_pull(under)
    _add_archives(under, "links", "get archives of one model each", LINKS, LINKS_EXAMPLES)
    _add_archives(under, "many", "get archives of many models each", MANY, MANY_EXAMPLES)


def _add_list(commands: Any) -> None:
    parser = subcommand(commands, "list", "show the models of the zoo", LIST)
    _add_filters(parser)
    parser.set_defaults(call=_list)


def _add_pull(commands: Any) -> None:
    parser = subcommand(commands, "pull", "get models of the zoo", PULL, PULL_EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a model of ortperf zoo list, or a repository")
    parser.add_argument("--all", action="store_true", help="all models of the zoo, 25 GiB")
    _add_filters(parser)
    parser.add_argument(
        "--with-data",
        metavar="DIR|URL",
        help="add test data from archives such as mnist-8.tar.gz in a folder, or below URL",
    )
    parser.add_argument("--revision", default="main", help="branch, tag or commit of the repositories (default: main)")
    _add_fetching(parser)
    parser.set_defaults(call=_pull)


def _add_archives(commands: Any, name: str, summary: str, description: str, epilog: str) -> None:
    parser = subcommand(commands, name, summary, description, epilog)
    parser.add_argument("sources", nargs="+", metavar="FILE|URL", help="archives, and files with an address a line")
    parser.add_argument(
        "--max-size", type=_positive, default=64.0, metavar="GIB", help="what one archive may unpack to (default: 64)"
    )
    _add_fetching(parser)
    parser.set_defaults(call=_archives, every_model=name == "many")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-k", dest="expression", metavar="EXPR", help="models whose name or path match: 'resnet and not int8'"
    )
    parser.add_argument("--original", action="store_true", help="the 46 models of the ONNX Runtime script's list")


def _add_fetching(parser: argparse.ArgumentParser) -> None:
    from pytest_ortperf.provision.zoo.transfer import JOBS, STALLED_S

    parser.add_argument(
        "--folder", type=Path, default=Path("models"), metavar="DIR", help="where models go (default: models)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("models.json"),
        metavar="FILE",
        help="model list that they are added to (default: models.json)",
    )
    parser.add_argument(
        "-j", "--jobs", type=_count, default=JOBS, metavar="N", help=f"files fetched at once (default: {JOBS})"
    )
    parser.add_argument(
        "--stalled",
        type=_positive,
        default=STALLED_S,
        metavar="SECONDS",
        help=f"a connection that sends nothing for this long is opened anew (default: {STALLED_S:g})",
    )


def _list(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.provision.zoo.catalogue import matching, read_catalogue
    from pytest_ortperf.reports.terminal.inspection_text import byte_text
    from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines

    some = [model for model in read_catalogue().values() if model.original or not arguments.original]
    models = matching(some, arguments.expression)
    if not models:
        print("no model of the zoo matches")
        return _SOME_FAILED
    columns = (
        TextColumn(title="model", cells=[model.name for model in models], to_left=True),
        TextColumn(title="size", cells=[byte_text(model.file.byte or 0) for model in models]),
        TextColumn(title="opset", cells=[str(model.opset or "") for model in models]),
        TextColumn(title="for", cells=["/".join(model.tags) for model in models], to_left=True, keep=2),
        TextColumn(title="original", cells=["yes" if model.original else "" for model in models], to_left=True, keep=1),
    )
    for line in table_lines(columns, shutil.get_terminal_size().columns):
        print(line)
    print(f"\n{_models(len(models))}, {byte_text(sum(model.file.byte or 0 for model in models))}")
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.provision.zoo.pull import Selection, pull

    selection = Selection(
        names=arguments.names,
        everything=arguments.all,
        original=arguments.original,
        expression=arguments.expression,
        revision=arguments.revision,
        with_data=arguments.with_data,
    )
    with _status() as status:
        pulled = pull(selection, _fetching(arguments, status))
    for repository in pulled.repositories:
        print(f"from {repository}")
    for note in pulled.notes:
        print(f"note: {note}")
    if pulled.without_data:
        print(f"without test data, which the hub does not have: {_names(pulled.without_data)}")
        if arguments.with_data is None:
            print("  add them from your own archives with --with-data=DIR, or have inputs generated")
    return _finish(pulled.entries, pulled.failures, arguments.output)


def _archives(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.provision.zoo.archives import Limits
    from pytest_ortperf.provision.zoo.links import get_links

    limits = Limits(byte=int(arguments.max_size * 2**30))
    with _status() as status:
        fetching = _fetching(arguments, status)
        unpacked = get_links(arguments.sources, fetching, every_model=arguments.every_model, limits=limits)
    for place, sha256 in unpacked.checksums:
        print(f"not checked, no checksum given: {place}#sha256={sha256}")
    bare = [entry.name for entry in unpacked.entries if entry.test_data is None]
    if bare:
        print(f"without test data: {_names(bare)}")
    return _finish(unpacked.entries, unpacked.failures, arguments.output)


def _finish(entries: Sequence[ListedEntry], failures: Sequence[str], output: Path) -> int:
    """Add models to the list, tell what became of everything, and return the exit status."""
    from pytest_ortperf.cases.issues import shown_path
    from pytest_ortperf.provision.zoo.list_file import add_to_list

    if entries:
        merged = add_to_list(output, entries)
        shown = shown_path(merged.path)
        for note in merged.notes:
            print(f"note: {note}")
        for names, what in ((merged.added, "added"), (merged.given_data, "given test data")):
            if names:
                print(f"{shown}: {what}: {_names(names)}")
        if not merged.added and not merged.given_data:
            print(f"{shown}: has all of them already")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    if not entries:
        return _NONE
    print(f"next: {shlex.join(['pytest', '--ortperf-mode=both', f'--ortperf-models={shown}'])}")
    return _SOME_FAILED if failures else 0


def _fetching(arguments: argparse.Namespace, status: StatusLine) -> Fetching:
    from pytest_ortperf.provision.zoo.downloads import Fetching
    from pytest_ortperf.provision.zoo.folder import ModelFolder

    folder = ModelFolder(arguments.folder.absolute())
    return Fetching(folder=folder, status=status, jobs=arguments.jobs, stalled_s=arguments.stalled)


def _status() -> StatusLine:
    from pytest_ortperf.pairing.status_line import StatusLine

    return StatusLine(sys.stderr)


def _names(names: Sequence[str]) -> str:
    from pytest_ortperf.reports.terminal.text_table import short_names

    return short_names(names, _NAMES_SHOWN)


def _models(number: int) -> str:
    return "1 model" if number == 1 else f"{number} models"


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
