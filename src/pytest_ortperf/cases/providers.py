"""What cases run on, a row each: execution providers of ONNX Runtime, and a program that differs in kind."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_ortperf.cases import provider_option_tables
from pytest_ortperf.cases.provider_option_tables import OptionTable
from pytest_ortperf.errors import SettingsError

DeviceKind = Literal["cpu", "gpu", "npu", "any"]
HalfPrecision = Literal["native", "fp32", "unknown"]
RunnerKind = Literal["onnxruntime", "trtexec"]

NEVER_RUN = "never run by this project"
"""Of a row that nobody could try; it follows ONNX Runtime's documentation."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider of ONNX Runtime, or a program that runs models without it: all that is known of it."""

    name: str
    """Short name, as in `--ortperf-ep` and case ids."""

    full_name: str
    device: DeviceKind
    reference: str = "cpu"
    """Short name of the provider that gains are against, unless told otherwise."""

    companions: tuple[str, ...] = ()
    """Full names listed after it for the nodes it does not take."""

    aliases: tuple[str, ...] = ()
    """Other short names that users may give, in lower case."""

    groups: tuple[str, ...] = ()
    """Names of `--ortperf-ep` that stand for it and others: the original script's `-c` choices."""

    also_against: tuple[str, ...] = ()
    """Short names that its gains are against too, in columns of their own."""

    runner: RunnerKind = "onnxruntime"
    """What runs its cases: sessions in the case's own process, or an external program."""

    options: OptionTable | None = None
    """The options it takes, to check them by; `None` leaves them to ONNX Runtime as they are."""

    device_option: str | None = None
    """Provider option that chooses the device, for `--ortperf-device`."""

    graph_option: str | None = None
    """Provider option that makes runs the replay of a captured graph."""

    memory: str | None = None
    """What ONNX Runtime calls the device memory that inputs and outputs can be bound to; `None` is the host's."""

    nvidia: bool = False
    """Whether it computes on GPUs of NVIDIA: CUDA numbers them, and NVML answers for them."""

    uses_tensorrt: bool = False
    """Whether it is TensorRT: libraries below the workspace, profiles, kept engines, half precision by an option."""

    half_precision: HalfPrecision = "unknown"
    """Whether it computes fp16 models in half precision, or in fp32 around casts."""

    lower_precisions: tuple[str, ...] = ()
    """What it may compute fp32 numbers in, by itself (`tf32`) or as an option allows, the lowest last."""

    one_size: bool = False
    """Whether it compiles a graph for the sizes it meets: another batch size would take minutes."""

    takes_nodes: bool = True
    """Whether it takes ordinary nodes at all; `auto` leaves it out otherwise."""

    subgraph_name: str | None = None
    """What the names of subgraphs that it compiled begin with in a profile, a hash or number behind."""

    plugin_package: str | None = None
    """Distribution that brings it as a plugin, if its name does not begin with `onnxruntime-ep-`."""

    seen: str = NEVER_RUN
    """Where its row was tried, for the documentation."""

    @property
    def loads_cuda(self) -> bool:
        """Whether its sessions use a GPU of NVIDIA in this process; a program does so in its own."""
        return self.nvidia and self.runner == "onnxruntime"


_AZURE = "AzureExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_TENSORRT_PRECISIONS = ("tf32", "fp16", "bf16", "int8")

CPU = Provider("cpu", "CPUExecutionProvider", "cpu", groups=("cuda_trt", "acl"), half_precision="fp32", seen="x86 CPU")
"""In each ONNX Runtime: it computes the references, and takes the nodes that others leave."""

