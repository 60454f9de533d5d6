"""What a user may name, and what is said where an index does not have it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from provision.local_index import write_wheel
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.provision import runtimes
from pytest_ortperf.provision.pip_program import NotOfferedError, ProvisionError, offered_versions, run_pip
from pytest_ortperf.provision.runtimes import Runtime, nearest, nightly_version, read_runtime, why_not_offered

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
INSTALLED = runtimes.installed_distribution()
NO_ROOM = "Could not install packages due to an OSError: [Errno 28] No space left on device"
MAKE_ROOM = "Make room, or choose another folder with --cache=DIR."


@pytest.mark.parametrize(
    ("text", "kind", "distribution", "read", "label"),
    [
        ("1.31.0", "release", INSTALLED, "1.31.0", f"{INSTALLED} 1.31.0"),
        ("1.31", "release", INSTALLED, "1.31.0", f"{INSTALLED} 1.31.0"),
        ("1.31rc1", "release", INSTALLED, "1.31.0rc1", f"{INSTALLED} 1.31.0rc1"),
        ("ONNXRuntime_GPU==1.31.1", "release", "onnxruntime-gpu", "1.31.1", "onnxruntime-gpu 1.31.1"),
        ("nightly:2026-11-20", "nightly", INSTALLED, "20261120", f"{INSTALLED} nightly:20261120"),
        ("onnxruntime-gpu==nightly:20261120", "nightly", "onnxruntime-gpu", "20261120", None),
        ("1.33.0.dev20261120001", "nightly", INSTALLED, "1.33.0.dev20261120001", None),
    ],
)
def test_a_version_is_read(text: str, kind: str, distribution: str, read: str, label: str | None) -> None:
    found = read_runtime(text)
    assert (found.kind, found.distribution, found.text) == (kind, distribution, read)
    assert label in {None, found.label}
    assert found.key == {"kind": kind, "distribution": distribution, "text": read}


def test_a_wheel_is_read_and_known_by_its_content(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, "1.90.0", name="onnxruntime-openvino")
    found = read_runtime(str(path))
    assert found == Runtime(kind="wheel", distribution="onnxruntime-openvino", text=str(path))
    assert found.key["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.label == "onnxruntime_openvino-1.90.0-py3-none-any.whl"


def test_the_folder_of_a_build_has_a_wheel_or_the_package(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "built/dist", "1.90.0")
    assert read_runtime(str(tmp_path / "built")).text == str(path)
    package = tmp_path / "tree/onnxruntime/__init__.py"
    package.parent.mkdir(parents=True)
    package.touch()
    assert read_runtime(str(tmp_path / "tree")) == Runtime(
        kind="folder", distribution="onnxruntime", text=str(tmp_path / "tree")
    )


def test_what_names_no_runtime_is_refused_with_what_does(tmp_path: Path) -> None:
    write_wheel(tmp_path / "two", "1.90.0")
    write_wheel(tmp_path / "two", "1.91.0")
    (tmp_path / "none").mkdir()
    (tmp_path / "bad.whl").touch()
    forms = "VERSION, nightly:DATE, a wheel, or the folder of a build; NAME==VERSION names another distribution"
    names = "onnxruntime-1.90.0-py3-none-any.whl, onnxruntime-1.91.0-py3-none-any.whl"
    for text, message in (
        ("newest", f"'newest' is no ONNX Runtime: give {forms}"),
        ("nightly:yesterday", f"'nightly:yesterday' is no ONNX Runtime: give {forms}"),
        ("gone.whl", f"'gone.whl' is no ONNX Runtime: give {forms}"),
        (str(tmp_path / "two"), f"{tmp_path}/two: holds 2 wheels; name one: {names}"),
        (
            str(tmp_path / "none"),
            f"{tmp_path}/none: holds neither a wheel nor the package onnxruntime; name the folder that a build wrote",
        ),
    ):
        with pytest.raises(SettingsError) as caught:
            read_runtime(text)
        assert str(caught.value) == message
    with pytest.raises(SettingsError, match=r"bad\.whl: is no wheel: "):
        read_runtime(str(tmp_path / "bad.whl"))


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("1.5", ["1.3", "1.4", "1.6", "1.10"]), ("1.0", ["1.1", "1.2"]), ("2.0", ["1.6", "1.10"])],
)
def test_the_nearest_versions_are_those_around_it(wanted: str, near: list[str]) -> None:
    assert nearest(wanted, ["1.1", "1.2", "1.3", "1.4", "1.6", "1.10"]) == near


@pytest.mark.slow
def test_an_index_is_asked_for_versions_by_pip(wheels: Path) -> None:
    assert offered_versions("onnxruntime") == []
    for version in ("1.90.0", "1.100.0", "1.91.0.dev20261120001", "1.9.0"):
        write_wheel(wheels, version)
    assert offered_versions("onnxruntime") == ["1.9.0", "1.90.0", "1.100.0"]


@pytest.mark.slow
def test_a_version_that_does_not_exist_is_told_with_the_nearest(wheels: Path) -> None:
    for version in ("1.90.0", "1.91.0", "1.93.0"):
        write_wheel(wheels, version)
    assert str(why_not_offered(read_runtime("onnxruntime==1.92.0"))) == (
        f"the package index has no onnxruntime 1.92.0 for this machine. The nearest versions for Python {PYTHON} are: "
        f"1.90.0, 1.91.0, 1.93.0"
    )


@pytest.mark.slow
def test_a_version_for_other_pythons_is_told_with_those(wheels: Path) -> None:
    write_wheel(wheels, "1.90.0")
    (there,) = wheels.glob("*.whl")
    there.with_name("onnxruntime-1.91.0-cp39-none-any.whl").write_bytes(there.read_bytes())
    assert str(why_not_offered(read_runtime("onnxruntime==1.91.0"))) == (
        f"onnxruntime 1.91.0 has no wheel for Python {PYTHON}, but for 3.9. Run ortperf with one of those, or take one "
        f"of the nearest versions for Python {PYTHON}: 1.90.0"
    )


@pytest.mark.slow
def test_a_nightly_build_is_found_by_its_date(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTPERF_NIGHTLY_INDEX", wheels.as_uri())
    for version in ("1.91.0.dev20261118001", "1.91.0.dev20261120001", "1.91.0.dev20261120002", "1.90.0"):
        write_wheel(wheels, version)
    assert nightly_version(read_runtime("onnxruntime==nightly:2026-11-20")) == "1.91.0.dev20261120002"
    with pytest.raises(NotOfferedError) as caught:
        nightly_version(read_runtime("onnxruntime==nightly:2026-11-19"))
    assert str(caught.value) == (
        f"{wheels.as_uri()} has no nightly onnxruntime of 20261119 for Python {PYTHON}; the nearest are "
        f"nightly:20261118, nightly:20261120"
    )


@pytest.mark.slow
def test_an_index_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://127.0.0.1:9/simple"
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("ORTPERF_NIGHTLY_INDEX", address)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    way_out = (
        "Check the network and pip's configuration (pip config list); without a network, PIP_FIND_LINKS=FOLDER with "
        "PIP_NO_INDEX=1 takes wheels from a folder."
    )
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ProvisionError) as caught:
        offered_versions("onnxruntime")
    assert str(caught.value) == f"the package index cannot be reached. {way_out}"
    with pytest.raises(ProvisionError) as caught:
        nightly_version(read_runtime("onnxruntime==nightly:2026-11-19"))
    assert str(caught.value) == f"{address} cannot be reached. {way_out}"


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (f"Collecting onnxruntime\nERROR: {NO_ROOM}\n", f"the disk is full: {NO_ROOM}. {MAKE_ROOM}"),
        (
            "ERROR: onnxruntime-1.90.0-py3-none-any.whl is not a valid wheel filename.\n",
            "pip failed: onnxruntime-1.90.0-py3-none-any.whl is not a valid wheel filename.",
        ),
        ("Traceback\nKeyError: 'x'\n", "pip failed: KeyError: 'x'"),
        ("", "pip failed: it printed nothing"),
    ],
)
def test_what_pip_fails_on_is_told(printed_by_pip: Path, printed: str, message: str) -> None:
    printed_by_pip.write_text(printed)
    with pytest.raises(ProvisionError) as caught:
        run_pip(["install", "onnxruntime"])
    assert str(caught.value) == message
