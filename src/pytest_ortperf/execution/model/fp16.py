"""fp32 model -> fp16 model, once per content and choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
import onnxruntime

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.artifact_cache import MODEL, Artifact, ArtifactCache
from pytest_ortperf.execution.model.external_data import external_files, graphs, load_external_data, tensors
from pytest_ortperf.execution.model.half_graph import Outcome, to_half
from pytest_ortperf.execution.model.model_file import constants_precision, weights_precision
from pytest_ortperf.execution.model.model_hash import content_key


def convert(model: onnx.ModelProto, rule: Fp16Rule) -> tuple[onnx.ModelProto, Outcome]:
    """Return the model with float16 tensors, and what became of it.

    Args:
        model: Data in other files is loaded already; it is used up.
        rule: What stays float32.

    Raises:
        CaseError: Stage `precision`, if the rule names a node that there is not.
    """
    model = _inlined(model, rule)
    return model, to_half(model, rule)


def _inlined(model: onnx.ModelProto, rule: Fp16Rule) -> onnx.ModelProto:
    """Return the model with a name for each node, and without local functions: what their bodies hold has types too.

    Those that somebody wants to stay float32 remain.
    """
    _name_nodes(model)
    known = {node.name: (node.domain, node.op_type) for graph in graphs(model.graph) for node in graph.node}
    functions = {(it.domain, it.name) for it in model.functions}
    stay = {it for it in functions if it[1] in rule.op_block_list}
    stay |= functions & {known[name] for name in rule.node_block_list if name in known}
    if functions - stay:
        model = (
            onnx.inliner.inline_selected_functions(model, sorted(stay), exclude=True)
            if stay
            else onnx.inliner.inline_local_functions(model, convert_version=True)
        )
        _name_nodes(model)
    _require_nodes(model, tuple(name for name in rule.node_block_list if name not in known))
    return model


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give nodes without a name one, so that errors and block lists can name them: `Conv_12`, by position."""
    taken = {node.name for graph in graphs(model.graph) for node in graph.node}
    for graph in graphs(model.graph):
        for index, node in enumerate(graph.node):
            if not node.name:
                node.name = next(name for name in _names(node.op_type, index) if name not in taken)
                taken.add(node.name)


def _names(op_type: str, index: int) -> Iterator[str]:
    yield f"{op_type}_{index}"
    number = 0
    while True:
        number += 1
        yield f"{op_type}_{index}_{number}"


def _require_nodes(model: onnx.ModelProto, names: tuple[str, ...]) -> None:
    known = {node.name for graph in graphs(model.graph) for node in graph.node}
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(f"'{name}'" for name in unknown)
        raise CaseError(
            f"fp16.node_block_list names {listed}, and the model has no such node; correct the model list. "
            f"A node without a name is called by operator type and position, such as Conv_12",
            stage="precision",
            kind="precision error",
        )


EXTERNAL_OVER_BYTE = 2**30
"""Weights of more go to a file beside the converted model: no ONNX file can hold 2 GiB."""

ALREADY = "already fp16"
CONVERTED = "converted"
NOTHING = "nothing to convert"

_RECIPE = 4
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
        Facts: `how` is `converted`, `already fp16` or `nothing to convert`, and only in the first case there is a
        model; `clipped` counts the values that became +-65,504, `flushed` those that became 0; `weights` names those
        that nodes stay float32 for, `operators` those that do when nothing can be converted.

    Raises:
        CaseError: Stage `precision`, with the node's name where one can be told.
    """
    try:
        return cache.get(_key(path, rule, cache), lambda folder: _make(path, rule, folder))
    except CaseError as error:
        if error.stage == "model":  # its external data
            raise precision_error(path, error) from error
        raise
    except Exception as error:
        raise precision_error(path, error) from error


def precision_error(path: Path, error: BaseException, *, opens_as_given: bool = False) -> CaseError:
    """Return the error of a conversion that failed, or whose result is no valid model.

    Args:
        path: The model as given.
        error: What went wrong.
        opens_as_given: Whether a session can be made of the model as given, and of the converted one none.
    """
    text = _LOADING.sub("", str(error).strip())
    node = node_in(text)
    where = f" at node '{node}'" if node else ""
    blocks = "keep what it is about float32 with fp16.node_block_list or fp16.op_block_list, or "
    advice = "keep it float32 with fp16.node_block_list, or " if node else blocks if opens_as_given else ""
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    so = "so that a session takes it, as it takes the model as given " if opens_as_given else ""
    return CaseError(
        f"{path} could not be converted to fp16{where} {so}({said}); "
        f"{advice}give a converted model as fp16_path in the model list",
        stage="precision",
        kind="precision error",
    )


def node_in(text: str) -> str | None:
    """Return the node that a message of onnx or ONNX Runtime names."""
    match = _NODE.search(text)
    return next((name for name in match.groups() if name), None) if match else None


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
    model = onnx.load_model(path, load_external_data=False)
    if _is_half(path, model):
        return {"how": ALREADY, "clipped": 0}
    has_external = bool(external_files(model))
    # before its data comes, with which it may be too large for one message
    model = _inlined(model, rule)
    load_external_data(model, path.parent)
    outcome = to_half(model, rule)
    if not outcome.nodes:
        return {"how": NOTHING, "clipped": 0, "operators": outcome.operators, "weights": outcome.weights}
    save(model, folder / MODEL, external=has_external)
    return {"how": CONVERTED, "clipped": outcome.clipped, "flushed": outcome.flushed, "weights": outcome.weights}


def _is_half(path: Path, model: onnx.ModelProto) -> bool:
    """Whether there is nothing to do.

    Raises:
        CaseError: If it is of a precision that is not converted.
    """
    precision = weights_precision(model)
    ends = (*model.graph.input, *model.graph.output)
    has_float32 = any(it.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for it in ends)
    if constants_precision(model) is None and has_float32:
        return False
    if precision in {"bf16", "fp64"}:
        raise CaseError(
            f"{path} could not be converted to fp16: its weights are {precision}, and the converter takes fp32 ones; "
            f"give a converted model as fp16_path in the model list",
            stage="precision",
            kind="precision error",
        )
    return precision == "fp16"


def save(model: onnx.ModelProto, path: Path, *, external: bool) -> None:
    """Write a model; its data goes to a file beside it if it is large or `external` says so."""
    size = sum(len(tensor.raw_data) for tensor in tensors(model.graph))
    if external or size > EXTERNAL_OVER_BYTE:
        onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data")
    else:
        onnx.save_model(model, path)