PROVIDERS: tuple[Provider, ...] = (
    CPU,
    Provider(
        "cuda",
        _CUDA,
        "gpu",
        groups=("cuda_trt",),
        options=provider_option_tables.CUDA,
        device_option="device_id",
        graph_option="enable_cuda_graph",
        memory="cuda",
        nvidia=True,
        half_precision="native",
        lower_precisions=("tf32",),
        seen="NVIDIA H200",
    ),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "gpu",
        reference="cuda",
        companions=(_CUDA,),
        aliases=("trt",),
        groups=("cuda_trt",),
        also_against=("trtexec",),
        options=provider_option_tables.TENSORRT,
        device_option="device_id",
        graph_option="trt_cuda_graph_enable",
        memory="cuda",
        nvidia=True,
        uses_tensorrt=True,
        half_precision="native",
        lower_precisions=_TENSORRT_PRECISIONS,
        one_size=True,
        subgraph_name="TRTKernel_graph",
        seen="only its absence: listed but not loadable, on an NVIDIA H200",
    ),
    Provider(
        "trtexec",
        "trtexec",
        "gpu",
        reference="cuda",
        runner="trtexec",
        device_option="device_id",
        memory="cuda",
        nvidia=True,
        uses_tensorrt=True,
        half_precision="native",
        lower_precisions=_TENSORRT_PRECISIONS,
        seen="a stand-in for the program alone; its logs as TensorRT 8 to 11 print them",
    ),
    Provider(
        "nvtensorrtrtx",
        "NvTensorRTRTXExecutionProvider",
        "gpu",
        reference="cuda",
        companions=(_CUDA,),
        aliases=("trt-rtx",),
        device_option="device_id",
        memory="cuda",
        nvidia=True,
        half_precision="native",
        one_size=True,
    ),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "any",
        aliases=("ov",),
        device_option="device_type",
        subgraph_name="OpenVINO-EP-subgraph",
        seen="x86 CPU",
    ),
    Provider(
        "dml",
        "DmlExecutionProvider",
        "gpu",
        aliases=("directml",),
        device_option="device_id",
        half_precision="native",
        subgraph_name="DmlFusedNode",
    ),
    Provider(
        "migraphx",
        "MIGraphXExecutionProvider",
        "gpu",
        device_option="device_id",
        half_precision="native",
        subgraph_name="MGXKernel_graph",
    ),
    Provider("rocm", "ROCMExecutionProvider", "gpu", device_option="device_id", half_precision="native"),
    Provider(
        "qnn",
        "QNNExecutionProvider",
        "npu",
        one_size=True,
        subgraph_name="QNN",
        plugin_package="onnxruntime-qnn",
        seen="plugin, HTP emulated on an x86 CPU",
    ),
    Provider("acl", "ACLExecutionProvider", "cpu", groups=("acl",)),
    Provider("armnn", "ArmNNExecutionProvider", "cpu"),
    Provider("xnnpack", "XnnpackExecutionProvider", "cpu", half_precision="fp32"),
    Provider("coreml", "CoreMLExecutionProvider", "any"),
    Provider("webgpu", "WebGpuExecutionProvider", "gpu"),
    Provider("dnnl", "DnnlExecutionProvider", "cpu"),
    Provider("cann", "CANNExecutionProvider", "npu", device_option="device_id"),
    Provider("vitisai", "VitisAIExecutionProvider", "npu"),
    Provider(_AZURE, _AZURE, "any", takes_nodes=False, seen="x86 CPU; `auto` leaves it out: it takes no ordinary node"),
)

HALF = "fp16"
AS_GIVEN = "as-given"
"""The model's own precision, as `-k` and conditions of the model list call it too."""

PRECISIONS = (HALF, AS_GIVEN)
"""What may stand behind a provider's name: `cuda-fp16`, `cuda-as-given`."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one name of `--ortperf-ep` asks for."""

    provider: Provider
    precision: str | None = None
    """One of `PRECISIONS` instead of those of the run; `None` is those of the run."""

    @property
    def name(self) -> str:
        """As in `--ortperf-ep`."""
        return self.provider.name if self.precision is None else f"{self.provider.name}-{self.precision}"


