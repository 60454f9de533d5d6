"""fp32 model -> fp16 model, by the converter that ONNX Runtime brings along, once per content and choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from pytest_ortperf.cases.model import Fp16Rule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.artifact_cache import MODEL, Artifact, ArtifactCache
from pytest_ortperf.execution.model.fp16_graph import convert
from pytest_ortperf.execution.model.model_file import weights_precision
from pytest_ortperf.execution.model.model_hash import content_key, external_files, tensors

EXTERNAL_OVER_BYTE = 2**30
"""Weights of more go to a file beside the converted model: no ONNX file can hold 2 GiB."""

ALREADY = "already fp16"
CONVERTED = "converted"
NOTHING = "no float32 in it"

_RECIPE = 2
"""Counts up with each change of what follows, so that no older result is taken for the new one."""

_NODE = re.compile(r"""[Nn]ode \(([^()]+)\)|In Node, \("([^"]+)"|node (?:with )?name:? '?([^\s',:)]+)""")
"""How onnx and ONNX Runtime name a node in their messages."""

_LOADING = re.compile(r"Load model from .+? failed:")


def fp16_model(path: Path, rule: Fp16Rule, cache: ArtifactCache) -> Artifact:
    """Return the fp16 twin of a model, from the cache or converted now.

    Args:
        path: The model as given; nothing is written beside it.
        rule: What stays float32.
        cache: Where the twin goes.

    Returns:
        Facts: `how` is `converted`, `already fp16` or `no float32 in it`, and only in the first case there is a
        model; `clipped` counts the values that float16 cannot hold and that became +-65,504.

    Raises:
        CaseError: Stage `precision`, with the node's name where one can be told.
    """
    try:
        return cache.get(_key(path, rule, cache), lambda folder: _make(path, rule, folder))
    except CaseError:
        raise
    except Exception as error:
        raise precision_error(path, error) from error


def precision_error(path: Path, error: BaseException) -> CaseError:
    """Return the error of a conversion that failed, or whose result is no valid model."""
    text = _LOADING.sub("", str(error).strip())
    node = node_in(text)
    where = f" at node '{node}'" if node else ""
    advice = "keep it float32 with fp16.node_block_list, or give" if node else "give"
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return CaseError(
        f"{path} could not be converted to fp16{where} ({said}); "
        f"{advice} a converted model as fp16_path in the model list",
        stage="precision",
        kind="precision error",
    )


def node_in(text: str) -> str | None:
    """Return the node that a message of onnx or ONNX Runtime names."""
    match = _NODE.search(text)
    return next((name for name in match.groups() if name), None) if match else None


def breaks_types(text: str) -> bool:
    """Whether a message of ONNX Runtime says that a model mixes float32 and float16 where it may not."""
    return "Type Error" in text and "tensor(float16)" in text


def _key(path: Path, rule: Fp16Rule, cache: ArtifactCache) -> Mapping[str, Any]:
    return {
        "what": f"fp16 {_RECIPE}",
        "content": content_key(path, cache),
        "io": rule.io or "keep",
        "op_block_list": sorted(rule.op_block_list),
        "node_block_list": sorted(rule.node_block_list),
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _make(path: Path, rule: Fp16Rule, folder: Path) -> Mapping[str, Any]:
    plain = onnx.load_model(path, load_external_data=False)
    how = _how(path, plain)
    if how != CONVERTED:
        return {"how": how, "clipped": 0}
    has_external = bool(external_files(plain))
    converted, clipped = convert(_with_shapes(path, None if has_external else plain, folder), rule)
    save(converted, folder / MODEL, external=has_external)
    return {"how": how, "clipped": clipped}


def _how(path: Path, model: onnx.ModelProto) -> str:
    precision = weights_precision(model)
    if precision == "fp16":
        return ALREADY
    if precision in {"bf16", "fp64"}:
        raise CaseError(
            f"{path} could not be converted to fp16: its weights are {precision}, and the converter takes fp32 ones; "
            f"give a converted model as fp16_path in the model list",
            stage="precision",
            kind="precision error",
        )
    return CONVERTED if precision or _has_float32(model) else NOTHING


def _has_float32(model: onnx.ModelProto) -> bool:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    types = [tensor.data_type for tensor in tensors(model.graph)]
    return onnx.TensorProto.FLOAT in (*types, *(value.type.tensor_type.elem_type for value in values))


def _with_shapes(path: Path, inline: onnx.ModelProto | None, folder: Path) -> onnx.ModelProto:
    """Return the model with all data; the converter needs inferred types to know what to cast."""
    if inline is not None:
        return onnx.shape_inference.infer_shapes(inline)
    # together with its data it may be too large for one message
    inferred = folder / "inferred.onnx"
    onnx.shape_inference.infer_shapes_path(path, inferred)
    model = onnx.load_model(inferred, load_external_data=False)
    inferred.unlink()
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def save(model: onnx.ModelProto, path: Path, *, external: bool) -> None:
    """Write a model; its data goes to a file beside it if it is large or `external` says so."""
    size = sum(len(tensor.raw_data) for tensor in tensors(model.graph))
    if external or size > EXTERNAL_OVER_BYTE:
        onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data")
    else:
        onnx.save_model(model, path)
