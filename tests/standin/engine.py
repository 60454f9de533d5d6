"""Engines, inputs, times and outputs of the stand-in."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from printed import Log

if TYPE_CHECKING:
    import onnx

COMPUTE_MS, COPY_MS = 0.5, 0.05


class Refused(Exception):  # noqa: N818 - it ends as FAILED
    """FAILED, with the lines that say why."""


@dataclass
class Fed:
    """One input as it was read."""

    file: str
    data: bytes
    shape: list[int]


def build(options: dict[str, str], log: Log) -> dict[str, Any]:
    """Write an engine: the model's path, and what it was built for."""
    import onnx  # half a second that only a build needs

    model = onnx.load_model(options["onnx"], load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: _described(value) for value in model.graph.input if value.name not in weights}
    dynamic = [name for name, (_, shape) in inputs.items() if None in shape]
    profile = {kind: shapes_of(options.get(f"{kind}Shapes", "")) for kind in ("min", "opt", "max")}
    for name in dynamic:
        if name not in profile["opt"]:
            log.line(
                "W",
                f"Dynamic dimensions required for input: {name}, but no shapes were provided. Automatically "
                f"overriding shape to: {'x'.join(str(size or 1) for size in inputs[name][1])}",
            )
    for given in profile.values():
        strange = sorted(set(given) - set(dynamic))
        if strange:
            raise Refused(
                f'Cannot find input tensor with name "{strange[0]}" in the network inputs!', "Engine set up failed"
            )
    engine = {
        "version": log.version.text,
        "model": options["onnx"],
        "inputs": inputs,
        "profile": profile,
        "half": "fp16" in options,
    }
    text = json.dumps(engine)
    Path(options["saveEngine"]).write_text(text, encoding="utf-8")
    if "timingCacheFile" in options:
        Path(options["timingCacheFile"]).write_text("timings", encoding="utf-8")
    log.line("I", "[TRT] [MemUsageStats] Peak memory usage of TRT CPU/GPU memory allocators: CPU 6 MiB, GPU 37 MiB")
    if log.version.numbers[0] >= 10:
        log.line("I", f"Created engine with size: {len(text) / 2**20:g} MiB")
    log.line("I", "Engine built in 9.55249 sec.")
    return engine


