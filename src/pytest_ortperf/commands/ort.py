"""`ortperf ort`: environments with another ONNX Runtime, and the search for the release that brought a change."""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.subcommand import subcommand

if TYPE_CHECKING:
    from pytest_ortperf.provision.environments import Environments, RuntimeEnvironment
    from pytest_ortperf.provision.release_search import ReleaseSearch
    from pytest_ortperf.provision.version_judges import VersionJudge

USE = """\
Make an environment with this installation of pytest-ortperf, all packages beside it, and another ONNX Runtime; print
the path of its interpreter. Only ONNX Runtime is installed: everything else is shared with the environment that this
command runs in. It is kept in the cache folder and found again. pip's own configuration counts: indexes, folders of
wheels, proxies."""

USE_EXAMPLES = """\
examples:
  ortperf ort use 1.31.0                        that release of the distribution that is installed here
  ortperf ort use onnxruntime-openvino==1.24.1  another distribution
  ortperf ort use nightly:2026-11-20            a nightly build
  ortperf ort use build/Linux/Release           what a build of ONNX Runtime has left there
  "$(ortperf ort use 1.31.0)" -m pytest --ortperf-mode=both
"""

BISECT = """\
Find the release that made a case slower, made it fail or changed its outputs, among those that pip's index offers
between a good and a bad one; then among nightly builds, where their index can be reached. Each step makes an
environment and judges it: by latency in pairs of processes, as `ortperf ab` does, or by validating the case. The same
command goes on after an interruption, and prints again what it found. All further options are pytest's:
--ortperf-ep=cpu, --ortperf-threads=1.

Exit status: 0 if it was found; 1 if there is no change between both ends; 2 for what cannot be used; 130 after
Ctrl-C."""

BISECT_EXAMPLES = """\
examples:
  ortperf ort bisect 1.24.4 1.32.0 -k bert --ortperf-ep=cpu
  ortperf ort bisect 1.31.0 1.32.0 -k bert --on=accuracy --ortperf-ep=cuda
  ortperf ort bisect nightly:2026-11-01 nightly:2026-11-20 -k bert --on=failure
"""

BUILD = """\
Build ONNX Runtime by its own build.sh, keep the wheel in the cache, and make an environment with it as
`ortperf ort use` does; print the path of its interpreter. A wheel that was built before from the same commit with the
same flags is used again. Without CHECKOUT the source comes from ONNX Runtime's repository. A branch or commit is built
in a copy of the source in the cache, so a checkout of yours is never changed; without either, CHECKOUT is built as it
is.

All flags after `--` go to build.sh. It needs a compiler, CMake, and the Python packages that ONNX Runtime's setup.py
needs, in this environment."""

BUILD_EXAMPLES = """\
examples:
  ortperf ort build --branch=main
  ortperf ort build --branch=v1.32.0 -- --use_openvino CPU
  ortperf ort build ~/onnxruntime --cuda-home=/usr/local/cuda --cudnn-home=/usr --tensorrt-home=/opt/tensorrt
  ortperf ort build --branch=main --wheel-to=wheels
"""

_FOUND, _NOT_FOUND, _INTERRUPTED = 0, 1, 130


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "ort",
        help="environments with another ONNX Runtime; which release made it slower",
        description="Environments with another ONNX Runtime, and the search for the release that brought a change.",
    )
    under = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    use = _add(under, "use", "make an environment with another ONNX Runtime", USE, USE_EXAMPLES)
    use.add_argument("runtime", metavar="RUNTIME", help="VERSION, nightly:DATE, wheel, or folder of a build")
    use.set_defaults(call=_use)
    build = _add(under, "build", "build ONNX Runtime from source, and make an environment", BUILD, BUILD_EXAMPLES)
    _add_build(build)
    kept = _add(under, "list", "show the environments that were made", "Show the environments that were made.", "")
    kept.set_defaults(call=_list)
    bisect = _add(under, "bisect", "find the release that brought a change", BISECT, BISECT_EXAMPLES)
    _add_bisect(bisect)


def _add(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    from pytest_ortperf.provision.environments import CACHE_LIMIT_GIB

    parser = subcommand(commands, name, summary, description, epilog)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="cache folder (default: as --ortperf-cache)")
    parser.add_argument(
        "--cache-size",
        type=float,
        default=CACHE_LIMIT_GIB,
        metavar="GIB",
        help=f"what the cache may hold; what was used longest ago goes first (default: {CACHE_LIMIT_GIB:g})",
    )
    return parser


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkout", nargs="?", metavar="CHECKOUT", help="folder, or address of a git repository")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--branch", metavar="NAME", help="branch or tag (default: the repository's default branch)")
    which.add_argument("--commit", metavar="COMMIT", help="commit; all 40 digits unless CHECKOUT is a folder")
    parser.add_argument("--config", default="Release", metavar="NAME", help="build.sh's --config (default: Release)")
    parser.add_argument("--cuda-home", type=Path, metavar="DIR", help="build with CUDA, which is there")
    parser.add_argument("--cudnn-home", type=Path, metavar="DIR", help="cuDNN (default: beside CUDA)")
    parser.add_argument("--tensorrt-home", type=Path, metavar="DIR", help="build with TensorRT, which is there")
    parser.add_argument(
        "--oss-parser",
        nargs="?",
        const="",
        metavar="COMMIT",
        help="build onnx-tensorrt instead of taking TensorRT's parser: this commit, or the one that the source names",
    )
    parser.add_argument("--wheel-to", type=Path, metavar="DIR", help="copy the wheel to DIR, and make no environment")
    parser.set_defaults(call=_build, takes_more=True)


