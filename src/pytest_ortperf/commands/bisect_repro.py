"""`ortperf bisect` and `ortperf repro`: what they take, and what they print and write."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.errors import SettingsError

if TYPE_CHECKING:
    from pytest_ortperf.execution.bisection.find import Search
    from pytest_ortperf.records.bisection import Bisection
    from pytest_ortperf.running.case_item import CaseItem

BISECT_EXAMPLES = """\
examples:
  ortperf bisect 'models.json::bert::validate[cuda-fp16]'
  ortperf bisect 'bert::validate[cuda]' --ortperf-ep-option=cuda.use_tf32=0
  ortperf bisect 'quantised::validate[cpu]' --against float.onnx
"""
REPRO_EXAMPLES = """\
examples:
  ortperf repro 'models.json::bert::validate[cuda-fp16]'
  ortperf repro 'bert::validate[cuda]' --smallest --output bert-bug
"""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_FOUND, _NOT_FOUND = 0, 1
_WIDTH = 110
"""Of a description: argparse leaves it as it is where it does so with the examples."""


def add_bisect(commands: Any) -> None:
    """Add `ortperf bisect` to the subparsers of `ortperf`."""
    bisect = _add(
        commands,
        "bisect",
        "find the node where a case goes wrong",
        "Find the first node of a case whose outputs leave tolerance, or where it crashes, by cutting the graph in "
        "halves; write a small model that still fails, and a page that shows the errors. The exit status is 0 if a "
        "node was found, 1 if not.",
        BISECT_EXAMPLES,
    )
    bisect.add_argument(
        "--keep", type=Path, metavar="DIR", help="folder for what is written; one in the results folder unless given"
    )
    bisect.set_defaults(call=_bisect)


def add_repro(commands: Any) -> None:
    """Add `ortperf repro`."""
    repro = _add(
        commands,
        "repro",
        "write a folder that shows a mismatch or crash without this package",
        "Write a folder with a model, its inputs, the expected outputs, versions and a script that needs ONNX Runtime "
        "and numpy only. The exit status is 0 if the script showed the failure here, 1 if not.",
        REPRO_EXAMPLES,
    )
    repro.add_argument("--output", type=Path, metavar="DIR", help="the folder; one in the results folder unless given")
    repro.add_argument(
        "--smallest", action="store_true", help="bisect first, and take the small model that fails instead of the whole"
    )
    repro.set_defaults(call=_repro)


def _add(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(
            f"{description} All further options are pytest's, as in the run: --ortperf-..., -c, --rootdir.", _WIDTH
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("case", metavar="CASE", help="node id as pytest prints it, or case id: 'bert::validate[cuda]'")
    parser.add_argument("--models", metavar="PATH", help="model list or directory, where CASE names none")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="MODEL",
        help="model whose values of the same names are right; the case's own unless given",
    )
    parser.add_argument("--data-set", metavar="NAME", help="the first whose outputs are wrong unless given")
    parser.set_defaults(takes_more=True)
    return parser


def _bisect(arguments: argparse.Namespace) -> int:
    def work(item: CaseItem) -> int:
        from pytest_ortperf.execution.bisection.find import bisect
        from pytest_ortperf.reports.terminal.bisection_text import bisection_lines

        folder = _made(arguments.keep or _folder(item, "bisect"))
        found = bisect(_search(item, arguments, folder / "smallest"))
        files = write_bisection(found, folder)
        for line in bisection_lines(found, shutil.get_terminal_size((120, 24)).columns):
            print(line)
        print(f"pictures: {files[0]}")
        return _FOUND if found.suspect else _NOT_FOUND

    return _with_case(arguments, work)


def _repro(arguments: argparse.Namespace) -> int:
    def work(item: CaseItem) -> int:
        from pytest_ortperf.execution.bug_report.folder import write_bug_report

        folder = _made(arguments.output or _folder(item, "repro"))
        report = write_bug_report(_search(item, arguments, folder), smallest=arguments.smallest)
        print(f"{report.text}")
        print(f"wrote {folder}: {', '.join(report.files)}")
        return _FOUND if report.shows_it else _NOT_FOUND

    return _with_case(arguments, work)


def write_bisection(found: Bisection, folder: Path) -> tuple[Path, Path]:
    """Write the page and the data of an answer; return both paths."""
    from pytest_ortperf.records.codec import as_dict
    from pytest_ortperf.records.store import write_whole
    from pytest_ortperf.reports.pictures.picture_page import bisection_page

    page, data = folder / "bisection.html", folder / "bisection.json"
    write_whole(page, bisection_page(found).encode())
    write_whole(data, f"{json.dumps(as_dict(found), indent=1)}\n".encode())
    return page, data


def _with_case(arguments: argparse.Namespace, work: Callable[[CaseItem], int]) -> int:
    from pytest_ortperf.collection.one_case import read_case_id, with_case

    case = read_case_id(arguments.case)
    if arguments.models is not None:
        case = dataclasses.replace(case, source=arguments.models)
    if arguments.against is not None and not arguments.against.is_file():
        raise SettingsError(f"--against: {arguments.against} is no file; give an ONNX model")
    return with_case(case, arguments.more, work)


def _search(item: CaseItem, arguments: argparse.Namespace, folder: Path) -> Search:
    from pytest_ortperf.execution.bisection.find import Search
    from pytest_ortperf.execution.case_settings import GivenData

    settings = item.run.settings.execution
    if arguments.against is not None:
        settings = dataclasses.replace(settings, given=GivenData(reference_model=arguments.against.absolute()))
    return Search(
        case=item.case,
        settings=settings,
        hooks=item.hooks,
        timeout_s=item.timeout_s,
        folder=folder,
        data_set=arguments.data_set,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )


def _folder(item: CaseItem, what: str) -> Path:
    case = item.case
    return item.run.settings.results / _UNSAFE.sub("_", f"{what}_{case.model.name}_{case.variant}")


def _made(folder: Path) -> Path:
    """Return a folder that is there now: one that cannot be made is not to cost a search."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
    return folder