def load(options: dict[str, str], log: Log) -> dict[str, Any]:
    """Read an engine; one of another version is refused as TensorRT does."""
    try:
        engine: dict[str, Any] = json.loads(Path(options["loadEngine"]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"Error opening engine file: {options['loadEngine']}", "Inference set up failed") from error
    if engine["version"] != log.version.text:
        raise Refused(
            "Error[1]: [runtime.cpp::parsePlan::455] Error Code 1: Serialization (Serialization assertion "
            "plan->header.magicTag == rt::kPLAN_MAGIC_TAG failed.)",
            "Engine deserialization failed",
            "Inference set up failed",
        )
    log.line("I", "Engine deserialized in 0.00676279 sec.")
    log.line("I", "Created execution context with device memory size: 0.119629 MiB")
    return engine


def read_inputs(options: dict[str, str], engine: dict[str, Any], log: Log) -> dict[str, Fed]:
    """Read the file of each input; its size has to be that of the binding."""
    files = named(options["loadInputs"])
    shapes = shapes_of(options.get("shapes", ""))
    found = {}
    for name, (element, declared) in engine["inputs"].items():
        if name not in files:
            raise Refused(f"Cannot find input {name} among those loaded", "Inference set up failed")
        shape = _fed_shape(name, declared, shapes, engine["profile"])
        data = Path(files[name]).read_bytes()
        size = int(np.prod(shape, dtype=np.int64)) * _binding(element, log).itemsize
        if len(data) != size:
            raise Refused(
                f"Uncaught exception detected: Unexpected file size for input file: {files[name]}. Note: Input binding "
                f"size is: {size} bytes but the file size is {len(data)} bytes."
            )
        found[name] = Fed(files[name], data, shape)
    strange = sorted(set(files) - set(engine["inputs"]))
    if strange:
        raise Refused(
            f'Cannot find input tensor with name "{strange[0]}" in the engine bindings!', "Inference set up failed"
        )
    return found


def run(options: dict[str, str], engine: dict[str, Any], log: Log, fail: str) -> None:
    """Make up times; compute outputs if they are asked for."""
    inputs = read_inputs(options, engine, log) if "loadInputs" in options else {}
    transfers = "includeDataTransfers" in options if log.version.numbers[0] >= 11 else "noDataTransfers" not in options
    graph = "noCudaGraph" not in options if log.version.numbers[0] >= 11 else "useCudaGraph" in options
    if graph and fail == "graph-ignored":
        log.line("W", "The CUDA graph capture on the stream has failed.")
        log.line(
            "W",
            "The specified --useCudaGraph flag has been ignored. The inference will be launched without using CUDA graph launch.",  # noqa: E501
        )
    log.line("I", "Starting inference")
    base = COMPUTE_MS * (0.8 if graph else 1) * (0.5 if engine["half"] else 1)
    rows, starts = _made_up(options, base, COPY_MS if transfers else 0.0, fail)
    warm_up = int(float(options.get("warmUp", "200")) / base)
    log.line("I", f"Warmup completed {warm_up} queries over {options.get('warmUp', '200')} ms")
    count = len(rows["GPU Compute Time"])
    walltime_s = (starts[-1] - starts[0] + base) / 1000
    log.line("I", f"Timing trace has {count} queries over {walltime_s:g} s")
    if fail != "no-summary":
        log.summary(rows, walltime_s)
    if fail == "warnings":
        _warn(log)
    if "exportTimes" in options and fail != "no-times":
        text = _times_text(rows, starts, options, old=log.version.numbers < (8, 5, 1))
        Path(options["exportTimes"]).write_text(
            text[: len(text) // 2] if fail == "cut-times" else text, encoding="utf-8"
        )
    if "exportOutput" in options:
        Path(options["exportOutput"]).write_text(_outputs_text(engine, inputs, log, fail), encoding="utf-8")


def shapes_of(text: str) -> dict[str, list[int]]:
    """Return shapes by input."""
    return {name: [int(size) for size in value.split("x") if size] for name, value in named(text).items()}


def named(text: str) -> dict[str, str]:
    """Return values by name: split at commas, a name ends at the last colon, or where its quotation marks close."""
    found = {}
    for part in text.split(",") if text else []:
        quotes = part.split("'")
        if len(quotes) == 3:
            found[quotes[1]] = quotes[2].removeprefix(":")
        else:
            name, _, value = part.rpartition(":")
            found[name] = value
    return found


def _described(value: onnx.ValueInfoProto) -> tuple[str, list[int | None]]:
    tensor = value.type.tensor_type
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return str(dtype), [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def _binding(element: str, log: Log) -> np.dtype[Any]:
    return np.dtype("int32" if element == "int64" and log.version.numbers[0] < 10 else element)


def _fed_shape(
    name: str, declared: list[int | None], shapes: dict[str, list[int]], profile: dict[str, dict[str, list[int]]]
) -> list[int]:
    if None not in declared:
        return [size for size in declared if size is not None]
    shape = shapes.get(name) or [size or 1 for size in declared]
    least, most = profile["min"].get(name, shape), profile["max"].get(name, shape)
    if any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
        raise Refused(
            f"Error[3]: [executionContext.cpp::setInputShape::2037] Error Code 3: API Usage Error (Parameter check, "
            f"condition: engineDims.d[i] == dims.d[i] for input {name}",
            "Inference set up failed",
        )
    return shape


def _made_up(
    options: dict[str, str], base: float, copy: float, fail: str
) -> tuple[dict[str, list[float]], list[float]]:
    seconds = float(options.get("duration", "3"))
    count = max(int(options.get("iterations", "10")), int(min(seconds, 2) * 1000 / base))
    noise = random.Random(len(options))  # noqa: S311 - times, not secrets
    spread = 0.5 if fail == "noise" and seconds < 2 else 0.01
    compute = [float(f"{base * (1 + noise.uniform(-spread, spread)):g}") for _ in range(count)]
    h2d, d2h = [copy] * count, [copy / 2] * count
    latency = [float(f"{sum(parts):g}") for parts in zip(compute, h2d, d2h, strict=True)]
    starts = [round(float(options.get("warmUp", "200")) + number * base, 4) for number in range(count)]
    rows = {
        "Latency": latency,
        "Enqueue Time": [0.01] * count,
        "H2D Latency": h2d,
        "GPU Compute Time": compute,
        "D2H Latency": d2h,
    }
    return rows, starts


def _times_text(rows: dict[str, list[float]], starts: list[float], options: dict[str, str], *, old: bool) -> str:
    records = [
        {
            "startH2dMs": start,
            "endH2dMs": start,
            "startComputeMs": start,
            "endComputeMs": start + compute,
            "startD2hMs": start,
            "endD2hMs": start,
            "h2dMs": h2d,
            "computeMs": compute,
            "d2hMs": d2h,
            "latencyMs": latency,
        }
        for start, compute, h2d, d2h, latency in zip(
            starts, rows["GPU Compute Time"], rows["H2D Latency"], rows["D2H Latency"], rows["Latency"], strict=True
        )
    ]
    if old and float(options.get("warmUp", "200")):
        records = [{**records[0], "startComputeMs": 0.0, "computeMs": 99.0}, *records]
    return json.dumps(records)


def _outputs_text(engine: dict[str, Any], inputs: dict[str, Fed], log: Log, fail: str) -> str:
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(engine["model"])
    feeds = {}
    for name, fed in inputs.items():
        element = engine["inputs"][name][0]
        feeds[name] = np.frombuffer(fed.data, _binding(element, log)).reshape(fed.shape).astype(element)
    values = session.run(None, feeds)
    parts = []
    for name, value in zip(session.output_names, values, strict=True):
        if value.dtype.kind == "f":
            rounded = value.astype(np.float16).astype(np.float32) if engine["half"] else value
            numbers = [f"{number + (1 if fail == 'wrong-outputs' else 0):g}" for number in rounded.ravel()]
            numbers = ["nan", *numbers[1:]] if fail == "nan-outputs" else numbers
        else:
            numbers = [str(int(number)) for number in value.ravel()]
        shape = "x".join(map(str, value.shape))
        parts.append(
            f'{{ "name" : "{name}"\n  , "dimensions" : "{shape}"\n  , "values" : [ {", ".join(numbers)} ]\n  }}'
        )
    return "[\n  " + "\n, ".join(parts) + "\n]\n"


def _warn(log: Log) -> None:
    for text in (
        "* Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be under-utilized.",
        "  If not already in use, --useCudaGraph (utilize CUDA graphs where possible) may increase the throughput.",
        "* Throughput may be bound by host-to-device transfers for the inputs rather than GPU Compute and the GPU may be under-utilized.",  # noqa: E501
        "* GPU compute time is unstable, with coefficient of variance = 6.58751%.",
        "  If not already in use, locking GPU clock frequency or adding --useSpinWait may improve the stability.",
    ):
        log.line("W", text)
