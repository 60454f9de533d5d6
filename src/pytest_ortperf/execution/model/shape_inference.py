"""Shapes inside a model: inferred symbolically where a provider asks for them, or made static by the user's choice."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.artifact_cache import MODEL, Artifact, ArtifactCache
from pytest_ortperf.execution.model.fp16 import save
from pytest_ortperf.execution.model.model_hash import content_key, external_files

_RECIPE = 1


def wants_shape_inference(error_text: str) -> bool:
    """Whether a provider refused a model because shapes inside it are unknown; TensorRT's words are known."""
    return "run shape inference" in error_text


def infer_shapes(path: Path, cache: ArtifactCache) -> Artifact:
    """Return the model with the shapes inside it, from the cache or inferred now.

    By ONNX Runtime's symbolic inference; where that gives up, by onnx's own, and the fact `note` says so.

    Raises:
        CaseError: Stage `model`: sympy is missing, or no inference takes the model.
    """
    if importlib.util.find_spec("sympy") is None:
        raise _error("symbolic shape inference needs sympy; install it with: pip install 'pytest-ortperf[symbolic]'")
    try:
        key = {
            "what": f"shapes {_RECIPE}",
            "content": content_key(path, cache),
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        }
        return cache.get(key, lambda folder: _make(path, folder))
    except Exception as error:
        raise _error(f"{path}: no shapes could be inferred ({type(error).__name__}: {error})") from error


def _make(path: Path, folder: Path) -> Mapping[str, Any]:
    external = bool(external_files(onnx.load_model(path, load_external_data=False)))
    note = "symbolic shape inference"
    try:
        inferred = _symbolic(path)
    except Exception as error:  # noqa: BLE001 - it raises whatever its bookkeeping trips over
        note = f"shape inference by onnx: the symbolic one failed ({type(error).__name__}: {error})"
        onnx.shape_inference.infer_shapes_path(path, folder / MODEL, data_prop=True)
        if not external:
            return {"note": note}
        inferred = onnx.load_model(folder / MODEL, load_external_data=False)
        onnx.load_external_data_for_model(inferred, str(path.parent))
    save(inferred, folder / MODEL, external=external)
    return {"note": note}


def _symbolic(path: Path) -> onnx.ModelProto:
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    # merging differing symbolic dimensions is what ONNX Runtime advises for TensorRT
    inferred: onnx.ModelProto = SymbolicShapeInference.infer_shapes(onnx.load_model(path), auto_merge=True)
    return inferred


def _error(message: str) -> CaseError:
    return CaseError(message, stage="model", kind="model error")
