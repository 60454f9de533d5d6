"""A TensorRT engine -> an ONNX model of one `EPContext` node, which ONNX Runtime's TensorRT providers run."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from pytest_ortperf.cases.providers import find_provider
from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.records.store import write_whole

PROVIDERS = ("tensorrt", "nvtensorrtrtx")
"""Providers that run engines; the first is the default."""

TYPES: Mapping[str, int] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float8e4m3fn": TensorProto.FLOAT8E4M3FN,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}
"""What TensorRT's inputs and outputs can be."""

_ALIASES = {
    "float": "float32",
    "fp32": "float32",
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp8": "float8e4m3fn",
}
_MOST_EMBEDDED_BYTE = 2**31 - 2**20
"""Protobuf ends at 2 GiB; the rest of the model needs little."""

_OPSET, _IR = 19, 9
"""The first with float8."""


class WrapError(OrtPerfError):
    """An engine that cannot be wrapped, or a description of a tensor that cannot be used."""


@dataclass(frozen=True, slots=True)
class EngineTensor:
    """An input or output of an engine."""

    name: str
    type: str
    """One of `TYPES`."""

    shape: tuple[int | str, ...]
    """A dimension that is open has a name, or -1."""


def parse_tensor(text: str, flag: str) -> EngineTensor:
    """Return the tensor that `NAME:TYPE:SHAPE` describes, such as `input:0:float32:1x3x224x224`.

    Raises:
        WrapError: If it does not; says of which form it has to be.
    """
    parts = text.rsplit(":", 2)
    if len(parts) != 3 or not parts[0]:  # noqa: PLR2004 - name, type, shape
        raise WrapError(
            f"{flag}: {text!r} is not of the form NAME:TYPE:SHAPE, such as images:float32:1x3x224x224; -1 or a name "
            f"stands for an open dimension, and nothing for the shape of a scalar"
        )
    name, kind, shape = parts
    known = _ALIASES.get(kind.lower(), kind.lower())
    if known not in TYPES:
        raise WrapError(f"{flag}: {text!r}: unknown type {kind!r}; TensorRT has {', '.join(TYPES)}")
    dims = shape.split("x") if shape and not re.search("[^0-9x-]", shape) else shape.split(",") if shape else []
    return EngineTensor(name, known, tuple(_dimension(dim, f"{flag}: {text!r}") for dim in dims))


def _dimension(text: str, where: str) -> int | str:
    if re.fullmatch("-1|[0-9]+", text):
        return int(text)
    if text.isidentifier() and not re.search("x[0-9]", text):  # ids:int64:batchx128 would be one dimension
        return text
    raise WrapError(
        f"{where}: {text!r} is no dimension; give a size, -1, or a name. Shapes with names are separated by commas: "
        f"ids:int64:batch,128"
    )


