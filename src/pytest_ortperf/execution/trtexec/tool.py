"""The trtexec program of this machine: where it is, which version, and which flags it takes. Standard library only.

The trtexec that the settings of a case mean.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_settings import ExecutionSettings, Tool
from pytest_ortperf.execution.machine.tensorrt_libraries import MAX_DEPTH, MAX_SECONDS, files_below
from pytest_ortperf.execution.trtexec.causes import find_cause
from pytest_ortperf.execution.trtexec.log import SUPPORTED, UnsupportedVersionError, parse_log, unsupported


def chosen_tool(settings: ExecutionSettings) -> Tool:
    """Return the program that a run found for all its cases; where it found none, as in a user's own test, look now.

    Raises:
        CaseError: Stage `session`, kind `provider unavailable`, with the reason why none can be used.
    """
    if settings.trtexec_tool is not None:
        return settings.trtexec_tool
    problem = settings.unusable.get(NAME)
    if problem is not None:
        raise _unusable(problem)
    try:
        return find_tool(settings.trtexec, settings.workspace)
    except ToolError as error:
        raise _unusable(str(error)) from error


def _unusable(problem: str) -> CaseError:
    return CaseError(f"trtexec cannot be used here: {problem}", stage="session", kind="provider unavailable")


NAME = "trtexec"
PLACES = ("/usr/src/tensorrt/bin", "/usr/local/TensorRT*/bin", "/opt/tensorrt/bin")
"""Where NVIDIA's packages, its archives unpacked as its guide says, and its containers put it."""

PROBE_S = 60.0
"""It loads TensorRT's libraries of gigabytes before it prints a line."""

_OPTION = re.compile(r"^ {1,4}(?P<flags>--\w+(?:=\S*)?(?:, -{1,2}\w+)*)")
_NAME = re.compile(r"--(\w+)")
_SECTION = re.compile(r"^=== (?P<name>\w+)(?: Options)? ===$")


class ToolError(Exception):
    """Why no trtexec can be used; the text says it."""


@functools.cache
def find_tool(given: Path | None = None, workspace: Path | None = None) -> Tool:
    """Return the trtexec to use, asked for its version and flags.

    Args:
        given: Its path; nothing else is looked for then.
        workspace: Folder below which it may be.

    Raises:
        ToolError: If there is none, or it does not answer as one.
    """
    return ask_tool(locate(given, workspace))


def locate(given: Path | None, workspace: Path | None, places: tuple[str, ...] = PLACES) -> Path:
    """Return the path of trtexec: as given, else on PATH, below the workspace, or where installers put it.

    Raises:
        ToolError: If it is nowhere, or cannot be run.
    """
    if given is not None:
        return _given(given)
    on_path = shutil.which(NAME)
    if on_path:
        return Path(on_path).absolute()
    found = _first(workspace, places)
    if found is None:
        below = f", not below {workspace}" if workspace else ""
        raise ToolError(
            f"trtexec was not found: not on PATH{below}, not in {', '.join(places)}; it comes with TensorRT: install "
            f"that, or name the program with --ortperf-trtexec=PATH"
        )
    return found


def ask_tool(path: Path, timeout_s: float = PROBE_S) -> Tool:
    """Return what a program says of itself.

    Raises:
        ToolError: If it cannot be started, is from TensorRT 7 or older, ends without its help, or names no version.
    """
    code, text = _answer(path, timeout_s)
    try:
        log = parse_log(text)
    except UnsupportedVersionError as error:
        raise ToolError(
            unsupported(f"{path} is from {error.found}", "name its program with --ortperf-trtexec=PATH")
        ) from error
    flags = read_flags(text)
    if code != 0 or not flags:
        cause = log.cause or find_cause(text.splitlines()) or next(iter(text.strip().splitlines()[-1:]), "no output")
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        raise ToolError(f"{path} --help ended with {how}: {cause}")
    if log.version is None:
        raise ToolError(
            f"{path} --help names no version of TensorRT that is known. {SUPPORTED} "
            f"Name another program with --ortperf-trtexec=PATH."
        )
    return Tool(path=str(path), version=log.version, build_tag=log.build_tag, flags=flags)


def read_flags(text: str) -> dict[str, str]:
    """Return each flag that a `--help` text lists, without its dashes, and the section it stands in.

    A flag may be listed with others, as in `--versionCompatible, --vc`.
    """
    found: dict[str, str] = {}
    section = None
    for line in text.splitlines():
        head = _SECTION.match(line.strip())
        if head:
            section = head["name"]
        option = _OPTION.match(line) if section else None
        if option and section:
            found.update(dict.fromkeys(_NAME.findall(option["flags"]), section))
    return found


def _given(path: Path) -> Path:
    if not path.is_file():
        raise ToolError(f"trtexec was not found: {path} (--ortperf-trtexec) is no file")
    if not os.access(path, os.X_OK):
        raise ToolError(f"{path} (--ortperf-trtexec) cannot be run: it is not executable; chmod +x makes it so")
    return path.absolute()


def _first(workspace: Path | None, places: tuple[str, ...]) -> Path | None:
    below = _below(workspace) if workspace else iter(())
    return next(below, None) or next(_installed(places), None)


def _below(workspace: Path) -> Iterator[Path]:
    for entry in files_below(workspace, MAX_DEPTH, MAX_SECONDS):
        if entry.name == NAME and os.access(entry.path, os.X_OK):
            yield Path(entry.path).absolute()


def _installed(places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        for folder in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
            if os.access(folder / NAME, os.X_OK):
                yield folder / NAME


def _answer(path: Path, timeout_s: float) -> tuple[int, str]:
    try:
        done = subprocess.run(  # noqa: S603 - what the user named
            [str(path), "--help"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise ToolError(f"{path} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{path} --help did not end within {timeout_s:g} s") from error
    return done.returncode, done.stdout.decode("utf-8", "replace")
