"""Provider options of CUDA and TensorRT, as ONNX Runtime 1.31 takes them from Python.

The keys and the spelling of values were tried one by one on onnxruntime-gpu 1.31.1's own parser. Defaults and first
versions follow ONNX Runtime's source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ValueKind = Literal["bool", "int", "size", "enum", "text", "path", "shapes", "pointer", "absent"]

# `absent` is for C and C++ alone: Python's parser refuses it whatever its value
TABLE_VERSION = (1, 31)
"""Of the newest ONNX Runtime whose options are below; a newer one may have more."""

_NO_ADDRESS = "an address means nothing in the process that runs a case; leave it out"
_NO_GRAPH = (
    "a CUDA graph needs inputs and outputs that are bound to the device; --ortperf-timing=graph measures it so, "
    "in a session of its own"
)
_NO_EFFECT_11 = "no effect with TensorRT 11 and later"


@dataclass(frozen=True, slots=True)
class ProviderOption:
    """One option of one execution provider."""

    key: str
    kind: ValueKind
    default: str
    note: str = ""
    first: tuple[int, int] | None = None
    """First version of ONNX Runtime that has it; `None` for one before 1.16."""

    choices: tuple[str, ...] = ()
    low: int | None = None
    """Smallest number; `None` is any."""

    high: int | None = None
    refused: str = ""
    """Why it cannot be used here: any value that turns it on is an error."""


@dataclass(frozen=True, slots=True)
class OptionTable:
    """The options of one execution provider."""

    true: str
    """How its parser spells it: TensorRT's takes `True` and `true`, and refuses `1`."""

    false: str
    options: Mapping[str, ProviderOption] = field(hash=False)


def _rows(*options: ProviderOption) -> Mapping[str, ProviderOption]:
    return {option.key: option for option in options}


_O = ProviderOption

CUDA = OptionTable(
    "1",
    "0",
    _rows(
        _O("device_id", "int", "0", low=0),
        _O("has_user_compute_stream", "bool", "0", first=(1, 16), refused=_NO_ADDRESS),
        _O("user_compute_stream", "pointer", "0", first=(1, 18)),
        _O("gpu_mem_limit", "size", "all", "of the arena, in bytes; not of the whole process"),
        _O(
            "arena_extend_strategy",
            "enum",
            "kNextPowerOfTwo",
            "changes the memory that nvidia-smi shows",
            choices=("kNextPowerOfTwo", "kSameAsRequested"),
        ),
        _O(
            "cudnn_conv_algo_search",
            "enum",
            "EXHAUSTIVE",
            "EXHAUSTIVE makes the first run with each shape slow",
            choices=("EXHAUSTIVE", "HEURISTIC", "DEFAULT"),
        ),
        _O("do_copy_in_default_stream", "bool", "1"),
        _O("gpu_external_alloc", "pointer", "0"),
        _O("gpu_external_free", "pointer", "0"),
        _O("gpu_external_empty_cache", "pointer", "0"),
        _O("cudnn_conv_use_max_workspace", "bool", "1"),
        _O("enable_cuda_graph", "bool", "0", "by --ortperf-timing=graph", refused=_NO_GRAPH),
        _O("cudnn_conv1d_pad_to_nc1d", "bool", "0"),
        _O("tunable_op_enable", "bool", "0", first=(1, 16)),
        _O("tunable_op_tuning_enable", "bool", "0", first=(1, 16)),
        _O("tunable_op_max_tuning_duration_ms", "int", "0", first=(1, 16), low=0),
        _O("enable_skip_layer_norm_strict_mode", "bool", "0", "accepted without effect in 1.30", (1, 16)),
        _O("prefer_nhwc", "bool", "0", first=(1, 18)),
        _O("use_ep_level_unified_stream", "bool", "0", first=(1, 18)),
        _O("use_tf32", "bool", "1", "1: fp32 products may be computed in TF32, on Ampere GPUs and later", (1, 18)),
        _O("sdpa_kernel", "int", "0", "bits of the attention kernels allowed; 0 is all", (1, 19), low=0),
        _O("fuse_conv_bias", "bool", "0", first=(1, 20)),
        _O("enable_cudnn", "bool", "1", "1.24 does not have it, 1.30 does", (1, 25)),
        _O("default_memory_arena_cfg", "absent", "0"),
    ),
)
"""Its parser takes 1, 0, True, False, true and false."""

