"""`ortperf image`: container images with this package, and runs in them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from pytest_ortperf.commands.ort import tell
from pytest_ortperf.commands.subcommand import subcommand
from pytest_ortperf.errors import SettingsError

BUILD = """\
Build an image with this package, ONNX Runtime and, for `cuda`, TensorRT, by docker or podman. Packages have the
versions that are installed here. The image runs as a user who is not root."""

BUILD_EXAMPLES = """\
examples:
  ortperf image build cpu
  ortperf image build cpu --onnxruntime=1.31.0 -t perf:1.31
  ortperf image build cuda --tensorrt=10.14.1.48
  ortperf image build cuda --tensorrt=TensorRT-10.14.1.48.Linux.x86_64-gnu.cuda-13.0.tar.gz
  ortperf image build cuda --onnxruntime=branch:main --oss-parser --cuda-architectures=90
  ortperf image build cpu --base-image=registry.example/python:3.13 --wheels=wheels
"""

RUN = """\
Run pytest in an image. The folder of the models is seen at the same path as here and cannot be written; the results
folder is on this side, and its files belong to whoever runs this command. Started by root, the image's own user runs
and owns them. All further options are pytest's: --ortperf-mode=validate, -k bert, --ortperf-fp16. What follows `--` is
pytest's too, whatever its name: -- -v -m slow.

Exit status: pytest's."""

RUN_EXAMPLES = """\
examples:
  ortperf image run -m models.json -e cpu
  ortperf image run -d pytest-ortperf:cuda -v /data/models -o onnx-zoo-models -e tensorrt,cuda
  ortperf image run -o selected-models -m /data/models/bert -p /data/perf
  ortperf image run -m models.json --gpus=0 --ortperf-fp16 --engine-option=--cpuset-cpus=0-7
"""

PYTEST = "pytest -p no:cacheprovider"
SELECTED = "selected-models"
"""The original's name for what `-m` names."""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "image",
        help="container images with this package, and runs in them",
        description="Container images with this package, and runs in them.",
    )
    under = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_build(_add(under, "build", "build an image", BUILD, BUILD_EXAMPLES))
    _add_run(_add(under, "run", "run pytest in an image", RUN, RUN_EXAMPLES))


def _add(commands: Any, name: str, summary: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser = subcommand(commands, name, summary, description, epilog)
    parser.add_argument(
        "--engine", metavar="PROGRAM", help="docker or podman, with options of its own (default: whichever answers)"
    )
    parser.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="OPTION",
        help=f"--engine-option=--OPTION: an option for the engine's `{name}`; repeatable",
    )
    return parser


