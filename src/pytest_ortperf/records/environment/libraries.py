"""Versions of CUDA, cuDNN, TensorRT and the NVIDIA driver from files; unknown is `None`.

Every function takes the folder that stands for `/`, so that it can be tried on files.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

_INCLUDE_FOLDERS = ("usr/include", "usr/include/x86_64-linux-gnu", "usr/include/aarch64-linux-gnu")
_CUDA_FOLDER = "usr/local/cuda"
_LIBRARY_FOLDERS = ("", "lib", "lib64", "targets/x86_64-linux-gnu/lib", "targets/aarch64-linux-gnu/lib")
_LIBNVINFER = re.compile(r"libnvinfer\.so\.(\d+(?:\.\d+){1,3})")
_LDCONFIG_TIMEOUT_S = 5


def read_driver(root: Path) -> str | None:
    """Return the version of the loaded NVIDIA kernel module, such as `550.54.15`."""
    text = read_text(root / "proc/driver/nvidia/version")
    match = re.search(r"Kernel Module(?:\s+for\s+\S+)?\s+(\d+(?:\.\d+)+)", text)
    return match[1] if match else None


def read_cuda(root: Path) -> str | None:
    """Return the version of the toolkit's CUDA runtime, such as `12.4.127`, else the toolkit's own."""
    text = read_text(root / _CUDA_FOLDER / "version.json")
    try:
        parts = json.loads(text) if text else {}
        entry = parts.get("cuda_cudart") or parts.get("cuda") or {}
        version = entry.get("version")
    except (ValueError, AttributeError):
        return None
    return str(version) if version else None


def read_cudnn(root: Path) -> str | None:
    """Return the version of the cuDNN headers, such as `9.1.0`."""
    folders = [*(root / name for name in _INCLUDE_FOLDERS), root / _CUDA_FOLDER / "include"]
    for name in ("cudnn_version.h", "cudnn.h"):
        for folder in folders:
            version = _cudnn_of(read_text(folder / name))
            if version:
                return version
    return None


def read_tensorrt(root: Path, workspace: Path | None = None) -> str | None:
    """Return the version of libnvinfer, such as `10.7.0`: below the workspace, else the loader's."""
    for path in _nvinfer_paths(root, workspace):
        match = _LIBNVINFER.fullmatch(_real_name(path))
        if match:
            return match[1]
    return None


def loader_paths(listing: str, library: str) -> list[Path]:
    """Return where `ldconfig -p` says that a library is."""
    pattern = re.compile(rf"^\s*{re.escape(library)}\.so\S*\s.*=>\s*(\S.*)$", re.MULTILINE)
    return [Path(match.strip()) for match in pattern.findall(listing)]


def read_text(path: Path) -> str:
    """Return a file's text, or nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cudnn_of(header: str) -> str | None:
    found = dict(re.findall(r"^#define\s+CUDNN_(MAJOR|MINOR|PATCHLEVEL)\s+(\d+)\s*$", header, re.MULTILINE))
    parts = [found.get(part) for part in ("MAJOR", "MINOR", "PATCHLEVEL")]
    return ".".join(part for part in parts if part) if all(parts) else None


def _nvinfer_paths(root: Path, workspace: Path | None) -> Iterator[Path]:
    if workspace is not None:
        folders = (workspace / name for name in _LIBRARY_FOLDERS)
        yield from _sorted_glob(folders, "libnvinfer.so.*")
    for path in loader_paths(_ldconfig(), "libnvinfer"):
        yield root / path.relative_to("/")


def _sorted_glob(folders: Iterable[Path], pattern: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob(pattern), reverse=True)


def _real_name(path: Path) -> str:
    """Return the file name behind links: `libnvinfer.so.10` is one to `libnvinfer.so.10.7.0`."""
    try:
        return path.resolve(strict=True).name
    except OSError:
        return path.name


def _ldconfig() -> str:
    """Return the loader's cache as text, or nothing where there is no ldconfig."""
    for command in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                [command, "-p"], capture_output=True, check=True, timeout=_LDCONFIG_TIMEOUT_S
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return done.stdout.decode("utf-8", "replace")
    return ""