ORIGINAL_NAMES: Mapping[str, tuple[str, str | None]] = {
    "ORT-CPUFp32": ("cpu", AS_GIVEN),
    "ORT-CUDAFp32": ("cuda", AS_GIVEN),
    "ORT-CUDAFp16": ("cuda", HALF),
    "ORT-TRTFp32": ("tensorrt", AS_GIVEN),
    "ORT-TRTFp16": ("tensorrt", HALF),
    "ORT-ACLFp32": ("acl", AS_GIVEN),
    "TRTFp32": ("trtexec", AS_GIVEN),
    "TRTFp16": ("trtexec", HALF),
    "CUDAExecutionProvider_fp16": ("cuda", HALF),
    "TensorrtExecutionProvider_fp16": ("tensorrt", HALF),
    "Standalone_TRT": ("trtexec", AS_GIVEN),
    "Standalone_TRT_fp16": ("trtexec", HALF),
}
"""Values of `ep_list` of the original scripts, those up to 2021 last, and what they ask for here."""


def find_targets(text: str) -> tuple[Target, ...]:
    """Return what a name asks for: a group, a provider, one in a precision such as `cuda-fp16`, or an original name.

    Raises:
        SettingsError: As `find_provider`; and for a precision that no case can have.
    """
    group = tuple(Target(row) for row in PROVIDERS if text in row.groups)
    if group:
        return group
    if known_provider(text) is None:
        original = next((it for name, it in ORIGINAL_NAMES.items() if name.lower() == text.lower()), None)
        if original is not None:
            return (Target(find_provider(original[0]), original[1]),)
        name, precision = _split_precision(text)
        if precision is not None:
            return (Target(find_provider(name), precision),)
    return (Target(find_provider(text)),)


def _split_precision(text: str) -> tuple[str, str | None]:
    """Return a name and the precision behind it; `None` if there is none.

    Raises:
        SettingsError: If what stands behind a provider's name is a precision that no case can have.
    """
    for precision in PRECISIONS:
        if text.lower().endswith(f"-{precision}"):
            return text[: -len(precision) - 1], precision
    name, dash, behind = text.rpartition("-")
    if dash and re.fullmatch("(fp|bf|int)[0-9]+", behind.lower()) and known_provider(name) is not None:
        raise SettingsError(
            f"--ortperf-ep: {text!r}: a case runs the model as given, or an fp16 variant of it; write "
            f"'{name}-{AS_GIVEN}' or '{name}-{HALF}'. A model that is stored in {behind} has it as given"
        )
    return text, None


def find_provider(text: str) -> Provider:
    """Return the row for a short name, alias or full name; an unknown full name makes a row of its own.

    Raises:
        SettingsError: If `text` is neither a known name nor ends in `ExecutionProvider`.
    """
    row = known_provider(text)
    if row is not None:
        return row
    if text.endswith("ExecutionProvider") and text.isidentifier():
        return Provider(text, text, "any")
    known = sorted({*provider_names(), *(name for row in PROVIDERS for name in row.groups)})
    near = difflib.get_close_matches(text.lower(), known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    msg = (
        f"--ortperf-ep: unknown execution provider {text!r}{meant} Known names: auto, {', '.join(known)}; "
        f"or give a full name that ends in ExecutionProvider. '-{HALF}' or '-{AS_GIVEN}' behind a name asks for that "
        f"precision alone."
    )
    raise SettingsError(msg)


def known_provider(text: str) -> Provider | None:
    """Return the row for a short name, alias or full name; `None` if there is none."""
    lower = text.lower()
    return next((row for row in PROVIDERS if text == row.full_name or lower in (row.name.lower(), *row.aliases)), None)


def provider_names() -> list[str]:
    """Return the short names of the providers that take nodes, in the order of the table."""
    return [row.name for row in PROVIDERS if row.takes_nodes]


def short_name(full_name: str) -> str:
    """Return the short name of a full one; an unknown one stands for itself."""
    return next((row.name for row in PROVIDERS if row.full_name == full_name), full_name)