def read_layer_info(path: Path) -> tuple[dict[str, EngineTensor], dict[str, EngineTensor], list[str]]:
    """Return inputs, outputs, and the names of those without a type, as `trtexec --exportLayerInfo` tells them.

    Raises:
        WrapError: If the file cannot be read, or has no details of layers.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        layers, bindings = data["Layers"], data["Bindings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrapError(f"{path}: is no file of trtexec --exportLayerInfo: {error!r}") from error
    if not layers or any(not isinstance(layer, dict) for layer in layers):
        raise WrapError(
            f"{path}: holds the names of layers alone. Build the engine with --profilingVerbosity=detailed, or give "
            f"each --input and --output"
        )
    made, fed = (_described(layers, side, bindings) for side in ("Outputs", "Inputs"))
    inputs = {name: fed[name] for name in bindings if name in fed and name not in made}
    outputs = {name: made[name] for name in bindings if name in made}
    unknown = [name for name in bindings if not isinstance({**inputs, **outputs}.get(name), EngineTensor)]
    known = [{name: it for name, it in side.items() if isinstance(it, EngineTensor)} for side in (inputs, outputs)]
    return known[0], known[1], unknown


def _described(layers: Iterable[Any], side: str, bindings: Sequence[str]) -> dict[str, EngineTensor | None]:
    """Return the tensors of an engine that stand on one side of a layer; `None` for one of an unknown type."""
    found: dict[str, EngineTensor | None] = {}
    for tensor in (tensor for layer in layers for tensor in layer.get(side, ())):
        if tensor["Name"] in bindings:
            kind = _type_in(tensor.get("Format/Datatype", ""))
            found[tensor["Name"]] = EngineTensor(tensor["Name"], kind, tuple(tensor["Dimensions"])) if kind else None
    return found


_WORDS = (
    ("bfloat16", r"BF16|BFloat16"),
    ("float16", r"FP16|Half"),
    ("float8e4m3fn", r"FP8"),
    ("float32", r"FP32|Float"),
    ("int64", r"INT64"),
    ("int32", r"INT32"),
    ("uint8", r"UINT8"),
    ("int8", r"INT8"),
    ("bool", r"BOOL"),
)
"""In the order in which they are looked for: some hold others."""


def _type_in(text: str) -> str | None:
    return next((name for name, words in _WORDS if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)), None)


def wrap_engine(
    engine: Path,
    inputs: Sequence[EngineTensor],
    outputs: Sequence[EngineTensor],
    target: Path,
    *,
    embed: bool,
    provider: str = PROVIDERS[0],
) -> onnx.ModelProto:
    """Write a model whose one node is the engine; return it.

    Args:
        engine: Its file.
        inputs: In the engine's order.
        outputs: Likewise.
        target: The model's file.
        embed: Whether the engine becomes part of the model; else it has to stay where it is, at or below the model.
        provider: One of `PROVIDERS`.

    Raises:
        WrapError: If a file cannot be used, or the model would be none.
    """
    if not inputs or not outputs:
        raise WrapError("an engine has inputs and outputs: give each with --input and --output, or --layer-info=FILE")
    names = [tensor.name for tensor in (*inputs, *outputs)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WrapError(f"described twice: {', '.join(twice)}")
    numbers = itertools.count()
    node = helper.make_node(
        "EPContext",
        [tensor.name for tensor in inputs],
        [tensor.name for tensor in outputs],
        name=f"engine_{engine.stem}",
        domain="com.microsoft",
        main_context=1,
        embed_mode=int(embed),
        ep_cache_context=_content(engine) if embed else _relative(engine, target),
        source=find_provider(provider).full_name,
    )
    graph = helper.make_graph([node], engine.stem, list(_values(inputs, numbers)), list(_values(outputs, numbers)))
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, producer_name="pytest-ortperf", opset_imports=opsets, ir_version=_IR)
    try:
        onnx.checker.check_model(model)
        write_whole(target, model.SerializeToString())
    except onnx.checker.ValidationError as error:
        raise WrapError(f"{target}: would be no ONNX model: {error}") from error
    except OSError as error:
        raise WrapError(f"{target}: not written: {error.strerror or error}") from error
    return model


def _values(tensors: Iterable[EngineTensor], numbers: Iterator[int]) -> Iterator[onnx.ValueInfoProto]:
    for tensor in tensors:
        shape = [f"free_dim_{next(numbers)}" if dim == -1 else dim for dim in tensor.shape]
        yield helper.make_tensor_value_info(tensor.name, TYPES[tensor.type], shape)


def _content(engine: Path) -> bytes:
    try:
        if engine.stat().st_size > _MOST_EMBEDDED_BYTE:
            raise WrapError(f"{engine}: a model holds less than 2 GiB; leave --embed out, and keep both files together")
        content = engine.read_bytes()
    except OSError as error:
        raise WrapError(f"{engine}: cannot be read: {error.strerror}") from error
    if not content:
        raise WrapError(f"{engine}: is empty, no engine")
    return content


def _relative(engine: Path, target: Path) -> str:
    """Return the engine's path as ONNX Runtime takes it: from the model's folder, and not out of it."""
    if not engine.is_file():
        raise WrapError(f"{engine}: there is no such file")
    folder = target.resolve().parent
    if not engine.resolve().is_relative_to(folder):
        raise WrapError(
            f"{engine}: ONNX Runtime takes an engine only from the model's folder or below it, {folder}. Write the "
            f"model beside the engine (--output-model), or put the engine into it with --embed"
        )
    return engine.resolve().relative_to(folder).as_posix()
