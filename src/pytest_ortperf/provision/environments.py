"""Environments with another ONNX Runtime: this installation with all its packages, and that runtime instead of its own.

An environment is an artifact of the cache: `venv/` has the runtime and nothing else, `shared/` links to the packages of
the environment that this process runs in. pip sees the shared packages and leaves them alone, because they lie outside
of `venv/`; it installs only what a runtime needs beyond them.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest_ortperf
from pytest_ortperf.execution.model.artifact_cache import Artifact, ArtifactCache, default_folder
from pytest_ortperf.provision.addresses import nightly_index
from pytest_ortperf.provision.pip_program import Index, NotOfferedError, ProvisionError, run_pip
from pytest_ortperf.provision.runtimes import Runtime, nightly_version, read_runtime, why_not_offered
from pytest_ortperf.records.environment.distributions import onnxruntime_distributions

CACHE_LIMIT_GIB = 10.0
Tell = Callable[[str], None]

_LAYOUT = 1
"""Of an environment; another one is made where this has changed."""

_WHAT = "onnxruntime"
"""Key of an artifact's facts: whether it is an environment, and of what."""

_START = "_ortperf_environment"
_SITES = {"site-packages", "dist-packages"}
_NOT_SHARED = {"onnxruntime", "__pycache__"}
_CUDA_PACKAGES = "nvidia"
"""Folder that ONNX Runtime looks for beside itself, for the libraries of CUDA and cuDNN."""