def _add_bisect(parser: argparse.ArgumentParser) -> None:
    from pytest_ortperf.provision.version_judges import LATENCY, SYMPTOMS

    parser.add_argument("good", metavar="GOOD", help="version without the change")
    parser.add_argument("bad", metavar="BAD", help="version with it")
    parser.add_argument("-k", dest="case", required=True, metavar="CASE", help="selects one case, as pytest's -k does")
    parser.add_argument("--on", choices=SYMPTOMS, default=LATENCY, help=f"what has changed (default: {LATENCY})")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever was found before")
    parser.add_argument(
        "--results", type=Path, default=Path("result"), metavar="DIR", help="folder of what is found (default: result)"
    )
    parser.set_defaults(call=_bisect, takes_more=True)


def _use(arguments: argparse.Namespace) -> int:
    print(_environments(arguments).use(arguments.runtime).python)
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.pairing.status_line import StatusLine
    from pytest_ortperf.provision.environments import Environments
    from pytest_ortperf.provision.ort_build import BuildRequest, OrtBuilds

    request = BuildRequest(
        checkout=arguments.checkout,
        branch=arguments.branch,
        commit=arguments.commit,
        config=arguments.config,
        cuda_home=arguments.cuda_home,
        cudnn_home=arguments.cudnn_home,
        tensorrt_home=arguments.tensorrt_home,
        parser=arguments.oss_parser,
        flags=arguments.more,
    )
    with StatusLine(sys.stderr) as line:
        builds = OrtBuilds(line.tell, lambda place: line.show(place, None), arguments.cache, arguments.cache_size)
        built = builds.wheel(request)
        if arguments.wheel_to is None:
            made = Environments(line.tell, arguments.cache, arguments.cache_size).use(str(built.path))
            print(made.python)
            return 0
    arguments.wheel_to.mkdir(parents=True, exist_ok=True)
    print(shutil.copy(built.path, arguments.wheel_to))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines

    kept = _environments(arguments).kept()
    if not kept:
        print("no environments; ortperf ort use makes them")
        return 0
    columns = (
        TextColumn(title="runtime", cells=[each.label for each in kept], to_left=True),
        TextColumn(title="MiB", cells=[f"{each.byte / 2**20:.0f}" for each in kept]),
        TextColumn(title="last used", cells=[f"{_local(each.used):%Y-%m-%d %H:%M}" for each in kept]),
        TextColumn(title="packages", cells=["as here" if each.is_of_this else "others" for each in kept], to_left=True),
        TextColumn(title="interpreter", cells=[each.python for each in kept], to_left=True),
    )
    # never cut: the interpreter is there to be copied
    for line in table_lines(columns, sys.maxsize):
        print(line)
    return 0


def _bisect(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.pairing.plan import Plan
    from pytest_ortperf.pairing.status_line import StatusLine
    from pytest_ortperf.provision.environments import Environments
    from pytest_ortperf.provision.release_search import Question, ReleaseSearch
    from pytest_ortperf.provision.version_judges import LATENCY, LatencyJudge, ValidationJudge

    options = ("-k", arguments.case, *arguments.more)
    question = Question(good=arguments.good, bad=arguments.bad, symptom=arguments.on, options=options)
    line = StatusLine(sys.stderr)
    environments = Environments(line.tell, arguments.cache, arguments.cache_size)
    search = ReleaseSearch(question, environments, arguments.results.absolute(), line.tell, fresh=arguments.fresh)

    def judge_of(good: RuntimeEnvironment) -> VersionJudge:
        if arguments.on == LATENCY:
            plan, results = Plan(), search.folder
            return LatencyJudge(good=good, options=options, results=results, tell=line.tell, plan=plan, show=line.show)
        return ValidationJudge(symptom=arguments.on, options=options, folder=search.folder)

    try:
        with line:
            search.run(judge_of)
        return _report(search)
    except KeyboardInterrupt:
        line.tell("interrupted; the same command goes on")
        return _INTERRUPTED


def _report(search: ReleaseSearch) -> int:
    from pytest_ortperf.provision.upstream_report import commands_of, write_upstream_report
    from pytest_ortperf.provision.version_search import lines_of

    found, name = search.search, search.distribution
    for line in lines_of(found):
        print(line)
    if not search.has_change:
        print(f"\nno change between {found.versions[0]} and {found.versions[-1]}")
        return _NOT_FOUND
    print(f"\nlast good: {name} {found.last_good}\nfirst bad: {name} {found.first_bad}")
    for step in found.skipped:
        print(f"between them, not judged: {step.version}, {step.text}")
    print("\nshow it:")
    for command in commands_of(found, name):
        print(f"  {command}")
    folder = search.folder / "repro"
    shutil.rmtree(folder, ignore_errors=True)
    sides = search.environment(found.last_good), search.environment(found.first_bad)
    files = write_upstream_report(found, name, sides, folder)
    print(f"\nfor an issue: {folder}: {', '.join(files)}" if files else "\nno repro folder: ortperf repro fails there")
    print(f"search: {search.path}")
    return _FOUND


def _environments(arguments: argparse.Namespace) -> Environments:
    from pytest_ortperf.provision.environments import Environments

    return Environments(tell, arguments.cache, arguments.cache_size)


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()


def tell(line: str) -> None:
    """Say what happens on standard error, with the time of day."""
    print(f"{datetime.now(UTC).astimezone():%H:%M:%S} {line}", file=sys.stderr, flush=True)
