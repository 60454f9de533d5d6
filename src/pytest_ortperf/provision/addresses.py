"""Public addresses that this package asks for files, each with the environment variable that replaces it."""

from __future__ import annotations

import os

_NIGHTLY_INDEX = "https://aiinfra.pkgs.visualstudio.com/PublicPackages/_packaging/ORT-Nightly/pypi/simple/"
_ONNXRUNTIME_REPOSITORY = "https://github.com/microsoft/onnxruntime"
_HUB = "https://huggingface.co"
_ZOO = "onnxmodelzoo"


def nightly_index() -> str:
    """Return the package index of nightly ONNX Runtime wheels; `ORTPERF_NIGHTLY_INDEX` replaces it."""
    return os.environ.get("ORTPERF_NIGHTLY_INDEX") or _NIGHTLY_INDEX


def onnxruntime_repository() -> str:
    """Return the git repository of ONNX Runtime; `ORTPERF_ONNXRUNTIME_REPOSITORY` replaces it."""
    return os.environ.get("ORTPERF_ONNXRUNTIME_REPOSITORY") or _ONNXRUNTIME_REPOSITORY


def model_hub() -> str:
    """Return the Hugging Face hub; `HF_ENDPOINT` replaces it, as it does for `huggingface_hub` itself."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def zoo_organisation() -> str:
    """Return the hub's organisation that holds the ONNX Model Zoo; `ORTPERF_ZOO_ORGANISATION` replaces it."""
    return os.environ.get("ORTPERF_ZOO_ORGANISATION") or _ZOO


# Defaults of the Dockerfiles in deploy/docker; `ortperf image build --base-image` replaces them.
CPU_IMAGE = "docker.io/library/python:3.13.9-slim-bookworm"
CPU_BUILD_IMAGE = "docker.io/library/python:3.13.9-bookworm"
CUDA_IMAGE = "nvcr.io/nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04"
CUDA_BUILD_IMAGE = "nvcr.io/nvidia/cuda:13.0.2-cudnn-devel-ubuntu24.04"