_PROOF = """\
import json, onnx, onnxruntime, pytest_ortperf
from pytest_ortperf.records.environment.distributions import onnxruntime_distributions
print(json.dumps([onnxruntime.__file__, pytest_ortperf.__file__, onnxruntime_distributions()]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEnvironment:
    """An interpreter with one ONNX Runtime; the cache keeps it as long as this object or one of its processes lives."""

    runtime: Runtime
    version: str
    """What is installed; `unknown` of a build that has no metadata."""

    artifact: Artifact

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.artifact.folder / "venv/bin/python")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnvironment:
    """An environment that lies in the cache."""

    label: str
    python: str
    byte: int
    used: float
    """When it was last used, in seconds since 1970."""

    is_of_this: bool
    """Whether it shares the packages of this environment as they are now."""


class Environments:
    """Makes environments and finds them again.

    Args:
        cache: Folder of the cache; the user's unless given.
        limit_gib: What all of the cache may hold.
        tell: Told what happens, in a line.
    """

    def __init__(self, tell: Tell, cache: Path | None = None, limit_gib: float = CACHE_LIMIT_GIB) -> None:
        self._tell = tell
        self._cache = ArtifactCache(cache or default_folder(), int(limit_gib * 2**30))

    def use(self, text: str) -> RuntimeEnvironment:
        """Return the environment of the runtime that a user named, made now if there is none.

        Raises:
            SettingsError: If the text names no runtime.
            ProvisionError: If it cannot be installed, or another one is imported in its place.
        """
        runtime = read_runtime(text)
        began = time.monotonic()
        was_made = False

        def make(folder: Path) -> Mapping[str, Any]:
            nonlocal was_made
            was_made = True
            self._tell(f"{runtime.label}: installing")
            return {_WHAT: {"label": runtime.label, "base": _base(), "version": _install(runtime, folder)}}

        artifact = self._cache.get({_WHAT: runtime.key, "layout": _LAYOUT, "base": _base()}, make)
        if artifact.note:
            self._tell(artifact.note)
        made = RuntimeEnvironment(runtime=runtime, version=artifact.facts[_WHAT]["version"], artifact=artifact)
        if was_made:
            self._tell(f"{runtime.label}: ready after {time.monotonic() - began:.1f} s, in {artifact.folder}")
        else:
            _prove(runtime, artifact.folder)
            self._tell(f"{runtime.label}: found in {artifact.folder}")
        return made

    def kept(self) -> list[KeptEnvironment]:
        """Return all environments, the one that was used last first."""
        base = _base()
        found = [
            KeptEnvironment(
                label=_shown(entry.facts[_WHAT]),
                python=str(entry.folder / "venv/bin/python"),
                byte=entry.byte,
                used=entry.used,
                is_of_this=entry.facts[_WHAT]["base"] == base,
            )
            for entry in self._cache.entries()
            if _WHAT in entry.facts
        ]
        return sorted(found, key=lambda each: each.used, reverse=True)


def _shown(fact: Mapping[str, str]) -> str:
    label, version = fact["label"], fact["version"]
    return label if version in label else f"{label} ({version})"


def _base() -> dict[str, Any]:
    """Return what an environment shares with the one of this process; fit for JSON."""
    return {
        "python": sys.version,
        "home": sys.base_prefix,
        "package": str(_own_folder()),
        "shared": {str(folder): sorted(_shared_names(folder)) for folder in _site_folders()},
    }


def _own_folder() -> Path:
    """Return the folder that this package is imported from."""
    return Path(pytest_ortperf.__file__).resolve().parents[1]


def _site_folders() -> list[Path]:
    """Return the folders of installed packages, in the order of the import path."""
    return [path for text in sys.path if (path := Path(text)).name in _SITES and path.is_dir()]


def _shared_names(folder: Path) -> set[str]:
    """Return what a folder of installed packages holds, less ONNX Runtime."""
    names = onnxruntime_distributions([str(folder)])
    left_out = {
        file.parts[0]
        for each in distributions(path=[str(folder)])
        if each.name.replace("_", "-").lower() in names
        for file in each.files or ()
    }
    return {path.name for path in folder.iterdir()} - left_out - _NOT_SHARED - {f"{_START}.py", f"{_START}.pth"}


def _install(runtime: Runtime, folder: Path) -> str:
    """Make the environment in an empty folder; return the version of its runtime.

    Raises:
        ProvisionError: If that cannot be.
    """
    try:
        python = _lay_out(runtime, folder)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ProvisionError(f"the disk is full: {folder.parent}. Make room, or choose --cache=DIR.") from error
    if runtime.kind != "folder":
        _install_wheel(runtime, folder, python)
    return _prove(runtime, folder)


def _lay_out(runtime: Runtime, folder: Path) -> Path:
    home = folder / "venv"
    venv.EnvBuilder(symlinks=True).create(home)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    for number, shared in enumerate(_site_folders()):
        _link(shared, folder / f"shared/{number}/site-packages")
        _link_files(shared / _CUDA_PACKAGES, site / _CUDA_PACKAGES)
    own = _own_folder()
    paths = [runtime.text] * (runtime.kind == "folder") + [str(own)] * (own.name not in _SITES)
    shutil.copyfile(Path(__file__).with_name("environment_start.py"), site / f"{_START}.py")
    (site / f"{_START}.pth").write_text("\n".join([*paths, f"import {_START}", ""]), encoding="utf-8")
    return home / "bin/python"


def _link(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in _shared_names(source):
        (target / name).symlink_to((source / name).resolve())


def _link_files(source: Path, target: Path) -> None:
    """Link each file by itself: where pip replaces one, the link goes and the file of the other environment stays."""
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (there / name).exists():
                (there / name).symlink_to(Path(folder, name).resolve())


def _install_wheel(runtime: Runtime, folder: Path, python: Path) -> None:
    wanted = runtime.text if runtime.kind == "wheel" else f"{runtime.distribution}=={runtime.text}"
    if runtime.kind == "nightly":
        wheels = folder / "wheels"
        wanted = f"{runtime.distribution}=={nightly_version(runtime)}"
        # its requirements come from the user's own index
        run_pip(["download", "--no-deps", "--dest", str(wheels), wanted], index=Index(address=nightly_index()))
        wanted = str(next(wheels.glob("*.whl")))
    try:
        run_pip(["install", "--no-compile", "--no-warn-script-location", wanted], python=python)
    except NotOfferedError as error:
        if runtime.kind != "release":
            raise
        raise why_not_offered(runtime) from error
    shutil.rmtree(folder / "wheels", ignore_errors=True)


def _prove(runtime: Runtime, folder: Path) -> str:
    """Return the version of the runtime that the interpreter imports, which is the one of this environment.

    Raises:
        ProvisionError: If it imports another one, or none.
    """
    python = folder / "venv/bin/python"
    done = subprocess.run(  # noqa: S603 - made here
        [python, "-c", _PROOF], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        said = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise ProvisionError(f"{runtime.label}: cannot be imported by {_python_name()}:\n  {said}")
    imported, package, found = json.loads(done.stdout.strip().splitlines()[-1])
    expected = Path(runtime.text) if runtime.kind == "folder" else folder
    if not Path(imported).resolve().is_relative_to(expected.resolve()):
        raise ProvisionError(
            f"{runtime.label}: {imported} is imported in its place. Take its folder out of PYTHONPATH, or start "
            f"elsewhere"
        )
    if Path(package).resolve().parents[1] != _own_folder():
        raise ProvisionError(
            f"{runtime.label}: pytest_ortperf is imported from {package}, not from {_own_folder()}; see PYTHONPATH"
        )
    return str(found.get(runtime.distribution, "unknown"))


def _python_name() -> str:
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"
