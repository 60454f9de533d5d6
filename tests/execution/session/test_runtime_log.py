from pathlib import Path

import pytest

from pytest_ortperf.execution.session.runtime_log import clean, reason, shortened

LOGS = Path(__file__).parents[2] / "data" / "ort_logs"

REASONS = {
    "cuda_failure_2_oom_stream_create": "CUDA failure 2: out of memory",
    "cuda_failure_35": "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
    "cuda_oom_bfcarena_1.15.1_triton": None,
    "cudnn_not_initialized_1.23": "CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED",
    "ep_error_cuda100_insightface": "CUDA failure 100: no CUDA-capable device is detected",
    "ep_error_cuda35_roop": "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
    "ep_error_linux_libnvinfer8_1.16.3": ("libnvinfer.so.8: cannot open shared object file: No such file or directory"),
    "ep_error_trt_libs_missing_linux_banner": (
        "Please install TensorRT libraries as mentioned in the GPU requirements page, make sure they're in the PATH "
        "or LD_LIBRARY_PATH, and that your GPU is supported."
    ),
    "ep_error_windows_error126_1.16": (
        'LoadLibrary failed with error 126 "" when trying to load "C:\\path\\to\\my\\repo\\.venv\\lib\\site-packages'
        '\\onnxruntime\\capi\\onnxruntime_providers_tensorrt.dll"'
    ),
    "failed_to_create_cuda_libcublasLt11_1.17": (
        "libcublasLt.so.11: cannot open shared object file: No such file or directory"
    ),
    "failed_to_create_cuda_linux_1.22": "libcudnn.so.9: cannot open shared object file: No such file or directory",
    "failed_to_create_cuda_windows_2026_cuda13": (
        "Failed to create CUDAExecutionProvider. Require cuDNN 9.* and CUDA 13.*, and the latest MSVC runtime. Please "
        "install all dependencies as mentioned in the GPU requirements page (https://onnxruntime.ai/docs/"
        "execution-providers/CUDA-ExecutionProvider.html#requirements), make sure they're in the PATH, and that your "
        "GPU is supported."
    ),
    "failed_to_create_trt_1.13": (
        "Failed to create TensorrtExecutionProvider. Please reference https://onnxruntime.ai/docs/execution-providers/"
        "TensorRT-ExecutionProvider.html#requirements to ensure all dependencies are met."
    ),
    "failed_to_create_trt_and_cuda_1.10": "Failed to create TensorrtExecutionProvider. Please referen",
    "load_fail_libcudnn_adv_1.20.1_applied_cpu": (
        "libcudnn_adv.so.9: cannot open shared object file: No such file or directory"
    ),
    "load_fail_libnvinfer10_1.22": "libnvinfer.so.10: cannot open shared object file: No such file or directory",
    "nodes_not_assigned_1.15.1": None,
}


def test_every_sample_has_an_expectation() -> None:
    assert {path.stem for path in LOGS.iterdir()} == set(REASONS)


@pytest.mark.parametrize("name", REASONS)
def test_reason_is_the_loader_s_own_word(name: str) -> None:
    text = (LOGS / f"{name}.txt").read_text(encoding="utf-8")

    assert reason(text.splitlines()) == REASONS[name]


def test_lines_lose_colours_and_empty_ones_go() -> None:
    assert clean(["\x1b[0;93mwarning\x1b[m", "", "  "]) == ["warning"]


def test_shortened_message_has_no_source_location() -> None:
    text = (
        "/onnxruntime/core/providers/openvino/parser.cc:101 static std::string onnxruntime::openvino_ep::Parse("
        "const ProviderOptions&, std::string&) [ERROR] [OpenVINO] Unsupported inference precision is selected. "
    )

    assert shortened(text) == "[ERROR] [OpenVINO] Unsupported inference precision is selected."


def test_message_without_location_stays() -> None:
    assert shortened("no such thing") == "no such thing"
