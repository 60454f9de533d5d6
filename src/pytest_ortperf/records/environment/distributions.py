"""Installed distributions, found by the names of their metadata folders; no package is imported."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution

from pytest_ortperf.errors import SettingsError

_FOLDER = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)[^/]*\.(?:dist|egg)-info")


def installed(prefixes: Sequence[str], paths: Sequence[str] | None = None) -> dict[str, Distribution]:
    """Return the distributions whose name starts with one of the prefixes, by normalised name, sorted.

    Args:
        prefixes: Normalised: lower case, words joined by `-`.
        paths: Folders to look in, the first that has a name counts; `sys.path` unless given.
    """
    found: dict[str, Distribution] = {}
    for folder in sys.path if paths is None else paths:
        for name, path in _metadata_folders(folder or "."):
            if name.startswith(tuple(prefixes)) and name not in found:
                found[name] = Distribution.at(path)
    return dict(sorted(found.items()))


def onnxruntime_distributions(paths: Sequence[str] | None = None) -> dict[str, str]:
    """Return name -> version of the distributions that bring the package `onnxruntime`.

    Left out are those whose package has another name: plugin providers such as onnxruntime-qnn 2 and
    onnxruntime-ep-*, onnxruntime-extensions, onnxruntime-genai.
    """
    candidates = installed(("onnxruntime", "ort-"), paths)
    return {name: item.version for name, item in candidates.items() if _brings_onnxruntime(item)}


def require_one_onnxruntime(paths: Sequence[str] | None = None) -> None:
    """Check that the package `onnxruntime` is installed and comes from one distribution.

    Raises:
        SettingsError: If none or several are; says what to install or uninstall.
    """
    found = onnxruntime_distributions(paths)
    if len(found) > 1:
        names = ", ".join(f"{name} {version}" for name, version in found.items())
        raise SettingsError(
            f"{len(found)} distributions of ONNX Runtime are installed ({names}); their files overwrite each "
            f"other. Keep one: pip uninstall -y {' '.join(found)}, then install the one you want again, "
            f"for instance pip install 'pytest-ortperf[cpu]'."
        )
    if not found and not (paths is None and _importable()):
        raise SettingsError(
            "ONNX Runtime is not installed. Install it with pip install 'pytest-ortperf[cpu]', "
            "'pytest-ortperf[gpu]' (CUDA, TensorRT) or 'pytest-ortperf[openvino]'."
        )


def versions(names: Sequence[str], prefixes: Sequence[str], paths: Sequence[str] | None = None) -> dict[str, str]:
    """Return name -> version of the distributions with one of the names or prefixes."""
    found = installed((*names, *prefixes), paths)
    return {name: item.version for name, item in found.items() if name in names or name.startswith(tuple(prefixes))}


def first_version(found: Mapping[str, str], pattern: str) -> str | None:
    """Return the version of the first distribution whose whole name matches the pattern."""
    return next((version for name, version in found.items() if re.fullmatch(pattern, name)), None)


def _metadata_folders(folder: str) -> Iterator[tuple[str, str]]:
    try:
        entries = os.listdir(folder)  # noqa: PTH208 - a tenth of the time, and sys.path holds strings
    except OSError:
        return  # an archive, or an entry that does not exist: both usual on sys.path
    for entry in sorted(entries):
        match = _FOLDER.fullmatch(entry)
        if match:
            yield re.sub(r"[-_.]+", "-", match["name"]).lower(), f"{folder}/{entry}"


def _brings_onnxruntime(distribution: Distribution) -> bool:
    top_level = distribution.read_text("top_level.txt")
    if top_level is not None:
        return "onnxruntime" in top_level.split()
    listing = distribution.read_text("RECORD") or ""
    return re.search(r"^onnxruntime/", listing, re.MULTILINE) is not None


def _importable() -> bool:
    """Tell whether a package without metadata is there, such as a build tree on PYTHONPATH."""
    spec = importlib.util.find_spec("onnxruntime")
    return spec is not None and spec.origin is not None
