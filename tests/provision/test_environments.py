"""Environments that are made: what they hold, what they share, and how long they stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_ortperf
from plugin.test_interrupts import wait_for
from provision.local_index import write_module_wheel, write_wheel
from pytest_ortperf.provision.environments import Environments, _link_files
from pytest_ortperf.provision.pip_program import ProvisionError


class Told(list[str]):
    """Lines that were said."""

    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def environments(tmp_path: Path, told: Told) -> Environments:
    return Environments(told, tmp_path / "cache")


def asked(python: str, text: str) -> Any:
    """Return what an expression is in an interpreter."""
    modules = "importlib.metadata, json, numpy, onnxruntime, pytest_ortperf, sys, sysconfig"
    code = f"import {modules}; print(json.dumps({text}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def artifacts(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/artifacts").iterdir())


def installed_in(folder: Path) -> set[str]:
    (site,) = folder.glob("venv/lib/python*/site-packages")
    return {path.name for path in site.iterdir()} - {"__pycache__"}


@pytest.mark.slow
def test_an_environment_has_the_runtime_and_shares_the_rest(
    wheels: Path, environments: Environments, told: Told
) -> None:
    write_wheel(wheels, "1.90.0", requires=["numpy", "bringme"])
    write_module_wheel(wheels, "bringme")
    made = environments.use("onnxruntime==1.90.0")
    assert made.version == "1.90.0"
    assert asked(made.python, "onnxruntime.__version__") == "1.90.0"
    assert asked(made.python, "numpy.__file__") == str(np.__file__).replace(
        str(Path(np.__file__).parents[1]), f"{made.artifact.folder}/shared/0/site-packages"
    )
    assert asked(made.python, "pytest_ortperf.__file__") == pytest_ortperf.__file__
    names = "sorted(d.name for d in importlib.metadata.distributions() if 'onnxruntime' in d.name)"
    assert asked(made.python, names) == ["onnxruntime"]
    assert installed_in(made.artifact.folder) == {
        "_ortperf_environment.pth",
        "_ortperf_environment.py",
        "bringme-1.0.dist-info",
        "bringme.py",
        "onnxruntime",
        "onnxruntime-1.90.0.dist-info",
    }
    assert told[0] == "onnxruntime 1.90.0: installing"
    assert told[1].endswith(f" s, in {made.artifact.folder}")


@pytest.mark.slow
def test_it_is_found_again_without_any_index(wheels: Path, environments: Environments, told: Told) -> None:
    wheel = write_wheel(wheels, "1.90.0")
    first = environments.use("onnxruntime==1.90.0")
    wheel.unlink()
    assert environments.use("onnxruntime==1.90").python == first.python
    assert told[-1] == f"onnxruntime 1.90.0: found in {first.artifact.folder}"
    (kept,) = environments.kept()
    assert (kept.label, kept.python, kept.is_of_this) == ("onnxruntime 1.90.0", first.python, True)


@pytest.mark.slow
def test_a_wheel_and_a_build_tree_can_be_used(environments: Environments, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "dist", "1.90.0+mine")
    assert environments.use(str(wheel)).version == "1.90.0+mine"
    tree = tmp_path / "build"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tree], check=True)
    for path in tree.glob("*.dist-info/*"):
        path.unlink()
    made = environments.use(str(tree))
    assert made.version == "unknown"
    assert asked(made.python, "onnxruntime.__file__") == f"{tree}/onnxruntime/__init__.py"


@pytest.mark.slow
def test_a_nightly_build_is_installed(
    wheels: Path, environments: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTPERF_NIGHTLY_INDEX", wheels.as_uri())
    write_wheel(wheels, "1.91.0.dev20261120001")
    made = environments.use("onnxruntime==nightly:2026-11-20")
    assert made.version == "1.91.0.dev20261120001"
    assert not (made.artifact.folder / "wheels").exists()
    (kept,) = environments.kept()
    assert kept.label == "onnxruntime nightly:20261120 (1.91.0.dev20261120001)"


@pytest.mark.slow
def test_what_is_imported_in_its_place_is_named(
    wheels: Path, environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(wheels, "1.90.0")
    wheel = write_wheel(tmp_path / "other", "1.80.0")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tmp_path / "tree"], check=True)
    for path in (tmp_path / "tree").glob("*.dist-info/*"):
        path.unlink()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "tree"), prepend=":")
    with pytest.raises(ProvisionError) as caught:
        environments.use("onnxruntime==1.90.0")
    assert str(caught.value) == (
        f"onnxruntime 1.90.0: {tmp_path}/tree/onnxruntime/__init__.py is imported in its place. Take its folder out of "
        f"PYTHONPATH, or start elsewhere"
    )
    assert artifacts(tmp_path) == []


@pytest.mark.slow
def test_a_runtime_that_cannot_be_imported_is_told_and_not_kept(
    wheels: Path, environments: Environments, tmp_path: Path
) -> None:
    write_wheel(wheels, "1.90.0", "raise ImportError('libmissing.so: cannot open shared object file')")
    with pytest.raises(ProvisionError) as caught:
        environments.use("onnxruntime==1.90.0")
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith("onnxruntime 1.90.0: cannot be imported by Python 3.")
    assert last == "  ImportError: libmissing.so: cannot open shared object file"
    assert artifacts(tmp_path) == []


@pytest.mark.slow
def test_an_environment_in_use_stays_and_goes_once_nobody_uses_it(wheels: Path, told: Told, tmp_path: Path) -> None:
    for version in ("1.90.0", "1.91.0", "1.92.0"):
        write_wheel(wheels, version)
    environments = Environments(told, tmp_path / "cache", limit_gib=0)
    made = environments.use("onnxruntime==1.90.0")
    python, folder = made.python, made.artifact.folder
    with running(python):
        del made
        environments.use("onnxruntime==1.91.0")
        assert folder in artifacts(tmp_path)
    environments.use("onnxruntime==1.92.0")
    assert folder not in artifacts(tmp_path)


@contextmanager
def running(python: str) -> Iterator[None]:
    """Run an interpreter for a while."""
    code = "print('on', flush=True); input()"
    with subprocess.Popen([python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        yield
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("by", "left"), [(signal.SIGKILL, 1), (signal.SIGINT, 0)])
def test_what_was_interrupted_is_never_used(
    wheels: Path, environments: Environments, tmp_path: Path, by: signal.Signals, left: int
) -> None:
    write_wheel(wheels, "1.90.0")
    slow_pip = tmp_path / "slow/pip"
    slow_pip.mkdir(parents=True)
    (slow_pip / "__init__.py").touch()
    (slow_pip / "__main__.py").write_text("import time\ntime.sleep(100)\n")
    command = [sys.executable, "-m", "pytest_ortperf.cli", "ort", "use", "onnxruntime==1.90.0"]
    paths = f"{slow_pip.parent}:{os.environ.get('PYTHONPATH', '')}"
    with subprocess.Popen(
        [*command, f"--cache={tmp_path / 'cache'}"],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        wait_for(lambda: any((tmp_path / "cache").glob("artifacts/making-*/venv/bin/python")), "half an environment")
        os.killpg(process.pid, by)
    half = artifacts(tmp_path)
    assert [path.name[:7] for path in half] == ["making-"] * left
    made = environments.use("onnxruntime==1.90.0")
    assert made.artifact.folder not in half
    assert asked(made.python, "onnxruntime.__version__") == "1.90.0"


def test_pip_can_replace_a_linked_file_without_harm(tmp_path: Path) -> None:
    original = tmp_path / "base/nvidia/cublas/lib/libcublas.so.12"
    original.parent.mkdir(parents=True)
    original.write_text("base")
    _link_files(tmp_path / "base/nvidia", tmp_path / "venv/nvidia")
    linked = tmp_path / "venv/nvidia/cublas/lib/libcublas.so.12"
    assert (linked.read_text(), linked.is_symlink(), linked.parent.is_symlink()) == ("base", True, False)
    linked.unlink()
    linked.write_text("new")
    assert original.read_text() == "base"


def test_no_cuda_libraries_are_no_folder(tmp_path: Path) -> None:
    _link_files(tmp_path / "nvidia", tmp_path / "venv/nvidia")
    assert list(tmp_path.iterdir()) == []
