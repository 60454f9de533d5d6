"""fp32 model -> fp16 model, by the converter that ONNX Runtime brings along, once per content and choice.

The conversion of one graph to fp16, and what the converter needs done before and after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.model.artifact_cache import MODEL, Artifact, ArtifactCache
from pytest_ortperf.execution.model.model_file import weights_precision
from pytest_ortperf.execution.model.model_hash import content_key, external_files, graphs, tensors

LARGEST = float(np.finfo(np.float16).max)
"""What float16 can hold."""


def convert(model: onnx.ModelProto, rule: Fp16Rule) -> tuple[onnx.ModelProto, int]:
    """Return the model with float16 tensors, and how many of its values were clipped.

    Args:
        model: With inferred shapes and all data loaded; it is used up.
        rule: What stays float32.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    _name_nodes(model)
    _require_nodes(model, rule.node_block_list)
    _use_raw_tensors(model)
    optional = _take_optional_inputs(model)
    beyond = [_count_beyond(tensor) for tensor in tensors(model.graph)]
    converted = convert_float_to_float16(
        model,
        keep_io_types=rule.io != "cast",
        disable_shape_infer=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *rule.op_block_list],
        node_block_list=list(rule.node_block_list),
    )
    _give_optional_inputs_back(converted, optional)
    # the converter only appends nodes, and these hold no tensors
    _clear_empty_tensors(converted.graph)
    pairs = zip(beyond, tensors(converted.graph), strict=True)
    clipped = sum(count for count, tensor in pairs if tensor.data_type == onnx.TensorProto.FLOAT16)
    _sort_nodes(converted.graph)
    return converted, clipped


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


def _use_raw_tensors(model: onnx.ModelProto) -> None:
    """Store numbers as bytes, which convert fast and can be external, and constants as tensors, which convert."""
    for graph in graphs(model.graph):
        for node in graph.node:
            for attribute in node.attribute if node.op_type == "Constant" else ():
                if attribute.name in {"value_float", "value_floats"}:
                    numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
                    tensor = onnx.numpy_helper.from_array(np.array(numbers, np.float32))
                    attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))
            if node.op_type == "ConstantOfShape" and not node.attribute:
                zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
                node.attribute.append(onnx.helper.make_attribute("value", zero))
    for tensor in tensors(model.graph):
        if tensor.float_data:
            tensor.raw_data = np.array(tensor.float_data, np.dtype("<f4")).tobytes()
            tensor.ClearField("float_data")


def _take_optional_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Remove the inputs that are initialisers, as all of them are up to IR version 3.

    The converter would take each for a float32 input to keep, and leave it float32 with a cast behind it.
    """
    names = {tensor.name for tensor in model.graph.initializer}
    optional = [value for value in model.graph.input if value.name in names]
    for value in optional:
        model.graph.input.remove(value)
    return optional


def _give_optional_inputs_back(model: onnx.ModelProto, optional: list[onnx.ValueInfoProto]) -> None:
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for value in optional:
        value.type.tensor_type.elem_type = types[value.name]
        model.graph.input.append(value)


def _clear_empty_tensors(graph: onnx.GraphProto) -> None:
    """Undo that the converter gives each attribute it passes an empty tensor."""
    for inner in graphs(graph):
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.type != onnx.AttributeProto.TENSOR:
                    attribute.ClearField("t")


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the converter's casts before the nodes that use them, as the format asks for."""
    nodes = list(graph.node)
    made_by = {output: index for index, node in enumerate(nodes) for output in node.output if output}
    ordered: dict[int, None] = {}
    for last in range(len(nodes)):
        waiting = [last]
        while waiting:
            earlier = (made_by[name] for name in _names_read(nodes[waiting[-1]]) if name in made_by)
            missing = [index for index in earlier if index not in ordered and index != waiting[-1]]
            waiting += missing
            if not missing:
                ordered[waiting.pop()] = None
    del graph.node[:]
    graph.node.extend(nodes[index] for index in ordered)


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for graph in graphs(inner):
                for inner_node in graph.node:
                    yield from inner_node.input


def _count_beyond(tensor: onnx.TensorProto) -> int:
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return 0
    values = np.abs(onnx.numpy_helper.to_array(tensor))
    return int(np.count_nonzero((values > LARGEST) & np.isfinite(values)))


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