def _add_build(parser: argparse.ArgumentParser) -> None:
    from pytest_ortperf.provision.images import DEVICES

    parser.add_argument("device", choices=DEVICES, help="what it is for; cuda has TensorRT too")
    parser.add_argument("-t", "-i", "--tag", metavar="IMAGE", help="its name (default: pytest-ortperf:DEVICE)")
    parser.add_argument("--base-image", metavar="IMAGE", help="Debian or Ubuntu (default: a public image)")
    parser.add_argument("--build-image", metavar="IMAGE", help="to build a branch in: the same with compilers")
    parser.add_argument("--onnxruntime", metavar="WHAT", help="VERSION, requirement, wheel, or branch:NAME")
    parser.add_argument("--tensorrt", metavar="WHAT", help="VERSION in NVIDIA's apt repository, or a .tar.gz")
    parser.add_argument(
        "--oss-parser",
        nargs="?",
        const="",
        metavar="COMMIT",
        help="with a branch: build onnx-tensorrt, this commit or the one that the branch names",
    )
    parser.add_argument("--cuda-architectures", metavar="LIST", help="with a branch: such as 80;90")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="install from this folder alone, without an index")
    parser.add_argument("--package", metavar="WHAT", help="this package, as pip takes it (default: as it is here)")
    parser.set_defaults(call=_build)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d", "--image", metavar="IMAGE", help="(default: pytest-ortperf:cpu; with --gpus pytest-ortperf:cuda)"
    )
    parser.add_argument("-v", "--models", type=Path, metavar="DIR", help="folder of the models (default: that of -m)")
    parser.add_argument(
        "-o", "--option", metavar="NAME", help=f"list NAME.json or folder NAME of the models, or {SELECTED}, as -m says"
    )
    parser.add_argument(
        "-m", "--model-path", type=Path, action="append", default=[], metavar="PATH", help="model list, folder or model"
    )
    parser.add_argument("-e", "--ep", metavar="NAMES", help="providers, as --ortperf-ep takes them")
    parser.add_argument(
        "-p", "--perf-dir", type=Path, default=Path(), metavar="DIR", help="where the folder result is (default: here)"
    )
    parser.add_argument("--results", type=Path, metavar="DIR", help="results folder (default: result)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="cache folder on this side (default: none is kept)")
    parser.add_argument("--gpus", metavar="WHICH", help="all, none, or 0,1 (default: all if the image is for CUDA)")
    parser.add_argument("--print", action="store_true", dest="is_printed", help="print the engine's command, no more")
    parser.add_argument(
        "--program",
        default=PYTEST,
        metavar="COMMAND",
        help="instead of pytest, such as 'ortperf check'",
    )
    parser.set_defaults(call=_run, takes_more=True)


def _build(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.provision.images import ImageRequest, built, find_engine

    request = ImageRequest(
        device=arguments.device,
        name=arguments.tag or f"pytest-ortperf:{arguments.device}",
        base_image=arguments.base_image,
        build_image=arguments.build_image,
        onnxruntime=arguments.onnxruntime,
        tensorrt=arguments.tensorrt,
        parser=arguments.oss_parser,
        architectures=arguments.cuda_architectures,
        wheels=arguments.wheels,
        package=arguments.package,
    )
    built(find_engine(arguments.engine), request, arguments.engine_option, tell)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from pytest_ortperf.provision.images import ContainerRun, find_engine, run_arguments

    is_gpu = arguments.gpus not in (None, "none")
    folder, options = _selected(arguments)
    run = ContainerRun(
        image=arguments.image or f"pytest-ortperf:{'cuda' if is_gpu else 'cpu'}",
        models=folder,
        results=_absolute(arguments.results or arguments.perf_dir / "result"),
        cache=arguments.cache and _absolute(arguments.cache),
        gpus=arguments.gpus,
        options=arguments.engine_option,
        program=shlex.split(arguments.program),
        arguments=[*_labels(), *options, *arguments.more],
    )
    engine = find_engine(arguments.engine)
    command = run_arguments(engine, run, is_terminal=sys.stdout.isatty())
    if arguments.is_printed:
        print(shlex.join([*engine.command, *command]))
        return 0
    return engine.run(command)


def _selected(arguments: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the folder of the models, and pytest's options that follow from what was selected."""
    paths = [_absolute(path) for path in arguments.model_path]
    group = arguments.option
    if group == SELECTED and not paths:
        raise SettingsError(f"-o {SELECTED} needs -m PATH: a model list, a folder or a model")
    for path in paths:
        if not path.exists():
            raise SettingsError(f"-m {path}: there is no such file or folder")
    if arguments.models is not None:
        folder = _absolute(arguments.models)
    elif paths:
        folder = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))
    else:
        folder = Path.cwd()
    outside = [str(path) for path in paths if not path.is_relative_to(folder)]
    if outside:
        raise SettingsError(f"{', '.join(outside)}: not below {folder}, which is all that the container sees; see -v")
    if group and group != SELECTED:
        paths += [_of_group(folder, group)]
    options = [f"--ortperf-models={path}" for path in paths]
    if arguments.ep:
        options.append(f"--ortperf-ep={','.join(arguments.ep.split())}")
    if arguments.program == PYTEST and not any(option.startswith("--ortperf-mode") for option in arguments.more):
        options.append("--ortperf-mode=both")
    return folder, options


def _of_group(folder: Path, group: str) -> Path:
    found = [path for path in (folder / f"{group}.json", folder / group) if path.exists()]
    if not found:
        raise SettingsError(f"-o {group}: {folder} has neither {group}.json nor a folder {group}")
    return found[0]


def _labels() -> list[str]:
    """Return what is known here of branch and commit: there is no git inside, nor the CI's variables."""
    from pytest_ortperf.records.environment.labels import collect_labels

    return [f"--ortperf-label={name}={value}" for name, value in collect_labels((), Path.cwd(), os.environ).items()]


def _absolute(path: Path) -> Path:
    # links are followed: their targets would not be there
    return path.resolve()
