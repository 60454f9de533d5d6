import ctypes
import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ortperf.execution.machine import tensorrt_libraries
from pytest_ortperf.execution.machine.tensorrt_libraries import (
    find_libraries,
    needed_major,
    preload_tensorrt,
    tensorrt_version,
    version_text,
)

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Compiles a library of a name, with one function that returns a number."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")

    def build_library(path: Path, number: int, *, function: str = "getInferLibVersion") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        source = tmp_path / "source.c"
        source.write_text(f"int {function}(void) {{ return {number}; }}\n")
        soname = ".".join(path.name.split(".")[:3])
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(path), str(source)]
        subprocess.run(command, check=True)
        return path

    return build_library


def loaded(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_parts_are_loaded_from_one_folder_newest_version_first(build: Build, tmp_path: Path) -> None:
    old, new = tmp_path / "trt-10.1/lib", tmp_path / "trt-10.7/lib"
    for folder, name in ((old, "10.1.0"), (new, "10.7.0")):
        build(folder / f"libnvinfer.so.{name}", 1)
        build(folder / f"libnvinfer_plugin.so.{name}", 2, function="plugin_function")
        build(folder / f"libnvonnxparser.so.{name}", 3, function="parser_function")
        (folder / "libnvinfer.so.10").symlink_to(f"libnvinfer.so.{name}")

    found = preload_tensorrt(tmp_path, major=10)

    assert found == [
        new / "libnvinfer.so.10.7.0",
        new / "libnvinfer_plugin.so.10.7.0",
        new / "libnvonnxparser.so.10.7.0",
    ]
    assert all(loaded(path) for path in found)
    assert not loaded(old / "libnvinfer.so.10.1.0")
    assert ctypes.CDLL(None).parser_function() == 3


def test_other_major_versions_are_left_out(build: Build, tmp_path: Path) -> None:
    build(tmp_path / "libnvinfer.so.11", 110000)
    eight = build(tmp_path / "libnvinfer.so.8.6.1", 8601)

    assert preload_tensorrt(tmp_path, major=10) == []
    assert preload_tensorrt(tmp_path, major=8) == [eight]


def test_library_that_cannot_be_loaded_is_told_and_the_next_one_taken(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = build(tmp_path / "a/libnvinfer.so.10.1.0", 1)
    bad = tmp_path / "b/libnvinfer.so.10.2.0"
    bad.parent.mkdir()
    bad.write_bytes(b"no library")

    with caplog.at_level(logging.WARNING):
        assert preload_tensorrt(tmp_path, major=10) == [good]

    assert [record.getMessage() for record in caplog.records] == [f"{bad} could not be loaded: {bad}: file too short"]


def test_builder_resource_is_loaded_only_when_asked_for(build: Build, tmp_path: Path) -> None:
    core = build(tmp_path / "libnvinfer.so.10.3.0", 1)
    resource = build(tmp_path / "libnvinfer_builder_resource.so.10.3.0", 2, function="resource_function")

    assert preload_tensorrt(tmp_path, major=10) == [core]
    assert preload_tensorrt(tmp_path, major=10, builder_resource=True) == [core, resource]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_search_finds_each_file_once_and_keeps_to_its_depth(tmp_path: Path) -> None:
    near = touch(tmp_path / "a/b/libnvinfer.so.10.7.0")
    (tmp_path / "a/b/libnvinfer.so.10").symlink_to(near.name)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    touch(tmp_path / "1/2/3/libnvinfer.so.9")
    touch(tmp_path / ".hidden/libnvinfer.so.9")
    touch(tmp_path / "proc/libnvinfer.so.9")
    touch(tmp_path / "stubs/libnvinfer.so")
    touch(tmp_path / "libcudart.so.13")

    assert [(it.path, it.part, it.version) for it in find_libraries(tmp_path, max_depth=2)] == [
        (near, "libnvinfer", (10, 7, 0))
    ]


def test_search_ends_at_its_time_limit_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "libnvinfer.so.10")

    with caplog.at_level(logging.WARNING):
        assert find_libraries(tmp_path, max_seconds=-1) == []

    assert [record.getMessage() for record in caplog.records] == [
        f"the search for TensorRT below {tmp_path} was ended; name a folder nearer to it"
    ]


def test_folders_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    assert find_libraries(tmp_path / "absent") == []


def test_version_that_onnxruntime_needs_is_read_from_its_library(tmp_path: Path) -> None:
    library = tmp_path / "libonnxruntime_providers_tensorrt.so"
    library.write_bytes(b"\x7fELF\0libcublas.so.13\0libnvinfer.so.10\0libnvonnxparser.so.10\0")

    assert needed_major(library) == 10
    assert needed_major(tmp_path / "absent.so") is None


def test_version_is_what_the_loaded_library_says(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = build(tmp_path / "libnvinfer.so.10.16.1", 101601)
    other = build(tmp_path / "libnvinfer.so.10.0.0", 1, function="something_else")

    assert tensorrt_version(str(library)) == "10.16.1"
    assert tensorrt_version(str(other)) is None
    assert tensorrt_version("libnvinfer.so.nowhere") is None
    monkeypatch.setattr(tensorrt_libraries, "needed_major", lambda: None)
    assert tensorrt_version() is None


@pytest.mark.parametrize(
    ("number", "text"), [(101601, "10.16.1"), (100000, "10.0.0"), (8601, "8.6.1"), (7201, "7.2.1")]
)
def test_versions_are_counted_as_tensorrt_does(number: int, text: str) -> None:
    assert version_text(number) == text
