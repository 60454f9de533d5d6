"""What a model file and its external data hold, as one hash each; read once as long as they stay the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from pytest_ortperf.execution.model.artifact_cache import ArtifactCache, write_whole
from pytest_ortperf.execution.model.external_data import check_external_data, external_files
from pytest_ortperf.safe_files import open_regular

_SMALL_BYTE = 1 << 22
_SETTLED_NS = 2_000_000_000
"""A file changed less than this long ago may change again within one tick of its file system's clock."""


def content_key(path: Path, cache: ArtifactCache) -> dict[str, str | None]:
    """Return the SHA-256 of a model file and of each of its external data files, by name; `None` for a missing one.

    Raises:
        OSError: If the model file cannot be read.
        google.protobuf.message.DecodeError: If it is no ONNX model.
        CaseError: If it names external data that is refused.
    """
    found = _remembered(path, cache, external=True)
    key: dict[str, str | None] = {"model": found["sha256"]}
    for name in found["external"]:
        try:
            key[f"external {name}"] = _remembered(path.parent / name, cache, external=False)["sha256"]
        except OSError:  # whoever loads the model says so, and what is allowed
            key[f"external {name}"] = None
    return key


def model_sha256(path: Path, external: Sequence[str], cache: ArtifactCache) -> str | None:
    """Return the SHA-256 of a model; with external data, of the JSON of all files' names and hashes, sorted by name.

    A small file is read each time, which is as fast as remembering it.

    Args:
        path: The model file.
        external: Its external data files, relative to its folder.
        cache: Where hashes of large files are remembered.

    Returns:
        `None` if a file cannot be read.
    """
    try:
        if not external:
            return _digest(path, cache, external=True)
        files = {name: _digest(path.parent / name, cache, external=False) for name in external}
        files["."] = _digest(path, cache, external=True)
    except (OSError, DecodeError):
        return None
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _digest(path: Path, cache: ArtifactCache, *, external: bool) -> str:
    if path.stat().st_size < _SMALL_BYTE:
        return _sha256(path)
    digest: str = _remembered(path, cache, external=external)["sha256"]
    return digest


def file_hashes(path: Path) -> list[str]:
    """Return the SHA-256 of a model file, read now, and if it is one of each of its external data files.

    Raises:
        OSError: If a file cannot be read.
        CaseError: If it names external data that is refused.
    """
    try:
        names = external_files(_checked(path))
    except DecodeError:
        names = ()
    return [_sha256(file) for file in (path, *(path.parent / name for name in names))]


def _remembered(path: Path, cache: ArtifactCache, *, external: bool) -> dict[str, Any]:
    memo = cache.memo_path(path)
    state = _state(path)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        old: dict[str, Any] = json.loads(memo.read_text("utf-8"))
        if old["state"] == state and len(old["sha256"]) == hashlib.sha256().digest_size * 2:
            return old
    settled = time.time_ns() - max(state[1], state[2]) > _SETTLED_NS
    digest = _sha256(path)
    names = external_files(_checked(path)) if external else ()
    found = {"path": str(path), "state": state, "sha256": digest, "external": list(names)}
    if settled and _state(path) == state:
        with contextlib.suppress(OSError):  # an unusable cache folder: the artifact's own writing says so
            write_whole(memo, json.dumps(found))
    return found


def _checked(path: Path) -> onnx.ModelProto:
    """Return a model without its external data, whose names and files are as they may be."""
    model = onnx.load_model(path, load_external_data=False)
    check_external_data(model, path)
    return model


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
