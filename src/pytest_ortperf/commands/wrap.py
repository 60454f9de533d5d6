"""`ortperf wrap`: a TensorRT engine as an ONNX model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ortperf.provision.engine_wrapper import EngineTensor

DESCRIPTION = """\
Write an ONNX model whose one node, an EPContext, is a TensorRT engine. ONNX Runtime's
TensorRT provider runs it as it is: with the TensorRT version, GPU model and precision
that it was built for. TensorRT is needed to run the model, not to write it.

Inputs and outputs are described by hand, NAME:TYPE:SHAPE, or taken from what
`trtexec --exportLayerInfo=FILE --profilingVerbosity=detailed` wrote when it built the
engine; what that file does not tell, --input and --output add. An open dimension is
-1, or a name; with names, dimensions are separated by commas: ids:int64:batch,128.

Types: float32, float16, bfloat16, float8e4m3fn, int64, int32, int8, uint8, bool."""

EXAMPLES = """\
examples:
  ortperf wrap resnet.engine --layer-info=layers.json
  ortperf wrap resnet.engine --input=images:float16:-1x3x224x224 --output=scores:float16:-1x1000
  ortperf wrap resnet.engine --layer-info=layers.json --embed --output-model=whole.onnx
"""


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "wrap",
        help="write an ONNX model that holds or names a TensorRT engine",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("engine", type=Path, metavar="ENGINE", help="file of the serialised engine")
    form = "NAME:TYPE:SHAPE"
    parser.add_argument("--input", action="append", default=[], metavar=form, help="an input; repeatable, in order")
    parser.add_argument("--output", action="append", default=[], metavar=form, help="an output, likewise")
    parser.add_argument("--layer-info", type=Path, metavar="FILE", help="JSON of trtexec --exportLayerInfo")
    parser.add_argument("--output-model", type=Path, metavar="MODEL", help="default: ENGINE with the ending .onnx")
    parser.add_argument("--embed", action="store_true", help="put the engine into the model instead of its path")
    parser.add_argument(
        "--provider",
        choices=("tensorrt", "nvtensorrtrtx"),
        default="tensorrt",
        help="the provider that the engine was built for (default: tensorrt)",
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the model, say what it is, and return the exit status.

    Raises:
        OrtPerfError: If engine, description or model cannot be used.
    """
    from pytest_ortperf.provision.engine_wrapper import wrap_engine

    inputs, outputs = _tensors(arguments)
    target: Path = arguments.output_model or arguments.engine.with_suffix(".onnx")
    wrap_engine(arguments.engine, inputs, outputs, target, embed=arguments.embed, provider=arguments.provider)
    how = "holds" if arguments.embed else "names"
    print(f"wrote {target}, which {how} {arguments.engine.name}")
    for title, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            shape = " x ".join("?" if dim == -1 else str(dim) for dim in tensor.shape) or "scalar"
            print(f"  {title} {tensor.name}: {tensor.type}, {shape}")
    print(
        "running it needs the provider's TensorRT: pytest --ortperf-mode=benchmark --ortperf-models="
        f"{target} --ortperf-ep={arguments.provider}"
    )
    return 0


def _tensors(arguments: argparse.Namespace) -> tuple[list[EngineTensor], list[EngineTensor]]:
    """Return what the file says, with what the options say over it and behind it."""
    from pytest_ortperf.provision.engine_wrapper import WrapError, parse_tensor, read_layer_info

    inputs, outputs, unknown = read_layer_info(arguments.layer_info) if arguments.layer_info else ({}, {}, [])
    for found, texts, flag in ((inputs, arguments.input, "--input"), (outputs, arguments.output, "--output")):
        for text in texts:
            tensor = parse_tensor(text, flag)
            if tensor.name in found and arguments.layer_info is None:
                raise WrapError(f"{flag}: {tensor.name!r} is described twice")
            found[tensor.name] = tensor
    missing = [name for name in unknown if name not in {**inputs, **outputs}]
    if missing:
        raise WrapError(
            f"{arguments.layer_info}: tells no type of {', '.join(missing)}; give each with --input or --output"
        )
    return list(inputs.values()), list(outputs.values())
