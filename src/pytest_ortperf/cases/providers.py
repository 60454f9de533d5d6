"""What cases run on, a row each: execution providers of ONNX Runtime, and a program that differs in kind."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from pytest_ortperf.errors import SettingsError

DeviceKind = Literal["cpu", "gpu", "npu", "any"]
HalfPrecision = Literal["native", "fp32", "unknown"]
RunnerKind = Literal["onnxruntime", "trtexec"]

NEVER_RUN = "never run by this project"
"""Of a row that nobody could try; it follows ONNX Runtime's documentation."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider of ONNX Runtime, or a program that runs models without it."""

    name: str
    """Short name, as in `--ortperf-ep` and case ids."""

    full_name: str
    device: DeviceKind
    reference: str = "cpu"
    """Short name of the provider that gains are against, unless told otherwise."""

    companions: tuple[str, ...] = ()
    """Full names listed after it for the nodes it does not take."""

    half_precision: HalfPrecision = "unknown"
    """Whether it computes fp16 models in half precision, or in fp32 around casts."""

    device_option: str | None = None
    """Provider option that chooses the device, for `--ortperf-device`."""

    memory: str | None = None
    """What ONNX Runtime calls the device memory that inputs and outputs can be bound to; `None` is the host's."""

    graph_option: str | None = None
    """Provider option that makes runs the replay of a captured graph."""

    seen: str = NEVER_RUN
    """Where its row was tried, for the documentation."""

    runner: RunnerKind = "onnxruntime"
    """What runs its cases: sessions in the case's own process, or an external program."""

    also_against: tuple[str, ...] = ()
    """Short names that its gains are against too, in columns of their own."""


_CUDA = "CUDAExecutionProvider"

PROVIDERS: tuple[Provider, ...] = (
    Provider("cpu", "CPUExecutionProvider", "cpu", half_precision="fp32", seen="x86 CPU"),
    Provider(
        "cuda",
        _CUDA,
        "gpu",
        half_precision="native",
        device_option="device_id",
        memory="cuda",
        graph_option="enable_cuda_graph",
        seen="NVIDIA H200",
    ),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "gpu",
        "cuda",
        (_CUDA,),
        "native",
        "device_id",
        memory="cuda",
        graph_option="trt_cuda_graph_enable",
        seen="only its absence: listed but not loadable, on an NVIDIA H200",
        also_against=("trtexec",),
    ),
    Provider(
        "trtexec",
        "trtexec",
        "gpu",
        "cuda",
        half_precision="native",
        device_option="device_id",
        memory="cuda",
        seen="a stand-in for the program alone; its logs as TensorRT 8 to 11 print them",
        runner="trtexec",
    ),
    Provider(
        "nvtensorrtrtx", "NvTensorRTRTXExecutionProvider", "gpu", "cuda", (_CUDA,), "native", "device_id", memory="cuda"
    ),
    Provider("openvino", "OpenVINOExecutionProvider", "any", device_option="device_type", seen="x86 CPU"),
    Provider("dml", "DmlExecutionProvider", "gpu", half_precision="native", device_option="device_id"),
    Provider("migraphx", "MIGraphXExecutionProvider", "gpu", half_precision="native", device_option="device_id"),
    Provider("rocm", "ROCMExecutionProvider", "gpu", half_precision="native", device_option="device_id"),
    Provider("qnn", "QNNExecutionProvider", "npu", seen="plugin, HTP emulated on an x86 CPU"),
    Provider("acl", "ACLExecutionProvider", "cpu"),
    Provider("armnn", "ArmNNExecutionProvider", "cpu"),
    Provider("xnnpack", "XnnpackExecutionProvider", "cpu", half_precision="fp32"),
    Provider("coreml", "CoreMLExecutionProvider", "any"),
    Provider("webgpu", "WebGpuExecutionProvider", "gpu"),
    Provider("dnnl", "DnnlExecutionProvider", "cpu"),
    Provider("cann", "CANNExecutionProvider", "npu", device_option="device_id"),
    Provider("vitisai", "VitisAIExecutionProvider", "npu"),
)

ALIASES = {"trt": "tensorrt", "trt-rtx": "nvtensorrtrtx", "directml": "dml", "ov": "openvino"}

GROUPS = {"cuda_trt": ("cpu", "cuda", "tensorrt"), "acl": ("cpu", "acl")}
"""The original script's `-c` choices; its standalone TensorRT column is a runner of its own."""

HALF = "fp16"
FP16_SUFFIX = f"-{HALF}"
"""A program's name with this behind it is that program in half precision, as the original script's columns were."""

_BY_NAME = {row.name: row for row in PROVIDERS}
_BY_FULL_NAME = {row.full_name: row for row in PROVIDERS}
_PROGRAMS = tuple(row for row in PROVIDERS if row.runner != "onnxruntime")


@dataclass(frozen=True, slots=True)
class Target:
    """What one name of `--ortperf-ep` asks for."""

    provider: Provider
    precision: str | None = None
    """One precision instead of those of the run; `None` is those of the run."""

    @property
    def name(self) -> str:
        """As in `--ortperf-ep`."""
        return self.provider.name if self.precision is None else f"{self.provider.name}-{self.precision}"


def find_target(text: str) -> Target:
    """Return what a name asks for: a provider, or a program in half precision, such as `trtexec-fp16`.

    Raises:
        SettingsError: As `find_provider`.
    """
    for row in _PROGRAMS:
        if text.lower() == f"{row.name}{FP16_SUFFIX}":
            return Target(row, HALF)
    return Target(find_provider(text))


def find_provider(text: str) -> Provider:
    """Return the row for a short name, alias or full name; an unknown full name makes a row of its own.

    Raises:
        SettingsError: If `text` is neither a known name nor ends in `ExecutionProvider`.
    """
    row = _BY_FULL_NAME.get(text) or _BY_NAME.get(ALIASES.get(text.lower(), text.lower()))
    if row is not None:
        return row
    if text.endswith("ExecutionProvider") and text.isidentifier():
        return Provider(text, text, "any")
    known = sorted({*_BY_NAME, *(f"{row.name}{FP16_SUFFIX}" for row in _PROGRAMS), *GROUPS})
    near = difflib.get_close_matches(text.lower(), known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    msg = (
        f"--ortperf-ep: unknown execution provider {text!r}{meant} Known names: auto, {', '.join(known)}; "
        f"or give a full name that ends in ExecutionProvider."
    )
    raise SettingsError(msg)


def short_name(full_name: str) -> str:
    """Return the short name of a full one; an unknown one stands for itself."""
    row = _BY_FULL_NAME.get(full_name)
    return row.name if row else full_name