TENSORRT = OptionTable(
    "True",
    "False",
    _rows(
        _O("device_id", "int", "0", low=0),
        _O("has_user_compute_stream", "absent", "False", first=(1, 16)),
        _O("user_compute_stream", "pointer", "0", first=(1, 18)),
        _O("trt_max_partition_iterations", "int", "1000", low=1),
        _O("trt_min_subgraph_size", "int", "1", low=1),
        _O("trt_max_workspace_size", "size", "0", "in bytes; 0 is as much as there is"),
        _O("trt_fp16_enable", "bool", "by precision", f"True for fp16 cases; {_NO_EFFECT_11}"),
        _O("trt_bf16_enable", "bool", "False", _NO_EFFECT_11, (1, 23)),
        _O("trt_int8_enable", "bool", "False", _NO_EFFECT_11),
        _O("trt_int8_calibration_table_name", "text", "none"),
        _O("trt_int8_use_native_calibration_table", "bool", "False"),
        _O("trt_dla_enable", "bool", "False"),
        _O("trt_dla_core", "int", "0", low=0),
        _O("trt_dump_subgraphs", "bool", "False"),
        _O("trt_engine_cache_enable", "bool", "by --ortperf-trt-cache"),
        _O("trt_engine_cache_path", "path", "by --ortperf-trt-cache"),
        _O("trt_engine_cache_prefix", "text", "none", first=(1, 18)),
        _O("trt_weight_stripped_engine_enable", "bool", "False", first=(1, 19)),
        _O("trt_onnx_model_folder_path", "path", "none", first=(1, 19)),
        _O("trt_onnx_bytestream", "absent", "0", first=(1, 19)),
        _O("trt_onnx_bytestream_size", "absent", "0", first=(1, 19)),
        _O("trt_external_data_bytestream", "absent", "0", first=(1, 23)),
        _O("trt_external_data_bytestream_size", "absent", "0", first=(1, 23)),
        _O("trt_engine_decryption_enable", "bool", "False"),
        _O("trt_engine_decryption_lib_path", "path", "none"),
        _O("trt_force_sequential_engine_build", "bool", "False"),
        _O("trt_context_memory_sharing_enable", "bool", "False"),
        _O("trt_layer_norm_fp32_fallback", "bool", "False"),
        _O("trt_timing_cache_enable", "bool", "by --ortperf-trt-cache", first=(1, 16)),
        _O("trt_timing_cache_path", "path", "by --ortperf-trt-cache", first=(1, 18)),
        _O("trt_force_timing_cache", "bool", "False", first=(1, 18)),
        _O("trt_detailed_build_log", "bool", "False", first=(1, 16)),
        _O("trt_build_heuristics_enable", "bool", "False", first=(1, 16)),
        _O("trt_sparsity_enable", "bool", "False", first=(1, 16)),
        _O("trt_builder_optimization_level", "int", "3", first=(1, 16), low=0, high=5),
        _O("trt_auxiliary_streams", "int", "-1", "-1 lets TensorRT choose", (1, 16), low=-1),
        _O("trt_tactic_sources", "text", "TensorRT's", "such as +CUDNN,-CUBLAS", (1, 16)),
        _O("trt_extra_plugin_lib_paths", "text", "none", "paths with semicolons between", (1, 16)),
        _O("trt_profile_min_shapes", "shapes", "by dims", first=(1, 16)),
        _O("trt_profile_max_shapes", "shapes", "by dims", first=(1, 16)),
        _O("trt_profile_opt_shapes", "shapes", "by dims", first=(1, 16)),
        _O("trt_cuda_graph_enable", "bool", "False", "by --ortperf-timing=graph", (1, 16), refused=_NO_GRAPH),
        _O("trt_dump_ep_context_model", "bool", "False", first=(1, 18)),
        _O("trt_ep_context_file_path", "path", "none", first=(1, 18)),
        _O("trt_ep_context_embed_mode", "int", "0", first=(1, 18), low=0, high=1),
        _O("trt_engine_hw_compatible", "bool", "False", first=(1, 19)),
        _O("trt_op_types_to_exclude", "text", "none", "operator types with commas between", (1, 21)),
        _O("trt_preview_features", "text", "none", first=(1, 22)),
        _O("trt_load_user_initializer", "absent", "False", first=(1, 23)),
    ),
)
"""Python's parser of these takes True, true, False and false alone."""
