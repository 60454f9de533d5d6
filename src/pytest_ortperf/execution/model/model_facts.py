"""What a model file says about itself: types, shapes, operators, sizes, and what is worth a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx

from pytest_ortperf.execution.model.external_data import graphs, tensors
from pytest_ortperf.execution.model.model_file import ENGINE, inspect_precision
from pytest_ortperf.records.inspections import DeclaredValue, ModelDescription

_DEFAULT = "ai.onnx"
_OWN_DOMAINS = frozenset(
    {
        _DEFAULT,
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "com.microsoft",
        "com.microsoft.experimental",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
    }
)
"""Domains whose operators ONNX Runtime brings along."""

_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
_IR_WITH_CONSTANT_WEIGHTS = 4
"""From this IR version on a weight need not be an input too."""

_TYPE_NAMES = {"float": "float32", "double": "float64"}


def describe_model(proto: onnx.ModelProto, path: Path, size: int, free_dims: Mapping[str, int]) -> ModelDescription:
    """Return what a model says; external data is looked for and not read.

    Args:
        proto: The model without its external data.
        path: Its file.
        size: Of the file, in bytes.
        free_dims: Dimensions without a size, and a plausible one.
    """
    external = _external_files(proto, path.parent)
    operators = Counter(_operator(node) for graph in graphs(proto.graph) for node in graph.node)
    return ModelDescription(
        path=str(path),
        byte=size,
        external={name: found for name, (found, _) in external.items()},
        ir_version=proto.ir_version,
        opsets={opset.domain or _DEFAULT: opset.version for opset in proto.opset_import},
        producer=" ".join(filter(None, (proto.producer_name, proto.producer_version))) or None,
        precision=inspect_precision(proto),
        inputs=tuple(_declared(value) for value in _fed(proto.graph)),
        outputs=tuple(_declared(value) for value in proto.graph.output),
        free_dims=dict(free_dims),
        nodes=len(proto.graph.node),
        inner_nodes=operators.total() - len(proto.graph.node),
        operators=dict(operators.most_common()),
        warnings=tuple(_warnings(proto, external, operators)),
    )


def _fed(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _declared(value: onnx.ValueInfoProto) -> DeclaredValue:
    tensor = value.type.tensor_type
    shape = None
    if value.type.HasField("tensor_type") and tensor.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or None
            for dim in tensor.shape.dim
        )
    return DeclaredValue(name=value.name, type=_type_text(value.type), shape=shape)


def _type_text(declared: onnx.TypeProto) -> str:
    kind = declared.WhichOneof("value")
    if kind == "tensor_type":
        return _element(declared.tensor_type.elem_type)
    if kind == "sparse_tensor_type":
        return f"sparse({_element(declared.sparse_tensor_type.elem_type)})"
    if kind == "sequence_type":
        return f"sequence({_type_text(declared.sequence_type.elem_type)})"
    if kind == "optional_type":
        return f"optional({_type_text(declared.optional_type.elem_type)})"
    if kind == "map_type":
        return f"map({_element(declared.map_type.key_type)}, {_type_text(declared.map_type.value_type)})"
    return "undeclared"


def _element(number: int) -> str:
    if number not in onnx.TensorProto.DataType.values():
        return f"type {number}"
    name = str(onnx.TensorProto.DataType.Name(number)).lower()
    return _TYPE_NAMES.get(name, name)


def _operator(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", _DEFAULT) else f"{node.domain}.{node.op_type}"


def _external_files(proto: onnx.ModelProto, folder: Path) -> dict[str, tuple[int | None, int]]:
    """Return the external data files by name: their size, `None` if missing, and the size that the model needs."""
    needed: dict[str, int] = {}
    for tensor in tensors(proto.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        end = _number(entries.get("offset")) + _number(entries.get("length"))
        if "location" in entries:
            needed[entries["location"]] = max(end, needed.get(entries["location"], 0))
    return {name: (_size(folder, name), end) for name, end in needed.items()}


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _size(folder: Path, name: str) -> int | None:
    try:
        path = folder / name
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a NUL character in the name
        return None


def _warnings(
    proto: onnx.ModelProto, external: dict[str, tuple[int | None, int]], operators: Counter[str]
) -> Iterator[str]:
    yield from _warnings_of_files(external)
    yield from _warnings_of_operators(proto, operators)
    odd = [
        f"{value.name} ({_type_text(value.type)})"
        for value in (*_fed(proto.graph), *proto.graph.output)
        if value.type.WhichOneof("value") != "tensor_type" or _type_text(value.type) == "string"
    ]
    if odd:
        yield f"inputs or outputs that are not tensors of numbers, which few providers take: {', '.join(odd)}"
    weights = {tensor.name for tensor in proto.graph.initializer}
    overridable = sum(value.name in weights for value in proto.graph.input)
    if overridable and proto.ir_version >= _IR_WITH_CONSTANT_WEIGHTS:
        yield f"weights that are inputs too, so that ONNX Runtime cannot treat them as constants: {overridable}"


def _warnings_of_files(external: dict[str, tuple[int | None, int]]) -> Iterator[str]:
    for name, (size, needed) in external.items():
        if size is not None and size < needed:
            yield f"external data {name} is cut short: it has {size} bytes, and the model needs {needed}"
        if Path(name).is_absolute() or ".." in Path(name).parts:
            yield f"external data {name} is not below the model's folder; ONNX Runtime refuses such paths"


def _warnings_of_operators(proto: onnx.ModelProto, operators: Counter[str]) -> Iterator[str]:
    precision = inspect_precision(proto)
    if precision == ENGINE:
        yield (
            "holds an engine (EPContext) that was compiled for one provider; it opens there alone, with the device "
            "and versions that it was compiled for"
        )
    if precision == "int8":
        yield "quantised: validations compare it by cosine and signal to noise, not element by element"
    newest = onnx.defs.onnx_opset_version()
    for opset in proto.opset_import:
        if opset.domain in ("", _DEFAULT) and opset.version > newest:
            yield f"opset {opset.version} is newer than the installed onnx knows ({newest})"
    flow = {name: operators[name] for name in _CONTROL_FLOW if operators[name]}
    if flow:
        yield f"control flow, which many providers leave to the CPU: {_counted(flow)}"
    functions = {(function.domain, function.name) for function in proto.functions}
    custom = Counter(
        _operator(node)
        for graph in graphs(proto.graph)
        for node in graph.node
        if (node.domain or _DEFAULT) not in _OWN_DOMAINS and (node.domain, node.op_type) not in functions
    )
    if custom:
        yield (
            f"custom operators, which need their library (--ortperf-custom-op-library): {_counted(custom)}; "
            f"a provider may bring its own"
        )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
