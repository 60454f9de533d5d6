"""pip, run as a program with the user's own configuration: what an index offers, and wheels installed from it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pytest_ortperf.errors import OrtPerfError

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")
_NO_NETWORK = re.compile(r"connection broken by|Could not fetch URL|Name or service not known|ProxyError|timed out")
_NOT_FOUND = re.compile(r"No matching distribution found|Could not find a version that satisfies")
_OFFERED = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
_ERROR = re.compile(r"^(?:ERROR|OSError): (.+)$", re.MULTILINE)
_WHEELS_ONLY = "--only-binary=:all:"


class ProvisionError(OrtPerfError):
    """An ONNX Runtime that could not be provided."""


class NotOfferedError(ProvisionError):
    """An index was asked and does not offer a version for this Python and machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A package index other than the configured one."""

    address: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What has pip ask this index instead of those of its configuration; proxies and certificates stay."""
        # an empty variable would count as not given
        return {"PIP_INDEX_URL": self.address, "PIP_EXTRA_INDEX_URL": self.address}


def run_pip(arguments: Sequence[str], *, python: Path | None = None, index: Index | None = None) -> str:
    """Run pip to its end and return what it printed.

    Args:
        arguments: Subcommand and options.
        python: Interpreter whose environment it works on; this one unless given.
        index: The index it asks; the configured ones unless given.

    Raises:
        NotOfferedError: If the index has no such version.
        ProvisionError: If pip failed for another reason; says which.
    """
    if importlib.util.find_spec("pip") is None:
        raise ProvisionError(f"{sys.executable} has no pip. Install it: {sys.executable} -m ensurepip")
    there = [] if python is None else ["--python", str(python)]
    done = subprocess.run(  # noqa: S603 - pip of this interpreter
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *there, *arguments],
        env={**os.environ, **({} if index is None else index.environment)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _failure(done.stdout, index)
    return done.stdout


def offered_versions(
    distribution: str, *, index: Index | None = None, python: str | None = None, nightly: bool = False
) -> list[str]:
    """Return the versions that have a wheel for this machine, oldest first; none if there is none.

    Args:
        distribution: Its name.
        index: The index asked; the configured ones unless given.
        python: Version of the Python that the wheels are for, such as `3.12`; this one unless given.
        nightly: Whether versions before a release count.

    Raises:
        ProvisionError: If no index could be asked.
    """
    wanted = ["--pre"] * nightly + ([] if python is None else ["--python-version", python])
    try:
        printed = run_pip(["index", "versions", distribution, _WHEELS_ONLY, *wanted], index=index)
    except NotOfferedError:
        return []
    if index is not None and _NO_NETWORK.search(printed):
        # what it lists comes from a folder of wheels
        raise _failure(printed, index)
    match = _OFFERED.search(printed)
    found = [] if match is None else [text.strip() for text in match[1].split(",")]
    return sorted(filter(is_version, found), key=Version)


def is_version(text: str) -> bool:
    """Whether a text is a version of a Python package."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _failure(printed: str, index: Index | None) -> ProvisionError:
    errors = _ERROR.findall(printed) or printed.strip().splitlines()[-1:] or ["it printed nothing"]
    if _NO_ROOM.search(printed):
        return ProvisionError(f"the disk is full: {errors[-1]}. Make room, or choose another folder with --cache=DIR.")
    if _NO_NETWORK.search(printed):
        which = "the package index" if index is None else index.address
        return ProvisionError(
            f"{which} cannot be reached. Check the network and pip's configuration (pip config list); without a "
            f"network, PIP_FIND_LINKS=FOLDER with PIP_NO_INDEX=1 takes wheels from a folder."
        )
    if _NOT_FOUND.search(printed):
        return NotOfferedError(errors[-1])
    return ProvisionError(f"pip failed: {errors[-1]}")
