from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.records.environment.distributions import (
    first_version,
    installed,
    onnxruntime_distributions,
    require_one_onnxruntime,
    versions,
)
from pytest_ortperf.records.environment.host import (
    GpuSurvey,
    collect_environment,
    read_cpu_model,
    read_memory,
    read_quota,
    read_usable_cores,
)
from pytest_ortperf.records.environment.libraries import loader_paths, read_cuda, read_cudnn, read_driver, read_tensorrt
from pytest_ortperf.records.environment.run_header import GpuFact


def put(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def install(folder: Path, name: str, version: str, *, top_level: str | None = None, files: str = "") -> None:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    put(folder, f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if top_level is not None:
        put(folder, f"{info}/top_level.txt", f"{top_level}\n")
    put(folder, f"{info}/RECORD", files)


def test_packages_named_otherwise_are_no_onnxruntime(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu", "1.31.1", top_level="onnxruntime")
    install(tmp_path, "onnxruntime-openvino", "1.24.0", files="onnxruntime/__init__.py,,\n")
    install(tmp_path, "onnxruntime-qnn", "2.4.0", top_level="onnxruntime_qnn")
    install(tmp_path, "onnxruntime-ep-webgpu", "0.1.0", files="onnxruntime_ep_webgpu/__init__.py,,\n")
    install(tmp_path, "onnxruntime-extensions", "0.15.0", files="onnxruntime_extensions/__init__.py,,\n")
    install(tmp_path, "onnxruntime_genai", "0.9.0", top_level="onnxruntime_genai")
    assert onnxruntime_distributions([str(tmp_path)]) == {
        "onnxruntime-gpu": "1.31.1",
        "onnxruntime-openvino": "1.24.0",
    }


def test_the_first_folder_that_has_a_name_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "onnxruntime", "1.32.0", top_level="onnxruntime")
    install(tmp_path / "b", "onnxruntime", "1.30.0", top_level="onnxruntime")
    paths = [str(tmp_path / name) for name in ("missing", "a", "b")]
    assert onnxruntime_distributions(paths) == {"onnxruntime": "1.32.0"}


def test_one_distribution_is_right(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.32.0", top_level="onnxruntime")
    require_one_onnxruntime([str(tmp_path)])
    require_one_onnxruntime()


def test_no_distribution_names_the_extras(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        require_one_onnxruntime([str(tmp_path)])
    assert str(caught.value) == (
        "ONNX Runtime is not installed. Install it with pip install 'pytest-ortperf[cpu]', "
        "'pytest-ortperf[gpu]' (CUDA, TensorRT) or 'pytest-ortperf[openvino]'."
    )


def test_two_distributions_are_named(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-gpu", "1.31.1", top_level="onnxruntime")
    install(tmp_path, "onnxruntime", "1.32.0", top_level="onnxruntime")
    with pytest.raises(SettingsError) as caught:
        require_one_onnxruntime([str(tmp_path)])
    assert str(caught.value) == (
        "2 distributions of ONNX Runtime are installed (onnxruntime 1.32.0, onnxruntime-gpu 1.31.1); their "
        "files overwrite each other. Keep one: pip uninstall -y onnxruntime onnxruntime-gpu, then install "
        "the one you want again, for instance pip install 'pytest-ortperf[cpu]'."
    )


def test_a_build_tree_without_metadata_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    (tmp_path / "onnxruntime").mkdir()
    with pytest.raises(SettingsError, match="not installed"):
        require_one_onnxruntime()
    put(tmp_path, "onnxruntime/__init__.py")
    require_one_onnxruntime()


def test_versions_are_found_by_name_and_by_prefix(tmp_path: Path) -> None:
    for name in ("onnx", "onnxscript", "nvidia-cudnn-cu12", "tensorrt-cu12-libs", "Pytest.Forked", "torch"):
        install(tmp_path, name, "1.2.3+cu12")
    found = versions(("onnx", "pytest-forked"), ("nvidia-cudnn", "tensorrt"), [str(tmp_path)])
    assert found == dict.fromkeys(("nvidia-cudnn-cu12", "onnx", "pytest-forked", "tensorrt-cu12-libs"), "1.2.3+cu12")
    assert first_version(found, r"nvidia-cudnn(-cu\d+)?") == "1.2.3+cu12"
    assert first_version(found, r"nvidia") is None


def test_every_distribution_that_is_installed_here_is_seen() -> None:
    names = {item.name.lower().replace("_", "-").replace(".", "-") for item in distributions()}
    assert set(installed([""])) == names


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024\nGCC version:  12.2\n",
            "550.54.15",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build  (dvs@x)\n",
            "570.86.10",
        ),
        ("", None),
        ("GCC version:  gcc version 12.2.0\n", None),
    ],
)
def test_the_driver_is_read_from_the_kernel(tmp_path: Path, text: str, version: str | None) -> None:
    put(tmp_path, "proc/driver/nvidia/version", text)
    assert read_driver(tmp_path) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            '{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, "cuda_cudart": {"version": "12.4.127"}}',
            "12.4.127",
        ),
        ('{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}', "12.4.1"),
        ('{"cuda": {}}', None),
        ("[]", None),
        ("{", None),
        ('{"cuda": "12"}', None),
    ],
)
def test_cuda_is_read_from_the_toolkit(tmp_path: Path, text: str, version: str | None) -> None:
    put(tmp_path, "usr/local/cuda/version.json", text)
    assert read_cuda(tmp_path) == version


