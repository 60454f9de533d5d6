"""The migration page names everything of the original scripts, and only commands and options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pytest_ortperf.cases.providers import ORIGINAL_NAMES
from pytest_ortperf.cli import main

PAGE = (Path(__file__).parents[2] / "docs/how-to/migrate-from-the-onnxruntime-script.md").read_text(encoding="utf-8")

SCRIPTS = """
    benchmark.py benchmark_wrapper.py perf_utils.py perf.sh run_perf_docker.sh run_perf_machine.sh build_image.py
    build_images.sh ort_build_latest.py setup_onnx_zoo.py setup_many_models.sh compare_latency.py compare_trt.py
    new_failures.py post.py parse_mem_concurrency_test.py run_mem_test_docker.sh run.sh main.cpp
    gen_trt_engine_wrapper_onnx_model.py float16.py requirements.txt links.txt anubis
    linux-gpu-tensorrt-daily-perf-pipeline.yml
"""
OPTIONS = """
    --comparison --model_source --running_mode --input_data --perf_result_path --workspace --ep_list --ep
    --trt_ep_options --cuda_ep_options --track_memory --io_binding --graph_enablement --fp16 --trtexec
    --percent_mismatch --rtol --atol --test_times --write_test_result --benchmark_fail_csv --benchmark_success_csv
    --benchmark_latency_csv --benchmark_metrics_csv --system_info_csv --prev --current --output_csv --tolerance
    --report_folder --commit_hash --report_url --trt_version --branch --kusto_conn --database --commit_datetime
    --use_tensorrt_oss_parser --repo_path --image_name --cuda_arch --oss_parser_commit_id --install_bin
    --tar_cuda_version --tar_cudnn_version --trt_bins_dir --ort_master_path --tensorrt_home --cuda_home --save
    --use_archived --trt_engine_cache_path --embed_mode --model_name --plugins
"""
FILES = """
    fail.csv success.csv latency.csv metrics.csv op_metrics.csv status.csv session.csv specs.csv .fail_model_map
    .latency_map .metrics_map .session_map temp_memory.csv 0.bin ep_model_fails ep_valgrind_record
    ep_concurrencytest_record
"""
COLUMNS = """
    TRT_CUDA_gain(%) TRT_CUDA_fp16_gain(%) TRT_Standalone_gain(%) TRT_Standalone_fp16_gain(%) Keyword LeakBlock
    LeakBytes ValgrindMessage Passed Log UploadTime Identifier Branch CommitId CommitDate Group
"""
KEYS = """
    root_working_directory model_name working_directory model_path test_data_path model_path_fp16 test_data_path_fp16
"""
VARIABLES = """
    branch ep_list ModelsPath ModelGroups TrtVersion MemTest ConcurrencyTest TrtEPOptions CUDAEPOptions
"""
NAMED = f"{SCRIPTS} {OPTIONS} {FILES} {COLUMNS} {KEYS} {VARIABLES}"
FEATURES = 47


@pytest.mark.parametrize("name", [*NAMED.split(), *ORIGINAL_NAMES])
def test_everything_of_the_original_is_named(name: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", PAGE)


def test_every_feature_has_an_answer() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, FEATURES + 1))
    assert all(answer.strip() for *_, answer in rows)


COMMANDS = sorted(set(re.findall(r"`(ortperf [^`]+)`", PAGE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_is_named_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command)[1:] if not word.startswith("-")]
    options = [word.partition("=")[0] for word in shlex.split(command)[1:] if word.startswith("--")]
    names = [word for word in words if word.islower() and word.isalpha()]
    with pytest.raises(SystemExit) as ended:
        main([*names, "--help"])
    text = capsys.readouterr()
    assert ended.value.code == 0, text.err
    assert [option for option in options if option not in text.out] == []
