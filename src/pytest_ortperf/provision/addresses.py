"""Public addresses that this package asks for files, each with the environment variable that replaces it."""

from __future__ import annotations

import os

_NIGHTLY_INDEX = "https://aiinfra.pkgs.visualstudio.com/PublicPackages/_packaging/ORT-Nightly/pypi/simple/"


def nightly_index() -> str:
    """Return the package index of nightly ONNX Runtime wheels; `ORTPERF_NIGHTLY_INDEX` replaces it."""
    return os.environ.get("ORTPERF_NIGHTLY_INDEX") or _NIGHTLY_INDEX