CUDNN_H = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n#define CUDNN_VERSION (X)\n"


def test_cudnn_is_read_from_its_headers(tmp_path: Path) -> None:
    assert read_cudnn(tmp_path) is None
    put(tmp_path, "usr/include/cudnn_version.h", CUDNN_H.replace("#define CUDNN_MINOR 1\n", ""))
    assert read_cudnn(tmp_path) is None
    put(tmp_path, "usr/local/cuda/include/cudnn.h", CUDNN_H.replace("9", "7"))
    assert read_cudnn(tmp_path) == "7.1.0"
    put(tmp_path, "usr/include/x86_64-linux-gnu/cudnn_version.h", CUDNN_H)
    assert read_cudnn(tmp_path) == "9.1.0"


def test_tensorrt_is_the_name_behind_the_links(tmp_path: Path) -> None:
    assert read_tensorrt(tmp_path, tmp_path) is None
    put(tmp_path, "lib/libnvinfer.so.10.7.0")
    (tmp_path / "lib/libnvinfer.so.10").symlink_to("libnvinfer.so.10.7.0")
    put(tmp_path, "lib/libnvinfer_plugin.so.9.9.9")
    assert read_tensorrt(tmp_path, tmp_path) == "10.7.0"
    (tmp_path / "lib/libnvinfer.so.10.7.0").rename(tmp_path / "lib/libnvinfer.so.11")
    assert read_tensorrt(tmp_path, tmp_path) is None


def test_the_loader_lists_where_libraries_are() -> None:
    listing = (
        "3 libs found in cache `/etc/ld.so.cache'\n"
        "\tlibnvinfer_plugin.so.10 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libnvinfer_plugin.so.10\n"
        "\tlibnvinfer.so.10 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libnvinfer.so.10\n"
        "\tlibnvinfer.so (libc6,x86-64) => /opt/a b/libnvinfer.so\n"
    )
    assert loader_paths(listing, "libnvinfer") == [
        Path("/usr/lib/x86_64-linux-gnu/libnvinfer.so.10"),
        Path("/opt/a b/libnvinfer.so"),
    ]


def test_processor_and_memory_are_read(tmp_path: Path) -> None:
    assert read_cpu_model(tmp_path) == (platform.processor() or platform.machine())
    assert read_memory(tmp_path) is None
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 9654  \nmodel name\t: second\n")
    put(tmp_path, "proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n")
    assert read_cpu_model(tmp_path) == "AMD EPYC 9654"
    assert read_memory(tmp_path) == 16_777_216


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a.slice/b\n", {"cpu.max": "400000 100000", "a.slice/cpu.max": "50000 100000"}, 0.5),
        ("0::/a.slice/b\n", {"a.slice/b/cpu.max": "max 100000", "b/cpu.max": "1 100000"}, None),
        (
            "5:cpu,cpuacct:/docker/x\n3:cpuset:/y\n",
            {"cpu/docker/x/cpu.cfs_quota_us": "200000", "cpu/docker/x/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        ("5:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/../..\n", {"cpu.max": "150000 100000"}, 1.5),
        ("", {}, None),
    ],
)
def test_quotas_of_control_groups_are_read(
    tmp_path: Path, groups: str, files: dict[str, str], quota: float | None
) -> None:
    put(tmp_path, "proc/self/cgroup", groups)
    for path, text in files.items():
        put(tmp_path, f"sys/fs/cgroup/{path}", f"{text}\n")
    assert read_quota(tmp_path) == quota
    assert read_usable_cores(tmp_path) == min(quota or 1e9, len(os.sched_getaffinity(0)))


def test_the_environment_is_put_together() -> None:
    survey = GpuSurvey(gpus=(GpuFact(index=0, name="T4"),), driver="550.1", cuda_driver_max="12.4")
    environment = collect_environment(survey)
    assert (environment.gpus, environment.driver) == (survey.gpus, "550.1")
    assert (environment.cuda_driver_max, environment.gpu_reason) == ("12.4", None)
    assert environment.python == platform.python_version()
    assert environment.packages["numpy"] == sys.modules.get("numpy", pytest.importorskip("numpy")).__version__
    assert environment.onnxruntime_distribution == " ".join(*onnxruntime_distributions().items())
    assert environment.usable_cores is not None
    assert 0 < environment.usable_cores <= (environment.logical_cores or 0)


def test_collecting_imports_none_of_the_packages() -> None:
    code = (
        "import sys; from pytest_ortperf.records.environment.host import collect_environment; collect_environment(); "
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'pandas', 'pytest', 'pynvml'} & set(sys.modules)))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
