"""What ONNX Runtime's developers need to know of a release that brought a change: a folder that shows it, and text."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_ortperf.provision.environments import RuntimeEnvironment
from pytest_ortperf.provision.version_judges import LATENCY
from pytest_ortperf.provision.version_search import VersionSearch, lines_of

TIMED_S = 5
_NAME = "ISSUE.md"
_CASE_OPTIONS = re.compile(r"-k|-k.+|--ortperf-mode(=.*)?")


def write_upstream_report(
    search: VersionSearch, distribution: str, sides: tuple[RuntimeEnvironment, RuntimeEnvironment], folder: Path
) -> list[str]:
    """Write the folder; return what it holds, or nothing if the case cannot be told without this package.

    Args:
        search: It is over, and has found a range.
        distribution: Of ONNX Runtime.
        sides: The last good and the first bad version.
        folder: For all files.
    """
    # the bad version's own answer is the best to show; where it fails altogether, the good one has the references
    if search.case is None or not any(_write_repro(search, side, folder) for side in reversed(sides)):
        return []
    timed = ["--time", str(TIMED_S)] if search.question["on"] == LATENCY else []
    said = [_said(side, folder, timed) for side in sides]
    (folder / _NAME).write_text(_text(search, distribution, said, timed), encoding="utf-8")
    return sorted(path.name for path in folder.iterdir())


def commands_of(search: VersionSearch, distribution: str) -> list[str]:
    """Return the commands that show what was found."""
    options = shlex.join(search.question["options"])
    last, first = (f"{distribution}=={version}" for version in (search.last_good, search.first_bad))
    if search.question["on"] == LATENCY:
        return [f"ortperf ab --base-ort={last} --current-ort={first} {options}"]
    return [f'"$(ortperf ort use {version})" -m pytest --ortperf-mode=validate {options}' for version in (last, first)]


def _write_repro(search: VersionSearch, side: RuntimeEnvironment, folder: Path) -> bool:
    """Have `ortperf repro` of an environment write the folder; return whether it could."""
    options = _without_selection(search.question["options"])
    done = subprocess.run(  # noqa: S603 - made by `ortperf ort use`
        [side.python, "-m", "pytest_ortperf.cli", "repro", search.case or "", "--output", folder, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode in {0, 1}


def _without_selection(options: Sequence[str]) -> list[str]:
    """Return pytest's options less those that the command for one case gives itself."""
    kept, skip = [], False
    for option in options:
        if not skip and not _CASE_OPTIONS.fullmatch(option):
            kept.append(option)
        skip = option == "-k"
    return kept


def _said(side: RuntimeEnvironment, folder: Path, timed: Sequence[str]) -> str:
    done = subprocess.run(  # noqa: S603 - made by `ortperf ort use`
        [side.python, "run.py", *timed],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.stdout.strip()


def _text(search: VersionSearch, distribution: str, said: Sequence[str], timed: Sequence[str]) -> str:
    what = {LATENCY: "is slower", "accuracy": "has other outputs"}.get(search.question["on"], "fails")
    model = (search.case or "").rpartition(".json::")[2].partition("::")[0]
    script = shlex.join(["python", "run.py", *timed])
    shown = "\n\n".join(
        f"```console\n$ pip install {distribution}=={version} numpy\n$ {script}\n{text}\n```"
        for version, text in zip((search.last_good, search.first_bad), said, strict=True)
    )
    table = "\n".join(lines_of(search))
    return (
        f"# {distribution} {search.first_bad}: {model} {what}, and not with {search.last_good}\n\n"
        f"Needs only this folder, {distribution} and numpy. Versions of everything else are in README.md.\n\n"
        f"{shown}\n\n"
        f"Versions that were tried:\n\n```text\n{table}\n```\n"
    )
