"""Public addresses that this package asks for files, each with the environment variable that replaces it."""

from __future__ import annotations

import os

_NIGHTLY_INDEX = "https://aiinfra.pkgs.visualstudio.com/PublicPackages/_packaging/ORT-Nightly/pypi/simple/"
_HUB = "https://huggingface.co"
_ZOO = "onnxmodelzoo"


def nightly_index() -> str:
    """Return the package index of nightly ONNX Runtime wheels; `ORTPERF_NIGHTLY_INDEX` replaces it."""
    return os.environ.get("ORTPERF_NIGHTLY_INDEX") or _NIGHTLY_INDEX


def model_hub() -> str:
    """Return the Hugging Face hub; `HF_ENDPOINT` replaces it, as it does for `huggingface_hub` itself."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def zoo_organisation() -> str:
    """Return the hub's organisation that holds the ONNX Model Zoo; `ORTPERF_ZOO_ORGANISATION` replaces it."""
    return os.environ.get("ORTPERF_ZOO_ORGANISATION") or _ZOO
