"""TensorRT's libraries below a folder, loaded before the TensorRT provider looks for them."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_DEPTH = 6
MAX_SECONDS = 5.0
PARTS = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
"""In the order they need each other."""

BUILDER_RESOURCE = "libnvinfer_builder_resource"
"""Of more than a gigabyte; libnvinfer opens it itself when it builds, from its own folder."""

_FILE = re.compile(r"(?P<part>lib\w+)\.so\.(?P<version>\d+(?:\.\d+)*)")
_NEEDED = re.compile(rb"libnvinfer\.so\.(\d+)\0")
_SKIPPED = frozenset({"proc", "sys", "dev", "__pycache__", "node_modules"})
_LOGGER = logging.getLogger(__name__)

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """One file of TensorRT."""

    path: Path
    part: str
    version: Version
    """As long as the name behind links tells: `(10, 7, 0)`."""


def preload_tensorrt(
    workspace: Path, *, major: int | None = None, builder_resource: bool = False, max_seconds: float = MAX_SECONDS
) -> list[Path]:
    """Load TensorRT from below a folder, so that the provider's own need of it is met; return what was loaded.

    The newest version comes first; if it cannot be loaded, which is logged, the next one does. Parts of one version
    come from one folder.

    Args:
        workspace: Searched six folders deep; links to folders are not followed, unreadable folders are left out.
        major: Version that ONNX Runtime needs; asked of its provider library unless given. Others are left out.
        builder_resource: Whether libnvinfer's builder resource is loaded too, for an installation that lost its own
            search path.
        max_seconds: The search ends then, with what it has found.
    """
    wanted = major if major is not None else needed_major()
    libraries = find_libraries(workspace, max_seconds=max_seconds)
    cores = [it for it in libraries if it.part == PARTS[0] and wanted in {None, it.version[0]}]
    for core in sorted(cores, key=lambda it: it.version, reverse=True):
        if _load(core.path):
            names = (*PARTS[1:], BUILDER_RESOURCE) if builder_resource else PARTS[1:]
            beside = [found for name in names if (found := _beside(core, name, libraries)) is not None]
            return [core.path, *(path for path in beside if _load(path))]
    return []


def find_libraries(workspace: Path, *, max_depth: int = MAX_DEPTH, max_seconds: float = MAX_SECONDS) -> list[Library]:
    """Return TensorRT's libraries below a folder, each file once, however many links lead to it."""
    found: dict[Path, Library] = {}
    for entry in files_below(workspace, max_depth, max_seconds):
        match = _FILE.fullmatch(entry.name)
        if match is None or not match["part"].startswith((*PARTS[:1], *PARTS[2:])):
            continue
        real = Path(os.path.realpath(entry.path))
        version = _FILE.fullmatch(real.name) or match
        found.setdefault(real, Library(real, match["part"], tuple(map(int, version["version"].split(".")))))
    return list(found.values())


def needed_major(library: Path | None = None) -> int | None:
    """Return the version of TensorRT that ONNX Runtime's provider library asks the loader for, such as 10.

    Args:
        library: The installed one unless given.
    """
    path = library or _provider_library()
    if path is None or not path.exists():
        return None
    match = _NEEDED.search(path.read_bytes())
    return int(match[1]) if match else None


def tensorrt_version(name: str | None = None) -> str | None:
    """Return the version of the libnvinfer that the loader gives, such as `10.16.1`; `None` if it gives none.

    Args:
        name: File name or path; that of the version ONNX Runtime needs unless given.
    """
    major = needed_major()
    wanted = name or (f"libnvinfer.so.{major}" if major else None)
    if wanted is None:
        return None
    try:
        number = int(ctypes.CDLL(wanted).getInferLibVersion())
    except (OSError, AttributeError):
        return None
    return version_text(number)


def version_text(number: int) -> str:
    """Return `10.16.1` for 101601 and `8.6.1` for 8601, as TensorRT counts."""
    unit = 10_000 if number >= 100_000 else 1_000  # noqa: PLR2004 - from version 10 on
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _beside(core: Library, part: str, libraries: list[Library]) -> Path | None:
    """Return the library of the same version that is next to another; the newest of its major version else."""
    near = [
        it
        for it in libraries
        if it.part == part and it.path.parent == core.path.parent and it.version[0] == core.version[0]
    ]
    best = max(near, key=lambda it: (it.version == core.version, it.version), default=None)
    return best.path if best else None


def _load(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        _LOGGER.warning("%s could not be loaded: %s", path, error)
        return False
    return True


def files_below(folder: Path, max_depth: int, max_seconds: float) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder, the nearest first, until the depth or the time is reached."""
    deadline = time.monotonic() + max_seconds
    level = [str(folder)]
    for _ in range(max_depth + 1):
        below: list[str] = []
        for path in level:
            if time.monotonic() > deadline:
                _LOGGER.warning("the search for TensorRT below %s was ended; name a folder nearer to it", folder)
                return
            for entry in _entries(path):
                if entry.is_dir(follow_symlinks=False):
                    below += [] if entry.name in _SKIPPED or entry.name.startswith(".") else [entry.path]
                else:
                    yield entry
        level = below


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not ours to read, or gone meanwhile
        return []


def _provider_library() -> Path | None:
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
