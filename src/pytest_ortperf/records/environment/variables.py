"""Environment variables that change what is measured without a trace in any option."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES"})
_PREFIXES = ("CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "KMP_", "MKL_", "OMP_", "OPENBLAS_", "ORT_", "OV_", "TRT_")


def recorded_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that steer ONNX Runtime, CUDA, TensorRT, threads or the loader, sorted by name.

    `ORT_TENSORRT_*` are deprecated and still stand in for TensorRT's provider options.
    """
    return {name: environ[name] for name in sorted(environ) if name in _NAMES or name.startswith(_PREFIXES)}
